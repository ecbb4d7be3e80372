"""The one loop that drives every method which needs the value of f: evaluate, look, stop or step."""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import scipy.optimize
from scipy.optimize import OptimizeResult

from hypergrad.errors import ArgumentError
from hypergrad.rules import METHODS, QUASI_NEWTON, Method
from hypergrad_reference.types import Vector

COMMON = ("gtol", "maxiter", "maxjev", "history", "count")
STOPPED, UNSOLVED, LOST, INTERRUPTED = 0, 1, 3, 99
MESSAGES = {
    STOPPED: "The largest entry of the gradient is below gtol.",
    UNSOLVED: "The limit of iterations or of gradients was reached.",
    LOST: "f, its gradient or the stepsize is not finite; x is the last good point.",
    INTERRUPTED: "`callback` raised `StopIteration`.",
}


class Function:
    """What the user gave, as the methods ask for it; counts every evaluation."""

    def __init__(self, fun: Callable[..., Any], args: tuple[Any, ...], jac: Any, hessp: Any) -> None:
        self.nfev = self.njev = 0
        self._fun, self._args, self._jac, self._hessp = fun, args, jac, hessp

    def value(self, x: Vector) -> float:
        """f(x). With jac=True its gradient comes along, and is not counted since nobody asked for it."""
        self.nfev += 1
        result = self._fun(x, *self._args)
        return float(result[0] if self._jac is True else result)

    def gradient(self, x: Vector) -> Vector:
        """The gradient of f at x."""
        self.njev += 1
        result = self._fun(x, *self._args)[1] if self._jac is True else self._jac(x, *self._args)
        return self._check(result, x)

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """Both, from one call with jac=True."""
        if self._jac is not True:
            return self.value(x), self.gradient(x)
        self.nfev += 1
        self.njev += 1
        value, gradient = self._fun(x, *self._args)
        return float(value), self._check(gradient, x)

    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        """The Hessian of f at x times v."""
        return self._check(self._hessp(x, v, *self._args), x)

    def _check(self, result: Any, x: Vector) -> Vector:
        array = np.array(result, dtype=np.float64)
        if array.shape != x.shape:
            raise ArgumentError(
                f"jac returned shape {array.shape} at an x of shape {x.shape}: return one entry a variable"
            )
        return array


def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: tuple[Any, ...] = (),
    *,
    jac: Any = None,
    hess: Callable[..., Any] | None = None,
    hessp: Callable[..., Any] | None = None,
    method: str = "hdm_best",
    callback: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> OptimizeResult:
    """Minimise a smooth function of n variables, as scipy.optimize.minimize does, by a method of hypergrad.methods.

    fun, args          f(x, *args), a number; with jac=True the pair of it and its gradient, evaluated once
    x0                 (n,) start, taken as float64
    jac                the gradient, f'(x, *args) of shape (n,), or True
    hess, hessp        the Hessian (x), or its product (x, v), for `osgm_g` alone
    method             a name of hypergrad.methods
    callback           called after each iteration, with x, or with intermediate_result=OptimizeResult if that is its
                       only parameter; StopIteration ends the run
    options            see below; constants of the method by the names smoothness (L), strong_convexity (mu),
                       hyper_lr, hyper_lr_beta, optimal_value and others that an error message lists

    gtol               1e-5: the run ends when no entry of the gradient is as large
    maxiter, maxjev    1000 iterations, no limit of gradients
    history            False; if true, result.history["fun"], ["gnorm"] (the gradient's largest entry) and what the
                       method adapts, at the start and after each iteration
    count              "true", or "authors": nfev and njev as the authors' drivers print them

    Returns OptimizeResult with x, fun, jac, nit, nfev, njev, success, status and message. A trial at which f is NaN
    or inf is refused where the method refuses steps; where the iterate or the stepsize becomes so, the run ends with
    status 3 at the last good point.
    Raises ArgumentError for an unknown method or option (the right ones are listed), or one that is missing.

    >>> result = minimize(lambda x: ((x**2).sum(), 2 * x), [3.0, 4.0], jac=True, method="gd", options={"smoothness": 4})
    >>> result.success, result.nit, result.nfev, result.njev, float(result.fun) < 1e-10
    (True, 20, 21, 21, True)
    """
    if method not in (*METHODS, *QUASI_NEWTON):
        raise ArgumentError(f"method={method!r}: give one of {', '.join((*METHODS, *QUASI_NEWTON))}")
    start = np.array(x0, dtype=np.float64, ndmin=1)
    if start.ndim != 1:
        raise ArgumentError(f"x0 has shape {start.shape}: give a vector")
    if jac is not True and not callable(jac):
        raise ArgumentError(f"jac={jac!r}: give the gradient as a function, or jac=True if fun returns (f, gradient)")
    if hessp is None and hess is not None:
        hessp = partial(_multiply, hess)
    given = dict(options or {})
    function = Function(fun, args, jac, hessp)
    report = _wrap_callback(callback)
    if method in QUASI_NEWTON:
        return _run_scipy(method, function, start, report, given)
    rule = METHODS[method]
    if rule.hessian and hessp is None:
        raise ArgumentError(f"method={method!r} multiplies by the Hessian: give hess or hessp")
    settings = _read_common(method, given, (*COMMON, *rule.options))
    constants = _make_constants(method, rule, given, settings["maxiter"])
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # judged by status, not by a warning
        result = _drive(rule, function, start, constants, report, settings)
    if settings["count"] == "authors":
        _count_as_authors(rule, result, settings["maxiter"])
    return result


