"""The least-squares experiment of Gao et al. 2025 (COLT), figure 2, on a matched instance.

Methods as in the authors' script: diagonal P from 0, AdaGrad with rate 10 and eps 1e-20 inside the root, null steps.
"""

from itertools import islice
from typing import Any

import numpy as np

from hypergrad_reference import osgm
from hypergrad_reference.learner import ogd
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


def gap_curve(problem: Any, constants: osgm.Constants, length: int, least: float = 1e-10) -> Vector:
    """The gap f - f* by index, as the authors' curves have it, up to the first below `least` or `length` entries.

    Entry 0 of the array is index 1 of the curve.
    """
    gaps = []
    for state in islice(iterate(osgm, problem, constants), length - REPEATED + 1):
        gaps.append(state.value - problem.optimal_value)
        if gaps[-1] < least:
            break
    return np.array(gaps[:1] * (REPEATED - 1) + gaps)


def first_index(curve: Vector, level: float) -> int | None:
    """The first index, from 1, whose gap is below a level; None if there is none."""
    below = np.flatnonzero(curve < level)
    return int(below[0]) + 1 if below.size else None
