"""The shapes that a stepsize P may have, and what a method asks of each.

    scalar    P = alpha I          ()      x - alpha g
    diagonal  P = diag(p)          (n,)    x - p g, elementwise
    full      P                    (n, n)  x - P g; neither symmetric nor positive semidefinite
    pattern   P_ij for (i, j) in S (m,)    x - P g, all other entries fixed at 0

A momentum has a shape too: beta d with beta a scalar or a diagonal.
Source: Gao et al. 2025 (COLT), section on candidate sets; Chu et al. 2025, Algorithm 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypergrad_reference.types import Vector

Stepsize = Vector
"""P or beta, float64: an array of the shape's size, () for a scalar."""


class Shape(NamedTuple):
    """A linear family of matrices P."""

    zeros: Callable[[int], Stepsize]  # from n, P = 0
    apply: Callable[[Stepsize, Vector], Vector]  # from P and g, the product P g, (n,)
    outer: Callable[[Vector, Vector], Stepsize]  # from u and g, the derivative of <u, P g> in P, as large as P


SCALAR = Shape(lambda n: np.zeros(()), lambda P, g: P * g, lambda u, g: np.asarray(u @ g))
DIAGONAL = Shape(np.zeros, lambda P, g: P * g, lambda u, g: u * g)
FULL = Shape(lambda n: np.zeros((n, n)), lambda P, g: P @ g, np.outer)


def start(shape: Shape, n: int, stepsize: Stepsize | None) -> Stepsize:
    """P_1 of a method in n dimensions: the stepsize given, 0 if it is None.

    Raises ValueError if it is not as large as the shape says.

    >>> start(SCALAR, 3, np.array(0.5)), start(DIAGONAL, 3, None)
    (array(0.5), array([0., 0., 0.]))
    """
    zeros = shape.zeros(n)
    if stepsize is None:
        return zeros
    if np.shape(stepsize) != zeros.shape:
        raise ValueError(f"stepsize has shape {np.shape(stepsize)}: give P_1 of shape {zeros.shape}")
    return np.array(stepsize, dtype=np.float64)


def pattern(rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Shape:
    """The shape whose entries outside a fixed sparsity pattern are zero.

    rows, columns    (m,)  i and j of each entry, all pairs distinct

    >>> lower = pattern(np.array([0, 1, 1]), np.array([0, 0, 1]))
    >>> lower.apply(np.array([2.0, 3.0, 4.0]), np.array([1.0, 10.0])), lower.outer(np.array([1.0, 2.0]), np.ones(2))
    (array([ 2., 43.]), array([1., 2., 2.]))
    """
    pairs = set(zip(rows.tolist(), columns.tolist(), strict=True))
    if len(pairs) != len(rows):
        raise ValueError(f"rows and columns name {len(pairs)} entries in {len(rows)} pairs: name each entry once")
    return Shape(
        lambda n: np.zeros(len(rows)),
        lambda P, g: np.bincount(rows, P * g[columns], minlength=len(g)).astype(np.float64),
        lambda u, g: u[rows] * g[columns],
    )
