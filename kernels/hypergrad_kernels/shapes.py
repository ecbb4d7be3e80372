"""How a kernel is laid over a device."""

from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from hypergrad_kernels.device import Device
from hypergrad_kernels.kernels import KERNELS


class Shape(NamedTuple):
    """Launch shape of a kernel."""

    width: int  # elements of a vector
    local_size: int  # items of a work-group; always stated, since leaving it open makes some runtimes compile again
    steps: int = 1  # vectors that an item of an elementwise kernel takes, one after another
    access: str = "PACKED"  # "PACKED", "VLOAD" or "ALIGNED": how vectors are reached, see common.cl
    groupwise: bool = False  # in a kernel that sums, a group takes a block; otherwise an item does

    @property
    def elements(self) -> int:
        """Elements that an item of an elementwise kernel takes."""
        return self.width * self.steps

    def count_items(self, n: int, per_item: int | None) -> int:
        """Work-items for n elements, of which one takes per_item, or as many as the shape says.

        >>> Shape(8, 64, steps=2).count_items(100, None), Shape(4, 128, groupwise=True).count_items(4097, 4096)
        (7, 256)
        """
        items = -(-n // (per_item or self.elements))
        return items * self.local_size if self.groupwise else items


Key = tuple[str, str, str]
"""FILE of FILE.cl, kernel, name of the dtype."""

Shapes = Mapping[Key, Shape]

ELEMENTWISE = {"float32": Shape(width=8, local_size=64), "float64": Shape(width=4, local_size=64)}
BLOCKWISE = {"float32": Shape(width=8, local_size=4), "float64": Shape(width=4, local_size=4)}
ELEMENTWISE_GPU = {"float32": Shape(4, local_size=128, access="ALIGNED"), "float64": Shape(2, 128, access="ALIGNED")}
BLOCKWISE_GPU = {dtype: shape._replace(groupwise=True) for dtype, shape in ELEMENTWISE_GPU.items()}


def _list_shapes(elementwise: Mapping[str, Shape], blockwise: Mapping[str, Shape]) -> dict[Key, Shape]:
    return {
        (described.file, described.kernel, dtype): shape
        for described in KERNELS.values()
        for dtype, shape in (blockwise if described.blockwise else elementwise).items()
    }


DEFAULT: Shapes = _list_shapes(ELEMENTWISE, BLOCKWISE)
"""For CPUs. Safe on every runtime tried: no 512-bit vector reaches a builtin function."""
DEFAULT_GPU: Shapes = _list_shapes(ELEMENTWISE_GPU, BLOCKWISE_GPU)
"""For other devices: neighbouring work-items take neighbouring elements."""

SMALL = 1 << 16
"""Tensors of no more elements share a launch where they can: alone, a launch would take longer than their update."""
MANY = 512
"""Elements of a work-item in such a launch; each looks up its tensor first."""


def find_default(device: Device) -> Shapes:
    """The safe shapes for a device."""
    return DEFAULT if device.is_cpu else DEFAULT_GPU


@cache
def _name(dtype: np.dtype[np.floating[Any]]) -> str:
    return dtype.name  # NumPy composes it again each time, which costs as much as a small launch


def choose_shape(file: str, kernel: str, dtype: np.dtype[np.floating[Any]], measured: Shapes, default: Shapes) -> Shape:
    """The shape that was measured to be the fastest on the device, else the safe one."""
    key = (file, kernel, _name(dtype))
    return measured[key] if key in measured else default[key]


def round_up(items: int, local_size: int) -> int:
    """The least multiple of local_size that holds that many items.

    >>> round_up(65, 64)
    128
    """
    return -(-items // local_size) * local_size
