"""What a training problem of the arena is: a start, batches, and losses on training and test data."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypergrad_problems.arena.tape import Node, differentiate
from hypergrad_reference.types import Vector

Array = NDArray[Any]
Rows = tuple[Any, ...]
"""Inputs and targets, rows of each belonging together."""
Model = Callable[[Sequence[Node], Rows], Node]
"""From the parameters and rows to the mean loss over the rows, without decay."""


class Problem(NamedTuple):
    """A function to minimise of which a step sees a random part.

    The parameters are one vector, (n,) float64.
    """

    name: str
    steps: int
    start: Vector
    loss: Callable[[Vector], float]  # on all training data, decay included
    test_loss: Callable[[Vector], float]  # on data that training never sees, without decay; nan if there is none
    gradient: Callable[[Vector, np.random.Generator], Vector]  # of the loss on a batch drawn from the generator
    full_gradient: Callable[[Vector], Vector]  # of `loss`


class Split(NamedTuple):
    """Training and test rows."""

    train: Rows
    test: Rows


def split(rows: Rows, seed: int, share: float = 0.8) -> Split:
    """Rows in random order, cut after a share of them."""
    order = np.random.default_rng([seed, 1]).permutation(count(rows))
    cut = round(share * len(order))
    return Split(pick(rows, order[:cut]), pick(rows, order[cut:]))


def count(rows: Rows) -> int:
    """How many there are."""
    return int(rows[-1].shape[0])


def pick(rows: Rows, chosen: Array) -> Rows:
    """The rows of these numbers."""
    return tuple(array[chosen] for array in rows)


class Shapes(NamedTuple):
    """Where the arrays of a model lie in one vector."""

    shapes: tuple[tuple[int, ...], ...]

    def unpack(self, x: Vector) -> list[Node]:
        """The arrays as leaves of a tape."""
        leaves, begin = [], 0
        for shape in self.shapes:
            end = begin + int(np.prod(shape))
            leaves.append(Node(x[begin:end].reshape(shape)))
            begin = end
        return leaves


def learn(
    name: str,
    model: Model,
    start: Sequence[Array],
    data: Split,
    *,
    batch: int | None = 64,
    steps: int = 2000,
    l2: float = 0.0,
) -> Problem:
    """The problem of fitting a model to rows.

    model    its mean loss over rows
    start    its parameters at first
    batch    rows that a step sees, drawn with replacement; None is all
    l2       adds l2/2 times the sum of the squared parameters
    """
    shapes = Shapes(tuple(array.shape for array in start))
    rows = count(data.train)

    def evaluate(x: Vector, part: Rows, decayed: float) -> float:
        leaves = shapes.unpack(x)
        value = float(model(leaves, part).value)
        return value + decayed / 2 * float(x @ x)

    def find_slope(x: Vector, part: Rows) -> Vector:
        leaves = shapes.unpack(x)
        slopes = differentiate(model(leaves, part), leaves)
        slope: Vector = np.concatenate([array.reshape(-1) for array in slopes]) + l2 * x
        return slope

    def gradient(x: Vector, rng: np.random.Generator) -> Vector:
        return find_slope(x, data.train if batch is None else pick(data.train, rng.integers(rows, size=batch)))

    return Problem(
        name,
        steps,
        np.concatenate([np.asarray(array, float).reshape(-1) for array in start]),
        lambda x: evaluate(x, data.train, l2),
        lambda x: evaluate(x, data.test, 0.0) if count(data.test) else float("nan"),
        gradient,
        lambda x: find_slope(x, data.train),
    )
