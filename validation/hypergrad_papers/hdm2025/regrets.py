"""Regrets of HDM and their bounds along runs; the figure draws them, too."""

from itertools import product
from typing import Any

import numpy as np

from hypergrad_papers.checks import law
from hypergrad_papers.hdm2025.laws import list_problems
from hypergrad_papers.osgm2025 import convergence, traces
from hypergrad_papers.osgm2025.laws import (
    SHAPES,
    multiple_of_identity,
    random_quadratic,
    slack,
)
from hypergrad_papers.osgm2025.traces import SLACK, Sides
from hypergrad_reference import action, learner
from hypergrad_reference.action import Action
from hypergrad_reference.osgm import Constants
from hypergrad_reference.stepsize import DIAGONAL, SCALAR, Shape, Stepsize


def static_regret(problem: Any, shape: Shape = DIAGONAL, act: Action = action.null_step, scale: float = 1.0) -> Sides:
    """Online gradient descent, eta = 1/(2 L), against scale I/L."""
    L, eta = problem.smoothness, 0.5 / problem.smoothness
    t = traces.trace(problem, Constants(eta, shape=shape, learner=learner.ogd, action=act), 80)
    return convergence.static_regret(t, multiple_of_identity(shape, len(problem.x0), scale / L), eta)


def dynamic_regret(problem: Any) -> Sides:
    """A scalar stepsize in [0, 4/L], eta = 1/(2 L), against the exact line search of each step, kept in that box."""
    high, eta = 4 / problem.smoothness, 0.5 / problem.smoothness
    box = learner.box(0.0, high)
    constants = Constants(eta, shape=SCALAR, learner=learner.ogd, project=box, action=action.null_step)
    t = traces.trace(problem, constants, 80)
    best: list[Stepsize] = []
    for trial in t.trials:
        curvature = trial.gradient @ problem.hessian_product(trial.x, trial.gradient)
        best.append(box(np.asarray(trial.gradient @ trial.gradient / curvature)))
    return convergence.dynamic_regret(t, best, eta, high)


def adagrad_regret(problem: Any, shape: Shape = DIAGONAL) -> Sides:
    """AdaGrad, eta = 1/L, against I/L."""
    L = problem.smoothness
    t = traces.trace(problem, Constants(1 / L, shape=shape, learner=learner.adagrad, action=action.null_step), 80)
    return convergence.adagrad_regret(t, multiple_of_identity(shape, len(problem.x0), 1 / L), 1 / L)


def lookahead_regret(problem: Any, shape: Shape = DIAGONAL, scale: float = 1.0) -> Sides:
    """Lookahead, eta = 1/L, against scale I/L."""
    L = problem.smoothness
    constants = Constants(1 / L, L, shape=shape, learner=learner.ogd, action=action.lookahead)
    t = traces.trace(problem, constants, 80)
    return convergence.lookahead_regret(t, multiple_of_identity(shape, len(problem.x0), scale / L))


def constant_regret(problem: Any) -> Sides:
    """`lookahead_regret` with what I/L has gained on the left: the right is n / (2 L) at every K."""
    left, right = lookahead_regret(problem)
    constant = len(problem.x0) / (2 * problem.smoothness)
    return Sides(left - (right - constant), np.full_like(right, constant))


REGRETS = {
    "static": static_regret, "dynamic": dynamic_regret, "AdaGrad": adagrad_regret, "lookahead": constant_regret,
}  # fmt: skip


def regret_cell(bound: str) -> Sides:
    """A regret and its bound on the quadratic, with a diagonal stepsize, the dynamic one with a scalar."""
    return REGRETS[bound](random_quadratic())


@law("{}: slack", low=-SLACK, reason="proved; slack for rounding alone")
def regret_slacks() -> dict[str, float]:
    """The least slack of each regret bound over problems, shapes, actions and comparators."""
    every = list(product(list_problems(), SHAPES.values()))
    convex = [problem for problem in list_problems() if problem.strong_convexity > 0]
    found = {
        "regret": [
            slack(static_regret(problem, shape, act, scale))
            for problem, shape in every
            for act in (action.vanilla, action.null_step, action.line_search)
            for scale in (0.0, 1.0, 3.0)
        ],
        "dynamic regret": [slack(dynamic_regret(problem)) for problem in convex],
        "AdaGrad": [slack(adagrad_regret(problem, shape)) for problem, shape in every],
        "lookahead": [
            slack(lookahead_regret(problem, shape, scale)) for problem, shape in every for scale in (1.0, 2.0)
        ],
    }
    return {name: float(np.min(slacks)) for name, slacks in found.items()}
