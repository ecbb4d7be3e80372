"""Options of the minimisers: each is described once, and the description checks the values and prints the tables."""

import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from textwrap import wrap
from typing import Any, NamedTuple

import numpy as np

from hypergrad.errors import ArgumentError
from hypergrad_kernels.runtime import DESCRIPTION

Number = float | int | bool


class Range(NamedTuple):
    """Which values an option takes."""

    words: str  # what a user is asked for, "a number > 0"
    read: Callable[[Any], Any]  # to a plain Python number, or a string; None where that is impossible
    holds: Callable[[Any], bool] = lambda value: True


class Option(NamedTuple):
    """An option, whichever methods have it."""

    name: str
    range: Range
    meaning: str  # with its unit
    default: Number | None = None  # the same for every method; None where it is the method's

    def read(self, value: Any) -> Any:
        """The value as a Python number or string. Raises ArgumentError, with the range, for any other."""
        plain = self.range.read(value)
        if plain is None or not self.range.holds(plain):
            raise ArgumentError(f"{self.name}={value!r}: give {self.range.words}")
        return plain


def read_real(value: Any) -> float | None:
    """A real number of Python or NumPy, or an array without dimensions, as a float; None for all else, bools too."""
    value = _unwrap(value)
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Real):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def read_integer(value: Any) -> int | None:
    """A whole number, 1e4 too, as an int."""
    number = read_real(value)
    return int(_unwrap(value)) if number is not None and number.is_integer() else None


def read_limit(value: Any) -> float | None:
    """A whole number or inf."""
    return math.inf if read_real(value) == math.inf else read_integer(value)


def read_flag(value: Any) -> bool | None:
    """True or False, of Python or NumPy, or 1 or 0."""
    value = _unwrap(value)
    if isinstance(value, (bool, np.bool_)) or read_real(value) in (0, 1):
        return bool(value)
    return None


def read_device(value: Any) -> str | None:
    """The description of a device."""
    described = isinstance(value, str) and (value in ("auto", "numpy") or DESCRIPTION.fullmatch(value))
    return str(value) if described else None


def _unwrap(value: Any) -> Any:
    return value[()] if isinstance(value, np.ndarray) and value.ndim == 0 else value


POSITIVE = Range("a finite number > 0", read_real, lambda number: 0 < number < math.inf)
NONNEGATIVE = Range("a finite number >= 0", read_real, lambda number: 0 <= number < math.inf)
TOLERANCE = Range("a number >= 0", read_real, lambda number: number >= 0)
FINITE = Range("a finite number", read_real, math.isfinite)
FRACTION = Range("a number >= 0 and < 1", read_real, lambda number: 0 <= number < 1)
COUNT = Range("an integer >= 0", read_integer, lambda number: number >= 0)
SIZE = Range("an integer >= 1", read_integer, lambda number: number >= 1)
LIMIT = Range("an integer >= 0, or inf for no limit", read_limit, lambda number: number >= 0)
FLAG = Range("True or False", read_flag)
DEVICE = Range("'auto', 'numpy', 'opencl', 'opencl:PART' or 'opencl:PART:INDEX'", read_device)

