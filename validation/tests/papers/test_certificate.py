"""The certificate of a single step: along real runs in every shape, sharp, and false without its assumptions."""

import dataclasses

import numpy as np
import pytest
from bounded import AHEAD, HUBER, LOGISTIC, MONOTONE, QUADRATIC, assert_bounded, for_shapes, stay

from hypergrad_papers.osgm2025 import convergence as bounds
from hypergrad_papers.osgm2025 import traces
from hypergrad_papers.osgm2025.laws import (
    flat_quadratic,
    multiple_of_identity,
    random_least_squares,
    random_logistic,
    random_svm,
)
from hypergrad_problems import problem, quadratics
from hypergrad_reference import action, learner
from hypergrad_reference.osgm import Constants
from hypergrad_reference.stepsize import FULL, SCALAR


def trace_ahead(problem, shape, act, first=0.0, steps=60, **parts):
    """A run with the hypergradient's rate of 1/L from P_1 = first I / L."""
    L, n = problem.smoothness, len(problem.x0)
    constants = {"hyper_lr": 1 / L, "stepsize": multiple_of_identity(shape, n, first / L), "learner": learner.ogd}
    return traces.trace(problem, Constants(smoothness=L, shape=shape, action=act, **constants | parts), steps)


def rivals(t):
    """P^: multiples of I/L, the last P of the run, and for each step its own P, old or new."""
    L, n = t.problem.smoothness, len(t.problem.x0)
    fixed = [multiple_of_identity(t.shape, n, scale / L) for scale in (-1.0, 0.0, 0.5, 1.0, 2.0, 10.0)]
    return [*fixed, t.stepsizes[-1], t.stepsizes[:-1], t.stepsizes[1:]]


CERTIFIED = [random_least_squares(), random_svm(), LOGISTIC, QUADRATIC]
for_certified = pytest.mark.parametrize("problem", CERTIFIED, ids=lambda p: p.name)


@for_certified
@for_shapes
@pytest.mark.parametrize("act", MONOTONE, ids=lambda a: a.__name__)
@pytest.mark.parametrize("first", [0.0, 1.0, 20.0, -1.0])
def test_certificate_holds_at_every_single_step(problem, shape, act, first):
    t = trace_ahead(problem, shape, act, first)
    for comparator in rivals(t):
        assert_bounded(bounds.step_certificate(t, comparator, problem.strong_convexity))


@for_shapes
def test_certificate_holds_on_one_random_logistic_regression_after_another(shape):
    for seed in range(1, 9):
        t = trace_ahead(random_logistic(seed), shape, action.monotone_learned_step)
        for comparator in rivals(t):
            assert_bounded(bounds.step_certificate(t, comparator, t.problem.strong_convexity))


@for_shapes
def test_certificate_asks_for_gradients_that_grow_and_not_for_strong_convexity(shape):
    """A convex quadratic whose minimisers are a line: ||g||^2 >= 2 mu (f - f*) with mu its least curvature > 0."""
    problem = quadratics.quadratic([1.0, 0.5, 0.2, 0.0], rotation=quadratics.random_rotation(4))
    assert abs(problem.strong_convexity) < 1e-15
    t = trace_ahead(problem, shape, action.monotone_learned_step)
    for comparator in rivals(t):
        assert_bounded(bounds.step_certificate(t, comparator, 0.2))


@pytest.mark.parametrize("problem", [*CERTIFIED, HUBER], ids=lambda p: p.name)
@for_shapes
@pytest.mark.parametrize("act", AHEAD, ids=lambda a: a.__name__)
def test_progress_of_a_single_step_is_bounded_by_any_comparator(problem, shape, act):
    t = trace_ahead(problem, shape, act, first=1.0)
    for comparator in rivals(t):
        assert_bounded(bounds.step_progress(t, comparator))


@for_certified
@for_shapes
@pytest.mark.parametrize("project", [learner.ball, lambda size: learner.box(0.0, size)], ids=["ball", "box"])
def test_learned_step_keeps_its_certificate_under_a_projection(problem, shape, project):
    """The set has to hold P^, and is so small that P is projected."""
    size = 1.5 / problem.smoothness * (np.sqrt(len(problem.x0)) if project is learner.ball else 1.0)
    t = trace_ahead(problem, shape, action.monotone_learned_step, project=project(size))
    for scale in (0.0, 0.5, 1.0):
        comparator = multiple_of_identity(shape, len(problem.x0), scale / problem.smoothness)
        np.testing.assert_allclose(project(size)(comparator), comparator, rtol=1e-15)
        assert_bounded(bounds.step_certificate(t, comparator, problem.strong_convexity))


