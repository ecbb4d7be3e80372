"""Speed, as ratios inside one run: kernels beside probes of the same traffic, steps beside what else takes one.

Everything that is compared is run in turn, so that what slows the machine slows all. A figure is the median of the
ratios of the turns, with the quartiles; what was timed is verified afterwards against the reference, bit for bit.
"""

import importlib.util
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from hypergrad import AdamW, AutoHypergradientAdamW, Optimizer, TuningFreeAdamW
from hypergrad_kernels.device import Device
from hypergrad_kernels.hdm_loops import open_loops
from hypergrad_kernels.kernels import KERNELS
from hypergrad_reference import hdm_best, hdm_best_loops
from hypergrad_reference.hdm_best_loops import Loops
from hypergrad_reference.types import Vector
from hypergrad_validation.timing import REPEATS, Figure, Row, Run, compare, summarize, take_turns
from hypergrad_validation.workload import AS_NUMPY, RIVALS, Workload, bind_step

SIZES = tuple(1 << power for power in range(10, 27, 2))
LONG = 10_000  # steps of the small model


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
    workload, targets = Workload(device, n), choose_targets(device)
    optimizers = workload.open_optimizers()
    runs = workload.list_kernels() | workload.list_steps(optimizers) | workload.list_rivals()
    runs[AS_NUMPY] = workload.wait(workload.bind_kernel("adamw", AS_NUMPY))

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
    for name in (kind for kind in optimizers if "delay=1" in kind):
        limit = 1.15 if "stop" in name else 1.08
        rows.append(_at_most(f"{name} step / AdamW step, time{at}", limit, ratio(name, "AdamW")))
    if "torch fused" in runs:
        rows.append(_at_most("AdamW step / torch fused, time" + at, targets.torch, ratio("AdamW", "torch fused")))
    rows.append(_at_least("NumPy reference / AdamW step, time" + at, 6, ratio("NumPy reference", "AdamW")))
    rows += [
        Row(f"{name} / AdamW step, time{at}", "-", ratio(name, "AdamW"), True)
        for name in ("NumPy in place", "torch foreach", "torch for-loop", *RIVALS)
        if name in runs
    ]
    what = "AdamW kernel, arrays where NumPy puts them / apart, time" + at
    rows.append(Row(what, "-", ratio(AS_NUMPY, "adamw"), True))
    workload.verify_kernels()
    workload.verify_steps(optimizers)
    return rows


MIXED = tuple(64 * (1 + i % 50) for i in range(500))
"""Sizes of 500 tensors, 64 to 3200 elements."""


def measure_many(device: Device, repeats: int = 51) -> list[Row]:
    """Steps of many tensors beside steps of one with as many elements."""

    def bind(sizes: Sequence[int]) -> Run:
        return bind_step(AdamW, [(size,) for size in sizes], device.context, nonfinite="propagate")

    rows = []
    for what, limit, sizes in (("32 tensors of 16384", 1.1, (16384,) * 32), ("500 mixed tensors", 2.5, MIXED)):
        times = take_turns({"many": bind(sizes), "one": bind((sum(sizes),))}, repeats)
        rows.append(_at_most(f"{what} / one, time", limit, compare(times["many"], times["one"])))
    return rows


def measure_tuning_free(device: Device, n: int, repeats: int = REPEATS) -> list[Row]:
    """Eight steps of TuningFreeAdamW, one of them a look of the lazy form, beside eight of AdamW."""

    def bind(make: Callable[..., Optimizer], **options: Any) -> Run:
        step = bind_step(make, [(n,)], device.context, nonfinite="propagate", **options)
        for _ in range(104 if options.get("every") else 3):  # past the clock up to which every step is a look
            step()
        return lambda: [step() for _ in range(8)]

    runs = {
        "AdamW": bind(AdamW),
        "delayed": bind(TuningFreeAdamW, delay=1),
        "delayed, lazy": bind(TuningFreeAdamW, delay=1, every=8),
        "exact": bind(TuningFreeAdamW),
    }
    times = take_turns(runs, repeats)
    what = f"TuningFreeAdamW {{}} step / AdamW step, time, n = 2^{int(math.log2(n))}"
    return [
        _at_most(what.format("delayed, lazy"), 1.4, compare(times["delayed, lazy"], times["AdamW"])),
        _at_most(what.format("delayed"), 1.65, compare(times["delayed"], times["AdamW"])),
        Row(what.format("exact"), "-", compare(times["exact"], times["AdamW"]), True),
    ]


class Descent:
    """An objective that costs nothing: f falls by 1 at each evaluation, so that every step is accepted."""

    def __init__(self, n: int) -> None:
        self.left, self.gradient = 0.0, np.random.default_rng(0).standard_normal(n)

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """The next value, and a gradient that stays."""
        self.left -= 1.0
        return self.left, self.gradient


def measure_iteration(device: Device, n: int = 10**6, repeats: int = REPEATS) -> list[Row]:
    """An iteration of HDM-Best on the device beside NumPy's, f apart."""

    def bind(method: Any, *loops: Loops) -> Run:
        constants = hdm_best.Constants(1e-3, maxiter=10**6)
        descent = Descent(n)
        states = [method.init(*loops, descent, np.zeros(n), constants)]

        def run() -> None:
            states[0] = method.step(*loops, descent, states[0], constants)

        return run

    times = take_turns({"numpy": bind(hdm_best), "device": bind(hdm_best_loops, open_loops(device))}, repeats)
    figure = compare(times["device"], times["numpy"])
    return [_at_most(f"HDM-Best iteration / NumPy's, f apart, time, n = {n}", 0.5, figure)]


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
    histories = 4 * 8 * steps / 2**20  # lr, beta1, surprise and its mean: one double per step
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
        workload = Workload(device, n)
        moved = count_bytes()
        optimizers = {k: v for k, v in workload.open_optimizers().items() if k in moved}
        times = take_turns(workload.list_kernels() | workload.list_steps(optimizers), repeats)
        workload.verify_kernels()
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
