"""The two loops over the elements of an HDM or OSGM iteration with a diagonal stepsize, as the kernels run them.

With the trial point evaluated, an iteration is: `inner_products` (one pass), scalars (accept or refuse, momentum,
rates: see hypergrad_reference.hdm_best), `adapt_adagrad` or a similar one (one pass), evaluation of the next trial
point.

    feedback gradient    r  = -(g+ g) / den                  elementwise; g+ the gradient at the trial point
    learner              P  = P - rate r / ...               AdaGrad or online gradient descent
    clip                 P  = min(max(P, low), high)
    accepted             x, g, d = trial, g+, trial - x;     refused: d = 0
    next trial point     trial = (x - P g) + beta d

For gradient-norm feedback g+ stands for the Hessian at the trial point times the gradient there, in the learner only.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hypergrad_reference.sums import block_sums
from hypergrad_reference.types import Vector


class Arrays(NamedTuple):
    """What an iteration works on; shape (n,), float32 or float64."""

    x: Vector  # the iterate
    gradient: Vector  # g, there
    displacement: Vector  # d = x - previous x; zeros after a refusal
    P: Vector  # the diagonal stepsize
    accumulator: Vector  # U, AdaGrad's sum of squares; unused by online gradient descent
    trial: Vector  # x - P g + beta d


class Scalars(NamedTuple):
    """The scalars of an iteration in float64; each is rounded to the dtype of the arrays where it meets them."""

    denominator: float  # of the feedback, e.g. ||g||^2 + (tau/2) ||d||^2
    rate: float  # of the learner
    eps: float  # of AdaGrad
    low: float  # bounds of P
    high: float
    beta: float  # momentum of the next trial point


Learner = Callable[[Arrays, Vector, bool, Scalars], Arrays]
"""An `adapt` function below, each of which ends an iteration."""

INNER_PRODUCTS = {
    "trial_displacement": ("trial_gradient", "displacement"),  # <g+, d>, for the rate of the momentum
    "trial_trial": ("trial_gradient", "trial_gradient"),  # ||g+||^2, the next ||g||^2 if accepted
    "change_change": ("gradient_change", "gradient_change"),  # ||g+ - g||^2 } their ratio is a curvature
    "move_move": ("move", "move"),  # ||trial - x||^2, the next ||d||^2 if accepted }
}
"""Every inner product of an HDM-Best iteration, by name, and its two factors."""


def inner_products(a: Arrays, trial_gradient: Vector) -> dict[str, Vector]:
    """Block sums of all of INNER_PRODUCTS, in the order of hypergrad_reference.sums.

    trial_gradient    g+, (n,), dtype of the arrays

    >>> a = start(np.array([1.0, 2.0]), np.array([3.0, -1.0]))._replace(trial=np.array([0.0, 4.0]))
    >>> {name: float(sums[0]) for name, sums in inner_products(a, np.array([1.0, 1.0])).items()}
    {'trial_displacement': 0.0, 'trial_trial': 2.0, 'change_change': 8.0, 'move_move': 5.0}
    """
    factors = {
        "trial_gradient": trial_gradient,
        "displacement": a.displacement,
        "gradient_change": trial_gradient - a.gradient,
        "move": a.trial - a.x,
    }
    return {name: block_sums(factors[left], factors[right]) for name, (left, right) in INNER_PRODUCTS.items()}


def start(x: Vector, gradient: Vector) -> Arrays:
    """Arrays before the first iteration: P = 0, so that the first trial point is x itself."""
    zeros = np.zeros_like(x)
    return Arrays(x.copy(), gradient.copy(), zeros, zeros.copy(), zeros.copy(), x.copy())


def adapt_adagrad(a: Arrays, trial_gradient: Vector, accepted: bool, scalars: Scalars) -> Arrays:
    """Adapt P by AdaGrad with eps outside the root, take the trial point or not, and form the next one.

        U = U + r r,   P = P - (rate r) / (sqrt(U) + eps)

    Returns the new arrays; inputs are untouched.
    Source: Chu et al. 2025 and the authors' code (HDM-Best, OSGM-Best).

    >>> a = start(np.array([1.0]), np.array([2.0]))._replace(trial=np.array([0.5]))
    >>> adapt_adagrad(a, np.array([1.0]), True, Scalars(4.0, 0.25, 0.5, 0.0, 1.0, 0.5)).trial
    array([0.125])
    """
    s = _round(scalars, a.x)
    r = -(trial_gradient * a.gradient) / s.denominator
    U = a.accumulator + r * r
    return _move(a, a.P - (s.rate * r) / (np.sqrt(U) + s.eps), U, trial_gradient, accepted, s)


def adapt_adagrad_inside(a: Arrays, trial_gradient: Vector, accepted: bool, scalars: Scalars) -> Arrays:
    """The same with eps inside the root, P = P - (rate r) / sqrt(U + eps).

    Source: Gao et al. 2025 (COLT), authors' MATLAB code.
    """
    s = _round(scalars, a.x)
    r = -(trial_gradient * a.gradient) / s.denominator
    U = a.accumulator + r * r
    return _move(a, a.P - (s.rate * r) / np.sqrt(U + s.eps), U, trial_gradient, accepted, s)


def adapt_ogd(a: Arrays, trial_gradient: Vector, accepted: bool, scalars: Scalars) -> Arrays:
    """The same by online gradient descent, P = P - rate r; the accumulator is left alone."""
    s = _round(scalars, a.x)
    r = -(trial_gradient * a.gradient) / s.denominator
    return _move(a, a.P - s.rate * r, a.accumulator.copy(), trial_gradient, accepted, s)


def _round(scalars: Scalars, like: Vector) -> Scalars:
    rounded: list[Any] = [like.dtype.type(scalar) for scalar in scalars]
    return Scalars(*rounded)


def _move(a: Arrays, P: Vector, U: Vector, trial_gradient: Vector, accepted: bool, s: Scalars) -> Arrays:
    P = np.minimum(np.maximum(P, s.low), s.high)
    if accepted:
        x, gradient, displacement = a.trial.copy(), trial_gradient.copy(), a.trial - a.x
    else:
        x, gradient, displacement = a.x.copy(), a.gradient.copy(), np.zeros_like(a.x)
    return Arrays(x, gradient, displacement, P, U, (x - P * gradient) + s.beta * displacement)
