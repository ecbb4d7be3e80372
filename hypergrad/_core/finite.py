"""What of a step is not finite: the gradients, the sums that a rule learns from, and what would be written."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hypergrad._core.backend import Backend, UpdateTask
from hypergrad._core.overflow import Sizes, find_overflow, measure, predict_sizes
from hypergrad._core.state import Blocks, State
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


def find_unlearned(state: State) -> str | None:
    """Why a rate could not learn from the latest step, if what it learns from is not finite."""
    record = state.records.last
    for one in (record,) if state.shared else record:
        if one.reason.startswith("non-finite"):
            return f"the rate has a {one.reason} to learn from: scale the loss down"
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
    for task in _pick(tasks) if proven else ():
        one, finite = predict_sizes(sizes, largest, task.update)
        after, proven = after.join(one), proven and finite
    if proven:
        return after, None
    backend.fetch()
    for task in tasks:
        tensor = tensors[task.position]
        trouble = find_overflow(task.update, tensor.name, tensor.shape)
        if trouble is not None:
            return None, trouble
    return None, None


def _pick(tasks: Sequence[UpdateTask]) -> Iterable[UpdateTask]:
    """One update for each history and dtype: the others have the same scalars."""
    return {(task.history, task.update.theta.dtype): task for task in tasks}.values()


def _find_largest(blocks: Vector) -> float:
    """The largest of sums of squares; NaN if there is one."""
    return float(blocks.item()) if blocks.size == 1 else float(blocks.max(initial=0.0))
