"""The OpenCL buffers behind arrays, made once and kept."""

import ctypes
from collections.abc import Hashable
from typing import Any, NamedTuple, TypeAlias, cast

import numpy as np
import pyopencl as cl
import pyopencl.array
from numpy.typing import NDArray

from hypergrad_kernels.device import Device

HostArray: TypeAlias = NDArray[np.floating[Any]]
Array: TypeAlias = HostArray | cl.array.Array


class Bound(NamedTuple):
    """An array and the buffer that stands for it."""

    array: HostArray
    buffer: cl.Buffer


class Arrays:
    """Buffers by name.

    Where the device works in place, a buffer is the array's own memory. Elsewhere it is a copy: a NumPy array is sent
    once a step and what kernels wrote comes back at `collect`; one that is `kept` stays on the device until `fetch`.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self.sent = 0  # bytes that crossed to the device, and back
        self.received = 0
        self._bound: dict[Hashable, Bound] = {}
        self._found: dict[Hashable, tuple[HostArray, int]] = {}
        self._here: set[Hashable] = set()  # names whose buffer holds what the array holds, or something newer
        self._written: dict[Hashable, None] = {}  # newer, in the order of the writes
        self._kept: set[Hashable] = set()

    def begin(self) -> None:
        """A step begins: what is not kept may have been changed by the host since the last."""
        self._here &= self._kept

    def bind(self, name: Hashable, array: Array, written: bool = False, kept: bool = False) -> cl.Buffer:
        """The buffer of an array.

        name       keeps the buffer for the next call, to which another array may be given
        array      C-contiguous, not empty; a pyopencl array is its own buffer and never crosses
        written    the next kernel will write to it
        kept       the host looks at it after `fetch` only
        """
        device = self.device
        if not isinstance(array, np.ndarray):
            if array.queue is not None and array.queue != device.queue:
                array.queue.finish()  # what the caller has asked for comes first
            return cast(cl.Buffer, array.base_data)
        known = self._bound.get(name)
        if known is None or known.array is not array:
            if device.in_place:  # a buffer costs less than to ask NumPy whether the memory is that of the one before
                flags = cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR
                buffer = cl.Buffer(device.context, flags, hostbuf=_alias(array))
            elif known is not None and known.array.nbytes == array.nbytes:
                buffer = known.buffer
            else:
                buffer = cl.Buffer(device.context, cl.mem_flags.READ_WRITE, array.nbytes)
            known = self._bound[name] = Bound(array, buffer)
            self._here.discard(name)
            self._written.pop(name, None)
        if not device.in_place:
            if name not in self._here:
                cl.enqueue_copy(device.queue, known.buffer, array, is_blocking=False)
                self.sent += array.nbytes
                self._here.add(name)
            if kept:
                self._kept.add(name)
            if written:
                self._written[name] = None
        return known.buffer

    def find_address(self, name: Hashable, array: HostArray) -> int:
        """Where the memory of an array begins. NumPy is asked once: that takes as long as all else for a small array.

        name    keeps the address for the next call with the same array
        """
        known = self._found.get(name)
        if known is None or known[0] is not array:
            known = self._found[name] = array, array.ctypes.data
        return known[1]

    def collect(self) -> None:
        """Wait for the kernels and bring back what they wrote, except what is kept."""
        self._receive([name for name in self._written if name not in self._kept])

    def fetch(self) -> None:
        """Bring back what is kept; the host may change it before the next step."""
        if self._written:
            self.device.check_process()
            self._receive(list(self._written))
        self._here.clear()

    def forget(self) -> None:
        """The host has the newer values of all arrays: nothing is brought back, everything is sent again."""
        self._here.clear()
        self._written.clear()

    def _receive(self, names: list[Hashable]) -> None:
        for name in names:
            array, buffer = self._bound[name]
            cl.enqueue_copy(self.device.queue, array, buffer, is_blocking=False)
            self.received += array.nbytes
            del self._written[name]
        self.device.finish()


def _alias(array: HostArray) -> HostArray:
    """The same memory, writable: one runtime copies what is announced as read-only, and misses what changes later."""
    if array.flags.writeable:
        return array
    memory = (ctypes.c_byte * array.nbytes).from_address(array.ctypes.data)
    return np.ctypeslib.as_array(memory).view(array.dtype)
