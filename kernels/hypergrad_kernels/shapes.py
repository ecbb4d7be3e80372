"""How a kernel is laid over a device."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np


class Shape(NamedTuple):
    """Launch shape of a kernel."""

    width: int  # elements of a vector
    local_size: int  # items of a work-group; always stated, since leaving it open makes some runtimes compile anew
    steps: int = 1  # vectors that an item of an elementwise kernel takes, one after another
    access: str = "PACKED"  # "PACKED", "VLOAD" or "ALIGNED": how vectors are reached, see common.cl

    @property
    def elements(self) -> int:
        """Elements that an item of an elementwise kernel takes."""
        return self.width * self.steps


Key = tuple[str, str, str]
"""FILE of FILE.cl, kernel, name of the dtype."""

ELEMENTWISE = {"float32": Shape(width=8, local_size=64), "float64": Shape(width=4, local_size=64)}
BLOCKWISE = {"float32": Shape(width=8, local_size=4), "float64": Shape(width=4, local_size=4)}
DEFAULT: dict[Key, Shape] = {
    (file, kernel, dtype): shape
    for rows, kernels in (
        (ELEMENTWISE, (("adamw", "adamw"), ("hdm", "adapt"), ("probe", "update_traffic"), ("sgd_hd", "sgd_hd"))),
        (BLOCKWISE, (("hdm", "inner_products"), ("probe", "read_traffic"), ("sums", "inner_products"))),
    )
    for file, kernel in kernels
    for dtype, shape in rows.items()
}
"""Safe on every runtime tried: no 512-bit vector reaches a builtin function."""

SMALL = 1 << 16
"""Tensors of no more elements share a launch where they can: alone, a launch would take longer than their update."""
MANY = 512
"""Elements of a work-item in such a launch; each looks up its tensor first."""


@cache
def _name(dtype: np.dtype[np.floating[Any]]) -> str:
    return dtype.name  # NumPy composes it anew each time, which costs as much as a small launch


def choose_shape(file: str, kernel: str, dtype: np.dtype[np.floating[Any]], measured: Mapping[Key, Shape]) -> Shape:
    """The shape that was measured to be the fastest on the device, else the safe one."""
    key = (file, kernel, _name(dtype))
    return measured.get(key, DEFAULT[key])


def round_up(items: int, local_size: int) -> int:
    """The least multiple of local_size that holds that many items.

    >>> round_up(65, 64)
    128
    """
    return -(-items // local_size) * local_size
