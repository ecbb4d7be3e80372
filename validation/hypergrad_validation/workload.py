"""What is timed: the kernels, the optimizers and what else takes a step, on the same arrays."""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hypergrad import AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad._core.optimizer import Optimizer
from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.device import Device
from hypergrad_kernels.kernels import KERNELS, SCALARS
from hypergrad_kernels.launcher import Launcher
from hypergrad_reference.adamw import exact_scalars
from hypergrad_reference.loops import Arrays as Kept
from hypergrad_reference.loops import Update, update
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector
from hypergrad_validation.drawn import SQUARES
from hypergrad_validation.timing import Run

TIMED = ("adamw", "sums")
"""The kernels of the targets, by key of KERNELS."""


class Workload:
    """Arrays of one size, and all that is timed on them."""

    def __init__(self, device: Device, n: int) -> None:
        self.device, self.n = device, n
        self._drawn: dict[str, Vector] = {}
        self.theta, self.grad = self._draw("theta"), self._draw("grad")
        self.exp_avg, self.exp_avg_sq = self._draw("exp_avg"), self._draw("exp_avg_sq")
        self.moments = Kept(self.exp_avg, self.exp_avg_sq)
        self.launcher = Launcher(Arrays(device))
        self._arguments: dict[str, tuple[Any, ...]] = {}

    def _draw(self, name: str, owner: str = "") -> Vector:
        """The array of a name, squares of another where it holds squares."""
        if owner + name not in self._drawn:
            array = np.random.default_rng([*name.encode()]).standard_normal(self.n, np.float32)
            self._drawn[owner + name] = array * array if name in SQUARES else array
        return self._drawn[owner + name]

    def list_kernels(self, names: Sequence[str] = TIMED) -> dict[str, Run]:
        """Kernels and their probes by name; each also forms its call, as a step does.

        Kernels share their arrays with the optimizers; what probes write to is their own.
        """

        def bind(name: str) -> Run:
            kernel, owner = KERNELS[name], "" if KERNELS[name].probe else "probe "
            arguments = self._arguments[name] = kernel.sample(lambda array: self._draw(array, owner))

            def run() -> None:
                self.launcher.launch(name, kernel.call(*arguments))
                self.launcher.arrays.collect()

            return run

        probes = (KERNELS[name].probe for name in names)
        return {name: bind(name) for name in dict.fromkeys((*names, *filter(None, probes)))}

    def verify_kernels(self, names: Sequence[str] = TIMED) -> None:
        """Raise AssertionError unless the kernels give the bits of the reference, at both ends of the arrays."""
        for name, run in self.list_kernels(names).items():
            reference = KERNELS[name].reference
            if reference is None:
                continue
            arguments = self._arguments[name]
            with np.errstate(all="ignore"):
                after = [reference(*_cut(arguments, part)) for part in self._list_ends()]
            run()
            call = KERNELS[name].call(*arguments)
            for part, wanted in zip(self._list_ends(), after, strict=True):
                for array_name, array in zip(call.form.arrays, call.arrays, strict=True):
                    if array_name in call.form.written:
                        _expect(_cut(array, part), np.asarray(wanted[array_name]), f"{name}: {array_name}")

    def open_optimizers(self) -> dict[str, Optimizer]:
        """Optimizers by name, past their warm-up."""
        options: dict[str, Any] = {"device": self.device.context}
        optimizers: dict[str, Optimizer] = {
            "AdamW": AdamW([self.theta], nonfinite="propagate", **options),
            "AdamW raise": AdamW([self.theta], **options),
            "HypergradientAdamW": HypergradientAdamW([self.theta], **options),
            "AutoHypergradientAdamW": AutoHypergradientAdamW([self.theta], warmup_steps=1, **options),
        }
        options |= {"delay": 1, "nonfinite": "propagate"}
        optimizers["HypergradientAdamW, delay=1"] = HypergradientAdamW([self.theta], **options)
        optimizers["AutoHypergradientAdamW, delay=1"] = AutoHypergradientAdamW([self.theta], warmup_steps=1, **options)
        options |= {"nonfinite": "stop"}
        optimizers["HypergradientAdamW, delay=1, stop"] = HypergradientAdamW([self.theta], **options)
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
                (self.theta[p].copy(), Kept(kept["exp_avg"][p].copy(), kept["exp_avg_sq"][p].copy())) for p in parts
            ]
            group, lr = optimizer.param_groups[0], optimizer.current_lr
            optimizer.step(gradients=[self.grad])
            lr = lr if getattr(optimizer, "delay", 0) else group["lr"]
            beta1, beta2 = group["betas"]
            t = kept["step"] + 1
            scalars = exact_scalars(lr, beta1, beta2, group["eps"], group["weight_decay"], beta1**t, beta2**t)
            for part, (theta, moments) in zip(parts, before, strict=True):
                wanted, *_ = update(Update(theta, self.grad[part], 1.0, moments, scalars))
                _expect(self.theta[part], wanted, name)

    def list_rivals(self) -> dict[str, Run]:
        """What else takes a step of AdamW: NumPy, and torch where it is installed, with as many threads."""
        u = Update(self.theta, self.grad, 1.0, self.moments, SCALARS)
        rivals: dict[str, Run] = {
            "NumPy reference": lambda: update(u),
            "NumPy in place": lambda: step_in_place(u, self.exp_avg, self.exp_avg_sq),
        }
        return rivals | list_torch_steps([self.theta], [self.grad], self.device.cl_device.max_compute_units)

    def _list_ends(self) -> list[slice]:
        last = (self.n - 1) // BLOCK * BLOCK
        return [slice(0, min(BLOCK, self.n)), slice(last, self.n)]


def list_torch_steps(thetas: Sequence[Vector], grads: Sequence[Vector], threads: int) -> dict[str, Run]:
    """Steps of torch's AdamW, which write to copies of the arrays; none where torch is not installed."""
    if importlib.util.find_spec("torch") is None:
        return {}
    # torch's threads would spin after each of its steps, on the processors that the next in turn needs
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    torch.set_num_threads(threads)

    def bind(**options: Any) -> Run:
        parameters = [torch.nn.Parameter(torch.from_numpy(theta.copy())) for theta in thetas]
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = torch.from_numpy(grad)
        step: Run = torch.optim.AdamW(parameters, **options).step
        return step

    return {
        "torch fused": bind(fused=True),
        "torch foreach": bind(foreach=True),
        "torch for-loop": bind(foreach=False, fused=False),
    }


def _cut(value: Any, part: slice) -> Any:
    """Arguments of a kernel with the part alone of each array, and of block sums with the blocks of the part."""
    if isinstance(value, np.ndarray):
        return value[part] if value.ndim == 1 else value[:, part.start // BLOCK : -(-part.stop // BLOCK)]
    if isinstance(value, tuple):
        parts = (_cut(entry, part) for entry in value)
        return type(value)(*parts) if hasattr(value, "_asdict") else tuple(parts)
    return value


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
