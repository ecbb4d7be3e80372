"""Speed, as ratios inside one run: kernels beside probes of the same traffic, steps beside what else takes one.

Everything that is compared is run in turn, so that what slows the machine slows all. A figure is the median of the
ratios of the turns, with the quartiles; what was timed is verified afterwards against the reference, bit for bit.
"""

import importlib.util
import math
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from hypergrad import AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad._core.optimizer import Optimizer
from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.device import Device, open_device
from hypergrad_kernels.errors import BuildError, DeviceNotFoundError
from hypergrad_kernels.kernels import KERNELS, SCALARS
from hypergrad_kernels.launcher import Launcher
from hypergrad_reference.adamw import exact_scalars
from hypergrad_reference.loops import Arrays as Kept
from hypergrad_reference.loops import Update, update
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector
from hypergrad_validation.cases import SQUARES

LARGE = (1 << 24, 1 << 25)
SIZES = tuple(1 << power for power in range(10, 27, 2))
REPEATS = 21
LONG = 10_000  # steps of the small model
TIMED = ("adamw", "sums")
"""The kernels of the targets, by key of KERNELS."""

Run = Callable[[], Any]


class Figure(NamedTuple):
    """A median and its quartiles."""

    median: float
    low: float
    high: float


class Row(NamedTuple):
    """A line of the table of targets."""

    what: str
    target: str
    figure: Figure
    met: bool


def summarize(values: Sequence[float]) -> Figure:
    """The median and the quartiles.

    >>> summarize([1.0, 2.0, 3.0, 4.0, 5.0])
    Figure(median=3.0, low=2.0, high=4.0)
    """
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(median, low, high)


