"""Landscape actions: where a method goes after a trial point x+ = x - P g.

Each takes the objective, the trial and L (which only the lookaheads use), and returns the next x with f and its
gradient there. Acceptance is strict, so that NaN refuses. Nothing known of x or of x+ is evaluated again.

Source: Gao et al. 2025 (COLT); Chu et al. 2025, equation (8) for the null step. The lookaheads are the companion
papers' by name; their form is derived.
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


Action = Callable[[Objective, Trial, float], Point]


def vanilla(objective: Objective, trial: Trial, smoothness: float) -> Point:
    """Go to x+."""
    return Point(trial.point, trial.point_value, trial.point_gradient)


def null_step(objective: Objective, trial: Trial, smoothness: float) -> Point:
    """Go to x+ if f(x+) < f(x), else stay."""
    return vanilla(objective, trial, smoothness) if trial.point_value < trial.value else _stay(trial)


def null_step_norm(objective: Objective, trial: Trial, smoothness: float) -> Point:
    """Go to x+ if ||g+|| < ||g||, else stay: the monotone action of the gradient norm."""
    shorter = np.linalg.norm(trial.point_gradient) < np.linalg.norm(trial.gradient)
    return vanilla(objective, trial, smoothness) if shorter else _stay(trial)


def line_search(objective: Objective, trial: Trial, smoothness: float) -> Point:
    """Go to x + t (x+ - x), t the first of 1, 1/2, 1/4, ..., 2^-20 that lowers f, else stay.

    The paper leaves the search open; the numbers are chosen here.
    """
    if trial.point_value < trial.value:
        return vanilla(objective, trial, smoothness)
    for halvings in range(1, 21):
        x = trial.x + 0.5**halvings * (trial.point - trial.x)
        if (value := objective.value(x)) < trial.value:
            return Point(x, value, objective.gradient(x))
    return _stay(trial)


def lookahead(objective: Objective, trial: Trial, smoothness: float) -> Point:
    """Go to x+ - g+ / L: a gradient step from the trial point, at the price of a second gradient."""
    x = trial.point - trial.point_gradient / smoothness
    return Point(x, *objective.value_and_gradient(x))


def monotone_lookahead(objective: Objective, trial: Trial, smoothness: float) -> Point:
    """Go to x+ - g+ / L if f is lower there than at x, else stay."""
    ahead = lookahead(objective, trial, smoothness)
    return ahead if ahead.value < trial.value else _stay(trial)


def _stay(trial: Trial) -> Point:
    return Point(trial.x, trial.value, trial.gradient)
