"""Run an optimizer on a problem of the arena, and say how it ended."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from hypergrad_problems.arena.problems import make_problem
from hypergrad_problems.arena.rivals import Adam, Runner, ScheduleFree
from hypergrad_problems.arena.training import Problem
from hypergrad_reference.types import Vector

RATES = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
"""The grid of hindsight."""
LOOKS = 5
"""Evaluations in the last twentieth of the steps, of which the mean counts."""


class Ending(NamedTuple):
    """How a run ended; nan or inf where it left the numbers."""

    train: float  # mean loss at the looks
    test: float


class Outcome(NamedTuple):
    """A run."""

    endings: dict[str, Ending]  # by the name of the optimizer; one run may have more than one answer
    rates: Vector  # of every step


def list_looks(steps: int) -> list[int]:
    """The steps after which a run is looked at, from 1.

    >>> list_looks(2000)
    [1920, 1940, 1960, 1980, 2000]
    """
    return [steps - round(i * steps / 20 / LOOKS) for i in reversed(range(LOOKS))]


def run(problem: Problem, runner: Runner, seed: int, steps: int | None = None) -> Outcome:
    """Take the steps of a problem; the batches depend on the seed alone."""
    steps = steps or problem.steps
    rng, rates, looks = np.random.default_rng([seed, 2]), np.empty(steps), list_looks(steps)
    seen: dict[str, list[Ending]] = {}
    with _let_overflow():
        for t in range(1, steps + 1):
            runner.step(problem.gradient(runner.point, rng))
            rates[t - 1] = runner.rate
            if t in looks:
                for name, x in runner.answers.items():
                    seen.setdefault(name, []).append(Ending(problem.loss(x), problem.test_loss(x)))
            if not np.isfinite(runner.point).all():
                names = runner.answers
                return Outcome({name: Ending(np.inf, np.inf) for name in names}, rates[:t])
    return Outcome({name: Ending(*np.mean(ends, axis=0)) for name, ends in seen.items()}, rates)


@contextmanager
def _let_overflow() -> Iterator[None]:
    with np.errstate(all="ignore"):  # a rate that is too large is part of a grid
        yield


def run_grid(name: str, seed: int, rate: float, steps: int | None = None) -> dict[str, tuple[float, float]]:
    """The endings of the tuned optimizers on a problem at one rate."""
    problem = make_problem(name, seed)
    steps = steps or problem.steps
    makes: list[Callable[[], Runner]] = [
        lambda: Adam(problem.start, rate, steps, cosine=False),
        lambda: Adam(problem.start, rate, steps, cosine=True),
        lambda: ScheduleFree(problem.start, rate),
    ]
    endings: dict[str, tuple[float, float]] = {}
    for make in makes:
        endings |= {name: tuple(end) for name, end in run(problem, make(), seed, steps).endings.items()}  # type: ignore[misc]
    return endings
