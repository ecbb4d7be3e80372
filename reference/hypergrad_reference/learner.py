"""Online learners: how a stepsize P follows the slope of its feedback, and the sets it is projected on.

A learner is a function (P, slope, memory, iteration, hyper_lr) -> (P, memory), before the projection:

    P, slope    the stepsize and the derivative of the feedback in P, any shape, the same
    memory      as large as P, zeros at the start: AdaGrad's sum of squares; the others hand it on untouched
    iteration   k = 1, 2, ...
    hyper_lr    eta

A projection is a function P -> P.  In the Frobenius norm a box is clipped and a ball rescaled; no eigenvalues are
needed, for P need not be positive semidefinite (Gao et al. 2025, COLT).
"""

import math
from collections.abc import Callable

import numpy as np

from hypergrad_reference.stepsize import Stepsize

Learner = Callable[[Stepsize, Stepsize, Stepsize, int, float], tuple[Stepsize, Stepsize]]
Projection = Callable[[Stepsize], Stepsize]


def ogd(P: Stepsize, slope: Stepsize, memory: Stepsize, iteration: int, hyper_lr: float) -> tuple[Stepsize, Stepsize]:
    """Online gradient descent, P - eta slope.

    >>> ogd(np.array([1.0, 2.0]), np.array([4.0, -2.0]), np.zeros(2), 1, 0.25)
    (array([0. , 2.5]), array([0., 0.]))
    """
    return P - hyper_lr * slope, memory


def decaying_ogd(
    P: Stepsize, slope: Stepsize, memory: Stepsize, iteration: int, hyper_lr: float
) -> tuple[Stepsize, Stepsize]:
    """Online gradient descent whose rate falls, P - (eta / sqrt(k)) slope, for runs of unknown length.

    Source: Gao et al. 2025 (COLT), remark 1.

    >>> decaying_ogd(np.array([1.0, 2.0]), np.array([4.0, -2.0]), np.zeros(2), 4, 0.5)
    (array([0. , 2.5]), array([0., 0.]))
    """
    return P - (hyper_lr / math.sqrt(iteration)) * slope, memory


def adagrad(
    P: Stepsize, slope: Stepsize, memory: Stepsize, iteration: int, hyper_lr: float, eps: float = 1e-12
) -> tuple[Stepsize, Stepsize]:
    """AdaGrad with eps outside the root, elementwise.

        U = U + slope^2,   P = P - (eta slope) / (sqrt(U) + eps)

    Source: Chu et al. 2025, authors' code (HDM-Best, OSGM-Best).

    >>> adagrad(np.array([1.0, 2.0]), np.array([4.0, 0.0]), np.array([9.0, 0.0]), 1, 2.75, eps=0.5)
    (array([-1.,  2.]), array([25.,  0.]))
    """
    memory = memory + slope * slope
    return P - (hyper_lr * slope) / (np.sqrt(memory) + eps), memory


def adagrad_inside(
    P: Stepsize, slope: Stepsize, memory: Stepsize, iteration: int, hyper_lr: float, eps: float = 1e-20
) -> tuple[Stepsize, Stepsize]:
    """AdaGrad with eps inside the root, elementwise: P = P - (eta slope) / sqrt(U + eps).

    Source: Gao et al. 2025 (COLT), authors' MATLAB code.

    >>> adagrad_inside(np.array([1.0, 2.0]), np.array([4.0, 0.0]), np.array([5.0, 0.0]), 1, 2.5, eps=4.0)
    (array([-1.,  2.]), array([21.,  0.]))
    """
    memory = memory + slope * slope
    return P - (hyper_lr * slope) / np.sqrt(memory + eps), memory


def multiplicative_weights(
    P: Stepsize, slope: Stepsize, memory: Stepsize, iteration: int, hyper_lr: float
) -> tuple[Stepsize, Stepsize]:
    """Multiplicative weights (mirror descent), P exp(-(eta / sqrt(k)) slope), elementwise: P > 0 stays so.

    The authors start at P_i = delta / n and project with `budget(delta)`; from P = 0 the rule never moves.
    Source: authors' MATLAB code, osgmhxmirror.

    >>> multiplicative_weights(np.array([1.0, 2.0]), np.array([0.0, -np.log(2.0)]), np.zeros(2), 4, 2.0)[0]
    array([1., 4.])
    """
    return P * np.exp(-(hyper_lr / math.sqrt(iteration)) * slope), memory


def unconstrained(P: Stepsize) -> Stepsize:
    """Project on everything: P as it is."""
    return P


def box(low: float, high: float) -> Projection:
    """Project on low <= P_ij <= high by clipping.

    >>> box(0.0, 2.0)(np.array([-1.0, 1.0, 3.0]))
    array([0., 1., 2.])
    """
    return lambda P: np.minimum(np.maximum(P, low), high)


def ball(radius: float) -> Projection:
    """Project on ||P||_F <= radius by rescaling; the sum of squares is that of the entries kept.

    >>> ball(5.0)(np.array([6.0, 8.0])), ball(5.0)(np.array([3.0, 0.0]))
    (array([3., 4.]), array([3., 0.]))
    """
    return lambda P: P * (radius / max(radius, float(np.linalg.norm(P))))


def budget(total: float) -> Projection:
    """Rescale P >= 0 to the sum total where its sum is larger.

    >>> budget(2.0)(np.array([1.0, 3.0])), budget(8.0)(np.array([1.0, 3.0]))
    (array([0.5, 1.5]), array([1., 3.]))
    """
    return lambda P: P * (total / max(total, float(np.sum(P))))
