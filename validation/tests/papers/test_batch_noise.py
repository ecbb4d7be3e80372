"""Noise between batches: where a learned stepsize settles, exactly from moments and along real runs."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypergrad_papers.osgm2025.batch_noise import Batches, run_on_batches
from hypergrad_reference.action import monotone_learned_step, null_step, vanilla
from hypergrad_reference.feedback import HYPERGRADIENT, RATIO

MILD = Batches((Fraction(1), Fraction(3)))  # v = 1/4
WILD = Batches((Fraction(1),) * 7 + (Fraction(16),))  # v = 2.98
FEEDBACKS = {"hypergradient": HYPERGRADIENT, "ratio": RATIO}

for_feedbacks = pytest.mark.parametrize("name", FEEDBACKS)
curvatures = st.lists(st.fractions(Fraction(1, 100), 100, max_denominator=100), min_size=1, max_size=6)


def settling_point(batches, name):
    return batches.find_hypergradient_limit() if name == "hypergradient" else batches.find_ratio_limit()


def shrinkage(batches, name):
    """Of E[p] - its limit in a step, over eta: 1 - eta E[a], or 1 - eta 2 E[a^2]."""
    return batches.moment(1) if name == "hypergradient" else 2 * batches.moment(2)


@given(curvatures)
def test_hypergradient_settles_above_the_ratio_by_one_plus_the_spread(values):
    batches = Batches(tuple(values))
    high, low, v = batches.find_hypergradient_limit(), batches.find_ratio_limit(), batches.spread()
    assert high == (1 + v) * low
    assert (high > low) == (len(set(values)) > 1)
    assert high >= low


@given(curvatures, st.fractions(-10, 10, max_denominator=100))
def test_ratio_settles_where_a_step_contracts_most(values, p):
    batches = Batches(tuple(values))
    best, v = batches.find_ratio_limit(), batches.spread()
    assert batches.contraction(p) == sum((1 - a * p) ** 2 for a in values) / len(values)
    assert batches.contraction(p) - batches.contraction(best) == batches.moment(2) * (p - best) ** 2
    assert batches.contraction(best) == v / (1 + v)
    assert batches.contraction(batches.find_hypergradient_limit()) == v


@for_feedbacks
@pytest.mark.parametrize("batches", [MILD, WILD], ids=["mild", "wild"])
@pytest.mark.parametrize("first", [0.0, 1.0])
def test_mean_stepsize_of_every_run_follows_the_closed_form(name, batches, first):
    """All sequences of batches are run, so that the mean is the expectation, and its path is known for every eta."""
    steps = 7 if batches is MILD else 3
    rate = shrinkage(batches, name)
    eta = Fraction(1, 4) / rate
    paths = [run_on_batches(FEEDBACKS[name], run, float(eta), first).p for run in batches.runs(steps)]
    limit = settling_point(batches, name)
    expected = [float(limit + (Fraction(first) - limit) * (1 - eta * rate) ** k) for k in range(steps + 1)]
    # some roundings in each step; those of p before it shrink
    np.testing.assert_allclose(np.mean(paths, axis=0), expected, rtol=1e-13)


@pytest.mark.parametrize("batches", [MILD, WILD], ids=["mild", "wild"])
def test_stepsize_of_the_hypergradient_makes_the_second_moment_grow_past_a_spread_of_one(batches):
    """With p held where each feedback settles, over all sequences: E[x^2] is c(p)^k."""
    ends = []
    for p in (batches.find_hypergradient_limit(), batches.find_ratio_limit()):
        paths = [run_on_batches(HYPERGRADIENT, run, 0.0, float(p)).x for run in batches.runs(3)]
        second = np.mean(np.square(paths), axis=0)
        np.testing.assert_allclose(second, [float(batches.contraction(p)) ** k for k in range(4)], rtol=1e-13)
        ends.append(second[-1])
    assert (ends[0] > 1) == (batches.spread() > 1)
    assert ends[1] < min(1, ends[0])


ROWS = (2, 8)
"""In a batch."""


@for_feedbacks
@pytest.mark.parametrize("rows", ROWS)
def test_stochastic_least_squares_settles_each_feedback_at_its_own_point(name, rows):
    """One feature z ~ N(0, 1), a the mean of z^2 over the rows: E[a] = 1, E[a^2] = 1 + 2 / rows.

    The means of eight runs, less their beginning, are within four of their standard errors of the one point and far
    from the other.
    """
    points = {"hypergradient": 1.0, "ratio": 1 / (1 + 2 / rows)}
    eta = {"hypergradient": 0.05, "ratio": 0.02}[name]
    means = []
    for seed in range(8):
        z = np.random.default_rng(seed).standard_normal((1500, rows))
        path = run_on_batches(FEEDBACKS[name], np.mean(z**2, axis=1).tolist(), eta)
        means.append(path.p[300:].mean())
    error = np.std(means, ddof=1) / np.sqrt(len(means))
    distances = {other: abs(np.mean(means) - point) for other, point in points.items()}
    assert distances.pop(name) < 4 * error
    assert min(distances.values()) > 8 * error


@for_feedbacks
@pytest.mark.parametrize("action", [null_step, monotone_learned_step], ids=lambda a: a.__name__)
def test_no_action_on_the_same_batch_moves_the_stepsize(name, action):
    """The feedback does not depend on x, and P learns from a refused step too: the first one goes too far."""
    run = [7.0, 1.0, 7.0, 7.0, 1.0, 1.0] * 5
    plain, careful = (run_on_batches(FEEDBACKS[name], run, 0.01, 0.5, act) for act in (vanilla, action))
    np.testing.assert_allclose(careful.p, plain.p, rtol=1e-13)
    assert abs(careful.x[1]) < abs(plain.x[1])
