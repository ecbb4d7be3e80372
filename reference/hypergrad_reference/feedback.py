"""Feedback: how good a stepsize P was at a point, and its derivative in P.

With g the gradient at x, the trial point x+ = x - P g, and g+ the gradient there:

    hypergradient      h = (f(x+) - f(x)) / ||g||^2           dh = -g+ g^T / ||g||^2
    ratio              r = (f(x+) - f*) / (f(x) - f*)         dr = -g+ g^T / (f(x) - f*)
    lower-bound ratio  r = (f(x+) - z) / (f(x) - z), z < f*   dr = -g+ g^T / (f(x) - z)
    gradient norm      n = ||g+|| / ||g||                     dn = -(H g+) g^T / (||g|| ||g+||),  H the Hessian at x+

A diagonal or scalar P has the diagonal or the trace of these matrices: `Shape.outer`. Small is good. At a stationary
point the feedback is undefined; its slope is 0 there, so that nothing is learned.
Source: Gao et al. 2025 (COLT), scalar forms derived; the authors' code adds 1e-20 to f(x) - z.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hypergrad_reference.objective import Objective, TwiceDifferentiable
from hypergrad_reference.stepsize import Shape, Stepsize
from hypergrad_reference.types import Vector


class Trial(NamedTuple):
    """A stepsize tried at a point."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # g, (n,)
    P: Stepsize
    point: Vector  # x+ = x - P g, (n,)
    point_value: float  # f(x+)
    point_gradient: Vector  # g+, (n,)
    bound: float = math.nan  # f* or z, for the ratios


class Feedback(NamedTuple):
    """A measure of a trial and its derivative in P, as large as P."""

    measure: Callable[[Trial], float]
    slope: Callable[[Any, Trial, Shape], Stepsize]  # the first argument is the objective


def try_stepsize(
    objective: Objective,
    shape: Shape,
    P: Stepsize,
    x: Vector,
    value: float,
    gradient: Vector,
    bound: float = math.nan,
) -> Trial:
    """Evaluate f and its gradient at x - P g."""
    point = x - shape.apply(P, gradient)
    return Trial(x, value, gradient, P, point, *objective.value_and_gradient(point), bound)


def hypergradient(trial: Trial) -> float:
    """(f(x+) - f(x)) / ||g||^2; convex in P, 0 at P = 0, at most -1/(2 L) at P = I/L."""
    return (trial.point_value - trial.value) / float(trial.gradient @ trial.gradient)


def hypergradient_slope(objective: Objective, trial: Trial, shape: Shape) -> Stepsize:
    """-g+ g^T / ||g||^2 in the shape of P."""
    return _slope(trial, trial.point_gradient, float(trial.gradient @ trial.gradient), shape)


def ratio(trial: Trial) -> float:
    """(f(x+) - z) / (f(x) - z), z being f* or a lower bound of it; convex in P and >= 0."""
    return (trial.point_value - trial.bound) / (trial.value - trial.bound)


def ratio_slope(objective: Objective, trial: Trial, shape: Shape) -> Stepsize:
    """-g+ g^T / (f(x) - z) in the shape of P."""
    return _slope(trial, trial.point_gradient, trial.value - trial.bound, shape)


def gradient_norm(trial: Trial) -> float:
    """||g+|| / ||g||; convex in P for a quadratic f, not in general."""
    return float(np.linalg.norm(trial.point_gradient) / np.linalg.norm(trial.gradient))


def gradient_norm_slope(objective: TwiceDifferentiable, trial: Trial, shape: Shape) -> Stepsize:
    """-(H g+) g^T / (||g|| ||g+||) in the shape of P, H being the Hessian at x+."""
    norms = float(np.linalg.norm(trial.gradient) * np.linalg.norm(trial.point_gradient))
    return _slope(trial, objective.hessian_product(trial.point, trial.point_gradient), norms, shape)


def _slope(trial: Trial, sensitivity: Vector, denominator: float, shape: Shape) -> Stepsize:
    outer = shape.outer(sensitivity, trial.gradient)
    return np.zeros_like(outer) if denominator == 0 else -outer / denominator


HYPERGRADIENT = Feedback(hypergradient, hypergradient_slope)
RATIO = Feedback(ratio, ratio_slope)
GRADIENT_NORM = Feedback(gradient_norm, gradient_norm_slope)


def regularised(feedback: Feedback, weight: float) -> Feedback:
    """Add (weight / 2) ||P||_F^2, so that the hypergradient of a nonconvex f is convex in P.

        measure + weight/2 ||P||_F^2,   slope + weight P

    For an L-smooth f the Hessian of h in P is at least -L, so weight >= L is enough (derived here).
    Reconstruction: that Gao et al. 2025 (Part II) regularise in stepsize space is known, their formula is not.
    """
    return Feedback(
        lambda trial: feedback.measure(trial) + weight / 2 * float(np.sum(trial.P * trial.P)),
        lambda objective, trial, shape: feedback.slope(objective, trial, shape) + weight * trial.P,
    )


def keep_bound(bound: float, value: float) -> float:
    """The bound as it is: f*, or a z that is known to lie below f*."""
    return bound


def lower_bound(bound: float, value: float, factor: float = 5.0) -> float:
    """A guess z of f*, lowered once f(x) has fallen below it: z = f(x) - min(factor (z - f(x)), 1).

    Source: Gao et al. 2025 (COLT), practical version; the authors' MATLAB code has factor 1e-2 and starts at
    z = f(x_1) - 0.1.

    >>> lower_bound(2.0, 3.0), lower_bound(2.0, 1.875), lower_bound(2.0, 1.0)
    (2.0, 1.25, 0.0)
    """
    return value - min(factor * (bound - value), 1.0) if bound > value else bound


def halve_bound(bound: float, value: float) -> float:
    """A z < f* raised halfway to f(x): if f(x) - f* <= f* - z, then z stays below f* and its error halves.

    Source: Gao et al. 2025 (COLT), algorithms 5 and 6 and lemma 14.

    >>> halve_bound(-1.0, 0.5)
    -0.25
    """
    return (value + bound) / 2
