"""Choosing an OpenCL device, and what the kernels need to know of it."""

import os
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pyopencl as cl
from numpy.typing import NDArray

from hypergrad_kernels.errors import BuildError, DeviceError, DeviceNotFoundError, DeviceWarning

REMEDY = (
    "install one (pip install 'pyopencl[pocl]' brings PoCL for the CPU on Linux x86-64; for a processor that it does "
    "not know, apt install pocl-opencl-icd, or pip install intel-opencl-rt intel-cmplr-lib-rt), or use device='numpy'"
)

TRIAL = 1 << 16
"""Elements of a trial of shared memory: a runtime may copy small arrays and not large ones, or the other way round."""


class Device:
    """One OpenCL device with a context, a queue and its compiled kernels.

    in_place    kernels may work on the memory of NumPy arrays: it is a CPU, and a trial at construction has shown
                that what either side writes the other side reads, without a copy
    reads_addresses    and a trial has shown that a kernel finds an array by its address alone
    """

    def __init__(self, context: cl.Context) -> None:
        self.context = context
        self.cl_device = context.devices[0]
        self.name = f"{self.cl_device.platform.name.strip()}: {self.cl_device.name.strip()}"
        self.queue = cl.CommandQueue(context, self.cl_device)
        self.process = os.getpid()
        self._programs: dict[tuple[str, tuple[str, ...]], cl.Program] = {}
        self.in_place = bool(self.cl_device.type & cl.device_type.CPU) and self._shares_memory()
        self.reads_addresses = self.in_place and self._finds_addresses()

    def build(self, name: str, text: str, options: tuple[str, ...]) -> cl.Program:
        """Compile a program once; later calls with the same text and options return the same program.

        name    of the file, for the message of a BuildError, which holds the compiler's log
        """
        key = (text, options)
        if key not in self._programs:
            if self.cl_device.single_fp_config & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT:
                options = (*options, "-cl-fp32-correctly-rounded-divide-sqrt")
            try:
                self._programs[key] = cl.Program(self.context, text).build(list(options))
            except cl.Error as error:
                raise BuildError(
                    f"{name}.cl does not compile on {self.name} with {' '.join(options)}:\n{error}"
                ) from error
        return self._programs[key]

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
        """Raise DeviceError in a forked child, where OpenCL would hang for ever."""
        if os.getpid() != self.process:
            raise DeviceError(
                f"{self.name} was opened in process {self.process} and cannot be used in its fork {os.getpid()}: start "
                "workers by spawn or forkserver, or open the optimizer in the child"
            )

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
        trial = cl.Kernel(self.build("trial", text, ()), "trial")
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


@cache
def _open_device(device: cl.Device) -> Device:
    return Device(cl.Context([device]))


@cache
def _open_context(context: cl.Context) -> Device:
    return Device(context)


def list_devices() -> list[cl.Device]:
    """Every device of every platform; none if there is no platform."""
    try:
        platforms = cl.get_platforms()
    except cl.Error:
        return []
    devices: list[cl.Device] = []
    for platform in platforms:
        try:
            devices += platform.get_devices()
        except cl.Error:
            continue  # a platform without devices says so by an error
    return devices


def _open_first(devices: Sequence[cl.Device]) -> Device:
    """The first device that compiles; an installed runtime need not know the processor it runs on."""
    failures: list[BuildError] = []
    for device in devices:
        try:
            opened = _open_device(device)
        except BuildError as error:
            failures.append(error)
            continue
        for failure in failures:
            warnings.warn(f"{opened.name} does the work. {failure}", DeviceWarning, stacklevel=2)
        return opened
    reasons = "\n".join(map(str, failures))
    raise BuildError(f"no OpenCL device compiles a kernel; {REMEDY}\n{reasons}")


def open_device(wanted: str | cl.Device | cl.Context = "opencl") -> Device:
    """The device that the description names, opened once in a process.

    wanted    "opencl": what PYOPENCL_CTX names, else the first GPU that compiles, else the first device that does, with
              a warning for each that was passed over;
              "opencl:PART" or "opencl:PART:INDEX": the first, or the one at INDEX, of the devices whose platform's or
              own name contains PART, in any case;
              a pyopencl.Device or pyopencl.Context: that one

    Raises DeviceNotFoundError with the remedy; BuildError if the device cannot compile; ValueError for a description
    that cannot be read.
    """
    if isinstance(wanted, cl.Context):
        return _open_context(wanted)
    if isinstance(wanted, cl.Device):
        return _open_device(wanted)
    kind, *rest = wanted.split(":")
    if kind != "opencl" or len(rest) > 2 or (len(rest) == 2 and not rest[1].isdigit()):
        raise ValueError(f"device={wanted!r}: give 'numpy', 'opencl', 'opencl:PART' or 'opencl:PART:INDEX'")
    devices = list_devices()
    if not devices:
        raise DeviceNotFoundError(
            f"device={wanted!r}: no OpenCL device was found; {REMEDY}. "
            "(PoCL hides its device where its cache folder, POCL_CACHE_DIR, cannot be written.)"
        )
    if not rest:
        if os.environ.get("PYOPENCL_CTX"):
            try:
                return _open_device(cl.create_some_context(interactive=False).devices[0])
            except (cl.Error, RuntimeError, ValueError, IndexError) as error:
                value = os.environ["PYOPENCL_CTX"]
                raise DeviceNotFoundError(
                    f"PYOPENCL_CTX={value!r} names no device: {error}; unset or mend it"
                ) from error
        return _open_first(sorted(devices, key=lambda d: not d.type & cl.device_type.GPU))
    part, index = rest[0].lower(), int(rest[1]) if len(rest) == 2 else 0
    matches = [d for d in devices if part in d.platform.name.lower() or part in d.name.lower()]
    if index >= len(matches):
        names = "; ".join(f"{d.platform.name.strip()}: {d.name.strip()}" for d in devices)
        raise DeviceNotFoundError(
            f"device={wanted!r}: {len(matches)} devices match, index {index} is not there; found: {names}"
        )
    return _open_device(matches[index])


def name_device(device: cl.Device | cl.Context) -> str:
    """The description by which open_device finds a device again, or the first one of a context."""
    cl_device = device.devices[0] if isinstance(device, cl.Context) else device
    part = cl_device.name.split(":")[0].lower()
    matches = [d for d in list_devices() if part in d.platform.name.lower() or part in d.name.lower()]
    return f"opencl:{part}:{matches.index(cl_device)}"
