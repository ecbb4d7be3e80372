"""Arrays for the cases: of every size, at odd addresses, with values at the ends of the range."""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

DTYPES = ("float32", "float64")
SIZES = (1, 2, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 65537, 1000003)
"""One element, primes, and one off each width, group and block."""
TAILS = (1, 17, 4097)
"""Sizes that divide by no width, with 0, 1 and many full vectors before the tail."""

GUARD = 1024  # elements that 64 items with vectors of 16 can reach
GUARD_VALUE = 2.75


def _draw_normal(rng: np.random.Generator, n: int, dtype: str) -> Vector:
    return rng.standard_normal(n).astype(dtype)


def _draw_subnormal(rng: np.random.Generator, n: int, dtype: str) -> Vector:
    return _draw_normal(rng, n, dtype) * np.finfo(dtype).smallest_normal


def _draw_huge(rng: np.random.Generator, n: int, dtype: str) -> Vector:
    return _draw_normal(rng, n, dtype) * (np.finfo(dtype).max / 8)


def _draw_bits(rng: np.random.Generator, n: int, dtype: str) -> Vector:
    """Any finite number there is, each bit pattern as likely as another."""
    array = np.frombuffer(rng.bytes(n * np.dtype(dtype).itemsize), dtype)
    return np.where(np.isfinite(array), array, 0).astype(dtype)


def _draw_zero(rng: np.random.Generator, n: int, dtype: str) -> Vector:
    return np.zeros(n, dtype)


VALUES: dict[str, Callable[[np.random.Generator, int, str], Vector]] = {
    "normal": _draw_normal,
    "subnormal": _draw_subnormal,
    "huge": _draw_huge,
    "bits": _draw_bits,
    "zero": _draw_zero,
}
SQUARES = ("exp_avg_sq", "max_exp_avg_sq", "accumulator")
"""Arrays that hold sums of squares."""


class Data(NamedTuple):
    """What the arrays of a case hold."""

    dtype: str
    n: int
    values: str = "normal"  # a key of VALUES
    offset: int = 0  # elements by which every array begins past the alignment of a fresh one
    negative_squares: bool = False  # leave the sign of SQUARES to chance
    planted: tuple[float, ...] = ()  # first elements of `grad` and `grad_ema`

    @property
    def name(self) -> str:
        """What is unusual, after dtype and size."""
        marks = [self.values] * (self.values != "normal") + ["odd-address"] * bool(self.offset)
        marks += ["negative-squares"] * self.negative_squares + ["nonfinite"] * bool(self.planted)
        return "-".join((self.dtype, f"n{self.n}", *marks))

    def draw(self, name: str) -> Vector:
        """The array of that name, fresh, between guards."""
        array = VALUES[self.values](np.random.default_rng([self.n, *name.encode()]), self.n, self.dtype)
        if name in SQUARES and not self.negative_squares:
            array = np.abs(array)
        if name in ("grad", "grad_ema"):
            array[: len(self.planted)] = self.planted[: self.n]
        return surround(array, self.offset)

    def make_out(self, rows: int) -> Vector:
        """Room for block sums, between guards."""
        blocks = -(-self.n // BLOCK)
        return surround(np.zeros(rows * blocks, self.dtype)).reshape(rows, blocks)


def surround(array: Vector, offset: int = 0) -> Vector:
    """A copy between guards; its `base` is the whole."""
    begin = GUARD + offset
    whole = np.full(begin + array.size + GUARD, GUARD_VALUE, array.dtype)
    whole[begin : begin + array.size] = array
    return whole[begin : begin + array.size]


EVERY_SIZE = [Data(dtype, n) for dtype in DTYPES for n in SIZES]
EVERY_TAIL = [Data(dtype, n) for dtype in DTYPES for n in TAILS]
ODD_ADDRESSES = [Data(dtype, n, offset=1) for dtype in DTYPES for n in (16, 4097)]
EXTREMES = [
    data
    for dtype in DTYPES
    for data in (
        Data(dtype, 1027, "subnormal"),
        Data(dtype, 1027, "huge"),
        Data(dtype, 1027, "bits", negative_squares=True),
        Data(dtype, 3, "zero"),
        Data(dtype, 19, planted=(math.nan, math.inf, -math.inf)),
    )
]
SHORT = (*EVERY_TAIL, *ODD_ADDRESSES, *EXTREMES)
LARGE = [data for data in EVERY_SIZE if data.n > 4097]