def _multiply(hess: Callable[..., Any], x: Vector, v: Vector, *args: Any) -> Any:
    return np.asarray(hess(x, *args)) @ v


def run_for_scipy(
    method: str,
    fun: Callable[..., Any],
    x0: Any,
    args: tuple[Any, ...] = (),
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Callable[..., Any] | None = None,
    tol: float | None = None,
    **options: Any,
) -> OptimizeResult:
    """`minimize` as scipy.optimize.minimize calls its custom methods; tol stands for gtol."""
    if bounds is not None or constraints:
        raise ArgumentError(f"method={method!r} knows no bounds and no constraints: leave them out")
    if tol is not None:
        options.setdefault("gtol", tol)
    return minimize(fun, x0, args, jac=jac, hess=hess, hessp=hessp, method=method, callback=callback, options=options)


def _read_common(method: str, given: Mapping[str, Any], known: tuple[str, ...]) -> dict[str, Any]:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ArgumentError(f"options {unknown} are unknown to {method!r}: it knows {', '.join(sorted(set(known)))}")
    settings: dict[str, Any] = {"gtol": 1e-5, "maxiter": 1000, "maxjev": math.inf, "history": False, "count": "true"}
    settings |= {name: given[name] for name in settings if name in given}
    if not settings["gtol"] >= 0:
        raise ArgumentError(f"gtol={settings['gtol']!r}: give a number >= 0")
    if not (isinstance(settings["maxiter"], (int, np.integer)) and settings["maxiter"] >= 0):
        raise ArgumentError(f"maxiter={settings['maxiter']!r}: give an integer >= 0")
    if settings["count"] not in ("true", "authors"):
        raise ArgumentError(f"count={settings['count']!r}: give 'true' or 'authors'")
    return settings


def _make_constants(method: str, rule: Method, given: Mapping[str, Any], maxiter: int) -> Any:
    missing = [name for name in rule.required if given.get(name) is None]
    if missing:
        raise ArgumentError(f"method={method!r} needs the option {missing[0]!r}: give options={{{missing[0]!r}: ...}}")
    constants = {rule.options[name]: value for name, value in given.items() if name in rule.options}
    if "maxiter" in rule.options:
        constants["maxiter"] = maxiter
    for name in ("smoothness", "hyper_lr", "hyper_lr_beta", "lr"):
        if constants.get(name) is not None and not constants[name] > 0:
            raise ArgumentError(f"{name}={constants[name]!r}: give a number > 0")
    try:
        return rule.constants(**constants)
    except ValueError as error:
        raise ArgumentError(str(error)) from error


