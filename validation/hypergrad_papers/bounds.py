"""Error bounds as formulas, from the number of roundings."""

from fractions import Fraction

import numpy as np

from hypergrad_reference.sums import BLOCK, LANES
from hypergrad_reference.types import Vector

ROUNDINGS = 1 + (BLOCK // LANES - 1) + 4
"""That a term of a block sum passes through: its product, the additions of its lane, the fold of 16 lanes in halves."""


def multiply_exactly(x: Vector, y: Vector) -> list[Fraction]:
    """The products x_i y_i; x, y hold finite numbers."""
    return [Fraction(a) * Fraction(b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]


def bound_block_sum(products: list[Fraction], dtype: np.dtype[np.floating]) -> Fraction:
    """How far the sum over one block may be from the exact one, if nothing overflows.

        k u / (1 - k u) sum |x_i y_i| + n s / 2,   k = ROUNDINGS

    products    at most BLOCK, exact
    dtype       float32 or float64: u is half its epsilon, s its least positive number, since a product may underflow
                (a sum cannot: it is a multiple of s)

    Source: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 4.2.
    """
    info = np.finfo(dtype)
    ku = ROUNDINGS * Fraction(float(info.eps)) / 2
    underflow = Fraction(float(info.smallest_subnormal)) / 2
    # a product that underflowed is summed like any other, hence the factor on both
    return (ku * sum(map(abs, products), Fraction(0)) + len(products) * underflow) / (1 - ku)
