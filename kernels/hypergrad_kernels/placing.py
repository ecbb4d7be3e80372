"""Where the arrays lie that are kept of a large tensor.

A processor's first cache keeps only few lines whose addresses have their low bits in common, and on some processors
only one of two whose higher bits have the same digest. A step reads theta, the gradient and what is kept at the same
index. NumPy puts arrays of 2^k bytes one after the other, each 2^k + 4096 bytes from the last, so that they all fall on
the same lines. A row of `hypergrad bench` shows what that costs.
"""

import numpy as np

from hypergrad_reference.loops import Arrays
from hypergrad_reference.types import Vector

LARGE = 1 << 22
"""Bytes from which an array is placed: it takes up to SPAN more, and smaller ones stay in caches that hold them all."""
STEP = (1 << 16) + 17 * 64
"""Bytes from one array to the next, modulo SPAN: other lines in the cache, and another digest of the higher bits."""
SPAN = 1 << 20


def place_kept(name: str, size: int, theta: Vector) -> Vector:
    """Zeros, (size,), for the field of `Arrays` of that name."""
    return place(1 + Arrays._fields.index(name), size, theta)


def place(number: int, size: int, theta: Vector) -> Vector:
    """Zeros, (size,), in the dtype of theta, for the array of that number, from 1 to 15, of those that go with theta.

    Large ones begin apart from theta and from each other, at a multiple of 64 bytes.
    """
    nbytes = size * theta.dtype.itemsize
    if nbytes < LARGE or not isinstance(theta, np.ndarray):  # a pyopencl array has no address here
        return np.zeros(size, theta.dtype)
    whole = np.zeros(nbytes + SPAN, np.uint8)
    line = theta.ctypes.data // 64 * 64
    begin = (line + number * STEP - whole.ctypes.data) % SPAN
    return whole[begin : begin + nbytes].view(theta.dtype)
