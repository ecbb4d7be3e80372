"""Choosing an OpenCL device, and what the kernels need to know of it."""

import os
import re
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from tempfile import TemporaryFile
from typing import Any, TypeVar

import numpy as np
import pyopencl as cl
from numpy.typing import NDArray
from platformdirs import user_cache_path

from hypergrad_kernels import runtime
from hypergrad_kernels.errors import BuildError, DeviceError, DeviceNotFoundError

_lock = threading.RLock()
"""Held while platforms are asked for, a device is opened or a program compiled: of two threads, one waits."""

AS_GPU = "HYPERGRAD_AS_GPU"
"""The variable by which a CPU is treated as a GPU, if it is set as a device is opened: to try that without one."""
TRIAL = 1 << 16
"""Elements of a trial of shared memory: a runtime may copy small arrays and not large ones, or the other way round."""


class Device:
    """One OpenCL device with a context, a queue and its compiled kernels.

    is_cpu      it is a CPU, and AS_GPU is not set
    in_place    kernels may work on the memory of NumPy arrays: it is a CPU, and a trial at construction has shown
                that what either side writes the other side reads, without a copy
    reads_addresses    and a trial has shown that a kernel finds an array by its address alone
    """

    def __init__(self, context: cl.Context) -> None:
        self.context = context
        self.cl_device = context.devices[0]
        self.name = find_name(self.cl_device)
        self.queue = cl.CommandQueue(context, self.cl_device)
        self.process = os.getpid()
        self._programs: dict[tuple[str, tuple[str, ...]], cl.Program] = {}
        self.is_cpu = bool(self.cl_device.type & cl.device_type.CPU) and not os.environ.get(AS_GPU)
        self.in_place = self.is_cpu and self._shares_memory()
        self.reads_addresses = self.in_place and self._finds_addresses()

    def build(self, name: str, text: str, options: tuple[str, ...]) -> cl.Program:
        """Compile a program once; later calls with the same text and options return the same program.

        name    of the file, for the message of a BuildError, which holds the compiler's log
        """
        key = (text, options)
        with _lock:
            if key not in self._programs:
                self._programs[key] = self._compile(name, text, options)
            return self._programs[key]

    def _compile(self, name: str, text: str, options: tuple[str, ...]) -> cl.Program:
        if self.cl_device.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT:
            options = (*options, "-cl-fp32-correctly-rounded-divide-sqrt")
        with warnings.catch_warnings():
            # Intel's runtime always writes something to the build log.
            warnings.filterwarnings("ignore", "Non-empty compiler output", cl.CompilerWarning)
            try:
                program: cl.Program = _cached(lambda: cl.Program(self.context, text).build(list(options)))
                return program
            except cl.Error as error:
                raise BuildError(
                    f"{name}.cl does not compile on {self.name} with {' '.join(options)}:\n{error}"
                ) from error

    def find_kernel(self, program: cl.Program, name: str, kinds: Sequence[type[np.generic] | None]) -> cl.Kernel:
        """A kernel of a program that build gave; kinds are the types of its numbers, None for an array."""

        def find() -> cl.Kernel:
            kernel = cl.Kernel(program, name)
            kernel.set_scalar_arg_dtypes(kinds)
            return kernel

        return _cached(find)

    @property
    def programs(self) -> int:
        """How many programs were compiled."""
        return len(self._programs)

    def finish(self) -> None:
        """Wait until everything asked for is done; what a kernel did wrong shows here at the latest."""
        try:
            self.queue.finish()
        except cl.Error as error:
            raise DeviceError(f"{self.name} failed: {error}") from error

    def check_process(self) -> None:
        """Raise DeviceError in a forked child, where OpenCL would hang forever."""
        if os.getpid() != self.process:
            raise DeviceError(f"{self.name} was opened in process {self.process}: {runtime.FORKED}")

    def _shares_memory(self) -> bool:
        array = np.arange(TRIAL + 1, dtype=np.int32)[1:]  # off the alignment that a fresh array has
        return self._sees_changes("__global int *x", "x", array, array)

    def _finds_addresses(self) -> bool:
        if self.cl_device.address_bits != 8 * np.dtype(np.uintp).itemsize:
            return False
        array = np.arange(TRIAL + 1, dtype=np.int32)[1:]
        table = np.array([array.ctypes.data], np.uint64)
        return self._sees_changes("__global const ulong *table", "((__global int *)table[0])", array, table)

    def _sees_changes(self, parameter: str, place: str, array: NDArray[np.int32], given: NDArray[Any]) -> bool:
        """Whether what either side writes to an array the other reads, by a kernel that is given an argument.

        parameter    how the kernel declares the argument
        place        where it finds the array by it
        """
        text = f"__kernel void trial({parameter}) {{ {place}[get_global_id(0)] += 1; }}"
        trial = self.find_kernel(self.build("trial", text, ()), "trial", [None])
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR
        buffer = cl.Buffer(self.context, flags, hostbuf=given)
        for _ in range(2):
            expected = array + 3
            array += 2
            trial(self.queue, (TRIAL,), (16,), buffer)
            self.queue.finish()
            if not np.array_equal(array, expected):
                return False
        return True


T = TypeVar("T")


def _cached(run: Callable[[], T]) -> T:
    """What run returns, which looks into pyopencl's caches; without these if they cannot be read or written."""
    try:
        return run()
    except cl.Error:
        raise
    except Exception:
        if cl._PYOPENCL_NO_CACHE:
            raise
        cl._PYOPENCL_NO_CACHE = True
        return run()


LONGEST_LOCK = 60
"""Seconds: so long pyopencl waits for another process that reads or writes its cache, in every process again."""


