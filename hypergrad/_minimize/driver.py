"""The one loop that drives every method which needs the value of f: evaluate, look, stop or step."""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult

from hypergrad._minimize.objective import Function, Point
from hypergrad._minimize.options import Number, Settings
from hypergrad._minimize.smoothness import estimate_smoothness
from hypergrad.errors import ArgumentError
from hypergrad_reference import osgm_best
from hypergrad_reference.types import Vector

STOPPED, UNSOLVED, LOST, INTERRUPTED = 0, 1, 3, 99
MESSAGES = {
    STOPPED: "The largest entry of the gradient is below gtol.",
    UNSOLVED: "The limit of iterations or of evaluations was reached.",
    LOST: "f, its gradient or the stepsize is not finite; x is the last good point.",
    INTERRUPTED: "`callback` raised `StopIteration`.",
}

Report = Callable[[OptimizeResult], Any]


class Guess(NamedTuple):
    """The value of an option that the user does not give and the method needs."""

    words: str  # how it is found, for the docstring
    find: Callable[[Function, Point, Mapping[str, Any]], float]  # the mapping has the options known so far
    unless: str = ""  # an option that makes this one needless


class Rule(NamedTuple):
    """A method of the reference, and how options become its constants."""

    init: Callable[..., Any]  # (objective, x0, constants) to the first state
    step: Callable[..., Any]  # (objective, state, constants) to the next
    constants: Callable[..., Any]  # from options by name, with `optimal_value` as `bound` and maxiter
    guesses: Mapping[str, Guess] = {}  # in the order in which they are made


def find_smoothness(function: Function, start: Point, known: Mapping[str, Any]) -> float:
    """L by `estimate_smoothness`, and at least mu where that is given."""
    return max(estimate_smoothness(function, start), known.get("strong_convexity") or 0.0)


def probe_smoothness(function: Function, start: Point, known: Mapping[str, Any]) -> float:
    """L as OSGM-Best's authors find it; by `estimate_smoothness` where no probe meets a curvature."""
    seed = known.get("seed", osgm_best.Constants().seed)
    probed = osgm_best.probe_smoothness(function, start.x, start.gradient, seed)
    return probed or find_smoothness(function, start, known)


class Trace:
    """What a result tells of the way: history and allvecs, where they are asked for."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._history: dict[str, list[Any]] = {}
        self._iterates: list[Vector] = []

    def add(self, point: Point, adapted: Mapping[str, Any] | None = None) -> None:
        """The start or an iterate, and what the method adapts."""
        if self._settings.return_all:
            self._iterates.append(point.x.copy())
        if self._settings.history:
            entries = {"fun": point.value, "gnorm": measure(point.gradient), **(adapted or {})}
            for name, value in entries.items():
                self._history.setdefault(name, []).append(np.array(value))  # a step may write into its arrays

    def attach(self, result: OptimizeResult) -> None:
        """Put the fields into the result."""
        if self._settings.return_all:
            result.allvecs = self._iterates
        if self._settings.history:
            result.history = {name: np.array(values) for name, values in self._history.items()}


def measure(gradient: Vector) -> float:
    """The largest entry of a gradient."""
    return float(np.abs(gradient).max(initial=0.0))


def is_converged(gradient: Vector, settings: Settings) -> bool:
    """Whether every entry of the gradient is below gtol, or is 0."""
    gnorm = measure(gradient)
    return gnorm < settings.gtol or gnorm == 0


def is_exhausted(function: Function, settings: Settings) -> bool:
    """Whether a limit of evaluations was reached."""
    return function.nfev >= settings.maxfun or function.njev >= settings.maxjev


def make_result(point: Point, nit: int, status: int, function: Function) -> OptimizeResult:
    """The result at a point, whose arrays are the user's from here on."""
    return OptimizeResult(
        x=point.x.copy(), fun=point.value, jac=point.gradient.copy(), nit=nit, nfev=function.nfev, njev=function.njev,
        success=status == STOPPED, status=status, message=MESSAGES[status],
    )  # fmt: skip


def lose_start(start: Point, function: Function, settings: Settings) -> OptimizeResult:
    """The result where f or its gradient is not finite at the start."""
    trace = Trace(settings)
    trace.add(start)
    result = make_result(start, 0, LOST, function)
    trace.attach(result)
    return result


