"""Many tensors in one launch: a table of where their arrays are.

OpenCL promises a kernel the memory of its arguments alone. A CPU device that works in place shares its host's addresses
all the same, so a kernel can find an array by its address; `Device.reads_addresses` is a trial of just that.
"""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pyopencl as cl

from hypergrad_kernels.calls import Call
from hypergrad_kernels.device import Device

Entries = Sequence[tuple[Hashable, Call]]


class Table:
    """One row per tensor: its first work-item, its sizes, the addresses of its arrays; and the row of each work-item.

    per_item    elements that a work-item takes
    """

    def __init__(self, device: Device, entries: Entries, per_item: int) -> None:
        self._names = [name for name, _ in entries]
        self._sizes = [call.sizes for _, call in entries]
        self._held: list[list[Any]] = [[None] * len(call.arrays) for _, call in entries]
        counts = [-(-sizes[0] // per_item) for sizes in self._sizes]
        self.items = sum(counts)
        self._owner = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
        self._start = 1 + len(self._sizes[0])
        self._rows = np.zeros((len(counts), self._start + len(self._held[0])), np.uint64)
        self._rows[:, 0] = np.cumsum(counts) - counts
        self._rows[:, 1 : self._start] = self._sizes
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR  # see _alias in arrays.py
        self.buffers = [cl.Buffer(device.context, flags, hostbuf=array) for array in (self._owner, self._rows)]

    def fits(self, entries: Entries) -> bool:
        """Whether the table was made for these tensors."""
        return self._names == [name for name, _ in entries] and self._sizes == [call.sizes for _, call in entries]

    def fill(self, entries: Entries) -> None:
        """Write the addresses of the arrays. Each array is held, so that the address stays its own."""
        for row, ((_, call), held) in enumerate(zip(entries, self._held, strict=True)):
            for column, array in enumerate(call.arrays):
                if array is not held[column]:
                    held[column] = array
                    self._rows[row, self._start + column] = array.ctypes.data
