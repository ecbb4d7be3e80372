"""Bounds on trial: both sides along real runs, and that the claim fails where its assumption does."""

import dataclasses

import numpy as np
import pytest

from hypergrad_papers.hdm2025.laws import SUPERLINEAR
from hypergrad_papers.osgm2025 import convergence as bounds
from hypergrad_papers.osgm2025.laws import (
    SHAPES,
    find_diameter,
    flat_quadratic,
    hessian_of,
    local_superlinear_sides,
    mild_quadratic,
    multiple_of_identity,
    random_least_squares,
    random_logistic,
    random_quadratic,
    random_svm,
)
from hypergrad_problems import problem, quadratics, toys
from hypergrad_reference import action, learner, osgm
from hypergrad_reference.feedback import GRADIENT_NORM, RATIO
from hypergrad_reference.osgm import Constants
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR

SLACK = 1e-8
"""The traces stop at ||g||^2 = 1e-8 max(1, |f|), where a feedback still has half of its digits."""


def assert_bounded(sides):
    assert len(sides.left) > 5
    assert np.isfinite(sides.left).all()
    assert (sides.left <= sides.right + SLACK * (1 + np.abs(sides.right))).all()


QUADRATIC = random_quadratic()
DIAGONAL_QUADRATIC = quadratics.quadratic([1.0, 0.5, 0.25, 0.1], x0=[1.0, -2.0, 3.0, 4.0], name="diagonal quadratic")
LOGISTIC = random_logistic()
HUBER = toys.huber([1.0, 0.5, 0.1])
PROBLEMS = [QUADRATIC, DIAGONAL_QUADRATIC, LOGISTIC, HUBER]
STRONGLY_CONVEX = [QUADRATIC, DIAGONAL_QUADRATIC, LOGISTIC]

for_problems = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
for_strongly_convex = pytest.mark.parametrize("problem", STRONGLY_CONVEX, ids=lambda p: p.name)
for_shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)

MONOTONE = [action.monotone_learned_step, action.monotone_lookahead]
AHEAD = [action.learned_step, action.lookahead, *MONOTONE]
"""Two readings of "lookahead", each as it is and monotone."""


@for_problems
@for_shapes
@pytest.mark.parametrize("act", [action.vanilla, action.null_step, action.line_search], ids=lambda a: a.__name__)
def test_static_regret_is_bounded_whatever_the_action(problem, shape, act):
    eta = 0.5 / problem.smoothness
    t = bounds.trace(problem, Constants(eta, shape=shape, learner=learner.ogd, action=act), steps=80)
    for scale in (0.0, 1.0, 3.0):
        comparator = multiple_of_identity(shape, len(problem.x0), scale / problem.smoothness)
        assert_bounded(bounds.static_regret(t, comparator, eta))


def test_static_regret_bound_fails_for_the_wrong_sign_of_the_rate():
    eta = 0.5
    climbing = Constants(-eta, learner=learner.ogd, action=action.null_step)
    sides = bounds.static_regret(bounds.trace(QUADRATIC, climbing, 80), np.ones(6), eta)
    assert (sides.left > sides.right).any()


@for_strongly_convex
def test_dynamic_regret_is_bounded_by_the_path(problem):
    """Against the exact line search of each step, clipped to the box of the learner."""
    low, high = 0.0, 4 / problem.smoothness
    eta = 0.5 / problem.smoothness
    box = learner.box(low, high)
    t = bounds.trace(
        problem, Constants(eta, shape=SCALAR, learner=learner.ogd, project=box, action=action.null_step), 80
    )
    best = []
    for trial in t.trials:
        curvature = trial.gradient @ problem.hessian_product(trial.x, trial.gradient)
        best.append(box(np.asarray(trial.gradient @ trial.gradient / curvature)))
    assert_bounded(bounds.dynamic_regret(t, best, eta, high - low))


@for_problems
@pytest.mark.parametrize("shape", [SCALAR, DIAGONAL, FULL], ids=["scalar", "diagonal", "full"])
@pytest.mark.parametrize("learn", [learner.adagrad, learner.adagrad_inside], ids=lambda rule: rule.__name__)
def test_adagrad_regret_is_bounded(problem, shape, learn):
    eta = 1 / problem.smoothness
    t = bounds.trace(problem, Constants(eta, shape=shape, learner=learn, action=action.null_step), steps=80)
    comparator = multiple_of_identity(shape, len(problem.x0), 1 / problem.smoothness)
    assert_bounded(bounds.adagrad_regret(t, comparator, eta))