def drive(
    rule: Rule,
    function: Function,
    start: Point,
    options: dict[str, Number],
    report: Report | None,
    settings: Settings,
) -> OptimizeResult:
    """Run a rule from a start whose value and gradient are finite."""
    guessed = _guess(rule, function, start, options)
    constants = _make_constants(rule, options | guessed, settings.maxiter)
    state = rule.init(function, start.x, constants)
    trace = Trace(settings)
    trace.add(_point(state), _list_adapted(state))
    nit, status = 0, UNSOLVED
    while status == UNSOLVED:
        if is_converged(state.gradient, settings):
            status = STOPPED
            break
        if nit >= settings.maxiter or is_exhausted(function, settings):
            break
        following = _step(rule, function, state, constants)
        if following is None:
            status = LOST
            break
        state, nit = following, nit + 1
        trace.add(_point(state), _list_adapted(state))
        if report is not None and is_stopped_by(report, _point(state), nit):
            status = INTERRUPTED
    result = make_result(_point(state), nit, status, function)
    result.update(guessed)
    if status == LOST and "smoothness" in guessed:
        result.message += (
            f" smoothness={guessed['smoothness']:.3g} is an estimate: try a larger one, or osgm_best_corrected."
        )
    trace.attach(result)
    return result


def _step(rule: Rule, function: Function, state: Any, constants: Any) -> Any | None:
    """The next state, or None if it is not finite."""
    try:
        following = rule.step(function, state, constants)
    except ArithmeticError:  # a scalar of the rule has left the range of float64
        if function.is_asking:
            raise
        return None
    return following if _is_finite(following) else None


def _guess(rule: Rule, function: Function, start: Point, options: Mapping[str, Number]) -> dict[str, float]:
    guessed: dict[str, float] = {}
    for name, guess in rule.guesses.items():
        if name not in options and guess.unless not in options:
            guessed[name] = guess.find(function, start, {**options, **guessed})
    return guessed


def _make_constants(rule: Rule, options: Mapping[str, Number], maxiter: int) -> Any:
    mu, smoothness = options.get("strong_convexity", 0.0), options.get("smoothness", math.inf)
    if mu > smoothness:
        raise ArgumentError(f"strong_convexity={mu} is above smoothness={smoothness}: give mu <= L")
    constants: dict[str, Number] = {CONSTANT_NAMES.get(name, name): value for name, value in options.items()}
    if "maxiter" in inspect.signature(rule.constants).parameters:
        constants["maxiter"] = maxiter
    return rule.constants(**constants)


CONSTANT_NAMES = {"optimal_value": "bound"}
"""Constants of the reference that users know by another name."""


def _point(state: Any) -> Point:
    return Point(state.x, state.value, state.gradient)


def _is_finite(state: Any) -> bool:
    adapted = (getattr(state, name, 0.0) for name in ("P", "beta"))
    return _point(state).is_finite() and all(np.isfinite(value).all() for value in adapted)


def _list_adapted(state: Any) -> dict[str, Any]:
    return {name: getattr(state, name) for name in ("P", "beta", "lr", "smoothness") if hasattr(state, name)}


def is_stopped_by(report: Report, point: Point, nit: int) -> bool:
    """Tell the callback of an iterate, in copies; whether it raised StopIteration."""
    try:
        report(OptimizeResult(x=point.x.copy(), fun=point.value, jac=point.gradient.copy(), nit=nit))
    except StopIteration:
        return True
    return False


def wrap_callback(callback: Any) -> Report | None:
    """A callback of SciPy's two kinds as a function of the result so far. What it returns is ignored."""
    if callback is None:
        return None
    if not callable(callback):
        raise ArgumentError(f"callback={callback!r}: give a function of x, or of intermediate_result")
    if _list_parameters(callback) == ["intermediate_result"]:
        return lambda result: callback(intermediate_result=result)
    return lambda result: callback(result.x)


def _list_parameters(callback: Callable[..., Any]) -> Iterable[str]:
    try:
        return list(inspect.signature(callback).parameters)
    except (TypeError, ValueError):  # some functions written in C have no signature
        return []
