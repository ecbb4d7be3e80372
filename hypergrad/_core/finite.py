"""What of a step is not finite, for the message: the gradients, and the sums that a rule learns from."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hypergrad._core.overflow import is_finite
from hypergrad._core.tensors import Tensor
from hypergrad_reference.types import Vector


def find_trouble(work: Iterable[tuple[Tensor, Vector, Any, Sequence[str]]]) -> str | None:
    """What of the gradients and the sums is not finite.

    work    each tensor with its gradient, its block sums by name, and the names of those that are learned from
    """
    for tensor, grad, sums, needed in work:
        for name, blocks in sums.items():
            if is_finite(blocks):
                continue
            trouble = _find_trouble(tensor, grad)
            if trouble is not None:
                return trouble
            if name in needed:
                return f"the sum {name} of {tensor.name} is not finite though its gradient is: scale the loss down"
    return None


def _find_trouble(tensor: Tensor, grad: Any) -> str | None:
    """What of a gradient is not finite."""
    values = grad if isinstance(grad, np.ndarray) else grad.get()
    finite = np.isfinite(values)
    if finite.all():
        return None
    first = int(np.argmin(finite))
    place = ", ".join(map(str, np.unravel_index(first, tensor.shape)))
    return f"the gradient of {tensor.name} holds {values[first]} at [{place}]"


def find_stopped(work: Iterable[tuple[Tensor, Vector, int]]) -> str:
    """Which elements stayed, and why.

    work    each tensor with its gradient and the number of its elements that stayed
    """
    counts = [(tensor, grad, count) for tensor, grad, count in work if count]
    where = ", ".join(f"{count} of {tensor.name}" for tensor, _, count in counts)
    causes = (_find_trouble(tensor, grad) for tensor, grad, _ in counts)
    cause = next((cause for cause in causes if cause), "the step would have led past the largest number of the dtype")
    return f"{cause}; elements that kept all that they had: {where}"
