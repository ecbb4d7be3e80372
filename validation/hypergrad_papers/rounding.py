"""What rounding to float32 does: to inner products of many terms, and to AdamW's update through 1 - beta2."""

import math
from itertools import chain
from typing import NamedTuple

import numpy as np

from hypergrad_reference.adamw import (
    apply_exact,
    apply_shader,
    direction_exact,
    direction_shader,
    exact_scalars,
    init,
    shader_scalars,
)
from hypergrad_reference.sums import block_sums, total
from hypergrad_reference.types import Vector

ORDERS = ("one after the other", "pairwise", "blocks, then exactly")
"""In float32 in index order; by numpy.sum; in the order of hypergrad_reference.sums."""


def sum_exactly(terms: Vector) -> float:
    """The sum of float64 terms, rounded once; a chunk at a time, to spare memory."""
    chunks = (terms[begin : begin + 2**16].tolist() for begin in range(0, terms.size, 2**16))
    return math.fsum(chain.from_iterable(chunks))


def measure_sum(n: int, squares: bool, seed: int) -> Vector:
    """A cell: the error of an inner product of n float32 numbers, in units of sum |x_i y_i|, for each of ORDERS.

    squares    sum x_i x_i, else sum x_i y_i; x and y are standard normal

    A product of two float32 numbers is exact in float64.
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(n, np.float32)
    y = x if squares else rng.standard_normal(n, np.float32)
    products = x.astype(np.float64) * y.astype(np.float64)
    exact, size = sum_exactly(products), sum_exactly(np.abs(products))
    rounded = x * y
    sums = (np.add.accumulate(rounded)[-1], np.sum(rounded), total([block_sums(x, y)]))
    return np.array([abs(float(found) - exact) / size for found in sums])


class Drift(NamedTuple):
    """By how much the size of AdamW's direction is off in float32, relative, one row per kept step."""

    step: Vector
    shader: Vector  # (steps, 3): quartiles over the weights; 1 - beta2 formed in float32
    exact: Vector  # 1 - beta2 formed in float64 and rounded once


def follow_drift(steps: int, weights: int = 256, seed: int = 0) -> Drift:
    """A cell: two conventions in float32 against float64, on standard normal gradients, which all three share."""
    rng = np.random.default_rng(seed)
    kept = np.unique(np.geomspace(1, steps, 120).round().astype(int))
    zeros = np.zeros(weights, np.float32)
    shader, exact, wide = init(zeros), init(zeros), init(zeros.astype(np.float64))
    rows: dict[str, list[Vector]] = {"shader": [], "exact": []}
    for t in range(1, steps + 1):
        g = rng.standard_normal(weights, np.float32)
        scalars = (1e-3, 0.9, 0.999, 1e-8, 0.0, 0.9**t, 0.999**t)
        as_shader, as_exact = shader_scalars(*scalars), exact_scalars(*scalars)
        _, shader = apply_shader(zeros, g, shader, as_shader)
        _, exact = apply_exact(zeros, g, exact, as_exact)
        _, wide = apply_exact(zeros.astype(np.float64), g.astype(np.float64), wide, as_exact)
        if t in kept:
            true = direction_exact(wide, as_exact)
            for name, found in (
                ("shader", direction_shader(shader, as_shader)),
                ("exact", direction_exact(exact, as_exact)),
            ):
                rows[name].append(np.quantile(found / true - 1, (0.25, 0.5, 0.75)))
    return Drift(kept, *(np.array(rows[name]) for name in ("shader", "exact")))
