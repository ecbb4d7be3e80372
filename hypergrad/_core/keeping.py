"""What is kept of a tensor, before its first step."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hypergrad._core.tensors import Tensor
from hypergrad_kernels.placing import place_kept
from hypergrad_reference.loops import Arrays
from hypergrad_reference.rule import Traits
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector


def count_kept(name: str, size: int, traits: Traits) -> int:
    """How many numbers an array has that is kept of a tensor of so many elements."""
    if name != "left" or traits.averages is None:
        return size
    return len(traits.averages.left) * -(-size // BLOCK)


def open_arrays(tensor: Tensor, traits: Traits) -> Arrays:
    """Zeros, and for an average the tensor itself."""
    theta = tensor.theta
    arrays: dict[str, Vector] = {
        name: place_kept(name, count_kept(name, theta.size, traits), theta) for name in traits.keeps
    }
    if "average_slow" in arrays:
        arrays["average_slow"][...] = fetch(theta)
    return Arrays(**arrays)


def open_norms(tensors: Sequence[Tensor], traits: Traits) -> Vector:
    """Room for the block sums of ||g||^2 of all tensors, one after another; none where the rule does not ask for it."""
    return np.zeros(sum(-(-tensor.theta.size // BLOCK) for tensor in tensors) if traits.remembers_norm else 0)


def fetch(array: Any) -> Vector:
    """The numbers of an array, which may be one of pyopencl, on the host."""
    fetched: Vector = array if isinstance(array, np.ndarray) else array.get()
    return fetched