def take_turns(runs: Mapping[str, Run], repeats: int = REPEATS) -> dict[str, list[float]]:
    """Seconds of each run in each of the turns, the first (compiling, touching memory) left out."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    return {name: seconds[1:] for name, seconds in times.items()}


def compare(over: Sequence[float], under: Sequence[float]) -> Figure:
    """The ratio of two runs, turn by turn."""
    return summarize([a / b for a, b in zip(over, under, strict=True)])


class Bed:
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
            optimizer.step(gradients=[self.grad])
            group = optimizer.param_groups[0]
            beta1, beta2 = group["betas"]
            t = kept["step"] + 1
            scalars = exact_scalars(group["lr"], beta1, beta2, group["eps"], group["weight_decay"], beta1**t, beta2**t)
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
        if importlib.util.find_spec("torch") is None:
            return rivals
        # torch's threads would spin after each of its steps, on the processors that the next in turn needs
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import torch

        torch.set_num_threads(self.device.cl_device.max_compute_units)
        kinds: dict[str, dict[str, Any]] = {
            "torch fused": {"fused": True},
            "torch foreach": {"foreach": True},
            "torch for-loop": {"foreach": False, "fused": False},
        }
        for name, options in kinds.items():
            parameter = torch.nn.Parameter(torch.from_numpy(self.theta.copy()))
            parameter.grad = torch.from_numpy(self.grad)
            rivals[name] = torch.optim.AdamW([parameter], **options).step
        return rivals

    def _list_ends(self) -> list[slice]:
        last = (self.n - 1) // BLOCK * BLOCK
        return [slice(0, min(BLOCK, self.n)), slice(last, self.n)]


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


class Targets(NamedTuple):
    """What a runtime is asked for."""

    fraction: float  # of its probe, that a kernel reaches
    torch: float  # of the time of torch's fused AdamW, that a step takes


def choose_targets(device: Device) -> Targets:
    """The targets of a runtime: PoCL 3.0 is that of the wheel from PyPI."""
    if "Intel" in device.name:
        return Targets(0.95, 0.7)
    return Targets(0.85, 1.0) if "PoCL 3.0" in device.cl_device.platform.version else Targets(0.95, 0.95)


def _at_most(what: str, limit: float, figure: Figure) -> Row:
    return Row(what, f"<= {limit:g}", figure, figure.median <= limit)


def _at_least(what: str, limit: float, figure: Figure) -> Row:
    return Row(what, f">= {limit:g}", figure, figure.median >= limit)


def measure_large(device: Device, n: int, repeats: int = REPEATS) -> list[Row]:
    """Kernels, steps and rivals on one large tensor. The two of a ratio take turns with each other, no one else."""
    bed, targets = Bed(device, n), choose_targets(device)
    optimizers = bed.open_optimizers()
    runs = bed.list_kernels() | bed.list_steps(optimizers) | bed.list_rivals()

    def ratio(over: str, under: str) -> Figure:
        times = take_turns({name: runs[name] for name in (over, under)}, repeats)
        return compare(times[over], times[under])

    at = f", n = 2^{int(math.log2(n))}"
    rows = [
        _at_least("AdamW kernel / probe, speed" + at, targets.fraction, ratio("update_traffic", "adamw")),
        _at_least("sums kernel / probe, speed" + at, targets.fraction, ratio("read_traffic", "sums")),
        _at_most("AdamW step / kernel, time" + at, 1.05, ratio("AdamW", "adamw")),
        _at_most("AdamW step (raise) / kernel, time" + at, 1.25, ratio("AdamW raise", "adamw")),
        _at_most("HypergradientAdamW step / AdamW step, time" + at, 1.5, ratio("HypergradientAdamW", "AdamW")),
        _at_most("AutoHypergradientAdamW step / AdamW step, time" + at, 1.5, ratio("AutoHypergradientAdamW", "AdamW")),
    ]
    if "torch fused" in runs:
        rows.append(_at_most("AdamW step / torch fused, time" + at, targets.torch, ratio("AdamW", "torch fused")))
    rows.append(_at_least("NumPy reference / AdamW step, time" + at, 6, ratio("NumPy reference", "AdamW")))
    rows += [
        Row(f"{name} / AdamW step, time{at}", "-", ratio(name, "AdamW"), True)
        for name in ("NumPy in place", "torch foreach", "torch for-loop")
        if name in runs
    ]
    bed.verify_kernels()
    bed.verify_steps(optimizers)
    return rows


MIXED = tuple(64 * (1 + i % 50) for i in range(500))
"""Sizes of 500 tensors, 64 to 3200 elements."""


def measure_many(device: Device, repeats: int = 51) -> list[Row]:
    """Steps of many tensors beside steps of one with as many elements."""

    def bind(sizes: Sequence[int]) -> Run:
        rng = np.random.default_rng(0)
        thetas = [rng.standard_normal(size, np.float32) for size in sizes]
        grads = [theta.copy() for theta in thetas]
        optimizer = AdamW(thetas, nonfinite="propagate", device=device.context)
        return lambda: optimizer.step(gradients=grads)

    rows = []
    for what, limit, sizes in (("32 tensors of 16384", 1.3, (16384,) * 32), ("500 mixed tensors", 4.0, MIXED)):
        times = take_turns({"many": bind(sizes), "one": bind((sum(sizes),))}, repeats)
        rows.append(_at_most(f"{what} / one, time", limit, compare(times["many"], times["one"])))
    return rows


def measure_long(device: Device, steps: int = LONG) -> list[Row]:
    """What a long run of a small model leaves behind: memory beyond its histories, and kernels built."""
    rng = np.random.default_rng(0)
    theta = rng.standard_normal(1000, np.float32)
    optimizer = AutoHypergradientAdamW([theta], adapt_momentum=True, track_surprise=True, device=device.context)

    def go(number: int) -> None:
        for _ in range(number):
            optimizer.step(gradients=[theta.copy()])

    go(2000)  # records are full from here on
    built, before = device.programs, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin = time.perf_counter()
    go(steps)
    seconds = (time.perf_counter() - begin) / steps
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    histories = 4 * 8 * steps / 2**20  # lr, beta1, surprise and its mean: a double a step
    one = [seconds * 1e6] * 2
    return [
        _at_most(f"growth in {steps} steps, n = 1000, MiB beyond histories", 2, summarize([grown - histories] * 2)),
        _at_most(f"kernels built in {steps} steps", 0, summarize([device.programs - built] * 2)),
        Row("AutoHypergradientAdamW step, n = 1000, microseconds", "-", summarize(one), True),
    ]


def count_bytes() -> dict[str, int]:
    """What kernels, probes and steps move per float32 element, by name."""
    like = np.empty(1, np.float32)
    moved = {name: kernel.call(*kernel.sample(lambda _: like)).form.traffic for name, kernel in KERNELS.items()}
    return moved | {"AdamW": moved["adamw"], "HypergradientAdamW": moved["adamw"] + moved["sums"]}


def measure_sizes(device: Device, sizes: Sequence[int] = SIZES, repeats: int = REPEATS) -> Iterator[dict[str, Any]]:
    """GB/s of kernels, probes and steps over the number of elements, for a chart."""
    for n in sizes:
        bed = Bed(device, n)
        moved = count_bytes()
        optimizers = {k: v for k, v in bed.open_optimizers().items() if k in moved}
        times = take_turns(bed.list_kernels() | bed.list_steps(optimizers), repeats)
        bed.verify_kernels()
        for name, seconds in times.items():
            rate = summarize([moved[name] * n / s / 1e9 for s in seconds])
            yield {"n": n, "name": name, "gb_per_s": rate.median, "low": rate.low, "high": rate.high}


FIRST_STEP = """
import sys, time
import numpy as np
from hypergrad import AdamW
theta = np.ones(1000, np.float32)
opt = AdamW([theta], device=sys.argv[1])
begin = time.perf_counter()
opt.step(gradients=[theta.copy()])
print(time.perf_counter() - begin)
"""


def measure_builds(wanted: str) -> dict[str, float]:
    """Seconds of the first step in a new process: with empty caches of compiled kernels, and with what that left."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        caches = {"POCL_CACHE_DIR": f"{folder}/pocl", "XDG_CACHE_HOME": folder, "PYTHONPATH": path}

        def start() -> float:
            child = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", FIRST_STEP, wanted],
                env=os.environ | caches, capture_output=True, text=True, check=True,
            )  # fmt: skip
            return float(child.stdout)

        return {"cold": start(), "warm": start()}


def describe(device: Device) -> dict[str, str | int]:
    """What the figures were measured on."""
    packages = [name for name in ("numpy", "pyopencl", "torch") if importlib.util.find_spec(name)]
    return {
        "device": device.name,
        "platform": device.cl_device.platform.version.strip(),
        "driver": device.cl_device.driver_version.strip(),
        "compute_units": device.cl_device.max_compute_units,
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
    }


def describe_opencl() -> str:
    """The device that device="opencl" means, with the version of its driver; else why there is none."""
    try:
        device = open_device("opencl")
    except (BuildError, DeviceNotFoundError) as error:
        return f"none: {str(error).splitlines()[0]}"
    versions = (device.cl_device.platform.version.strip(), f"driver {device.cl_device.driver_version.strip()}")
    return ", ".join((device.name, *versions))
