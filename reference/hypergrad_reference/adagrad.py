"""AdaGrad (Duchi, Hazan and Singer 2011) on a deterministic function, as a baseline.

    G = G + g^2,   x = x - lr g / (sqrt(G) + 1e-8)         `step`
    G = G + g^2,   x = x - lr g / sqrt(G + 1e-12)          `step_inside`

Source: as the authors' code has it: Chu et al. 2025 (HDM), who try the rates of Adam; Gao et al. 2025 (COLT), inside.
"""

from typing import NamedTuple

import numpy as np

from hypergrad_reference.objective import Objective
from hypergrad_reference.types import Vector


class Constants(NamedTuple):
    """What the user sets."""

    lr: float = 1.0  # in units of x


class State(NamedTuple):
    """What AdaGrad carries from one iteration to the next."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # (n,), at x
    memory: Vector  # G, (n,)


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1; one evaluation of f and its gradient."""
    return State(x0.copy(), *objective.value_and_gradient(x0), np.zeros_like(x0))


def step(objective: Objective, state: State, constants: Constants) -> State:
    """An iteration with 1e-8 outside the root; one evaluation of f and its gradient.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square, constants = Quadratic(np.array([[2.0]]), np.array([0.0])), Constants(lr=0.5)
    >>> step(square, init(square, np.array([4.0]), constants), constants).x.round(8)
    array([3.5])
    """
    memory = state.memory + state.gradient**2
    x = state.x - constants.lr * state.gradient / (np.sqrt(memory) + 1e-8)
    return State(x, *objective.value_and_gradient(x), memory)


def step_inside(objective: Objective, state: State, constants: Constants) -> State:
    """An iteration with 1e-12 inside the root; one evaluation of f and its gradient."""
    memory = state.memory + state.gradient**2
    x = state.x - constants.lr * state.gradient / np.sqrt(memory + 1e-12)
    return State(x, *objective.value_and_gradient(x), memory)
