"""BFGS and L-BFGS, run by SciPy under this package's options: the baselines that others are compared with."""

import math
from typing import Any

import numpy as np
import scipy.optimize
from scipy.optimize import OptimizeResult

from hypergrad._minimize.driver import (
    INTERRUPTED,
    LOST,
    MESSAGES,
    STOPPED,
    UNSOLVED,
    Report,
    Trace,
    is_converged,
    is_exhausted,
    is_stopped_by,
    make_result,
    measure,
)
from hypergrad._minimize.objective import Function, Point
from hypergrad._minimize.options import Number, Settings
from hypergrad_reference.types import Vector

SCIPY_NAMES = {"bfgs": "BFGS", "l_bfgs": "L-BFGS-B"}
SCIPY_DEFAULTS: dict[str, Number] = {"memory": 10, "ftol": 0.0}
"""The defaults of the options of L-BFGS."""

STALLED, STALLED_MESSAGE = 2, "f falls no further, but the largest entry of the gradient is above gtol."
"""SciPy's own status 2 means the same: its line search has failed."""


def run_scipy(
    method: str,
    function: Function,
    start: Point,
    options: dict[str, Number],
    report: Report | None,
    settings: Settings,
) -> OptimizeResult:
    """Run SciPy's method from a start whose value and gradient are finite.

    The result is SciPy's, with these differences: the counts are those of `function`; a limit of evaluations ends the
    run after the iteration that reached it; where f or its gradient is not finite at the end, x is the last good
    iterate and the status LOST.
    """
    trace = Trace(settings)
    trace.add(start)
    last, nit, stopped = start, 0, UNSOLVED
    evaluated = [start]  # since the last iterate: SciPy's callback does not get the gradient

    def evaluate(x: Vector) -> tuple[float, Vector]:
        evaluated.append(Point(x.copy(), *function.value_and_gradient(x)))
        return evaluated[-1].value, evaluated[-1].gradient

    def look(intermediate_result: OptimizeResult) -> None:
        nonlocal last, nit, stopped
        iterate = next(point for point in reversed(evaluated) if np.array_equal(point.x, intermediate_result.x))
        evaluated[:] = [iterate]
        if not iterate.is_finite():
            raise StopIteration
        last, nit = iterate, nit + 1
        trace.add(last)
        if report is not None and is_stopped_by(report, last, nit):
            stopped = INTERRUPTED
        if stopped == INTERRUPTED or is_exhausted(function, settings):
            raise StopIteration

    if settings.maxiter == 0 or is_exhausted(function, settings):  # L-BFGS would take a step
        status = STOPPED if is_converged(start.gradient, settings) else UNSOLVED
        result = make_result(start, 0, status, function)
    else:
        result = scipy.optimize.minimize(
            evaluate, start.x, jac=True, method=SCIPY_NAMES[method], callback=look,
            options=_translate(method, options, settings),
        )  # fmt: skip
    if not Point(result.x, result.fun, result.jac).is_finite():
        result.update(make_result(last, nit, LOST, function))
    elif result.status == INTERRUPTED:
        result.update(status=stopped, message=MESSAGES[stopped])
    elif result.success and not options.get("ftol") and measure(result.jac) > settings.gtol:
        result.update(success=False, status=STALLED, message=STALLED_MESSAGE)
    result.update(fun=float(result.fun), nfev=function.nfev, njev=function.njev)
    trace.attach(result)
    return result


def _translate(method: str, options: dict[str, Number], settings: Settings) -> dict[str, Any]:
    translated: dict[str, Any] = {"gtol": settings.gtol, "maxiter": settings.maxiter}
    if method == "l_bfgs":
        own = SCIPY_DEFAULTS | options
        translated |= {"maxcor": own["memory"], "ftol": own["ftol"], "maxfun": math.inf}
    return translated
