"""Networks that fit every digit: what is seen of training and validation on the way."""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from hypergrad_problems.arena import tape
from hypergrad_problems.arena.contenders import OURS, FreeRunner
from hypergrad_problems.arena.models import mlp
from hypergrad_problems.arena.rivals import Adam, Runner
from hypergrad_problems.arena.rows import load_digits
from hypergrad_problems.arena.training import Array, Problem, Rows, Shapes, Split, learn, pick, split
from hypergrad_reference.types import Vector

SIZES = (64, 64, 64, 10)
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
COSINES = {f"cosine {rate:g}": rate for rate in RATES}
METHODS = (*OURS, *COSINES)
"""Optimizers by their names in the table."""
FACTORS = np.geomspace(0.125, 2, 33)
"""By which all scores are multiplied, to see what confidence costs."""
LOOKS = 50


class Look(NamedTuple):
    """What weights are worth."""

    train: float
    validation: float
    wrong: float  # share of the validation rows
    rescaled: float  # the validation loss with all scores times one number, the best of FACTORS
    norm: float  # of all weights


class Seen(NamedTuple):
    """A run, looked at after every fiftieth of its steps."""

    answers: list[Look]
    points: list[Look]  # of the points of training, at the same steps
    largest: float  # rate


class Task(NamedTuple):
    """A network of three layers on digits."""

    problem: Problem
    shapes: Shapes
    data: Split

    def look(self, x: Vector) -> Look:
        """The losses of weights, without decay."""
        scores = [self._score(x, rows[0]) for rows in self.data]
        train, validation = (compare(found, rows[1]) for found, rows in zip(scores, self.data, strict=True))
        labels = self.data.test[1]
        rescaled = min(compare(factor * scores[1], labels) for factor in FACTORS)
        wrong = float(np.mean(scores[1].argmax(axis=1) != labels))
        return Look(train, validation, wrong, rescaled, float(np.linalg.norm(x)))

    def _score(self, x: Vector, inputs: Array) -> Array:
        *layers, last = np.split(np.array(self.shapes.unpack(x), object), len(SIZES) - 1)
        for weights, bias in layers:
            inputs = np.maximum(inputs @ weights.value + bias.value, 0)
        weights, bias = last
        scores: Array = inputs @ weights.value + bias.value
        return scores


def compare(scores: Array, labels: Array) -> float:
    """The cross-entropy, a mean over the rows.

    >>> compare(np.zeros((3, 2)), np.array([0, 1, 0]))
    0.6931471805599453
    """
    highest = scores.max(axis=1)
    logs = highest + np.log(np.exp(scores - highest[:, None]).sum(axis=1))
    return float(np.mean(logs - scores[np.arange(len(labels)), labels]))


def _train(rows: Rows, seed: int, steps: int, start: Vector | None = None) -> Task:
    data = split(rows, seed)
    model, first = mlp(SIZES, tape.cross_entropy, np.random.default_rng([seed, 0]))
    problem = learn("digits", model, first, data, steps=steps)
    if start is not None:
        problem = problem._replace(start=start)
    return Task(problem, Shapes(tuple(array.shape for array in first)), data)


def _all_digits(seed: int) -> Task:
    return _train(load_digits(), seed, 1000)


def _other_digits(seed: int) -> Task:
    """From weights that know 0 to 4."""
    return _train(_choose(range(5, 10)), seed, 600, _learn_first_digits(seed))


@cache
def _learn_first_digits(seed: int) -> Vector:
    problem = _train(_choose(range(5)), seed, 1000).problem
    runner, rng = Adam(problem.start, 1e-3, problem.steps, cosine=True), np.random.default_rng([seed, 3])
    for _ in range(problem.steps):
        runner.step(problem.gradient(runner.point, rng))
    return runner.point


def _choose(digits: range) -> Rows:
    rows = load_digits()
    return pick(rows, np.isin(rows[1], digits))


TASKS: dict[str, Callable[[int], Task]] = {"all digits": _all_digits, "0-4, then 5-9": _other_digits}
"""By name."""


def follow(name: str, method: str, seed: int, steps: int | None = None) -> Seen:
    """A run of an optimizer, a key of METHODS, on a task; start, split and batches depend on the seed alone."""
    task = TASKS[name](seed)
    problem, answers, points = task.problem, [], []
    steps = steps or problem.steps
    runner: Runner = (
        FreeRunner(method, problem.start)
        if method in OURS
        else Adam(problem.start, COSINES[method], steps, cosine=True)
    )
    rng, largest = np.random.default_rng([seed, 2]), 0.0
    looks = {steps * i // LOOKS for i in range(1, LOOKS + 1)}
    for t in range(1, steps + 1):
        runner.step(problem.gradient(runner.point, rng))
        largest = max(largest, runner.rate)
        if t in looks:
            (answer,) = runner.answers.values()
            answers.append(task.look(answer))
            points.append(task.look(runner.point))
    return Seen(answers, points, largest)
