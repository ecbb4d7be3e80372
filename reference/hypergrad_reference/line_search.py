"""Gradient descent that finds each step by itself: by Armijo's backtracking, or by AdGD's curvature of the last.

    Armijo    halve t until f(x - t g) <= f(x) - 1e-4 t ||g||_inf^2; after an iteration without halving t grows by 1.2
    AdGD      lr = min(sqrt(1 + theta) lr, ||x - x_previous|| / (2 ||g - g_previous||)),   theta = lr / lr_previous

Source: the authors' code of Gao et al. 2025, baselines added during review; t starts at 1 / L, the infinity norm in
the test is theirs. AdGD: Malitsky and Mishchenko 2020.
"""

import math
from typing import NamedTuple

import numpy as np

from hypergrad_reference.objective import Objective
from hypergrad_reference.types import Vector

SUFFICIENT = 1e-4
SHORTEST = 1e-30  # relative to the first step: below it no decrease can be seen


class Constants(NamedTuple):
    """What the user sets."""

    lr: float  # the first step: 1 / L for Armijo; the authors try 0.1 to 1000 times that for AdGD


class State(NamedTuple):
    """What either carries from one iteration to the next."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # (n,), at x
    lr: float  # of the iteration to come (Armijo), or of the last one (AdGD)
    growth: float  # theta of AdGD; inf at first, so that the curvature alone decides


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1; one evaluation of f and its gradient. Raises ValueError unless lr > 0."""
    if not constants.lr > 0:
        raise ValueError(f"lr is {constants.lr}: give a first step > 0")
    return State(x0.copy(), *objective.value_and_gradient(x0), constants.lr, math.inf)


def step_armijo(objective: Objective, state: State, constants: Constants) -> State:
    """An iteration with backtracking; one evaluation of the gradient, of f one a trial and one where it moves to.

    A step that shrinks to nothing leaves x where it is.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square, constants = Quadratic(np.array([[2.0]]), np.array([0.0])), Constants(lr=2.0)
    >>> state = step_armijo(square, init(square, np.array([4.0]), constants), constants)
    >>> state.x, state.lr
    (array([0.]), 0.5)
    """
    t, needed = state.lr, SUFFICIENT * float(np.abs(state.gradient).max(initial=0.0)) ** 2
    while not objective.value(state.x - t * state.gradient) <= state.value - t * needed:
        t /= 2
        if t < SHORTEST * constants.lr:
            return state._replace(lr=t)
    x = state.x - t * state.gradient
    return State(x, *objective.value_and_gradient(x), 1.2 * t if t == state.lr else t, state.growth)


def step_adgd(objective: Objective, state: State, constants: Constants) -> State:
    """An iteration of AdGD; one evaluation of f and its gradient. Its first step has length lr.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square, constants = Quadratic(np.array([[2.0]]), np.array([0.0])), Constants(lr=0.125)
    >>> state = step_adgd(square, init(square, np.array([4.0]), constants), constants)
    >>> state.x, state.lr, state.growth
    (array([3.]), 0.25, 2.0)
    """
    x = state.x - state.lr * state.gradient
    value, gradient = objective.value_and_gradient(x)
    change = float(np.linalg.norm(gradient - state.gradient))
    by_curvature = float(np.linalg.norm(x - state.x)) / (2 * change) if change else math.inf
    lr = min(math.sqrt(1 + state.growth) * state.lr, by_curvature)
    if math.isinf(lr):
        lr = state.lr
    return State(x, value, gradient, lr, lr / state.lr)
