"""What a device is worth where data stay on it: bits, kernels beside a copy of the same bytes, steps of all sizes.

For GPUs above all, and the same on any other device. Each part keeps to a Budget.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import pyopencl as cl

from hypergrad_kernels.device import Device
from hypergrad_kernels.kernels import KERNELS
from hypergrad_validation.budget import Budget
from hypergrad_validation.conformance import LONG_RUN, compare_kernels, compare_long_run, hash_long_run
from hypergrad_validation.timing import Figure, Run, compare, judge, take_turns
from hypergrad_validation.workload import Workload

POWERS = tuple(range(10, 29, 2))
TIMED = ("AdamW", "HypergradientAdamW", "HypergradientAdamW, delay=1")
"""The steps that are timed, by key of workload.STEPS."""
COPY, DELAYED = 0.9, 1.1
"""The targets: AdamW's kernel / copy, speed; step with delay=1 / step of AdamW, time, from 2^LARGE elements on."""
LARGE = 20
SHARE = 0.4
"""The share of the seconds left that the kernel cases may take."""
TRIAL = 100
"""Steps by which a long run is judged to fit."""
BATCH = 0.02
"""Seconds that launches in a row take together, so that the wait for them does not count."""
KEPT = 2
"""Arrays that an optimizer here keeps."""


class Copied(NamedTuple):
    """A kernel beside a copy of as many bytes, and beside its probe; fractions are of their speed."""

    kernel: str
    n: int
    gb_per_s: Figure
    copy_gb_per_s: Figure
    of_copy: Figure
    of_probe: Figure
    verdict: str


class Stepped(NamedTuple):
    """Steps on a number of elements, microseconds by name of the optimizer."""

    n: int
    microseconds: dict[str, Figure]
    delayed_over_adamw: Figure  # the step with delay=1 / that of AdamW
    verdict: str


def compare_bits(device: Device, budget: Budget, steps: int = LONG_RUN) -> Iterator[dict[str, Any]]:
    """Rows of `hypergrad conform`: every kernel case that fits, then long runs."""
    cases = Budget(budget.left * SHARE)
    yield from compare_kernels(device, cases)
    budget.left_out += cases.left_out
    for delay in (0, 1):
        begin = time.monotonic()
        for where in ("numpy", device.context):
            hash_long_run(where, min(TRIAL, steps), delay=delay)
        needed = (time.monotonic() - begin) * steps / TRIAL
        if budget.allows(f"{steps} steps, delay={delay}", needed):
            yield compare_long_run(device, steps, delay)


def measure_copies(device: Device, budget: Budget, n: int, repeats: int = 11) -> Iterator[Copied]:
    """Each kernel beside a copy on the device of as many bytes: half of them read, half of them written."""
    took = 0.0
    for name, kernel in KERNELS.items():
        if kernel.reference is None or not budget.allows(f"{name} beside a copy", took):
            continue
        begin = time.monotonic()
        workload = Workload(device, n)
        launch = workload.bind_kernel(name)
        moved = workload.count_bytes(name)
        half = moved // 2
        source, target = (cl.Buffer(device.context, cl.mem_flags.READ_WRITE, half) for _ in range(2))
        cl.enqueue_fill_buffer(device.queue, source, b"\0", 0, half)

        def copy(source: cl.Buffer = source, target: cl.Buffer = target, half: int = half) -> None:
            cl.enqueue_copy(device.queue, target, source, byte_count=half)

        probe = workload.bind_kernel(str(kernel.probe), "probe ")
        runs, counts = _batch(device, {"kernel": launch, "copy": copy, "probe": probe})
        each = {
            what: [seconds / counts[what] for seconds in times] for what, times in take_turns(runs, repeats).items()
        }
        share = moved / workload.count_bytes(str(kernel.probe))
        of_copy = compare(each["copy"], each["kernel"])
        of_probe = compare([share * seconds for seconds in each["probe"]], each["kernel"])
        workload.verify_kernels([name])
        kernel_rate, copy_rate = (compare([moved / 1e9] * repeats, each[what]) for what in ("kernel", "copy"))
        verdict = judge(of_copy.median >= COPY, f">= {COPY:g}") if name == "adamw" else "-"
        yield Copied(name, n, kernel_rate, copy_rate, of_copy, of_probe, verdict)
        took = time.monotonic() - begin


def _batch(device: Device, launches: dict[str, Run]) -> tuple[dict[str, Run], dict[str, int]]:
    """Each launch as often in a row as BATCH holds, with one wait."""
    runs, counts = {}, {}
    for name, launch in launches.items():
        for _ in range(2):  # the first compiles, and sends the arrays
            begin = time.perf_counter()
            launch()
            device.finish()
            seconds = time.perf_counter() - begin
        counts[name] = max(1, min(100, int(BATCH / seconds)))
        runs[name] = _repeat(launch, counts[name], device.finish)
    return runs, counts


def _repeat(launch: Run, count: int, finish: Callable[[], None]) -> Run:
    def run() -> None:
        for _ in range(count):
            launch()
        finish()

    return run


def measure_steps(
    device: Device, budget: Budget, powers: Sequence[int] = POWERS, names: Sequence[str] = TIMED
) -> Iterator[Stepped]:
    """Whole steps with parameters and gradients on the device, from small to large, as far as its memory goes."""
    took = 0.0
    for power in powers:
        n, what = 1 << power, f"steps of 2^{power} elements"
        lacking = find_lack(device, n, len(names))
        if lacking is not None:
            budget.leave_out(f"{what}: {lacking}")
            continue
        if not budget.allows(what, took):
            continue
        begin = time.monotonic()
        workload = Workload(device, n, on_device=True)
        optimizers = workload.open_optimizers(names)
        runs = workload.list_steps(optimizers)
        turn = sum(seconds[0] for seconds in take_turns(runs, 1).values())
        times = take_turns(runs, max(3, min(51, int(2 / turn))))
        workload.verify_steps(optimizers)
        ratio = compare(times[names[-1]], times["AdamW"])
        verdict = judge(ratio.median <= DELAYED, f"<= {DELAYED:g}") if power >= LARGE else "-"
        rates = {name: compare([1e6 * s for s in seconds], [1.0] * len(seconds)) for name, seconds in times.items()}
        yield Stepped(n, rates, ratio, verdict)
        took = 4 * (time.monotonic() - begin)  # the next has four times as many elements


def find_lack(device: Device, n: int, optimizers: int) -> str | None:
    """What a device or its host lacks for the steps of so many optimizers on n float32 elements; None if nothing."""
    array = 4 * n
    whole = array * (2 + KEPT * optimizers)
    copies = 2 if device.cl_device.host_unified_memory else 1  # the host's own, and what stands for the device's
    limits = {
        f"an array takes {{}}, {device.name} gives one at most {{}}": (array, device.cl_device.max_mem_alloc_size),
        f"the arrays take {{}}, {device.name} has {{}}": (whole * 5 // 4, device.cl_device.global_mem_size),
        "the arrays take {} of the host's memory, it has {}": (whole * copies * 5 // 4, _find_memory()),
    }
    for text, (needed, there) in limits.items():
        if needed > there:
            return text.format(f"{needed / 2**30:.3g} GiB", f"{there / 2**30:.3g} GiB")
    return None


def _find_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
