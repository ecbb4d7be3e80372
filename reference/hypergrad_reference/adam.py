"""Adam (Kingma and Ba 2015) on a deterministic function, as a baseline.

    m = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
    x = x - lr m_hat / (sqrt(v_hat) + eps)

Source: as the authors' code of Chu et al. 2025 (HDM) has it; they try lr in 1e-3, 1e-2, 0.1, 1, 10 and 1 / L.
"""

from typing import NamedTuple

import numpy as np

from hypergrad_reference.objective import Objective
from hypergrad_reference.types import Vector


class Constants(NamedTuple):
    """What the user sets."""

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8


class State(NamedTuple):
    """What Adam carries from one iteration to the next."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # (n,), at x
    exp_avg: Vector  # m, (n,)
    exp_avg_sq: Vector  # v, (n,)
    iteration: int  # t of the iteration to come, from 1


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1; one evaluation of f and its gradient."""
    return State(x0.copy(), *objective.value_and_gradient(x0), np.zeros_like(x0), np.zeros_like(x0), iteration=1)


def step(objective: Objective, state: State, constants: Constants) -> State:
    """An iteration; one evaluation of f and its gradient.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square, constants = Quadratic(np.array([[2.0]]), np.array([0.0])), Constants(0.5, 0.5, 0.75, eps=8.0)
    >>> state = step(square, init(square, np.array([4.0]), constants), constants)
    >>> state.x, state.exp_avg, state.exp_avg_sq
    (array([3.75]), array([4.]), array([16.]))
    """
    c, s, g = constants, state, state.gradient
    m = c.beta1 * s.exp_avg + (1 - c.beta1) * g
    v = c.beta2 * s.exp_avg_sq + (1 - c.beta2) * g**2
    m_hat = m / (1 - c.beta1**s.iteration)
    v_hat = v / (1 - c.beta2**s.iteration)
    x = s.x - c.lr * m_hat / (np.sqrt(v_hat) + c.eps)
    return State(x, *objective.value_and_gradient(x), m, v, s.iteration + 1)
