"""Parameters and gradients that are pyopencl arrays: they stay on their device, and kernels work on them there.

Nothing here imports pyopencl: who has such an array has imported it.
"""

import sys
from typing import Any

from hypergrad.errors import ArgumentError
from hypergrad_reference.types import Vector


def is_device_array(thing: object) -> bool:
    """Whether it is a pyopencl.array.Array."""
    module = sys.modules.get("pyopencl.array")
    return module is not None and isinstance(thing, module.Array)


def flatten_device_array(array: Any, name: str) -> Vector:
    """A flat view of its memory, which serves wherever a vector is not looked into.

    Raises ArgumentError unless the array is C-contiguous and begins where its buffer does.
    """
    if not array.flags.c_contiguous or array.offset:
        raise ArgumentError(f"{name} is a strided or shifted view of a pyopencl array: give its .copy()")
    view: Vector = array.reshape(-1)
    return view


def find_span(array: Any) -> tuple[int, int]:
    """What tells the memory of arrays apart: the addresses of its first byte and of the one after its last.

    A buffer on a device has a handle, which is the address of something else on the host.
    """
    if is_device_array(array):
        handle = array.base_data.int_ptr
        return handle, handle + 1
    return array.ctypes.data, array.ctypes.data + array.nbytes
