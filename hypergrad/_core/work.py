"""What a step works on: the tensors that have a gradient, in batches of those that differ in their arrays alone."""

from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypergrad._core.gradients import NOTHING, Given
from hypergrad._core.tensors import Tensor
from hypergrad_reference.loops import Arrays, Batch
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector


class Work(NamedTuple):
    """What a step works on. It serves the next step, too, while what it was made of stays."""

    given: Given
    members: tuple[int, ...]  # for each tensor of the optimizer, the number of its history
    arrays: tuple[Arrays, ...]  # and what is kept of it
    batches: Sequence[Batch]
    histories: Sequence[int]  # for each batch, the number of its history
    columns: Sequence[slice | NDArray[np.intp]]  # where its block sums lie among those of all tensors

    def find_tensors(self, batch: Batch) -> list[Tensor]:
        """The tensors of a batch."""
        own = set(batch.positions)
        return [tensor for tensor in self.given.tensors if tensor.position in own]


NO_WORK = Work(NOTHING, (), (), (), (), ())


def gather(
    given: Given, members: tuple[int, ...], arrays: tuple[Arrays, ...], bounds: Sequence[tuple[int, int]]
) -> Work:
    """The work of a step.

    bounds    of the block sums of each tensor among those of all, see `place_blocks`
    """
    alike: dict[Any, list[tuple[int, Vector, Vector, Arrays]]] = {}
    for tensor, gradient in zip(given.tensors, given.gradients, strict=True):
        position, theta, grad = tensor.position, tensor.theta, gradient.flat
        kind = members[position], theta.dtype, type(theta), type(grad), theta.size > 0  # without one there is no block
        alike.setdefault(kind, []).append((position, theta, grad, arrays[position]))
    batches = [Batch(*zip(*entries, strict=True)) for entries in alike.values()]
    columns = [_find_columns(batch.positions, bounds) for batch in batches]
    return Work(given, members, arrays, batches, [history for history, *_ in alike], columns)


def exchange_gradients(work: Work, given: Given) -> Work | None:
    """The work with other gradients of the same tensors; None where it does not serve for them."""
    if work.given.tensors != given.tensors:
        return None
    flat = {tensor.position: gradient.flat for tensor, gradient in zip(given.tensors, given.gradients, strict=True)}
    batches = []
    for positions, thetas, before, arrays in work.batches:
        grads = [flat[position] for position in positions]
        if {*map(type, grads)} != {type(before[0])}:
            return None
        batches.append(Batch(positions, thetas, grads, arrays))
    return work._replace(given=given, batches=batches)


def place_blocks(tensors: Sequence[Tensor]) -> list[tuple[int, int]]:
    """Where the block sums of each tensor lie in an array of those of all.

    >>> place_blocks([Tensor(np.ones(size), 0, 0) for size in (4097, 0, 1)])
    [(0, 2), (2, 2), (2, 3)]
    """
    return list(pairwise(accumulate((-(-tensor.theta.size // BLOCK) for tensor in tensors), initial=0)))


def _find_columns(positions: Sequence[int], bounds: Sequence[tuple[int, int]]) -> slice | NDArray[np.intp]:
    first, last = positions[0], positions[-1]
    if last - first + 1 == len(positions):
        return slice(bounds[first][0], bounds[last][1])
    return np.concatenate([np.arange(*bounds[position]) for position in positions])


def split(batch: Batch, blocks: Vector) -> list[Vector]:
    """The block sums of each tensor of a batch."""
    return np.split(blocks, np.cumsum(batch.blocks)[:-1])
