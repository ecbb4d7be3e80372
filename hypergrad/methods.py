"""The methods of `hypergrad.minimize` by name, as functions that scipy.optimize.minimize takes too.

    scipy.optimize.minimize(fun, x0, jac=..., method=hypergrad.methods.hdm_hb)

The names are those of the papers: `hdm`, `osgm_r`, ...; `_best` are the authors' practical methods. `NAMES` has them
all, and help(hypergrad.methods.hdm_hb) shows the options of one.
"""

import inspect
from collections.abc import Callable
from textwrap import wrap
from typing import Any

from scipy.optimize import OptimizeResult

from hypergrad._minimize.minimize import minimize
from hypergrad._minimize.options import tabulate
from hypergrad._minimize.table import ALIASES, NAMES, find_method, list_options

__all__ = ["NAMES", *NAMES]


def _describe(name: str) -> str:
    method = find_method(name)
    title = "\n".join(wrap(f"{method.title}.", 116))
    return (
        f"{title}\n\nSource: {method.source}.\n\n"
        "The arguments are those of scipy.optimize.minimize; hypergrad.minimize explains them and the result.\n\n"
        f"Options:\n\n{tabulate(list_options(name))}\n"
    )


def _publish(name: str) -> Callable[..., OptimizeResult]:
    """A method as scipy.optimize.minimize calls it: its options are keywords."""

    def run(
        fun: Any,
        x0: Any,
        args: Any = (),
        jac: Any = None,
        hess: Any = None,
        hessp: Any = None,
        bounds: Any = None,
        constraints: Any = (),
        callback: Any = None,
        tol: Any = None,
        **options: Any,
    ) -> OptimizeResult:
        return minimize(fun, x0, args, name, jac, hess, hessp, bounds, constraints, tol, callback, options)

    signature = inspect.signature(run)
    arguments = [argument for argument in signature.parameters.values() if argument.kind != argument.VAR_KEYWORD]
    keywords = [
        inspect.Parameter(row.option.name, inspect.Parameter.KEYWORD_ONLY, default=row.default)
        for row in list_options(name)
    ]
    run.__signature__ = signature.replace(parameters=[*arguments, *keywords])  # type: ignore[attr-defined]
    run.__name__ = run.__qualname__ = name
    run.__doc__ = _describe(name)
    return run


_PUBLISHED = {name: _publish(name) for name in NAMES}


def __getattr__(name: str) -> Callable[..., OptimizeResult]:
    known = ALIASES.get(name, name)
    if known not in _PUBLISHED:
        raise AttributeError(f"hypergrad.methods has no {name!r}: known are {', '.join(NAMES)}")
    return _PUBLISHED[known]


def __dir__() -> list[str]:
    return sorted(__all__)