def _drive(
    rule: Method,
    function: Function,
    start: Vector,
    constants: Any,
    report: Callable[[OptimizeResult], Any] | None,
    settings: Mapping[str, Any],
) -> OptimizeResult:
    try:
        state = rule.init(function, start, constants)
    except ValueError as error:
        raise ArgumentError(str(error)) from error
    history: dict[str, list[Any]] = {}
    nit, status = 0, UNSOLVED
    if not _is_finite(state):
        status = LOST
    while status == UNSOLVED:
        gnorm = float(np.abs(state.gradient).max(initial=0.0))
        if settings["history"]:
            _record(history, state, gnorm)
        if gnorm < settings["gtol"] or gnorm == 0:
            status = STOPPED
            break
        if nit >= settings["maxiter"] or function.njev >= settings["maxjev"]:
            break
        following = rule.step(function, state, constants)
        if not _is_finite(following):
            status = LOST
            break
        state, nit = following, nit + 1
        if report is not None:
            try:
                report(OptimizeResult(x=state.x.copy(), fun=state.value, jac=state.gradient.copy(), nit=nit))
            except StopIteration:
                status = INTERRUPTED
    result = OptimizeResult(
        x=state.x, fun=state.value, jac=state.gradient, nit=nit, nfev=function.nfev, njev=function.njev,
        success=status == STOPPED, status=status, message=MESSAGES[status],
    )  # fmt: skip
    if settings["history"]:
        result.history = {name: np.array(values) for name, values in history.items()}
    return result


def _is_finite(state: Any) -> bool:
    stepsize = getattr(state, "P", 0.0)
    return bool(math.isfinite(state.value) and np.isfinite(state.gradient).all() and np.isfinite(stepsize).all())


def _record(history: dict[str, list[Any]], state: Any, gnorm: float) -> None:
    entries = {"fun": state.value, "gnorm": gnorm}
    entries |= {name: getattr(state, name) for name in ("P", "beta", "lr", "smoothness") if hasattr(state, name)}
    for name, value in entries.items():
        history.setdefault(name, []).append(value)


def _count_as_authors(rule: Method, result: OptimizeResult, maxiter: int) -> None:
    """Nfev and njev of the authors' drivers, which test at the start of an iteration and count in their own ways.

    HDM counts a value and a gradient a trial and the first gradient; the baselines count the iterations as gradients,
    no value, and not the second gradient of AGD.
    """
    if rule.trials:
        result.nfev, result.njev = result.nit, result.nit + 1
    else:
        result.nfev, result.njev = 0, min(result.nit + 1, maxiter) if result.success else result.nit


def _wrap_callback(callback: Callable[..., Any] | None) -> Callable[[OptimizeResult], Any] | None:
    if callback is None:
        return None
    if set(inspect.signature(callback).parameters) == {"intermediate_result"}:
        return lambda result: callback(intermediate_result=result)
    return lambda result: callback(np.copy(result.x))


def _run_scipy(
    method: str,
    function: Function,
    start: Vector,
    report: Callable[[OptimizeResult], Any] | None,
    given: Mapping[str, Any],
) -> OptimizeResult:
    """BFGS and L-BFGS by SciPy; `memory` is the number of pairs that L-BFGS keeps."""
    own = {"bfgs": (), "l_bfgs": ("memory", "ftol")}[method]
    settings = _read_common(method, given, ("gtol", "maxiter", "history", *own))
    options: dict[str, Any] = {"gtol": settings["gtol"], "maxiter": settings["maxiter"]}
    if method == "l_bfgs":
        options |= {"maxcor": given.get("memory", 10), "ftol": given.get("ftol", 0.0)}
    history: dict[str, list[float]] = {"fun": [], "gnorm": []}
    evaluated: dict[bytes, tuple[float, Vector]] = {}  # since the last iteration; the callback is not told the gradient

    def record(value: float, gradient: Vector) -> None:
        history["fun"].append(value)
        history["gnorm"].append(float(np.abs(gradient).max(initial=0.0)))

    def evaluate(x: Vector) -> tuple[float, Vector]:
        pair = evaluated[x.tobytes()] = function.value_and_gradient(x)
        if not history["fun"]:
            record(*pair)
        return pair

    def look(intermediate_result: OptimizeResult) -> None:
        record(*evaluated[intermediate_result.x.tobytes()])
        evaluated.clear()
        if report is not None:
            report(intermediate_result)

    name = {"bfgs": "BFGS", "l_bfgs": "L-BFGS-B"}[method]
    result = scipy.optimize.minimize(evaluate, start, jac=True, method=name, callback=look, options=options)
    if settings["history"]:
        result.history = {name: np.array(values) for name, values in history.items()}
    return result
