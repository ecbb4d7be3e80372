"""The experiments of Gao et al. 2025 (COLT) on matched instances: least squares (figure 2), a toy (1) and SVM (3).

Methods as in the authors' script: diagonal P from 0, AdaGrad with rate 10 and eps 1e-20 inside the root, null steps.
"""

import dataclasses
import math
from itertools import islice
from typing import Any, NamedTuple

import numpy as np

from hypergrad_problems.data import load_two_classes
from hypergrad_problems.matched_quadratics import matched_least_squares, near_diagonal
from hypergrad_problems.newton import find_least_value
from hypergrad_problems.runs import iterate
from hypergrad_problems.set_models import colt_svm
from hypergrad_reference import adagrad, gradient_descent, nesterov, osgm
from hypergrad_reference.learner import ogd
from hypergrad_reference.optimal_diagonal import condition_number, find_optimal_diagonal, jacobi
from hypergrad_reference.types import Vector

PUBLISHED: dict[float, dict[str, int]] = {
    1e-4: {"OSGM-R": 1838, "OSGM-H": 1560},
    1e-3: {"OSGM-R": 1422, "OSGM-H": 1224},
    1e-2: {"OptDiag": 407, "OSGM-R": 343, "OSGM-H": 337, "SAGD": 901},
    1e-1: {
        "GD": 1289, "OptDiag": 37, "OSGM-R": 55, "OSGM-G": 378, "OSGM-H": 65, "SAGD": 140, "AGD": 697, "AdaGrad": 163,
    },
}  # fmt: skip
"""First index below 1e-10 by sigma, where there is one up to 2000; read off the curves of figure 2 (one draw)."""

PUBLISHED_TOY = {"OptDiag": 46, "OSGM-R": 37, "OSGM-G": 97, "OSGM-H": 38, "SAGD": 106, "AGD": 392, "AdaGrad": 46}
"""The same in figure 1, up to 500."""

PUBLISHED_SVM: dict[str, dict[str, int]] = {
    "a1a": {"OSGM-R": 122, "OSGM-H": 82, "SAGD": 136, "AGD": 788, "AdaGrad": 930},
    "a2a": {"OSGM-R": 127, "OSGM-H": 101, "SAGD": 138, "AGD": 829, "AdaGrad": 954},
    "a3a": {"OSGM-R": 113, "OSGM-H": 108, "SAGD": 141, "AGD": 881, "AdaGrad": 673},
    "a4a": {"OSGM-R": 120, "OSGM-H": 141, "SAGD": 143, "AGD": 927, "AdaGrad": 690},
}
"""First index below 1e-6 in figure 3, up to 1000."""

SEEDS = tuple(range(8))
"""Draws of every matched instance: the published one is a single draw from a generator that is not to be had."""

LENGTH = 4000
"""Entries of a curve: twice the axis of figure 2, so that every draw of OSGM-R and -H reaches 1e-10."""

HYPER_LR = 10.0
"""The published overshoot of AdaGrad, 10^3.2, is that of rate 10; the script has 10 for all methods."""

REPEATED = 2
"""Entries of the authors' curves before the first iteration of an OSGM method: both are f(x_1), indices 1 and 2."""


def method_constants(problem: Any, hyper_lr: float = HYPER_LR) -> dict[str, osgm.Constants]:
    """OSGM-R, -G, -H and gradient descent, which is OSGM with a learner that stands still."""
    return {
        "OSGM-R": osgm.osgm_r(hyper_lr=hyper_lr, bound=problem.optimal_value),
        "OSGM-G": osgm.osgm_g(hyper_lr=hyper_lr),
        "OSGM-H": osgm.osgm_h(hyper_lr=hyper_lr),
        "GD": fix_stepsize(np.full(len(problem.x0), 1 / problem.smoothness)),
    }


def fix_stepsize(diagonal: Vector) -> osgm.Constants:
    """Gradient descent x - d g."""
    return osgm.Constants(0.0, stepsize=diagonal, learner=ogd)


class _StronglyConvex:
    """Accelerated gradient descent with the constant momentum, as a method for `iterate`."""

    init = staticmethod(nesterov.init)
    step = staticmethod(nesterov.step_strongly_convex)


class _AdaGrad:
    """AdaGrad with eps inside the root, as a method for `iterate`."""

    init = staticmethod(adagrad.init)
    step = staticmethod(adagrad.step_inside)


def compute_curves(
    problem: Any, length: int, least: float = 1e-10, diagonal: Vector | None = None
) -> dict[str, Vector]:
    """The gap by index of every method of the panels, entry 0 being index 1.

    OSGM's and AdaGrad's curves hold f(x_1) twice; the accelerated method for convex functions begins with a step
    whose momentum is zero, which stands for the null step of the authors'.

    diagonal    (n,) the stepsize of OptDiag; None is the best one, which is then looked for
    """
    if diagonal is None:
        diagonal = find_optimal_diagonal(problem.matrix.T @ problem.matrix)
    optimal = _collect(problem, osgm, fix_stepsize(diagonal), length, least)
    learned = {method: learn(problem, method, HYPER_LR, length, least) for method in LEARNING}
    return compute_fixed(problem, length, least) | {"OptDiag": optimal} | learned


def compute_fixed(problem: Any, length: int, least: float) -> dict[str, Vector]:
    """The gap by index of the methods that learn nothing."""
    L, mu = problem.smoothness, problem.strong_convexity
    methods: dict[str, tuple[Any, Any]] = {
        "GD": (gradient_descent, gradient_descent.Constants(L)),
        "SAGD": (_StronglyConvex, nesterov.Constants(L, mu)),
        "AGD": (nesterov, nesterov.Constants(L)),
    }
    return {name: _collect(problem, *method, length, least) for name, method in methods.items()}