OPTIONS: dict[str, Option] = {
    option.name: option
    for option in (
        Option("smoothness", POSITIVE, "L, a Lipschitz constant of the gradient, in units of f / x^2"),
        Option("strong_convexity", POSITIVE, "mu, at most L: f - mu/2 |x|^2 is convex; in units of f / x^2"),
        Option("optimal_value", FINITE, "f*, the least value of f; for osgm_rz any guess of it"),
        Option("lr", POSITIVE, "the step, the first one where the method adapts it; in units of x^2 / f, of x for "
               "adam, adagrad and adagrad_inside"),
        Option("hyper_lr", POSITIVE, "eta, the rate at which the stepsize P learns, in units of P = x^2 / f"),
        Option("hyper_lr_beta", POSITIVE, "the rate at which the momentum beta learns, a pure number"),
        Option("beta", FRACTION, "the momentum at the start, a pure number"),
        Option("momentum", FRACTION, "the momentum, fixed, a pure number"),
        Option("omega", NONNEGATIVE, "the weight of |x - x_previous|^2 / 2 in the potential, in units of f / x^2; of L "
               "for osgm_best"),
        Option("tau", NONNEGATIVE, "the weight of |x - x_previous|^2 / 2 in the denominator, in units of f^2 / x^4"),
        Option("beta1", FRACTION, "the share that the mean gradient keeps per iteration"),
        Option("beta2", FRACTION, "the share that the mean squared gradient keeps per iteration"),
        Option("eps", POSITIVE, "is added to the root of the mean squared gradient, in units of f / x"),
        Option("seed", COUNT, "of the three random probes that estimate L"),
        Option("memory", SIZE, "the pairs of steps that are stored"),
        Option("ftol", NONNEGATIVE, "the run ends too when f falls by less than this, relative to f"),
        Option("device", DEVICE, "who runs the loops over the variables, with the same bits on each: auto is OpenCL, "
               "or NumPy with a warning where there is no OpenCL device; PART is part of a device's name. f runs where "
               "the user has it run"),
    )
}  # fmt: skip
"""The options of methods, by name."""

COMMON: dict[str, Option] = {
    option.name: option
    for option in (
        Option("gtol", TOLERANCE, "the run ends when no entry of the gradient is as large; `tol` is the same", 1e-5),
        Option("maxiter", COUNT, "the most iterations", 1000),
        Option("maxfun", LIMIT, "evaluations of f after which no iteration starts", math.inf),
        Option("maxjev", LIMIT, "evaluations of the gradient after which no iteration starts", math.inf),
        Option("history", FLAG, "whether the result has `history`", False),
        Option("return_all", FLAG, "whether the result has `allvecs`, the list of all iterates", False),
        Option("disp", FLAG, "whether to print how the run ended", False),
    )
}
"""The options that every method has."""


class Settings(NamedTuple):
    """The common options of a run."""

    gtol: float
    maxiter: int
    maxfun: float
    maxjev: float
    history: bool
    return_all: bool
    disp: bool


def read_options(
    method: str, names: Iterable[str], given: Mapping[str, Any] | None, tol: Any
) -> tuple[Settings, dict[str, Any]]:
    """The common options, and those of the method that are given, all as plain Python; None is the default.

    Raises ArgumentError for an option that the method does not have, or a value out of its range.
    """
    if not isinstance(given, Mapping | None):
        raise ArgumentError(f"options={given!r}: give a dict such as {{'maxiter': 500}}")
    options = {name: value for name, value in (given or {}).items() if value is not None}
    known = COMMON | {name: OPTIONS[name] for name in names}
    unknown = [name for name in (given or {}) if name not in known]
    if unknown:
        raise ArgumentError(f"options {unknown} are unknown to {method!r}: it knows {', '.join(sorted(known))}")
    if tol is not None:
        options.setdefault("gtol", Option("tol", TOLERANCE, "").read(tol))
    read = {name: known[name].read(value) for name, value in options.items()}
    settings: dict[str, Any] = {name: read.pop(name, option.default) for name, option in COMMON.items()}
    return Settings(**settings), read


class Row(NamedTuple):
    """An option as a method has it."""

    option: Option
    default: Number | None  # None where it is computed, or there is none
    words: str  # the default in words


def tabulate(rows: Iterable[Row]) -> str:
    """A table of options, for a docstring."""
    rows = list(rows)
    width = max(len(row.option.name) for row in rows) + 4
    lines = []
    for option, _, words in rows:
        values = option.range.words
        first, *more = wrap(f"{option.meaning}. {values[0].upper()}{values[1:]}; {words}.", 116 - width)
        lines += [option.name.ljust(width) + first, *(" " * width + line for line in more)]
    return "\n".join(lines)
