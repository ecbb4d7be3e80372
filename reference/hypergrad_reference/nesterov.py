"""Nesterov's accelerated gradient descent, for convex and for strongly convex functions.

    y = x + beta (x - x_previous),   x = y - grad f(y) / L
    convex             beta = (lambda - 1) / lambda',  lambda' = (1 + sqrt(1 + 4 lambda^2)) / 2,  lambda = 0 at first
    strongly convex    beta = (sqrt L - sqrt mu) / (sqrt L + sqrt mu)

An iteration takes the gradient at y for the step and at x for the stopping test; the authors count the second alone.
Source: as the authors' code of Chu et al. 2025 (HDM) has them, AGD-CVX and AGD-SCVX.
"""

import math
from typing import NamedTuple

from hypergrad_reference.objective import Objective
from hypergrad_reference.types import Vector


class Constants(NamedTuple):
    """What the user sets."""

    smoothness: float  # L
    strong_convexity: float = 0.0  # mu; the authors take 1e-4


class State(NamedTuple):
    """What the method carries from one iteration to the next."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # (n,), at x
    previous: Vector  # x_previous, (n,)
    weight: float  # lambda, for convex functions


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1; one evaluation of f and its gradient. Raises ValueError unless smoothness > 0."""
    if not constants.smoothness > 0:
        raise ValueError(f"smoothness is {constants.smoothness}: give L > 0, a Lipschitz constant of the gradient")
    return State(x0.copy(), *objective.value_and_gradient(x0), x0.copy(), weight=0.0)


def step(objective: Objective, state: State, constants: Constants) -> State:
    """An iteration for convex functions, AGD-CVX; one evaluation of f and two of its gradient.

    >>> import numpy as np
    >>> from hypergrad_reference.objective import Quadratic
    >>> square, constants = Quadratic(np.array([[2.0]]), np.array([0.0])), Constants(smoothness=4.0)
    >>> state = step(square, init(square, np.array([4.0]), constants), constants)
    >>> state.x, state.weight
    (array([2.]), 1.0)
    """
    weight = (1 + math.sqrt(1 + 4 * state.weight**2)) / 2
    return _move(objective, state, (state.weight - 1) / weight, weight, constants)


def step_strongly_convex(objective: Objective, state: State, constants: Constants) -> State:
    """An iteration for strongly convex functions, AGD-SCVX; one evaluation of f and two of its gradient.

    >>> import numpy as np
    >>> from hypergrad_reference.objective import Quadratic
    >>> square = Quadratic(np.array([[2.0]]), np.array([0.0]))
    >>> constants = Constants(smoothness=4.0, strong_convexity=0.25)
    >>> state = step_strongly_convex(square, init(square, np.array([4.0]), constants), constants)
    >>> state = step_strongly_convex(square, state, constants)
    >>> round(float(state.x[0]), 9)
    0.4
    """
    root, mu = math.sqrt(constants.smoothness), math.sqrt(constants.strong_convexity)
    return _move(objective, state, (root - mu) / (root + mu), state.weight, constants)


def _move(objective: Objective, state: State, beta: float, weight: float, constants: Constants) -> State:
    y = state.x + beta * (state.x - state.previous)
    x = y - objective.gradient(y) / constants.smoothness
    return State(x, *objective.value_and_gradient(x), state.x, weight)