@for_problems
@for_shapes
@pytest.mark.parametrize("act", AHEAD, ids=lambda a: a.__name__)
def test_lookahead_regret_is_bounded_by_a_constant(problem, shape, act):
    L = problem.smoothness
    t = bounds.trace(problem, Constants(1 / L, L, shape=shape, learner=learner.ogd, action=act), steps=60)
    for scale in (1.0, 2.0):
        assert_bounded(bounds.lookahead_regret(t, multiple_of_identity(shape, len(problem.x0), scale / L)))


def trace_from_zero(problem, shape, act):
    """A run with the hypergradient's rate of 1/L from P_1 = 0, and P^ = I/L."""
    L = problem.smoothness
    t = bounds.trace(problem, Constants(1 / L, L, shape=shape, learner=learner.ogd, action=act), steps=60)
    return t, multiple_of_identity(shape, len(problem.x0), 1 / L)


@for_problems
@for_shapes
@pytest.mark.parametrize("act", MONOTONE, ids=lambda a: a.__name__)
def test_lookahead_converges_at_the_rates_that_its_regret_promises(problem, shape, act):
    t, comparator = trace_from_zero(problem, shape, act)
    assert (-np.diff(t.values) / t.gradients[:-1] ** 2).mean() >= bounds.lookahead_progress(t, comparator)[-1] > 0
    assert_bounded(bounds.lookahead_convergence(t, comparator, find_diameter(problem)))
    linear = bounds.lookahead_linear_convergence(t, comparator)
    assert_bounded(linear)
    if problem.strong_convexity > 0:
        assert linear.right[-1] < 0.55 * linear.right[0]  # it says something within the few steps that there are


@for_strongly_convex
def test_lookahead_rates_fail_where_x_does_not_move(problem):
    t, comparator = trace_from_zero(problem, DIAGONAL, stay)
    linear = bounds.lookahead_linear_convergence(t, comparator)
    convex = bounds.lookahead_convergence(t, comparator, find_diameter(problem))
    assert (linear.left > linear.right).any()
    assert (convex.left > convex.right).any()


# The certificate of a single step


def trace_ahead(problem, shape, act, first=0.0, steps=60, **parts):
    """A run with the hypergradient's rate of 1/L from P_1 = first I / L."""
    L, n = problem.smoothness, len(problem.x0)
    constants = {"hyper_lr": 1 / L, "stepsize": multiple_of_identity(shape, n, first / L), "learner": learner.ogd}
    return bounds.trace(problem, Constants(smoothness=L, shape=shape, action=act, **constants | parts), steps)


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


def stay(objective, trial, learned, smoothness):
    """An action that never moves."""
    return action.Point(trial.x, trial.value, trial.gradient)


def certificate_is_broken(t, mu):
    sides = [bounds.step_certificate(t, comparator, mu) for comparator in rivals(t)]
    return any((s.left > s.right + SLACK * (1 + s.right)).any() for s in sides)


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


@for_strongly_convex
@for_shapes
def test_ratio_regret_lemma_2_and_theorem_2_hold(problem, shape):
    L = problem.smoothness
    eta = 1 / (4 * L**2)
    constants = Constants(
        eta, bound=problem.optimal_value, feedback=RATIO, shape=shape, learner=learner.ogd, action=action.vanilla
    )
    t = bounds.trace(problem, constants, steps=60)
    comparator = multiple_of_identity(shape, len(problem.x0), 1 / L)
    assert_bounded(bounds.ratio_regret(t, comparator, eta))
    assert_bounded(bounds.ratio_convergence(t, comparator, eta))


@for_strongly_convex
@for_shapes
def test_ratio_lookahead_converges_at_the_derived_rate(problem, shape):
    L = problem.smoothness
    constants = Constants(
        1 / (2 * L**2),
        L,
        problem.optimal_value,
        feedback=RATIO,
        shape=shape,
        learner=learner.ogd,
        action=action.lookahead,
    )
    t = bounds.trace(problem, constants, steps=60)
    assert_bounded(bounds.ratio_lookahead_convergence(t, multiple_of_identity(shape, len(problem.x0), 1 / L)))


@for_problems
@for_shapes
def test_null_step_global_bounds_hold_and_f_never_rises(problem, shape):
    constants = Constants(2 / problem.smoothness, shape=shape, action=action.null_step)
    t = bounds.trace(problem, constants, steps=150)
    assert (np.diff(t.values) <= 0).all()
    assert_bounded(bounds.null_step_convergence(t, find_diameter(problem)))
    assert_bounded(bounds.mean_progress_convergence(t, find_diameter(problem)))
    assert_bounded(bounds.mean_progress_gradient(t))


@for_strongly_convex
@for_shapes
def test_null_step_linear_bounds_hold(problem, shape):
    constants = Constants(2 / problem.smoothness, shape=shape, action=action.null_step)
    t = bounds.trace(problem, constants, steps=150)
    assert_bounded(bounds.null_step_linear_convergence(t))
    assert_bounded(bounds.mean_progress_linear_convergence(t))


