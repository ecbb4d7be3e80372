"""Gradient descent with a fixed step 1 / L, plain and with heavy ball: the simplest baselines.

    gradient descent    x = x - g / L
    heavy ball          v = beta v + g / L,   x = x - v,   v = 0 at first

Source: as the authors' code of Chu et al. 2025 (HDM) has them, GD and GD-HB.
"""

from typing import NamedTuple

import numpy as np

from hypergrad_reference.objective import Objective
from hypergrad_reference.types import Vector


class Constants(NamedTuple):
    """What the user sets."""

    smoothness: float  # L
    momentum: float = 0.9  # beta, of heavy ball; the authors try 0.1, 0.5, 0.9 and 0.99


class State(NamedTuple):
    """What either carries from one iteration to the next."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # (n,), at x
    velocity: Vector  # v, (n,); stays 0 without heavy ball


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1; one evaluation of f and its gradient. Raises ValueError unless smoothness > 0."""
    if not constants.smoothness > 0:
        raise ValueError(f"smoothness is {constants.smoothness}: give L > 0, a Lipschitz constant of the gradient")
    return State(x0.copy(), *objective.value_and_gradient(x0), np.zeros_like(x0))


def step(objective: Objective, state: State, constants: Constants) -> State:
    """An iteration of gradient descent; one evaluation of f and its gradient.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square, constants = Quadratic(np.array([[2.0]]), np.array([0.0])), Constants(smoothness=4.0)
    >>> step(square, init(square, np.array([4.0]), constants), constants).x
    array([2.])
    """
    x = state.x - state.gradient / constants.smoothness
    return State(x, *objective.value_and_gradient(x), state.velocity)


def step_heavy_ball(objective: Objective, state: State, constants: Constants) -> State:
    """An iteration with heavy ball; one evaluation of f and its gradient.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square, constants = Quadratic(np.array([[2.0]]), np.array([0.0])), Constants(smoothness=4.0, momentum=0.5)
    >>> state = step_heavy_ball(square, init(square, np.array([4.0]), constants), constants)
    >>> step_heavy_ball(square, state, constants).x
    array([0.])
    """
    velocity = constants.momentum * state.velocity + state.gradient / constants.smoothness
    x = state.x - velocity
    return State(x, *objective.value_and_gradient(x), velocity)
