"""Parameters and gradients that are pyopencl arrays: they stay on their device, and kernels work on them there.

Nothing here imports pyopencl: such an array exists only where pyopencl was imported.
"""

import sys
from typing import Any, NamedTuple

from hypergrad.errors import ArgumentError
from hypergrad_reference.types import Vector


def is_device_array(thing: object) -> bool:
    """Whether it is a pyopencl.array.Array."""
    # another thread may be in the middle of importing the module; then there is no such array yet
    kind = getattr(sys.modules.get("pyopencl.array"), "Array", None)
    return kind is not None and isinstance(thing, kind)


def flatten_device_array(array: Any, name: str) -> Vector:
    """A flat view of its memory, which serves wherever a vector is not looked into.

    Raises ArgumentError unless the array is C-contiguous and begins where its buffer does.
    """
    if not array.flags.c_contiguous or array.offset:
        raise ArgumentError(f"{name} is a strided or shifted view of a pyopencl array: give its .copy()")
    view: Vector = array.reshape(-1)
    return view


class Span(NamedTuple):
    """Where memory lies: bytes from start to end."""

    space: int  # 0 for the host; for a device the handle of the buffer, which is no address of the host
    start: int
    end: int

    def overlaps(self, other: "Span") -> bool:
        """Whether they have a byte in common."""
        return self.space == other.space and self.start < other.end and other.start < self.end


def find_span(array: Any) -> Span:
    """The memory of a contiguous array; of a part of a buffer on a device, within the whole buffer."""
    if is_device_array(array):
        buffer, cl = array.base_data, sys.modules["pyopencl"]
        whole = buffer.get_info(cl.mem_info.ASSOCIATED_MEMOBJECT)
        offset = buffer.get_info(cl.mem_info.OFFSET) + array.offset if whole is not None else array.offset
        return Span((buffer if whole is None else whole).int_ptr, offset, offset + array.nbytes)
    address = array.ctypes.data
    return Span(0, address, address + array.nbytes)
