"""HDM, the hypergradient descent method: online gradient descent on the progress of one gradient step.

    trial     x+ = x_k - P_k g_k
    progress  h(P) = (f(x_k - P g_k) - f(x_k)) / ||g_k||^2,    dh = -g+ g_k^T / ||g_k||^2
    learner   P_{k+1} = project(P_k - eta dh)
    action    x_{k+1} = x+, or `null_step`, the lookaheads and the learned steps

The gradient at an accepted trial point is the next one, so an iteration costs one gradient. A regret bound holds for
the sum of h, not for each of them: without a null step f may rise by orders of magnitude on the way.
With a scalar P, no division by ||g||^2 and no projection the rule is SGD-HD of Baydin et al. 2018, beta = eta ||g||^2.

Source: Chu et al. 2025 (HDM), Algorithm 1, equation (8) for the null step; AdaGrad as learner is theirs too. Their
default of eta is not known; 1 / (2 L) is that of the superlinear bound derived in
hypergrad_papers.osgm2025.convergence. With `monotone_learned_step` and eta = 1 / L this is Algorithm 2 of Gao, Qu, Ye
and Udell 2026.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from hypergrad_reference.action import Action, vanilla
from hypergrad_reference.feedback import hypergradient_slope, try_stepsize
from hypergrad_reference.learner import Learner, Projection, ogd, unconstrained
from hypergrad_reference.objective import Objective
from hypergrad_reference.stepsize import DIAGONAL, Shape, Stepsize, start
from hypergrad_reference.types import Vector


class Constants(NamedTuple):
    """What the user sets; give smoothness or hyper_lr."""

    smoothness: float = math.nan  # L, for the default of hyper_lr and for the lookaheads
    hyper_lr: float | None = None  # eta; None is relative_lr / L
    relative_lr: float = 0.5  # eta L
    stepsize: Stepsize | None = None  # P_1; None is 0
    shape: Shape = DIAGONAL
    learner: Learner = ogd
    project: Projection = unconstrained
    action: Action = vanilla


class State(NamedTuple):
    """What HDM carries from one iteration to the next."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # (n,), at x
    P: Stepsize  # as large as the shape says
    memory: Stepsize  # of the learner, as large as P
    iteration: int  # k of the iteration to come, from 1


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1; one evaluation of f and its gradient at x0, (n,) float64.

    Raises ValueError if neither smoothness nor hyper_lr is given, or stepsize is not as large as the shape says.
    """
    c = constants
    if c.hyper_lr is None and not c.smoothness > 0:
        raise ValueError(f"smoothness is {c.smoothness} and hyper_lr None: give one of them, > 0")
    P = start(c.shape, len(x0), c.stepsize)
    return State(x0.copy(), *objective.value_and_gradient(x0), P, np.zeros_like(P), iteration=1)


def step(objective: Objective, state: State, constants: Constants) -> State:
    """One iteration; one evaluation of f and its gradient, and what the action asks for.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square, constants = Quadratic(np.array([[2.0]]), np.array([0.0])), Constants(hyper_lr=0.25)
    >>> state = step(square, init(square, np.array([4.0]), constants), constants)
    >>> state.x, state.P
    (array([4.]), array([0.25]))
    >>> state = step(square, state, constants)
    >>> state.x, state.value, state.gradient, state.P
    (array([2.]), 4.0, array([4.]), array([0.375]))
    """
    c, s = constants, state
    trial = try_stepsize(objective, c.shape, s.P, s.x, s.value, s.gradient)
    eta = c.relative_lr / c.smoothness if c.hyper_lr is None else c.hyper_lr
    P, memory = c.learner(s.P, hypergradient_slope(objective, trial, c.shape), s.memory, s.iteration, eta)
    P = c.project(P)
    return State(*c.action(objective, trial, partial(c.shape.apply, P), c.smoothness), P, memory, s.iteration + 1)
