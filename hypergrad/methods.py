"""The methods by name, for SciPy: scipy.optimize.minimize(fun, x0, jac=..., method=hypergrad.methods.hdm_hb)."""

from collections.abc import Callable
from functools import partial

from scipy.optimize import OptimizeResult

from hypergrad.minimize import run_for_scipy
from hypergrad.rules import METHODS, QUASI_NEWTON

NAMES = (*METHODS, *QUASI_NEWTON)


def __getattr__(name: str) -> Callable[..., OptimizeResult]:
    if name not in NAMES:
        raise AttributeError(f"hypergrad.methods has no {name!r}: known are {', '.join(NAMES)}")
    return partial(run_for_scipy, name)


def __dir__() -> list[str]:
    return sorted([*globals(), *NAMES])
