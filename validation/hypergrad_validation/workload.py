"""What is timed: the kernels, the optimizers and what else takes a step, on the same arrays."""

import importlib
import importlib.util
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyopencl as cl
import pyopencl.array
from numpy.typing import NDArray

from hypergrad import AdamW, AutoHypergradientAdamW, HypergradientAdamW, Optimizer
from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.calls import SUMS
from hypergrad_kernels.device import Device
from hypergrad_kernels.kernels import KERNELS, SCALARS
from hypergrad_kernels.launcher import Launcher
from hypergrad_kernels.placing import place
from hypergrad_reference.adamw import exact_scalars
from hypergrad_reference.loops import Arrays as Kept
from hypergrad_reference.loops import Update, update
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector
from hypergrad_validation.drawn import SQUARES
from hypergrad_validation.timing import Run

TIMED = ("adamw", "sums")
"""The kernels of the targets, by key of KERNELS."""
AS_NUMPY = "as NumPy "
"""The owner of arrays that lie where NumPy puts them, all of them."""
PAGE = 4096
PERIOD = 1 << 20
"""After how many elements the numbers that are drawn come again."""
ONE_PASS = {"delay": 1, "nonfinite": "propagate"}
STEPS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "AdamW": (AdamW, {"nonfinite": "propagate"}),
    "AdamW raise": (AdamW, {}),
    "HypergradientAdamW": (HypergradientAdamW, {}),
    "AutoHypergradientAdamW": (AutoHypergradientAdamW, {"warmup_steps": 1}),
    "HypergradientAdamW, delay=1": (HypergradientAdamW, ONE_PASS),
    "AutoHypergradientAdamW, delay=1": (AutoHypergradientAdamW, {"warmup_steps": 1, **ONE_PASS}),
    "HypergradientAdamW, delay=1, stop": (HypergradientAdamW, {**ONE_PASS, "nonfinite": "stop"}),
}
"""The optimizers whose steps are timed."""


class Rival(NamedTuple):
    """A published optimizer for torch."""

    module: str
    name: str
    options: Mapping[str, Any]


RIVALS = {
    "prodigyopt": Rival("prodigyopt", "Prodigy", {}), "schedulefree": Rival("schedulefree", "AdamWScheduleFree", {}),
}  # fmt: skip
"""By the name of their distribution."""


