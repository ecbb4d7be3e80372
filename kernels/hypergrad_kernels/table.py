"""Many tensors in one launch: a table of where their arrays are.

OpenCL promises a kernel the memory of its arguments alone. A CPU device that works in place shares its host's addresses
all the same, so a kernel can find an array by its address; `Device.reads_addresses` is a trial of just that.
"""

from collections.abc import Hashable, Mapping, Sequence
from itertools import chain
from operator import is_
from typing import Any

import numpy as np
import pyopencl as cl

from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.calls import Call

Entries = Sequence[tuple[Hashable, Call]]


class Table:
    """One row per tensor: its first work-item, its sizes, the addresses of its arrays; and the row of each work-item.

    per_item    elements that a work-item takes
    """

    def __init__(self, arrays: Arrays, entries: Entries, per_item: int) -> None:
        self._arrays = arrays
        self._names = [name for name, _ in entries]
        self._sizes = [call.sizes for _, call in entries]
        self._held: list[Any] = [None] * (len(entries) * len(entries[0][1].arrays))
        counts = [-(-sizes[0] // per_item) for sizes in self._sizes]
        self.items = sum(counts)
        self._owner = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
        self._start = 1 + len(self._sizes[0])
        self._rows = np.zeros((len(counts), self._start + len(entries[0][1].arrays)), np.uint64)
        self._rows[:, 0] = np.cumsum(counts) - counts
        self._rows[:, 1 : self._start] = self._sizes
        flags = cl.mem_flags.READ_WRITE | cl.mem_flags.USE_HOST_PTR  # see _alias in arrays.py
        self.buffers = [cl.Buffer(arrays.device.context, flags, hostbuf=array) for array in (self._owner, self._rows)]

    def fits(self, entries: Entries) -> bool:
        """Whether the table was made for these tensors."""
        return self._names == [name for name, _ in entries] and self._sizes == [call.sizes for _, call in entries]

    def fill(self, entries: Entries) -> None:
        """Write the addresses of the arrays. Each array is held, so that the address stays its own."""
        arrays = list(chain.from_iterable(call.arrays for _, call in entries))
        if all(map(is_, arrays, self._held)):
            return
        places = self._rows[:, self._start :]
        before, self._held = self._held, [None] * len(arrays)  # an interrupt leaves rows of which nothing is known
        for index, (array, held) in enumerate(zip(arrays, before, strict=True)):
            if array is not held:
                places[divmod(index, places.shape[1])] = array.ctypes.data
        self._held = arrays

    def exchange(self, index: int, part: str, arrays: Mapping[Hashable, Any]) -> None:
        """Write the addresses of other arrays of a part, at its index in the calls, by the names of tensors."""
        self.release(index)
        others = [arrays[name] for name in self._names]
        find = self._arrays.find_address
        places = [find((name, part), array) for name, array in zip(self._names, others, strict=True)]
        self._rows[:, self._start + index] = places
        self._held[index :: self._rows.shape[1] - self._start] = others

    def release(self, index: int) -> None:
        """Hold the arrays at an index in the calls no longer."""
        self._held[index :: self._rows.shape[1] - self._start] = [None] * len(self._names)
