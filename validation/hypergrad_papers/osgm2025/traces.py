"""A run recorded once as a `Trace`, from which both sides of every bound are computed."""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from hypergrad_reference import osgm
from hypergrad_reference.feedback import Feedback, Trial, try_stepsize
from hypergrad_reference.stepsize import Shape, Stepsize
from hypergrad_reference.types import Vector

SLACK = 1e-8
"""How far a proved inequality may fail, relative to 1 + |right|: for rounding alone.

Where a trace stops, at ||g||^2 = 1e-8 max(1, |f|), a feedback, a difference of nearly equal values, has half of its
digits left.
"""


class Sides(NamedTuple):
    """Both sides of a bound after K = 1, 2, ... steps; shape (K,) each."""

    left: Vector
    right: Vector


class Trace(NamedTuple):
    """A run of K steps."""

    problem: Any
    shape: Shape
    feedback: Feedback
    trials: list[Trial]  # K of them, of x_k and P_k
    stepsizes: list[Stepsize]  # K + 1 of them, P_1, ..., P_{K+1}
    measures: Vector  # (K,)  the feedback of each
    slopes: Vector  # (K,)  G_k, the norm of its slope
    squares: Vector  # (K, size of P)  the entries of the slopes, squared
    values: Vector  # (K + 1,)  f at x_1, ..., x_{K+1}
    gradients: Vector  # (K + 1,)  norms of the gradients there


def trace(problem: Any, constants: osgm.Constants, steps: int, least: float = 1e-8) -> Trace:
    """Run a method, at most `steps` steps, until ||g||^2 < least max(1, |f|).

    Below that the feedback, a difference of nearly equal values over ||g||^2, has no digits left.
    """
    trials, slopes = [], []
    state = osgm.init(problem, problem.x0, constants)
    states = [state]
    for _ in range(steps):
        if state.gradient @ state.gradient < least * max(1.0, abs(state.value)):
            break
        bound = constants.rebound(state.bound, state.value)
        trial = try_stepsize(problem, constants.shape, state.P, state.x, state.value, state.gradient, bound)
        trials.append(trial)
        slopes.append(np.ravel(constants.feedback.slope(problem, trial, constants.shape)))
        state = osgm.step(problem, state, constants)
        states.append(state)
    squares = np.square(slopes)
    return Trace(
        problem=problem,
        shape=constants.shape,
        feedback=constants.feedback,
        trials=trials,
        stepsizes=[state.P for state in states],
        measures=np.array([constants.feedback.measure(trial) for trial in trials]),
        slopes=np.sqrt(squares.sum(axis=1)),
        squares=squares,
        values=np.array([state.value for state in states]),
        gradients=np.array([float(np.linalg.norm(state.gradient)) for state in states]),
    )


def measure_comparator(t: Trace, comparators: Stepsize | Sequence[Stepsize]) -> Vector:
    """The feedback of P^ at x_1, ..., x_K, shape (K,); a list holds one P^ for each step."""
    each = comparators if isinstance(comparators, list) else [comparators] * len(t.trials)
    return np.array(
        [
            t.feedback.measure(try_stepsize(t.problem, t.shape, P, s.x, s.value, s.gradient, s.bound))
            for s, P in zip(t.trials, each, strict=True)
        ]
    )


def squared_distance(P: Stepsize, Q: Stepsize) -> float:
    """||P - Q||_F^2 of the entries kept."""
    return float(np.sum((P - Q) ** 2))


def gaps(t: Trace) -> Vector:
    """f(x_{K+1}) - f* for K = 1, 2, ..."""
    return cast(Vector, t.values[1:] - t.problem.optimal_value)


def first_gap(t: Trace) -> float:
    """f(x_1) - f*."""
    return float(t.values[0] - t.problem.optimal_value)


def counts(t: Trace) -> Vector:
    """The numbers K = 1, 2, ... as floats."""
    return np.arange(1.0, len(t.trials) + 1)