def test_null_step_bounds_fail_without_the_null_step():
    constants = Constants(0.1, shape=SCALAR, learner=learner.ogd, action=action.vanilla)
    sides = bounds.mean_progress_linear_convergence(bounds.trace(quadratics.spike_toy(), constants, 70))
    assert (sides.left > sides.right).any()


MILD = mild_quadratic()
MILD_DIAGONAL = quadratics.quadratic([1.0, 0.75, 0.5], x0=[1.0, -2.0, 3.0], name="mild diagonal quadratic")


@pytest.mark.parametrize(("feedback", "act", "rate", "power", "factor"), SUPERLINEAR.values(), ids=SUPERLINEAR)
@pytest.mark.parametrize("problem", [QUADRATIC, MILD, MILD_DIAGONAL], ids=lambda p: p.name)
def test_superlinear_bound_holds_on_quadratics_with_a_full_stepsize(feedback, act, rate, power, factor, problem):
    L, n = problem.smoothness, len(problem.x0)
    start = multiple_of_identity(FULL, n, 1 / L)
    constants = Constants(rate / L**power, L, 0.0, start, feedback, FULL, learner.ogd, action=act)
    t = bounds.trace(problem, constants, steps=60, least=1e-200)
    inverse = np.linalg.inv(hessian_of(problem, problem.x0))
    sides = bounds.superlinear_convergence(t, inverse, factor)
    assert (sides.left <= sides.right).all()  # f* = 0 at 0, or far below the bound: the gap has all its digits


@pytest.mark.parametrize(("feedback", "act", "rate", "power", "factor"), SUPERLINEAR.values(), ids=SUPERLINEAR)
def test_superlinear_bound_is_not_vacuous_and_the_ratios_fall(feedback, act, rate, power, factor):
    constants = Constants(rate, 1.0, 0.0, np.eye(4), feedback, FULL, learner.ogd, action=act)
    t = bounds.trace(MILD, constants, steps=60, least=1e-200)
    sides = bounds.superlinear_convergence(t, np.linalg.inv(MILD.hessian), factor)
    assert sides.right[-1] < 1e-6 * bounds.first_gap(t)
    ratios = t.values[1:] / t.values[:-1]
    assert ratios[-1] < 0.1 * ratios[0]


def test_superlinear_bound_fails_for_a_rate_past_its_limit():
    problem = quadratics.scalar_quadratic(a=1.0)
    constants = Constants(2.5, stepsize=np.array([0.9]), learner=learner.ogd, action=action.vanilla)
    sides = bounds.superlinear_convergence(bounds.trace(problem, constants, 8), np.array([1.0]), 4.0)
    assert (sides.left > sides.right).any()


def test_local_superlinear_bound_holds_near_the_optimum_of_logistic_regression():
    sides = local_superlinear_sides()
    assert (sides.left <= sides.right + 1e-15).all()  # the value of f* has an error of 1e-16


@pytest.mark.parametrize("problem", [QUADRATIC, DIAGONAL_QUADRATIC], ids=lambda p: p.name)
@for_shapes
def test_gradient_norm_bounds_of_lemma_5_and_theorem_5_hold(problem, shape):
    L, n = problem.smoothness, len(problem.x0)
    eta = 0.02 / L**2
    constants = Constants(eta, feedback=GRADIENT_NORM, shape=shape, learner=learner.ogd, action=action.null_step_norm)
    t = bounds.trace(problem, constants, steps=100)
    assert (np.diff(t.gradients) <= 0).all()
    assert_bounded(bounds.gradient_norm_regret(t, multiple_of_identity(shape, n, 1 / L), eta))
    assert_bounded(bounds.gradient_norm_convergence(t, multiple_of_identity(shape, n, 1 / L), eta))


@for_problems
@for_shapes
def test_hypergradient_regret_of_lemma_8_holds(problem, shape):
    L, n, steps = problem.smoothness, len(problem.x0), 100
    radius = 2 * np.sqrt(n) / L
    eta = 2 * radius / ((L * radius + 1) * np.sqrt(steps))
    constants = Constants(eta, shape=shape, learner=learner.ogd, project=learner.ball(radius), action=action.null_step)
    t = bounds.trace(problem, constants, steps=steps)
    assert_bounded(bounds.hypergradient_regret(t, multiple_of_identity(shape, n, 1 / L), eta, radius))


def test_every_learner_runs_under_a_null_step_and_keeps_f_falling():
    for learn in (learner.ogd, learner.decaying_ogd, learner.adagrad, learner.adagrad_inside):
        t = bounds.trace(LOGISTIC, osgm.osgm_h(0.5, learner=learn), 60)
        assert (np.diff(t.values) <= 0).all()
        assert t.values[-1] < t.values[0]
