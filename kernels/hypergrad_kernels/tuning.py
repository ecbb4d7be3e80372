"""Which launch shape is the fastest on a device: measured once, then remembered.

A candidate that is not the safe default is first compiled and run in a child process, where it must leave the bits of
the default: a compiler that aborts takes the child with it, not the caller.
"""

import hashlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np

from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.calls import Call
from hypergrad_kernels.device import Device, list_devices, open_device
from hypergrad_kernels.errors import BuildError, DeviceError
from hypergrad_kernels.kernels import find_kernel
from hypergrad_kernels.launcher import Launcher, read_text
from hypergrad_kernels.placing import place
from hypergrad_kernels.shape_cache import ACCESSES, GROUP_SIZES, remember_shapes
from hypergrad_kernels.shapes import DEFAULT, DEFAULT_GPU, Key, Shape, find_default
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

WIDTHS = (1, 4, 8, 16)
LOCAL_SIZES = {False: (16, 64, 256), True: (1, 4, 16)}  # elementwise, blockwise
STEPS = {False: (1, 4, 32), True: (1,)}
TRIAL_SIZE = 3 * BLOCK + 17
SIZE = 1 << 24  # more than a cache holds
REPEATS = 7
TIMEOUT = 300  # seconds for one child


class Verdict(NamedTuple):
    """What became of a candidate."""

    key: Key
    shape: Shape
    seconds: float | None = None  # median of a launch of SIZE elements
    trouble: str | None = None  # why it was not measured


def _draw_all(n: int, dtype: str) -> Iterator[Vector]:
    """Arrays of random numbers in (0, 1) that begin at multiples of 64 bytes, where an optimizer would place them."""
    rng = np.random.default_rng(0)
    first = np.zeros(n, dtype)
    for number in count(1):
        whole = place(number, n + 64, first)
        begin = -whole.ctypes.data % 64 // whole.itemsize
        array = whole[begin : begin + n]
        array[...] = rng.random(n, np.float32)
        yield array


def make_sample(key: Key, n: int) -> Call:
    """The call by which a kernel is judged, on n elements. Raises ValueError if no kernel has the key."""
    file, name, dtype = key
    kernel, arrays = find_kernel(file, name), _draw_all(n, dtype)
    return kernel.call(*kernel.sample(lambda _: next(arrays)))


def run_sample(launcher: Launcher, sample: Call) -> None:
    """Launch a sample and wait for it."""
    launcher.launch("sample", sample)
    launcher.arrays.collect()


def _digest(device: Device, key: Key, shape: Shape, read: Callable[[str], str]) -> str:
    """The bits that a kernel leaves with a shape."""
    sample = make_sample(key, TRIAL_SIZE)
    run_sample(Launcher(Arrays(device), {key: shape}, read), sample)
    return hashlib.sha256(b"".join(array.tobytes() for array in sample.written)).hexdigest()


def list_candidates(device: Device, key: Key, best: Shape | None = None) -> list[Shape]:
    """Shapes to measure: widths and local sizes first; then steps and access with the best of these."""
    blockwise = find_kernel(*key[:2]).blockwise
    if find_default(device) is DEFAULT_GPU:
        return _list_gpu_candidates(blockwise, best)
    if best is None:
        return [Shape(width, local) for width in WIDTHS for local in LOCAL_SIZES[blockwise]]
    return [
        best._replace(steps=steps, access=access)
        for steps in STEPS[blockwise]
        for access in ACCESSES
        if (steps, access) != (best.steps, best.access)
    ]


def _list_gpu_candidates(blockwise: bool, best: Shape | None) -> list[Shape]:
    """On a GPU only whole aligned vectors are read at once, and a group takes a block."""
    if best is None:
        return [Shape(width, local, 1, "ALIGNED", blockwise) for width in (1, 2, 4) for local in GROUP_SIZES]
    return [] if blockwise else [best._replace(steps=steps) for steps in (2, 4)]


def find_safe(device: Device, key: Key, shapes: Sequence[Shape], read: Callable[[str], str]) -> list[Verdict]:
    """Try shapes in child processes; a verdict without trouble is that of a shape which compiles and keeps the bits."""
    wanted = _digest(device, key, find_default(device)[key], read)
    verdicts: list[Verdict] = []
    while len(verdicts) < len(shapes):
        left = shapes[len(verdicts) :]
        job = {"device": list_devices().index(device.cl_device), "key": key, "text": read(key[0]), "shapes": left}
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        try:
            child = subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "hypergrad_kernels.tuning"],
                input=json.dumps(job), capture_output=True, text=True, timeout=TIMEOUT, env=environment, check=False,
            )  # fmt: skip
            lines, end = child.stdout.splitlines(), f"the compiler ended its process with code {child.returncode}"
        except subprocess.TimeoutExpired as error:
            text = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
            lines, end = text.splitlines(), f"it did not compile in {TIMEOUT} s"
        for shape, line in zip(left, lines, strict=False):
            answer = json.loads(line)
            trouble = answer.get("error") or (None if answer["digest"] == wanted else "it changes bits")
            verdicts.append(Verdict(key, shape, trouble=trouble))
        if len(lines) < len(left):
            verdicts.append(Verdict(key, left[len(lines)], trouble=end))
    return verdicts


def _measure(device: Device, key: Key, shapes: Sequence[Shape], read: Callable[[str], str]) -> list[Verdict]:
    """Time shapes in turn, so that what slows the machine slows all."""
    sample = make_sample(key, SIZE)
    arrays = Arrays(device)
    launchers = [Launcher(arrays, {key: shape}, read) for shape in shapes]
    times: list[list[float]] = [[] for _ in shapes]
    for _ in range(REPEATS + 1):
        for launcher, seconds in zip(launchers, times, strict=True):
            begin = time.perf_counter()
            launcher.launch("sample", sample)
            device.finish()  # what was written stays where it is: a copy to the host would hide the kernel
            seconds.append(time.perf_counter() - begin)
    return [Verdict(key, shape, statistics.median(t[1:])) for shape, t in zip(shapes, times, strict=True)]


def tune(device: Device, keys: Iterable[Key] = tuple(DEFAULT), read: Callable[[str], str] = read_text) -> list[Verdict]:
    """Measure the candidates for each kernel, remember the fastest, and say what became of every one.

    read    gives the text of a file of kernels
    """
    verdicts: list[Verdict] = []
    fastest: dict[Key, Shape] = {}
    default = find_default(device)
    for key in keys:
        if key[2] == "float64" and not device.cl_device.double_fp_config:
            continue
        best = None
        for _ in range(2):
            tried = find_safe(device, key, list_candidates(device, key, best), read)
            verdicts += [verdict for verdict in tried if verdict.trouble]
            safe = [verdict.shape for verdict in tried if not verdict.trouble]
            measured = _measure(device, key, list(dict.fromkeys([best or default[key], *safe])), read)
            verdicts += measured
            best = min(measured, key=lambda verdict: verdict.seconds or 0.0).shape
        if best is not None:
            fastest[key] = best
    remember_shapes(device, read, fastest)
    return verdicts


def _answer() -> None:
    """The child's side of find_safe: a line of JSON for each shape, as soon as it is known."""
    job = json.load(sys.stdin)
    device = open_device(list_devices()[job["device"]])
    for row in job["shapes"]:
        try:
            answer = {"digest": _digest(device, tuple(job["key"]), Shape(*row), lambda _: job["text"])}
        except (BuildError, DeviceError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _answer()
