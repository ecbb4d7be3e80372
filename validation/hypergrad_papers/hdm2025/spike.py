"""The spike of f on a toy of two variables, and its cures."""

from typing import NamedTuple

import numpy as np

from hypergrad_problems import quadratics
from hypergrad_problems.runs import run
from hypergrad_reference import action, hdm, learner
from hypergrad_reference.action import Action
from hypergrad_reference.learner import Learner, Projection
from hypergrad_reference.stepsize import DIAGONAL, SCALAR, Shape
from hypergrad_reference.types import Vector


class Cure(NamedTuple):
    """A rule on the toy whose f may spike; L = 1 and mu = 0.01."""

    learn: Learner
    hyper_lr: float
    act: Action = action.vanilla
    shape: Shape = SCALAR
    project: Projection = learner.unconstrained


SPIKE = {
    "OGD": Cure(learner.ogd, 0.1),
    "OGD, null step": Cure(learner.ogd, 0.1, action.null_step),
    "OGD, lookahead": Cure(learner.ogd, 0.1, action.lookahead),
    "OGD, clipped": Cure(learner.ogd, 0.1, project=learner.box(0.0, 2.0)),
    "AdaGrad": Cure(learner.adagrad, 1.0),
    "AdaGrad, null step": Cure(learner.adagrad, 1.0, action.null_step),
    "AdaGrad, lookahead": Cure(learner.adagrad, 1.0, action.lookahead),
    "AdaGrad, clipped": Cure(learner.adagrad, 1.0, project=learner.box(0.0, 2.0)),
    "OGD, diagonal": Cure(learner.ogd, 0.5, shape=DIAGONAL),
    "OGD, diagonal, null step": Cure(learner.ogd, 0.5, action.null_step, DIAGONAL),
}
"""Clipped: the stepsize is kept in [0, 2/L], where no component of a gradient step grows."""


def spike(rule: str, steps: int = 200) -> tuple[Vector, Vector]:
    """f(x_k) / f(x_0) and the stepsizes P_k, k = 0, ..., steps, from x_0 = (1, 1) and P_0 = 0."""
    learn, eta, act, shape, project = SPIKE[rule]
    constants = hdm.Constants(1.0, eta, shape=shape, learner=learn, action=act, project=project)
    states = run(hdm, quadratics.spike_toy(), constants, steps)
    return np.array([state.value for state in states]) / states[0].value, np.array([state.P for state in states])
