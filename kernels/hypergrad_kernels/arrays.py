"""The OpenCL buffers behind NumPy arrays, made once and kept."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pyopencl as cl
from numpy.typing import NDArray

from hypergrad_kernels.device import Device

Array = NDArray[np.floating[Any]]


class Arrays:
    """Buffers by name.

    Where the device works in place, a buffer is the array's own memory. Elsewhere it is a copy: `bind` sends the array,
    `collect` brings back what kernels wrote.
    """

    def __init__(self, device: Device) -> None:
        self.device = device
        self._buffers: dict[Hashable, tuple[Array, tuple[int, int, bool], cl.Buffer]] = {}
        self._written: list[tuple[cl.Buffer, Array]] = []

    def bind(self, name: Hashable, array: Array, written: bool = False) -> cl.Buffer:
        """The buffer of an array.

        name       keeps the buffer for the next call; an array elsewhere in memory gets a new one
        array      C-contiguous, not empty
        written    the next kernel will write to it
        """
        device = self.device
        known = self._buffers.get(name)
        if known is None or known[0] is not array:
            place = (array.ctypes.data, array.nbytes, array.flags.writeable)
            if known is not None and known[1] == place:
                buffer = known[2]
            else:
                access = cl.mem_flags.READ_WRITE if array.flags.writeable else cl.mem_flags.READ_ONLY
                if device.in_place:
                    buffer = cl.Buffer(device.context, access | cl.mem_flags.USE_HOST_PTR, hostbuf=array)
                else:
                    buffer = cl.Buffer(device.context, access, array.nbytes)
            known = self._buffers[name] = (array, place, buffer)
        buffer = known[2]
        if not device.in_place:
            cl.enqueue_copy(device.queue, buffer, array, is_blocking=False)
            if written:
                self._written.append((buffer, array))
        return buffer

    def collect(self) -> None:
        """Wait for the kernels and bring back what they wrote."""
        for buffer, array in self._written:
            cl.enqueue_copy(self.device.queue, array, buffer, is_blocking=False)
        self._written.clear()
        self.device.finish()
