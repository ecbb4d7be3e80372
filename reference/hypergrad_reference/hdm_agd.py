"""HDM-AGD: Nesterov's method in which a learned stepsize competes with the gradient step.

    candidates   x_gd = y - g / L,   x_P = y - P g,   g the gradient at y;  the better one becomes x
    learner      P = P - ... dh/dP,  h(P) = (f(x_P) - f(y)) / ||g||^2
    convex           y = x + (a / (A + a)) (z - x),   a = (1 + sqrt(4 A + 1)) / 2,   A = A + a
                     z = z - 2 a v g,   v = -h(P) if x_P wins, else 1 / (2 L)
    strongly convex  y = x + (q / (1 + q)) (z - x),   q = sqrt(mu / L)
                     z = (1 - q) z + q (y - g / mu)

With v = 1 / (2 L) always (`gradient_progress`), f(x_K) - f* <= L ||x_1 - x*||^2 / (2 A_K) whatever P does, for
a^2 = A + a (derived here); with the authors' longer step the bound is not proved.

Source: authors' MATLAB code, osgmnestcvx and osgmnest (January 2025, one month before Chu et al. 2025); the paper's
own pseudo-code is not known. The gradient at x, which only the stopping test needs, costs an evaluation when x_gd wins.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hypergrad_reference.action import Point
from hypergrad_reference.feedback import Trial, hypergradient, hypergradient_slope, try_stepsize
from hypergrad_reference.learner import Learner, Projection, adagrad_inside, unconstrained
from hypergrad_reference.objective import Objective
from hypergrad_reference.stepsize import DIAGONAL, Shape, Stepsize, start
from hypergrad_reference.types import Vector


def measured_progress(trial: Trial, smoothness: float) -> float:
    """Take -h(P), the authors' choice where x_P wins."""
    return -hypergradient(trial)


def gradient_progress(trial: Trial, smoothness: float) -> float:
    """Take 1 / (2 L), the progress that a gradient step has for certain."""
    return 1 / (2 * smoothness)


class Constants(NamedTuple):
    """What the user sets."""

    smoothness: float  # L
    strong_convexity: float = 0.0  # mu, > 0 for `step_strongly_convex`
    hyper_lr: float = 10.0  # of P; 10 in the authors' least-squares experiments
    stepsize: Stepsize | None = None  # P_1; None is 0
    shape: Shape = DIAGONAL
    learner: Learner = adagrad_inside
    project: Projection = unconstrained
    progress: Callable[[Trial, float], float] = measured_progress


class State(NamedTuple):
    """What HDM-AGD carries from one iteration to the next."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # (n,), at x
    z: Vector  # (n,), the other sequence
    P: Stepsize  # as large as the shape says
    memory: Stepsize  # of the learner, as large as P
    weight: float  # A, for convex functions
    iteration: int  # k of the iteration to come, from 1


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1; one evaluation of f and its gradient at x0, (n,) float64.

    Raises ValueError unless smoothness > 0 is finite, or if stepsize is not as large as the shape says.
    """
    c = constants
    if not 0 < c.smoothness < math.inf:
        raise ValueError(f"smoothness is {c.smoothness}: give L, finite and > 0")
    P = start(c.shape, len(x0), c.stepsize)
    value, gradient = objective.value_and_gradient(x0)
    return State(x0.copy(), value, gradient, x0.copy(), P, np.zeros_like(P), weight=0.0, iteration=1)


def step(objective: Objective, state: State, constants: Constants) -> State:
    """One iteration for convex f; f and its gradient at y and x_P, f at x_gd.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square = Quadratic(np.array([[2.0]]), np.array([0.0]))
    >>> constants = Constants(smoothness=4.0, hyper_lr=0.25)
    >>> state = step(square, init(square, np.array([4.0]), constants), constants)
    >>> state.x, state.z, state.P, state.weight
    (array([2.]), array([2.]), array([0.25]), 1.0)
    """
    c, s = constants, state
    a = (1 + math.sqrt(4 * s.weight + 1)) / 2
    y = s.x + (a / (s.weight + a)) * (s.z - s.x)
    learned, trial, ahead, better = _compete(objective, s, y, c)
    progress = c.progress(trial, c.smoothness) if better else gradient_progress(trial, c.smoothness)
    return learned._replace(
        x=ahead.x,
        value=ahead.value,
        gradient=ahead.gradient,
        z=s.z - 2 * a * progress * trial.gradient,
        weight=s.weight + a,
    )


def step_strongly_convex(objective: Objective, state: State, constants: Constants) -> State:
    """One iteration for f with strong_convexity mu > 0; evaluations as in `step`.

    Raises ValueError unless 0 < mu <= L.
    """
    c, s = constants, state
    if not 0 < c.strong_convexity <= c.smoothness:
        raise ValueError(f"strong_convexity is {c.strong_convexity}: give mu with 0 < mu <= L, or use hdm_agd.step")
    q = math.sqrt(c.strong_convexity / c.smoothness)
    y = s.x + (q / (1 + q)) * (s.z - s.x)
    learned, trial, ahead, _ = _compete(objective, s, y, c)
    z = (1 - q) * s.z + q * (y - trial.gradient / c.strong_convexity)
    return learned._replace(x=ahead.x, value=ahead.value, gradient=ahead.gradient, z=z)


def _compete(objective: Objective, state: State, y: Vector, constants: Constants) -> tuple[State, Trial, Point, bool]:
    """Let P and the gradient step compete from y: the state with P adapted, the trial, the better point, is it x_P."""
    c, s = constants, state
    trial = try_stepsize(objective, c.shape, s.P, y, *objective.value_and_gradient(y))
    P, memory = c.learner(s.P, hypergradient_slope(objective, trial, c.shape), s.memory, s.iteration, c.hyper_lr)
    learned = s._replace(P=c.project(P), memory=memory, iteration=s.iteration + 1)
    x_gd = y - trial.gradient / c.smoothness
    value = objective.value(x_gd)
    if trial.point_value <= value:
        return learned, trial, Point(trial.point, trial.point_value, trial.point_gradient), True
    return learned, trial, Point(x_gd, value, objective.gradient(x_gd)), False