def explain_cache() -> str | None:
    """Why pyopencl cannot write its caches, which keep what was compiled for the next process; None if it can."""
    for name in ("pyopencl", "pytools"):
        try:
            folder = user_cache_path(name, name)
            folder.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=folder).close()
            locks = [lock for lock in folder.glob("*/lock") if time.time() - lock.stat().st_mtime > LONGEST_LOCK]
        except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
            return str(error)
        if locks:
            return f"a process that was killed has left {locks[0]}: delete it"
    return None


@cache
def _turn_off_unwritable_cache() -> None:
    """Turn pyopencl's caches off where they cannot be written: it would fail, or wait for a minute and fail."""
    if explain_cache() is not None:
        cl._PYOPENCL_NO_CACHE = True


@cache
def _open_device(device: cl.Device) -> Device:
    return Device(cl.Context([device]))


@cache
def _open_context(context: cl.Context) -> Device:
    return Device(context)


def list_devices() -> list[cl.Device]:
    """Every device of every platform; none if there is no platform.

    Raises DeviceError in a process that was forked after OpenCL was used.
    """
    devices: list[cl.Device] = []
    with _lock, runtime.asking(), suppress(cl.Error):  # where there is no platform, the loader says so by an error
        for platform in cl.get_platforms():
            with suppress(cl.Error):  # and so does a platform without devices
                devices += platform.get_devices()
    return devices


def rank(device: cl.Device) -> int:
    """What comes first when the choice is free: a GPU, then the runtime that every machine has, then any other."""
    if device.type & cl.device_type.GPU:
        return 0
    return 1 if device.platform.name.startswith("Intel") else 2


def find_name(device: cl.Device) -> str:
    """PLATFORM: DEVICE."""
    return f"{device.platform.name.strip()}: {device.name.strip()}"


def _open_first(devices: Sequence[cl.Device]) -> Device:
    """The first device that compiles; an installed runtime need not know the processor it runs on."""
    failures = []
    for device in devices:
        try:
            return _open_device(device)
        except BuildError as error:
            failures.append(f"{find_name(device)} ({find_complaint(error)})")
    raise BuildError(f"no OpenCL device compiles a kernel: {'; '.join(failures)}")


def find_complaint(error: BuildError) -> str:
    """The line of a compiler's log that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines()[1:] if line.strip()] or [str(error)]
    return next((line for line in lines if re.search(r"\berror\b", line, re.IGNORECASE)), lines[0])


def open_device(wanted: str | cl.Device | cl.Context = "opencl") -> Device:
    """The device that the description names, opened once in a process.

    wanted    "opencl": what PYOPENCL_CTX names, else the first that compiles: a GPU, then Intel's runtime, which pip
              installs with this package, then any other, in the loader's order;
              "opencl:PART": the first that compiles of the devices whose platform's or own name contains PART, in any
              case; "opencl:PART:INDEX": the one at INDEX of them;
              a pyopencl.Device or pyopencl.Context: that one

    Raises DeviceNotFoundError with the remedy; BuildError if the device cannot compile; ValueError for a description
    that cannot be read. Not in a process that was forked after OpenCL was used: see runtime.check_fork.
    """
    with _lock:
        _turn_off_unwritable_cache()
        if isinstance(wanted, cl.Context):
            return _open_context(wanted)
        if isinstance(wanted, cl.Device):
            return _open_device(wanted)
        return _open_named(wanted)


def _open_named(wanted: str) -> Device:
    parts = runtime.DESCRIPTION.fullmatch(wanted) if isinstance(wanted, str) else None
    if parts is None:
        raise ValueError(f"device={wanted!r}: give one of 'opencl', 'opencl:PART', 'opencl:PART:INDEX'")
    devices = list_devices()
    if not devices:
        asked = f"device={wanted!r}: " if parts["part"] is not None else ""
        raise DeviceNotFoundError(f"{asked}no OpenCL device was found: {runtime.explain_absence()}")
    if parts["part"] is None:
        if os.environ.get("PYOPENCL_CTX"):
            return _open_device(find_preferred())
        return _open_first(sorted(devices, key=rank))
    part = parts["part"].lower()
    matches = [d for d in devices if part in d.platform.name.lower() or part in d.name.lower()]
    index = None if parts["index"] is None else int(parts["index"])
    if (index or 0) >= len(matches):
        raise DeviceNotFoundError(f"device={wanted!r}: {_explain_no_match(parts['part'], matches, devices)}")
    return _open_first(matches) if index is None else _open_device(matches[index])


def _explain_no_match(part: str, matches: list[cl.Device], devices: list[cl.Device]) -> str:
    """Why none of the devices is the one asked for, and what would be."""
    if not matches:
        return f"no device has {part!r} in its name; give a part of one of these: {'; '.join(map(find_name, devices))}"
    names = "; ".join(map(find_name, matches))
    return f"the devices with {part!r} in their names are numbered from 0 to {len(matches) - 1}: {names}"


def name_device(device: cl.Device | cl.Context) -> str:
    """The description by which open_device finds a device again, or the first one of a context."""
    cl_device = device.devices[0] if isinstance(device, cl.Context) else device
    part = cl_device.name.split(":")[0].lower()
    matches = [d for d in list_devices() if part in d.platform.name.lower() or part in d.name.lower()]
    return f"opencl:{part}:{matches.index(cl_device)}"


def find_preferred() -> cl.Device:
    """The device that PYOPENCL_CTX names, as pyopencl reads it."""
    try:
        return cl.choose_devices(interactive=False)[0]
    except (cl.Error, RuntimeError, ValueError, IndexError) as error:
        value = os.environ["PYOPENCL_CTX"]
        raise DeviceNotFoundError(f"PYOPENCL_CTX={value!r} names no device: {error}; unset or change it") from error
