"""What of a step is not finite: the gradients, the sums that a rule learns from, and what would be written."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hypergrad._core.backend import Backend, UpdateTask
from hypergrad._core.overflow import Sizes, find_overflow, foresee, measure
from hypergrad._core.state import Blocks
from hypergrad._core.tensors import Tensor
from hypergrad_reference.loops import Arrays
from hypergrad_reference.types import Vector


def find_trouble(work: Iterable[tuple[Tensor, Vector, Any, Sequence[str]]]) -> str | None:
    """What of the gradients and the sums is not finite.

    work    each tensor with its gradient, its block sums by name, and the names of those that are learned from
    """
    for tensor, grad, sums, needed in work:
        for name, blocks in sums.items():
            if _is_finite(blocks):
                continue
            values = grad if isinstance(grad, np.ndarray) else grad.get()
            finite = np.isfinite(values)
            if not finite.all():
                first = int(np.argmin(finite))
                place = ", ".join(map(str, np.unravel_index(first, tensor.shape)))
                return f"the gradient of {tensor.name} holds {values[first]} at [{place}]"
            if name in needed:
                return f"the sum {name} of {tensor.name} is not finite though its gradient is: scale the loss down"
    return None


def _is_finite(blocks: Vector) -> bool:
    return math.isfinite(blocks.item()) if blocks.size == 1 else bool(np.isfinite(blocks).all())


def find_overflows(
    sizes: Sizes | None,
    tensors: Sequence[Tensor],
    arrays: Sequence[Arrays],
    tasks: Sequence[UpdateTask],
    sums: Blocks,
    backend: Backend,
) -> tuple[Sizes | None, str | None]:
    """Bounds of all tensors and of what is kept of them after the updates, and what of these is not finite.

    sizes    such bounds before; None: they are measured
    arrays   what is kept of each tensor before
    sums     with "grad_grad" for each tensor that is updated
    """
    if sizes is None:
        backend.fetch()
        sizes = measure((tensor.theta, arrays[tensor.position]) for tensor in tensors)
    largest = max(_find_largest(sums[task.position]["grad_grad"]) for task in tasks)
    after, proven = sizes, math.isfinite(largest)
    for _, _, u in _pick(tasks) if proven else ():
        one, finite = foresee(sizes, largest, u)
        after, proven = after.join(one), proven and finite
    if proven:
        return after, None
    backend.fetch()
    for position, _, u in tasks:
        trouble = find_overflow(u, tensors[position].name, tensors[position].shape)
        if trouble is not None:
            return None, trouble
    return None, None


def _pick(tasks: Sequence[UpdateTask]) -> Iterable[UpdateTask]:
    """One update for each history and dtype: the others have the same scalars."""
    return {(task.history, task.update.theta.dtype): task for task in tasks}.values()


def _find_largest(blocks: Vector) -> float:
    """The largest of sums of squares; NaN if there is one."""
    return float(blocks.item()) if blocks.size == 1 else float(blocks.max(initial=0.0))
