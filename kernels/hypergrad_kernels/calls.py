"""What a kernel is called with, before anything is compiled."""

from typing import Any, NamedTuple

import numpy as np

from hypergrad_reference.types import Vector

DType = np.dtype[np.floating[Any]]
OUT = frozenset({"out"})
"""What a kernel that sums writes to."""
SUMS = frozenset({"out", "left"})
"""Arrays of one number per block."""


class Form(NamedTuple):
    """A kernel, and what its calls for tensors with the same history share, the kind of each array included."""

    file: str  # FILE.cl
    kernel: str
    dtype: DType  # float32 or float64, of every array and real number
    macros: tuple[str, ...]  # features to switch on, "NAME" or "NAME=VALUE"
    arrays: tuple[str, ...]  # their names, in the kernel's order; with the tensor's name they keep the buffers
    written: frozenset[str]  # names of the arrays that the kernel writes to
    kept: frozenset[str] = frozenset()  # names of those that nobody but kernels looks at between two fetches
    reals: tuple[float, ...] = ()  # the numbers after the arrays
    per_item: int | None = None  # elements that a work-item takes; None: as many as the launch shape says
    unread: frozenset[str] = frozenset()  # names of the arrays that the kernel does not read

    @property
    def traffic(self) -> int:
        """Bytes that the kernel moves per element; one number per block does not count."""
        read = frozenset(self.arrays) - self.unread - SUMS
        return (len(read) + len(self.written - SUMS)) * self.dtype.itemsize


class Call(NamedTuple):
    """A kernel and what it is called with, for one tensor."""

    form: Form
    sizes: tuple[int, ...]  # the first is the number of elements to go over
    arrays: tuple[Vector, ...]

    @property
    def written(self) -> tuple[Vector, ...]:
        """The arrays that the kernel writes to."""
        named = zip(self.form.arrays, self.arrays, strict=True)
        return tuple(array for name, array in named if name in self.form.written)
