"""What every argument may be. Each is checked, and becomes a plain Python value, on the way in.

A float of NumPy that is kept as it is would turn float64 arithmetic into its own precision, and would not go into JSON.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from hypergrad.errors import ArgumentError

Check = Callable[[str, Any], Any]
"""From the name that an error message uses and a value to the plain value. Raises ArgumentError."""

LONGEST = 80
"""Characters of a value in a message."""


def show(value: Any) -> str:
    """A value for an error message: its repr, unless that is long or fails, as it does for an int of 5000 digits."""
    try:
        text = repr(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


@dataclass(frozen=True)
class Number:
    """A finite number from low to high, as a float.

    >>> Number(0, 1)("share", np.float32(0.5))
    0.5
    """

    low: float = 0
    high: float = math.inf
    open_low: bool = False
    open_high: bool = False
    bounds: str = ""  # what a message says about the ends of the interval

    def __call__(self, name: str, value: Any) -> float:
        """The number, if it is one: a bool, text and arrays of one dimension or more are not."""
        if isinstance(value, np.ndarray) and value.ndim == 0:
            value = value[()]
        number = math.nan
        if isinstance(value, Real) and not isinstance(value, bool):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
        inside = (
            math.isfinite(number)
            and (self.low < number if self.open_low else self.low <= number)
            and (number < self.high if self.open_high else number <= self.high)
        )
        if not inside:
            raise ArgumentError(f"{name}={show(value)}: give a number in {self.show_range()}{self.bounds}")
        return number

    def show_range(self) -> str:
        """The interval, with a round bracket where its end is left out."""
        left = "(" if self.open_low or math.isinf(self.low) else "["
        right = ")" if self.open_high or math.isinf(self.high) else "]"
        return f"{left}{self.low}, {self.high}{right}"


def bound_rate(low: float, high: float) -> Number:
    """The check of a rate that is learned within bounds; its message names the options that hold them."""
    return Number(low, high, bounds=", between lr_min and lr_max" if math.isfinite(high) else "")


@dataclass(frozen=True)
class Choice:
    """One of several words."""

    words: tuple[str, ...]

    def __call__(self, name: str, value: Any) -> str:
        """The word."""
        if not isinstance(value, str) or value not in self.words:
            raise ArgumentError(f"{name}={show(value)}: give one of {', '.join(map(repr, self.words))}")
        return str(value)


def check_flag(name: str, value: Any) -> bool:
    """True or False. Those of NumPy are taken, 1 and "no" are not."""
    if not isinstance(value, (bool, np.bool_)):
        raise ArgumentError(f"{name}={show(value)}: give True or False")
    return bool(value)


def check_count(name: str, value: Any) -> int:
    """A whole number >= 0."""
    number = Number()(name, value)
    if not number.is_integer():
        raise ArgumentError(f"{name}={show(value)}: give a whole number")
    return int(number)


def check_delay(name: str, value: Any) -> int:
    """0 or 1."""
    number = check_count(name, value)
    if number > 1:
        raise ArgumentError(f"{name}={show(value)}: give 0, or 1 for the rule that learns one step later")
    return number


def check_every(name: str, value: Any) -> int:
    """A whole number >= 1."""
    number = check_count(name, value)
    if number < 1:
        raise ArgumentError(f"{name}={show(value)}: give 1 to look at every step, or more")
    return number


NO_SEQUENCES = (str, bytes, bytearray, memoryview, Mapping, Set)
"""What can be iterated over, and yet is no sequence of numbers."""


def check_betas(name: str, value: Any) -> tuple[float, float]:
    """Two numbers in [0, 1), in their order."""
    ordered = isinstance(value, Iterable) and not isinstance(value, NO_SEQUENCES)
    if not ordered or (isinstance(value, np.ndarray) and value.ndim == 0):
        raise ArgumentError(f"{name}={show(value)}: give two numbers, as in (0.9, 0.999)")
    betas = tuple(value)
    if len(betas) != 2:
        raise ArgumentError(f"{name}={show(value)}: give two numbers, as in (0.9, 0.999)")
    share = Number(0, 1, open_high=True)
    return share(f"{name}[0]", betas[0]), share(f"{name}[1]", betas[1])


def show_range(check: Check) -> str:
    """What a check asks for, in a few words.

    >>> show_range(Number(0, 1, open_high=True)), show_range(Choice(("raise", "skip"))), show_range(check_count)
    ('a number in [0, 1)', "'raise' | 'skip'", 'A whole number >= 0')
    """
    if isinstance(check, Number):
        return f"a number in {check.show_range()}"
    if isinstance(check, Choice):
        return " | ".join(map(repr, check.words))
    return (check.__doc__ or "").partition(".")[0]


def check_order(low_name: str, low: float, high_name: str, high: float) -> None:
    """Raise ArgumentError unless low <= high."""
    if low > high:
        raise ArgumentError(f"{low_name}={low!r} is above {high_name}={high!r}: exchange them")
