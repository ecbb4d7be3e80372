"""Inner products in one fixed order, so that every implementation returns the same bits.

    blocks    a tensor is cut into blocks of BLOCK consecutive elements, the last one padded with zeros
    lanes     in a block, LANES accumulators of the tensor's dtype start at +0; element i is added to lane i mod LANES
    fold      lane i + lane i + w/2, for w = 16, 8, 4, 2, leaves one number per block
    total     one exactly rounded float64 sum over the numbers of all blocks of all tensors

The order is part of the contract with the kernels: a change of it changes results. Neither the number of threads nor a
split of the work at block borders can change a bit, since the last sum is exact whatever its order.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import chain

import numpy as np

from hypergrad_reference.types import Vector

BLOCK = 4096  # elements of a block
LANES = 16  # accumulators of a block: one float16 vector of OpenCL, or two float8


def block_sums(x: Vector, y: Vector) -> Vector:
    """Sum x_i y_i over each block, every product and every sum rounded to the dtype of x.

        lane_j = (...((0 + x_j y_j) + x_{j+16} y_{j+16}) + ...),   j = 0..15
        block  = the lanes, folded in halves

    x, y    any shape, the same, n elements in C order; float32 or float64

    Returns shape (ceil(n / BLOCK),), dtype of x. Zero elements have no block. NaN and inf pass through.
    Raises ValueError if x and y differ in shape or dtype.

    >>> block_sums(np.float32([1, 2, 3]), np.float32([4, 8, -2]))
    array([14.], dtype=float32)
    """
    if (x.shape, x.dtype) != (y.shape, y.dtype):
        raise ValueError(f"x is {x.dtype}{x.shape}, y is {y.dtype}{y.shape}: give two arrays of one shape and dtype")
    blocks = -(-x.size // BLOCK)
    rows = BLOCK // LANES if blocks != 1 else -(-x.size // LANES)  # what pads a single block adds zeros alone
    terms = np.zeros(blocks * rows * LANES, x.dtype)
    np.multiply(x.reshape(-1), y.reshape(-1), out=terms[: x.size])
    # accumulate adds in index order by definition, where sum is free to add in pairs; + 0.0 turns a sum of -0 into +0
    lanes = np.add.accumulate(terms.reshape(blocks, rows, LANES), axis=1)[:, -1] + x.dtype.type(0)
    while lanes.shape[1] > 1:
        half = lanes.shape[1] // 2
        lanes = lanes[:, :half] + lanes[:, half:]
    return lanes[:, 0].copy()


def total(blocks: Iterable[Vector]) -> float:
    """Add the block sums of all tensors, exactly, and round once to float64.

    blocks    the results of block_sums, one array per tensor

    Returns nan where no finite sum exists (a nan or inf among the blocks, or a sum past the largest float64).

    >>> total([np.float32([1e30, 1.0]), np.float32([-1e30])])
    1.0
    """
    return _add(chain.from_iterable(map(np.ndarray.tolist, blocks)))


def _add(numbers: Iterable[float]) -> float:
    try:
        exact = math.fsum(numbers)
    except (OverflowError, ValueError):
        return math.nan
    return exact if math.isfinite(exact) else math.nan


def weighted_total(terms: Iterable[tuple[float, Sequence[Vector]]]) -> float:
    """Add block sums that carry weights: the blocks of each weight exactly, then weight times total, exactly.

    terms    (weight, the block sums of each of its tensors)

    With all weights 1 this is `total`.

    >>> weighted_total([(1.0, [np.float32([1e30])]), (2.0, [np.float32([0.5])]), (1.0, [np.float32([-1e30, 3.0])])])
    4.0
    """
    by_weight: dict[float, list[Vector]] = {}
    for weight, blocks in terms:
        by_weight.setdefault(weight, []).extend(blocks)
    return _add(weight * total(blocks) for weight, blocks in by_weight.items())
