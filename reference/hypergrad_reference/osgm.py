"""Online scaled gradient methods: a learner chooses the stepsize P, the landscape answers with feedback and an action.

    trial     x+ = x_k - P_k g_k
    feedback  l(P_k) at x_k and its slope            hypergrad_reference.feedback
    learner   P_{k+1} = project(learner(P_k, slope)) hypergrad_reference.learner
    action    x_{k+1} from x_k, x+ and P_{k+1}       hypergrad_reference.action

P learns from the step it has just tried, and also from a refused one: from P = 0 a method that did not would never
move. OSGM-R, -G and -H are three feedbacks (ratio, gradient norm, hypergradient) in the setting of the experiments.

Source: Gao et al. 2025 (COLT, "Gradient Methods with Online Scaling").
"""

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from hypergrad_reference.action import Action, null_step, null_step_norm
from hypergrad_reference.feedback import (
    GRADIENT_NORM,
    HYPERGRADIENT,
    RATIO,
    Feedback,
    halve_bound,
    keep_bound,
    lower_bound,
    try_stepsize,
)
from hypergrad_reference.learner import Learner, Projection, adagrad_inside, unconstrained
from hypergrad_reference.objective import Objective
from hypergrad_reference.stepsize import DIAGONAL, Shape, Stepsize, start
from hypergrad_reference.types import Vector


class Constants(NamedTuple):
    """The parts of a method; the defaults are those of OSGM-H in the experiments."""

    hyper_lr: float = 10.0  # eta, the learner's rate; 10 in the least-squares experiments
    smoothness: float = math.nan  # L, for the lookahead actions
    bound: float = math.nan  # f* or z < f*, for the ratio
    stepsize: Stepsize | None = None  # P_1; None is 0
    feedback: Feedback = HYPERGRADIENT
    shape: Shape = DIAGONAL
    learner: Learner = adagrad_inside
    project: Projection = unconstrained
    action: Action = null_step
    rebound: Callable[[float, float], float] = keep_bound  # from z and f(x), the z of this iteration


class State(NamedTuple):
    """What a method carries from one iteration to the next."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # (n,), at x
    P: Stepsize  # as large as the shape says
    memory: Stepsize  # of the learner, as large as P
    bound: float  # f* or z
    iteration: int  # k of the iteration to come, from 1


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1; one evaluation of f and its gradient at x0, (n,) float64.

    Raises ValueError if stepsize is not as large as the shape says.
    """
    P = start(constants.shape, len(x0), constants.stepsize)
    return State(x0.copy(), *objective.value_and_gradient(x0), P, np.zeros_like(P), bound=constants.bound, iteration=1)


def step(objective: Objective, state: State, constants: Constants) -> State:
    """One iteration; one evaluation of f and its gradient, and what the feedback and the action ask for.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square = Quadratic(np.array([[2.0]]), np.array([0.0]))
    >>> from hypergrad_reference.learner import ogd
    >>> constants = Constants(hyper_lr=0.25, stepsize=np.array([1.25]), learner=ogd)
    >>> state = step(square, init(square, np.array([4.0]), constants), constants)
    >>> state.x, state.P
    (array([4.]), array([0.875]))
    >>> state = step(square, state, constants)
    >>> state.x, state.value, state.gradient, state.P
    (array([-3.]), 9.0, array([-6.]), array([0.6875]))
    """
    c, s = constants, state
    bound = c.rebound(s.bound, s.value)
    trial = try_stepsize(objective, c.shape, s.P, s.x, s.value, s.gradient, bound)
    P, memory = c.learner(s.P, c.feedback.slope(objective, trial, c.shape), s.memory, s.iteration, c.hyper_lr)
    P = c.project(P)
    x = c.action(objective, trial, partial(c.shape.apply, P), c.smoothness)
    return State(*x, P, memory, bound, s.iteration + 1)


class DoubleLoop(NamedTuple):
    """The theory's way to live without f*: rounds of a ratio method, each with a better z and from the same P_1.

    Its `init` and `step` are a method of their own, with the constants and the state of the inner one.
    Source: Gao et al. 2025 (COLT), algorithms 5 and 6.
    """

    iterations: int  # K_0 of a round

    def init(self, objective: Objective, x0: Vector, constants: Constants) -> State:
        """As `osgm.init`."""
        return init(objective, x0, constants)

    def step(self, objective: Objective, state: State, constants: Constants) -> State:
        """As `osgm.step`; after the last iteration of a round z = (f(x) + z) / 2, and the learner starts again."""
        state = step(objective, state, constants)
        if state.iteration <= self.iterations:
            return state
        P = start(constants.shape, len(state.x), constants.stepsize)
        bound = halve_bound(state.bound, state.value)
        return state._replace(P=P, memory=np.zeros_like(P), bound=bound, iteration=1)


osgm_r = partial(Constants, feedback=RATIO)
"""OSGM-R's constants; give `bound`, which is f*."""

osgm_rz = partial(Constants, feedback=RATIO, rebound=lower_bound)
"""OSGM-R without f*: give any first guess z as `bound`, which is lowered when f(x) falls below it."""

osgm_g = partial(Constants, feedback=GRADIENT_NORM, action=null_step_norm)
"""OSGM-G's constants; the objective must know `hessian_product`."""

osgm_h = Constants
"""OSGM-H's constants: hypergradient descent with AdaGrad and the null step."""
