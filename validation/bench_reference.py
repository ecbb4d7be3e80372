"""The reference is read first and run second, yet not slow: ratios inside one run, on SVM a9a. make bench.

Needs a9a (HYPERGRAD_DATA); without it, the bundled breast_cancer takes its place and the target is not judged.
"""

import time

import numpy as np
import pytest

from hypergrad_problems import data
from hypergrad_problems.set_models import hdm_svm
from hypergrad_reference import hdm_best
from hypergrad_validation.timing import compare, take_turns

NAME = "a9a" if data.has("a9a") else "breast_cancer"


@pytest.fixture(scope="module")
def problem():
    return hdm_svm(data.load(NAME, "authors"))


def report(capsys, benchmark, what, figure, target):
    benchmark.extra_info |= {
        "data": NAME,
        what: figure.median,
        "quartiles": [figure.low, figure.high],
        "target": target,
    }
    with capsys.disabled():
        print(f"\n{NAME}: {what} {figure.median:.3f} ({figure.low:.3f} to {figure.high:.3f}), target <= {target}")


def test_value_and_gradient_together_against_the_naive_way(problem, benchmark, capsys):
    """Naive: f and g each from a product of its own with the data, and no transpose kept."""

    def compute_value(x):
        return 0.5 * np.sum(np.maximum(0.0, 1.0 - problem.rows @ x) ** 2)

    def compute_gradient(x):
        return -(problem.rows.T @ np.maximum(0.0, 1.0 - problem.rows @ x))

    x = problem.x0
    value, gradient = problem.value_and_gradient(x)
    # sums of at most 32561 terms in another order: 32561 u of the sum of magnitudes at worst
    assert abs(value - compute_value(x)) <= 4e-12 * value
    assert np.abs(gradient - compute_gradient(x)).max() <= 1e-10 * np.abs(gradient).max()
    benchmark.pedantic(problem.value_and_gradient, (x,), rounds=21, warmup_rounds=2)
    runs = {
        "together": lambda: problem.value_and_gradient(x),
        "naive": lambda: (compute_value(x), compute_gradient(x)),
    }
    times = take_turns(runs, 51)
    report(capsys, benchmark, "f and g together / naive, time", compare(times["together"], times["naive"]), 0.8)


class Timed:
    """An objective that adds up the time spent in it."""

    def __init__(self, problem):
        self.problem, self.seconds = problem, 0.0

    def value_and_gradient(self, x):
        begin = time.perf_counter()
        result = self.problem.value_and_gradient(x)
        self.seconds += time.perf_counter() - begin
        return result


def test_own_arithmetic_of_hdm_best(problem, benchmark, capsys):
    constants = hdm_best.Constants(problem.smoothness_estimate)

    def run(steps=100):
        timed = Timed(problem)
        begin = time.perf_counter()
        state = hdm_best.init(timed, problem.x0, constants)
        for _ in range(steps):
            state = hdm_best.step(timed, state, constants)
        whole = time.perf_counter() - begin
        return state, whole - timed.seconds, whole

    state, _, _ = benchmark.pedantic(run, rounds=3)
    assert state.value < problem.value(problem.x0)
    shares = [run()[1:] for _ in range(11)]
    report(capsys, benchmark, "HDM-Best's own arithmetic / run, time", compare(*zip(*shares, strict=True)), 0.15)
