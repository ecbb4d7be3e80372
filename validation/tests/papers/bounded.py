"""Problems on which bounds are tried, and what it is that a bound holds."""

import numpy as np
import pytest

from hypergrad_papers.osgm2025.laws import (
    SHAPES,
    random_logistic,
    random_quadratic,
)
from hypergrad_papers.osgm2025.traces import SLACK
from hypergrad_problems import quadratics, toys
from hypergrad_reference import action


def assert_bounded(sides):
    assert len(sides.left) > 5
    assert np.isfinite(sides.left).all()
    assert (sides.left <= sides.right + SLACK * (1 + np.abs(sides.right))).all()


QUADRATIC = random_quadratic()
DIAGONAL_QUADRATIC = quadratics.quadratic([1.0, 0.5, 0.25, 0.1], x0=[1.0, -2.0, 3.0, 4.0], name="diagonal quadratic")
LOGISTIC = random_logistic()
HUBER = toys.huber([1.0, 0.5, 0.1])
PROBLEMS = [QUADRATIC, DIAGONAL_QUADRATIC, LOGISTIC, HUBER]
STRONGLY_CONVEX = [QUADRATIC, DIAGONAL_QUADRATIC, LOGISTIC]


for_problems = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
for_strongly_convex = pytest.mark.parametrize("problem", STRONGLY_CONVEX, ids=lambda p: p.name)
for_shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


MONOTONE = [action.monotone_learned_step, action.monotone_lookahead]
AHEAD = [action.learned_step, action.lookahead, *MONOTONE]
"""Two readings of "lookahead", each as it is and monotone."""


def stay(objective, trial, learned, smoothness):
    """An action that never moves."""
    return action.Point(trial.x, trial.value, trial.gradient)
