"""Landscape actions: where a method goes after a trial point x+ = x - P g.

    vanilla        x+                   the null step stays at x if f is not lower at x+
    line search    x + t (x+ - x)       stays, too
    lookahead      x+ - g+ / L          the monotone lookahead stays, too
    learned step   x - P_{k+1} g        the monotone learned step stays, too

P_{k+1} is what the learner has made of the trial: the learned step learns first and moves afterwards. It is another
reading of "lookahead". If the learner subtracts 1/L times the slope of the hypergradient, it goes beyond x+ by

    full P        -g+ / L                              the same point as the lookahead
    diagonal P    -(g+ g) g / (L ||g||^2)              elementwise
    scalar P      -<g+, g> g / (L ||g||^2)

An action takes the objective, the trial, the function g -> P_{k+1} g and L, and returns the next x with f and its
gradient there. Acceptance is strict, so that NaN refuses. Nothing known of x or of x+ is evaluated again.

Source: Gao et al. 2025 (COLT); Chu et al. 2025, equation (8) for the null step; Gao, Qu, Ye and Udell 2026 ("Tight
Nonasymptotic Local Convergence of Sinkhorn-Knopp"), Algorithm 2, for the monotone learned step. The lookaheads are the
companion papers' by name; their form is derived.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hypergrad_reference.feedback import Trial
from hypergrad_reference.objective import Objective
from hypergrad_reference.types import Vector


class Point(NamedTuple):
    """An iterate."""

    x: Vector  # (n,)
    value: float
    gradient: Vector  # (n,)


Scaling = Callable[[Vector], Vector]
"""From a gradient, its product with a stepsize; both (n,)."""

Action = Callable[[Objective, Trial, Scaling, float], Point]


def vanilla(objective: Objective, trial: Trial, learned: Scaling, smoothness: float) -> Point:
    """Go to x+."""
    return _go(trial)


def null_step(objective: Objective, trial: Trial, learned: Scaling, smoothness: float) -> Point:
    """Go to x+ if f(x+) < f(x), else stay."""
    return _better(_go(trial), trial)


def null_step_norm(objective: Objective, trial: Trial, learned: Scaling, smoothness: float) -> Point:
    """Go to x+ if ||g+|| < ||g||, else stay: the monotone action of the gradient norm."""
    shorter = np.linalg.norm(trial.point_gradient) < np.linalg.norm(trial.gradient)
    return _go(trial) if shorter else _stay(trial)


def line_search(objective: Objective, trial: Trial, learned: Scaling, smoothness: float) -> Point:
    """Go to x + t (x+ - x), t the first of 1, 1/2, 1/4, ..., 2^-20 that lowers f, else stay.

    The paper leaves the search open; the numbers are chosen here.
    """
    if trial.point_value < trial.value:
        return _go(trial)
    for halvings in range(1, 21):
        x = trial.x + 0.5**halvings * (trial.point - trial.x)
        if (value := objective.value(x)) < trial.value:
            return Point(x, value, objective.gradient(x))
    return _stay(trial)


def lookahead(objective: Objective, trial: Trial, learned: Scaling, smoothness: float) -> Point:
    """Go to x+ - g+ / L: a gradient step from the trial point, at the price of a second gradient."""
    x = trial.point - trial.point_gradient / smoothness
    return Point(x, *objective.value_and_gradient(x))


def monotone_lookahead(objective: Objective, trial: Trial, learned: Scaling, smoothness: float) -> Point:
    """Go to x+ - g+ / L if f is lower there than at x, else stay."""
    return _better(lookahead(objective, trial, learned, smoothness), trial)


def learned_step(objective: Objective, trial: Trial, learned: Scaling, smoothness: float) -> Point:
    """Go to x - P_{k+1} g: a step with the stepsize just learned, at the price of a second gradient.

    >>> from hypergrad_reference.feedback import try_stepsize
    >>> from hypergrad_reference.objective import Quadratic
    >>> from hypergrad_reference.stepsize import SCALAR
    >>> square, x = Quadratic(np.array([[2.0]]), np.array([0.0])), np.array([4.0])
    >>> trial = try_stepsize(square, SCALAR, np.array(0.25), x, *square.value_and_gradient(x))
    >>> learned_step(square, trial, lambda gradient: 0.875 * gradient, 2.0)
    Point(x=array([-3.]), value=9.0, gradient=array([-6.]))
    """
    x = trial.x - learned(trial.gradient)
    return Point(x, *objective.value_and_gradient(x))


def monotone_learned_step(objective: Objective, trial: Trial, learned: Scaling, smoothness: float) -> Point:
    """Go to x - P_{k+1} g if f is lower there than at x, else stay.

    >>> from hypergrad_reference.feedback import try_stepsize
    >>> from hypergrad_reference.objective import Quadratic
    >>> from hypergrad_reference.stepsize import SCALAR
    >>> square, x = Quadratic(np.array([[2.0]]), np.array([0.0])), np.array([4.0])
    >>> trial = try_stepsize(square, SCALAR, np.array(0.25), x, *square.value_and_gradient(x))
    >>> monotone_learned_step(square, trial, lambda gradient: 0.875 * gradient, 2.0)
    Point(x=array([-3.]), value=9.0, gradient=array([-6.]))
    >>> monotone_learned_step(square, trial, lambda gradient: 1.25 * gradient, 2.0)
    Point(x=array([4.]), value=16.0, gradient=array([8.]))
    """
    return _better(learned_step(objective, trial, learned, smoothness), trial)


def _better(point: Point, trial: Trial) -> Point:
    return point if point.value < trial.value else _stay(trial)


def _go(trial: Trial) -> Point:
    return Point(trial.point, trial.point_value, trial.point_gradient)


def _stay(trial: Trial) -> Point:
    return Point(trial.x, trial.value, trial.gradient)