LEARNING = ("AdaGrad", "OSGM-R", "OSGM-G", "OSGM-H")


def learn(problem: Any, method: str, hyper_lr: float, length: int, least: float) -> Vector:
    """The gap by index of a method of `LEARNING`."""
    if method != "AdaGrad":
        return gap_curve(problem, method_constants(problem, hyper_lr)[method], length, least)
    gaps = _collect(problem, _AdaGrad, adagrad.Constants(hyper_lr), length - REPEATED + 1, least)
    return np.concatenate([gaps[:1], gaps])


RATES = tuple(10.0**k for k in range(-5, 2))
"""The paper's grid, 1e-3 to 10, and two decades below it, where a sum over many rows has its best."""


class Tuned(NamedTuple):
    """The curve of the best rate."""

    hyper_lr: float
    curve: Vector


def tune(problem: Any, method: str, length: int, least: float, level: float) -> Tuned:
    """The rate of `RATES` with the fewest iterations to a level; the least gap at the end if none gets there."""
    runs = [Tuned(rate, learn(problem, method, rate, length, least)) for rate in RATES]
    return min(runs, key=lambda run: (first_index(run.curve, level) or length + 1, run.curve[-1]))


class Instance(NamedTuple):
    """A matched least-squares problem, and what the methods make of it."""

    kappa: float  # kappa*, of the best diagonal found
    lower: float  # no diagonal has a smaller condition number than this
    jacobi: float  # the condition number with D = 1 / diag(H)
    fitted: float  # kappa*, from the tail of gradient descent with the best diagonal
    fitted_plain: float  # kappa, from the tail of gradient descent
    curves: dict[str, Vector]  # the gap by index, entry 0 being index 1, down to 1e-20


def cell(sigma: float, seed: int) -> Instance:
    """One draw at one sigma."""
    problem = matched_least_squares(sigma, seed)
    hessian = problem.matrix.T @ problem.matrix
    diagonal = find_optimal_diagonal(hessian)
    curves = compute_curves(problem, LENGTH, 1e-20, diagonal)
    return Instance(
        kappa=condition_number(hessian, diagonal),
        lower=bound_kappa(hessian, diagonal),
        jacobi=condition_number(hessian, jacobi(hessian)),
        fitted=fit_kappa(_collect(problem, osgm, fix_stepsize(diagonal), 50_000, 1e-22), 1e-22),
        fitted_plain=fit_kappa(curves["GD"], 1e-20),
        curves=curves,
    )


class Comparison(NamedTuple):
    """A problem with every method at its best rate."""

    curves: dict[str, Vector]  # the gap by index, entry 0 being index 1
    rates: dict[str, float]  # of the methods that learn


def svm_cell(name: str) -> Comparison:
    """The SVM of figure 3 on a data set: 999 indices, the rate of each method the best to 1e-6."""
    problem = colt_svm(load_two_classes(name))
    problem = dataclasses.replace(problem, optimal_value=find_least_value(problem))
    tuned = {method: tune(problem, method, 999, 1e-15, 1e-6) for method in LEARNING if method != "OSGM-G"}
    return _compare(tuned, compute_fixed(problem, 999, 1e-15))


def toy_cell(seed: int) -> Comparison:
    """The near-diagonal quadratic of figure 1: 500 indices, the rate of each method the best to 1e-10."""
    problem = near_diagonal(seed)
    optimal = _collect(problem, osgm, fix_stepsize(find_optimal_diagonal(problem.hessian)), 500, 1e-20)
    tuned = {method: tune(problem, method, 500, 1e-20, 1e-10) for method in LEARNING}
    return _compare(tuned, compute_fixed(problem, 500, 1e-20) | {"OptDiag": optimal})


def _compare(tuned: dict[str, Tuned], fixed: dict[str, Vector]) -> Comparison:
    curves = {method: run.curve for method, run in tuned.items()}
    return Comparison(fixed | curves, {method: run.hyper_lr for method, run in tuned.items()})


def bound_kappa(hessian: Vector, d: Vector) -> float:
    """A number that no kappa(D^1/2 H D^1/2) is below, close to kappa* if d is close to the best diagonal.

    For M = D^1/2 H D^1/2 and positive semidefinite X, Y of equal diagonals kappa* >= <X, M^-1> / <Y, M^-1>, since
    tau H^-1 <= E <= H^-1 for a diagonal E gives tau <X, H^-1> <= <X, E> = <Y, E> <= <Y, H^-1> (derived here). X and Y
    are soft projections onto the smallest and the largest eigenvalues; Y is then scaled to the diagonal of X.
    """
    root = np.sqrt(d)
    eigenvalues, vectors = np.linalg.eigh(root[:, None] * hessian * root)
    bounds = []
    for sharpness in (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0):
        low = (eigenvalues[0] / eigenvalues) ** sharpness
        high = (eigenvalues / eigenvalues[-1]) ** sharpness
        low, high = low / low.sum(), high / high.sum()
        scale = np.sqrt((vectors**2 @ low) / (vectors**2 @ high))
        turned = vectors.T @ (scale[:, None] * vectors)
        bounds.append((low / eigenvalues).sum() / (high * turned**2 / eigenvalues[:, None]).sum())
    return float(max(bounds))


def fit_kappa(curve: Vector, least: float) -> float:
    """The condition number 1 / (1 - c) of gradient descent that ends up contracting the gap by c^2 per step.

    Fitted to the last three decades before `least`; NaN if the curve does not get there.
    """
    if not curve[-1] < least:
        return math.nan
    tail = curve[curve < 1e3 * least]
    return float(1 / (1 - (tail[-1] / tail[0]) ** (0.5 / (len(tail) - 1))))


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