class Workload:
    """Arrays of one size, and all that is timed on them.

    on_device    parameter and gradient are pyopencl arrays, which never cross
    """

    def __init__(self, device: Device, n: int, on_device: bool = False) -> None:
        self.device, self.n = device, n
        self._drawn: dict[str, Vector] = {}
        self._room: NDArray[np.uint8] | None = None  # for arrays that lie as NumPy puts them
        self.theta: Any = self._draw("theta")
        self.grad: Any = self._draw("grad")
        if on_device:
            self.theta, self.grad = (cl.array.to_device(device.queue, array) for array in (self.theta, self.grad))
            self._drawn.clear()
        self.launcher = Launcher(Arrays(device))
        self._arguments: dict[str, tuple[Any, ...]] = {}

    def _draw(self, name: str, owner: str = "") -> Vector:
        """The array of a name, squares of another where it holds squares.

        Parameter and gradient lie where NumPy puts them, the others as what an optimizer keeps.
        """
        if owner + name not in self._drawn:
            array = np.resize(np.random.default_rng([*name.encode()]).standard_normal(PERIOD, np.float32), self.n)
            array = array * array if name in SQUARES else array
            if owner == AS_NUMPY:
                array = self._queue(array)
            elif name not in ("theta", "grad"):
                placed = place(len(self._drawn), self.n, self._drawn[next(iter(self._drawn))])
                placed[...] = array
                array = placed
            self._drawn[owner + name] = array
        return self._drawn[owner + name]

    def _queue(self, array: Vector) -> Vector:
        """A copy that begins 4096 bytes after the end of the last one that was made so, where NumPy would put it."""
        if self._room is None:
            self._room = np.empty(4 * (array.nbytes + PAGE) + PAGE, np.uint8)
            self._room = self._room[-self._room.ctypes.data % PAGE + 16 :]
        part, self._room = self._room[: array.nbytes].view(array.dtype), self._room[array.nbytes + PAGE :]
        part[...] = array
        return part

    def draw_arguments(self, name: str, owner: str = "") -> tuple[Any, ...]:
        """The arguments of a kernel's call."""
        return KERNELS[name].sample(lambda array: self._draw(array, owner))

    def bind_kernel(self, name: str, owner: str = "") -> Run:
        """A kernel, with its call formed as a step does; what it writes to stays on the device.

        owner    of the arrays: another has arrays of its own
        """
        kernel = KERNELS[name]
        arguments = self._arguments[name] = self.draw_arguments(name, owner)
        return lambda: self.launcher.launch(owner + name, kernel.call(*arguments))

    def count_bytes(self, name: str) -> int:
        """What a launch of a kernel that was bound moves."""
        return KERNELS[name].call(*self._arguments[name]).form.traffic * self.n

    def list_kernels(self, names: Sequence[str] = TIMED) -> dict[str, Run]:
        """Kernels and their probes by name, each with the wait for it, as in a step.

        Kernels share their arrays with the optimizers; what probes write to is their own.
        """
        probes = (KERNELS[name].probe for name in names)
        owners = {name: "" if KERNELS[name].probe else "probe " for name in (*names, *filter(None, probes))}
        return {name: self.wait(self.bind_kernel(name, owner)) for name, owner in owners.items()}

    def wait(self, launch: Run) -> Run:
        """A launch, and the wait for it."""

        def run() -> None:
            launch()
            self.launcher.arrays.collect()

        return run

    def verify_kernels(self, names: Sequence[str] = TIMED) -> None:
        """Raise AssertionError unless the kernels give the bits of the reference, at both ends of the arrays."""
        for name, run in self.list_kernels(names).items():
            reference = KERNELS[name].reference
            if reference is None:
                continue
            arguments = self._arguments[name]
            self.launcher.arrays.fetch()
            with np.errstate(all="ignore"):
                after = [reference(*self._cut(arguments, part)) for part in self._list_ends()]
            run()
            self.launcher.arrays.fetch()
            call = KERNELS[name].call(*arguments)
            for part, wanted in zip(self._list_ends(), after, strict=True):
                for array_name, array in zip(call.form.arrays, call.arrays, strict=True):
                    if array_name in call.form.written:
                        got = self._cut(array, part, array_name)
                        _expect(got, np.asarray(wanted[array_name]), f"{name}: {array_name}")

    def open_optimizers(self, names: Sequence[str] = tuple(STEPS)) -> dict[str, Optimizer]:
        """Optimizers by name, past their warm-up."""
        optimizers: dict[str, Optimizer] = {}
        for name in names:
            kind, options = STEPS[name]
            optimizers[name] = kind([self.theta], device=self.device.context, **options)
        for optimizer in optimizers.values():
            for _ in range(3):
                optimizer.step(gradients=[self.grad])
        return optimizers

    def list_steps(self, optimizers: Mapping[str, Optimizer]) -> dict[str, Run]:
        """Whole steps by name of the optimizer."""

        def bind(optimizer: Optimizer) -> Run:
            return lambda: optimizer.step(gradients=[self.grad])

        return {name: bind(optimizer) for name, optimizer in optimizers.items()}

    def verify_steps(self, optimizers: Mapping[str, Optimizer]) -> None:
        """Raise AssertionError unless one more step of each gives the bits of the reference."""
        for name, optimizer in optimizers.items():
            kept = optimizer.state[id(self.theta)]
            parts = self._list_ends()
            before = [
                (_get(self.theta, p), Kept(kept["exp_avg"][p].copy(), kept["exp_avg_sq"][p].copy())) for p in parts
            ]
            group, lr = optimizer.param_groups[0], optimizer.current_lr
            optimizer.step(gradients=[self.grad])
            lr = lr if getattr(optimizer, "delay", 0) else group["lr"]
            beta1, beta2 = group["betas"]
            t = kept["step"] + 1
            scalars = exact_scalars(lr, beta1, beta2, group["eps"], group["weight_decay"], beta1**t, beta2**t)
            for part, (theta, moments) in zip(parts, before, strict=True):
                wanted, *_ = update(Update(theta, _get(self.grad, part), 1.0, moments, scalars))
                _expect(_get(self.theta, part), wanted, name)

    def list_rivals(self) -> dict[str, Run]:
        """What else takes a step of AdamW: NumPy, and torch where it is installed, with as many threads."""
        exp_avg, exp_avg_sq = self._draw("exp_avg"), self._draw("exp_avg_sq")
        u = Update(self.theta, self.grad, 1.0, Kept(exp_avg, exp_avg_sq), SCALARS)
        rivals: dict[str, Run] = {
            "NumPy reference": lambda: update(u),
            "NumPy in place": lambda: step_in_place(u, exp_avg, exp_avg_sq),
        }
        return rivals | list_torch_steps([self.theta], [self.grad], self.device.cl_device.max_compute_units)

    def _cut(self, value: Any, part: slice, name: str = "") -> Any:
        """Arguments of a kernel with the part alone of each array, and of block sums with the blocks of the part."""
        if isinstance(value, np.ndarray) and (name in SUMS or value.ndim > 1):
            rows = value.reshape(-1, -(-self.n // BLOCK))[:, part.start // BLOCK : -(-part.stop // BLOCK)]
            return rows.reshape(-1) if value.ndim == 1 else rows
        if isinstance(value, np.ndarray):
            return value[part]
        if hasattr(value, "_asdict"):
            return type(value)(*(self._cut(entry, part, field) for field, entry in value._asdict().items()))
        return tuple(self._cut(entry, part) for entry in value) if isinstance(value, tuple) else value

    def _list_ends(self) -> list[slice]:
        last = (self.n - 1) // BLOCK * BLOCK
        return [slice(0, min(BLOCK, self.n)), slice(last, self.n)]


Shapes = Sequence[tuple[int, ...]]


def draw_model(shapes: Shapes) -> tuple[list[Vector], list[Vector]]:
    """Parameters of these shapes, and a gradient for each."""
    rng = np.random.default_rng(0)
    thetas = [rng.standard_normal(shape, np.float32) for shape in shapes]
    return thetas, [np.float32(0.1) * theta for theta in thetas]


def bind_step(kind: Callable[..., Optimizer], shapes: Shapes, device: Any, **options: Any) -> Run:
    """A step of an optimizer that has parameters of its own, of these shapes."""
    thetas, grads = draw_model(shapes)
    optimizer = kind(thetas, device=device, **options)
    return lambda: optimizer.step(gradients=grads)


def list_torch_steps(thetas: Sequence[Vector], grads: Sequence[Vector], threads: int) -> dict[str, Run]:
    """Steps of torch's AdamW, which write to copies of the arrays; none where torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        return {}
    # torch's threads would spin after each of its steps, on the processors that the next in turn needs
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(threads)

    def bind(module: str, name: str, options: Mapping[str, Any]) -> Run:
        parameters = [torch.nn.Parameter(torch.from_numpy(theta.copy())) for theta in thetas]
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = torch.from_numpy(grad)
        optimizer = getattr(importlib.import_module(module), name)(parameters, **options)
        if module == "schedulefree":
            optimizer.train()
        step: Run = optimizer.step
        return step

    return {
        "torch fused": bind("torch.optim", "AdamW", {"fused": True}),
        "torch foreach": bind("torch.optim", "AdamW", {"foreach": True}),
        "torch for-loop": bind("torch.optim", "AdamW", {"foreach": False, "fused": False}),
    } | {name: bind(*rival) for name, rival in RIVALS.items() if importlib.util.find_spec(rival.module)}


def _get(array: Any, part: slice) -> Vector:
    """A copy of a part of an array, which may be one of pyopencl."""
    copied: Vector = array[part].copy() if isinstance(array, np.ndarray) else array[part].get()
    return copied


def _expect(got: Vector, wanted: Vector, name: str) -> None:
    if got.tobytes() != wanted.tobytes():
        raise AssertionError(f"{name} was timed, but its result is not that of the reference")


def step_in_place(u: Update, exp_avg: Vector, exp_avg_sq: Vector) -> None:
    """AdamW in NumPy without large temporaries: block by block, into the arrays; not bit for bit the reference."""
    size = 1 << 14
    scratch, root = np.empty(size, u.theta.dtype), np.empty(size, u.theta.dtype)
    s = SCALARS
    for begin in range(0, u.theta.size, size):
        part = slice(begin, begin + size)
        w, g, m, v = u.theta[part], u.grad[part], exp_avg[part], exp_avg_sq[part]
        t, r = scratch[: w.size], root[: w.size]
        np.multiply(g, np.float32(s.c1), out=t)
        m *= np.float32(s.b1)
        m += t
        np.multiply(g, g, out=t)
        t *= np.float32(s.c2)
        v *= np.float32(s.b2)
        v += t
        np.multiply(v, np.float32(s.i2), out=r)
        np.sqrt(r, out=r)
        r += np.float32(s.eps)
        np.multiply(m, np.float32(s.a), out=t)
        t /= r
        w *= np.float32(s.k)
        w -= t
