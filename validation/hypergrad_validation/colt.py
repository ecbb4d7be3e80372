"""The least-squares experiment of Gao et al. 2025 (COLT), figure 2, on a matched instance.

Methods as in the authors' script: diagonal P from 0, AdaGrad with rate 10 and eps 1e-20 inside the root, null steps.
"""

from itertools import islice
from typing import Any

import numpy as np

from hypergrad_reference import adagrad, gradient_descent, nesterov, osgm
from hypergrad_reference.learner import ogd
from hypergrad_reference.optimal_diagonal import condition_number, find_optimal_diagonal
from hypergrad_reference.types import Vector
from hypergrad_validation.runs import iterate

HYPER_LR = 10.0
"""The published overshoot of AdaGrad, 10^3.2, is that of rate 10; the script has 10 for all methods."""

REPEATED = 2
"""Entries of the authors' curves before the first iteration of an OSGM method: both are f(x_1), indices 1 and 2."""


def method_constants(problem: Any) -> dict[str, osgm.Constants]:
    """OSGM-R, -G, -H and gradient descent, which is OSGM with a learner that stands still."""
    gradient_descent = np.full(len(problem.x0), 1 / problem.smoothness)
    return {
        "OSGM-R": osgm.osgm_r(hyper_lr=HYPER_LR, bound=problem.optimal_value),
        "OSGM-G": osgm.osgm_g(hyper_lr=HYPER_LR),
        "OSGM-H": osgm.osgm_h(hyper_lr=HYPER_LR),
        "GD": osgm.Constants(0.0, stepsize=gradient_descent, learner=ogd),
    }


class _StronglyConvex:
    """Accelerated gradient descent with the constant momentum, as a method for `iterate`."""

    init = staticmethod(nesterov.init)
    step = staticmethod(nesterov.step_strongly_convex)


class _AdaGrad:
    """AdaGrad with eps inside the root, as a method for `iterate`."""

    init = staticmethod(adagrad.init)
    step = staticmethod(adagrad.step_inside)


def compute_curves(problem: Any, length: int, least: float = 1e-10) -> dict[str, Vector]:
    """The gap by index of every method of the panels, entry 0 being index 1.

    OSGM's and AdaGrad's curves hold f(x_1) twice; the accelerated method for convex functions begins with a step
    whose momentum is zero, which stands for the null step of the authors'.
    """
    hessian = problem.matrix.T @ problem.matrix
    optimal = osgm.Constants(0.0, stepsize=find_optimal_diagonal(hessian), learner=ogd)
    L, mu = problem.smoothness, problem.strong_convexity
    curves = {
        name: gap_curve(problem, constants, length, least) for name, constants in method_constants(problem).items()
    }
    others: dict[str, tuple[Any, Any]] = {
        "GD": (gradient_descent, gradient_descent.Constants(L)),
        "OptDiag": (osgm, optimal),
        "SAGD": (_StronglyConvex, nesterov.Constants(L, mu)),
        "AGD": (nesterov, nesterov.Constants(L)),
    }
    for name, (method, constants) in others.items():
        curves[name] = _collect(problem, method, constants, length, least)
    learned = _collect(problem, _AdaGrad, adagrad.Constants(HYPER_LR), length - REPEATED + 1, least)
    return curves | {"AdaGrad": np.concatenate([learned[:1], learned])}


def find_kappa(problem: Any) -> float:
    """kappa* of the Hessian of a least-squares problem."""
    hessian = problem.matrix.T @ problem.matrix
    return condition_number(hessian, find_optimal_diagonal(hessian))


def _collect(problem: Any, method: Any, constants: Any, length: int, least: float) -> Vector:
    gaps = []
    for state in islice(iterate(method, problem, constants), length):
        gaps.append(state.value - problem.optimal_value)
        if gaps[-1] < least:
            break
    return np.array(gaps)


def gap_curve(problem: Any, constants: osgm.Constants, length: int, least: float = 1e-10) -> Vector:
    """The gap f - f* by index, as the authors' curves have it, up to the first below `least` or `length` entries.

    Entry 0 of the array is index 1 of the curve.
    """
    gaps = _collect(problem, osgm, constants, length - REPEATED + 1, least)
    return np.concatenate([gaps[:1], gaps])


def first_index(curve: Vector, level: float) -> int | None:
    """The first index, from 1, whose gap is below a level; None if there is none."""
    below = np.flatnonzero(curve < level)
    return int(below[0]) + 1 if below.size else None
