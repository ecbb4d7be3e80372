"""Superlinear convergence of a full stepsize on a quadratic."""

from typing import Any, NamedTuple

import numpy as np

from hypergrad_papers.checks import law
from hypergrad_papers.osgm2025 import convergence, traces
from hypergrad_papers.osgm2025.laws import (
    hessian_of,
    mild_quadratic,
    share,
)
from hypergrad_papers.osgm2025.traces import Sides
from hypergrad_problems import quadratics
from hypergrad_problems.runs import run
from hypergrad_reference import action, hdm, learner
from hypergrad_reference.action import Action
from hypergrad_reference.feedback import HYPERGRADIENT, RATIO, Feedback
from hypergrad_reference.osgm import Constants
from hypergrad_reference.stepsize import FULL
from hypergrad_reference.types import Vector


class Rule(NamedTuple):
    """A method with a full stepsize and the constant of its bound."""

    feedback: Feedback
    act: Action
    rate: float  # eta in units of 1/L, or 1/L^2 for the ratio
    power: int
    factor: float  # of L^2 ||P_1 - A^-1||^2


SUPERLINEAR = {
    "hypergradient": Rule(HYPERGRADIENT, action.vanilla, 0.5, 1, 4.0),
    "hypergradient, null step": Rule(HYPERGRADIENT, action.null_step, 0.5, 1, 4.0),
    "hypergradient, lookahead": Rule(HYPERGRADIENT, action.lookahead, 1.0, 1, 1.0),
    "ratio": Rule(RATIO, action.vanilla, 0.25, 2, 4.0),
    "ratio, lookahead": Rule(RATIO, action.lookahead, 0.5, 2, 1.0),
}


def superlinear_sides(rule: str, problem: Any, steps: int = 40) -> Sides:
    """The gap and its bound from P_1 = I/L, as long as the gap is above 0."""
    feedback, act, rate, power, factor = SUPERLINEAR[rule]
    L, n = problem.smoothness, len(problem.x0)
    constants = Constants(
        rate / L**power, L, problem.optimal_value, np.eye(n) / L, feedback, FULL, learner.ogd, action=act
    )
    t = traces.trace(problem, constants, steps, least=1e-200)
    return convergence.superlinear_convergence(t, np.linalg.inv(hessian_of(problem, problem.x0)), factor)


def superlinear_cell(rule: str) -> Sides:
    """The gap and its bound on the mild quadratic, over the gap at the start."""
    problem = mild_quadratic()
    first = problem.value(problem.x0)  # f* = 0
    sides = superlinear_sides(rule, problem)
    return Sides(sides.left / first, sides.right / first)


def gradient_descent_gaps(steps: int = 40) -> Vector:
    """The gap of gradient descent with 1/L on the mild quadratic after 1, 2, ... steps, over that at the start."""
    problem = mild_quadratic()
    constants = hdm.Constants(hyper_lr=0.0, stepsize=np.full(len(problem.x0), 1 / problem.smoothness))
    first, *values = (state.value for state in run(hdm, problem, constants, steps))
    return np.array([value / first for value in values])


@law("{}: 1 - gap / bound", low=0.0, reason="the bound is strict")
def superlinear_slacks() -> dict[str, float]:
    """The largest gap over its bound, from 1, over three quadratics; 0 or more where the bound is strict.

    After 120 steps, or a gap of 0: the constant of the third is 40, and below that many steps its bound does not fall.
    """
    three = (mild_quadratic(), *(_rotate(spectrum) for spectrum in ([1.0, 0.5], [1.0, 0.5, 0.25])))
    return {
        rule: float(np.min([share(superlinear_sides(rule, problem, steps=120)) for problem in three]))
        for rule in SUPERLINEAR
    }


def _rotate(spectrum: list[float]) -> quadratics.Quadratic:
    return quadratics.quadratic(spectrum, rotation=quadratics.random_rotation(len(spectrum)))


def count_steps(spectrum: list[float], rule: str) -> int:
    """Steps from x_1 = (1, ..., 1) and P_1 = I/L until f / f_1 < 1e-14."""
    problem = _rotate(spectrum)
    sides = superlinear_sides(rule, problem)
    return int(np.flatnonzero(sides.left < 1e-14 * problem.value(problem.x0))[0]) + 1