@for_shapes
def test_certificate_is_sharp_to_two_percent(shape):
    """Where no trial meets L and gradients grow as slowly as mu allows: what is 2 % off breaks it, mu, L or eta."""
    flat = flat_quadratic()
    same, above, below = (multiple_of_identity(shape, 2, p) for p in (0.01, 0.02, 0.0))

    def is_broken(comparator, mu=1.0, smoothness=1.0, rate=1.0):
        L = flat.smoothness
        t = trace_ahead(flat, shape, action.monotone_learned_step, 0.01 * L, steps=20, hyper_lr=rate / L)
        slipped = t._replace(problem=dataclasses.replace(flat, smoothness=smoothness * L))
        sides = bounds.step_certificate(slipped, comparator, mu)
        return (sides.left > sides.right).any()

    assert not any(map(is_broken, (same, above, below)))
    assert is_broken(same, mu=1.02)
    assert is_broken(above, smoothness=0.98)
    assert is_broken(below, smoothness=1.02)
    assert is_broken(above, rate=0.98)
    assert is_broken(below, rate=1.02)


def certificate_is_broken(t, mu):
    sides = [bounds.step_certificate(t, comparator, mu) for comparator in rivals(t)]
    return any((s.left > s.right + traces.SLACK * (1 + s.right)).any() for s in sides)


@for_certified
@for_shapes
@pytest.mark.parametrize("act", [action.null_step, action.vanilla, stay], ids=lambda a: a.__name__)
def test_certificate_fails_where_x_moves_before_the_stepsize_or_not_at_all(problem, shape, act):
    assert certificate_is_broken(trace_ahead(problem, shape, act), problem.strong_convexity)


@for_certified
@for_shapes
def test_certificate_fails_where_the_stepsize_does_not_learn(problem, shape):
    t = trace_ahead(problem, shape, action.monotone_learned_step, hyper_lr=0.0)
    assert certificate_is_broken(t, problem.strong_convexity)


def test_certificate_fails_without_the_better_point():
    problem = quadratics.quadratic([1.0, 0.1])
    assert certificate_is_broken(trace_ahead(problem, FULL, action.learned_step, first=50.0), 0.1)
    assert not certificate_is_broken(trace_ahead(problem, FULL, action.monotone_learned_step, first=50.0), 0.1)


class Wave(problem.Problem):
    """f = x^2 + 3 sin(x)^2: smooth, its gradients grow, and it is not convex."""

    def value(self, x):
        return float(x[0] ** 2 + 3 * np.sin(x[0]) ** 2)

    def value_and_gradient(self, x):
        return self.value(x), 2 * x + 3 * np.sin(2 * x)

    def hessian_product(self, x, v):
        return (2 + 6 * np.cos(2 * x)) * v


def test_certificate_fails_where_f_is_not_convex():
    """Smooth, with gradients that grow, is not enough: h has to be convex in P."""
    mu = 1 / 32
    wave = Wave(
        name="wave", x0=np.array([2.2]), smoothness=8.0, strong_convexity=-4.0, optimal_value=0.0,
        source="Karimi, Nutini and Schmidt 2016",
    )  # fmt: skip
    for x in np.linspace(0.01, 10.0, 1000):
        value, gradient = wave.value_and_gradient(np.array([x]))
        assert gradient @ gradient >= 2 * mu * value
    sides = bounds.step_certificate(
        trace_ahead(wave, SCALAR, action.monotone_learned_step, first=24.0, steps=1), np.array(1.6), mu
    )
    assert sides.left > sides.right + 0.05


@pytest.mark.parametrize("problem", [*CERTIFIED, HUBER], ids=lambda p: p.name)
@for_shapes
def test_learner_lowers_the_feedback_of_the_step_by_its_slope(problem, shape):
    t = trace_ahead(problem, shape, action.monotone_learned_step)
    assert_bounded(bounds.learning_descent(t))


def test_gain_of_the_learner_is_one_over_two_l_and_not_two_l_squared():
    """On f = x^2/8 the gain is exactly G^2 / (2 L); the 1/(2 L^2) of the printed proof would be four times that."""
    problem = quadratics.scalar_quadratic(0.25, 4.0)
    t = trace_ahead(problem, SCALAR, stay, steps=4)
    sides = bounds.learning_descent(t)
    np.testing.assert_array_equal(sides.left, sides.right)
    assert sides.left[0] > t.measures[0] - t.slopes[0] ** 2 / (2 * problem.smoothness**2)
