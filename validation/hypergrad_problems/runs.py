"""Run a method of hypergrad_reference iteration by iteration and keep every state, for tests and figures."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from hypergrad_reference.types import Vector


def iterate(method: Any, objective: Any, constants: Any, x0: Vector | None = None) -> Iterator[Any]:
    """The states of a method, without end; the first is that of `init`.

    method       a module, or anything with init(objective, x0, constants) and step(objective, state, constants)
    x0           the start; None is that of the problem
    """
    state = method.init(objective, objective.x0 if x0 is None else x0, constants)
    while True:
        yield state
        state = method.step(objective, state, constants)


def run(method: Any, objective: Any, constants: Any, steps: int, x0: Vector | None = None) -> list[Any]:
    """The state before the first step and after each of `steps` steps."""
    return list(islice(iterate(method, objective, constants, x0), steps + 1))


def solve(method: Any, objective: Any, constants: Any, gtol: float, maxiter: int = 1000) -> list[Any]:
    """The states until the largest entry of a gradient is below gtol, or maxiter steps are done."""
    states = []
    for state in islice(iterate(method, objective, constants), maxiter + 1):
        states.append(state)
        if np.abs(state.gradient).max() < gtol:
            break
    return states
