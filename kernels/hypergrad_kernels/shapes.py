"""How a kernel is laid over a device."""

from typing import Any, NamedTuple

import numpy as np


class Shape(NamedTuple):
    """Launch shape of a kernel."""

    width: int  # elements of a vector
    local_size: int  # items of a work-group; always stated, since leaving it open makes some runtimes compile anew


DEFAULT = {
    ("adamw", "float32"): Shape(width=8, local_size=64),
    ("adamw", "float64"): Shape(width=4, local_size=64),
    ("hdm", "float32"): Shape(width=8, local_size=16),
    ("hdm", "float64"): Shape(width=4, local_size=16),
    ("sgd_hd", "float32"): Shape(width=8, local_size=64),
    ("sgd_hd", "float64"): Shape(width=4, local_size=64),
    ("sums", "float32"): Shape(width=8, local_size=4),
    ("sums", "float64"): Shape(width=4, local_size=4),
}
"""Safe on every runtime tried: no 512-bit vector reaches a builtin function."""


def choose_shape(kernel: str, dtype: np.dtype[np.floating[Any]]) -> Shape:
    """The shape for a kernel file and a dtype."""
    return DEFAULT[kernel, dtype.name]


def round_up(items: int, local_size: int) -> int:
    """The least multiple of local_size that holds that many items.

    >>> round_up(65, 64)
    128
    """
    return -(-items // local_size) * local_size
