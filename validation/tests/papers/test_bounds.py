"""Bounds on trial: both sides along real runs, and that the claim fails where its assumption does."""

import numpy as np
import pytest
from bounded import (
    AHEAD,
    DIAGONAL_QUADRATIC,
    LOGISTIC,
    MONOTONE,
    QUADRATIC,
    assert_bounded,
    for_problems,
    for_shapes,
    for_strongly_convex,
    stay,
)

from hypergrad_papers.hdm2025.superlinear import SUPERLINEAR
from hypergrad_papers.osgm2025 import convergence as bounds
from hypergrad_papers.osgm2025 import traces
from hypergrad_papers.osgm2025.laws import (
    find_diameter,
    hessian_of,
    local_superlinear_sides,
    mild_quadratic,
    multiple_of_identity,
)
from hypergrad_problems import quadratics
from hypergrad_reference import action, learner, osgm
from hypergrad_reference.feedback import GRADIENT_NORM, RATIO
from hypergrad_reference.osgm import Constants
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR


@for_problems
@for_shapes
@pytest.mark.parametrize("act", [action.vanilla, action.null_step, action.line_search], ids=lambda a: a.__name__)
def test_static_regret_is_bounded_whatever_the_action(problem, shape, act):
    eta = 0.5 / problem.smoothness
    t = traces.trace(problem, Constants(eta, shape=shape, learner=learner.ogd, action=act), steps=80)
    for scale in (0.0, 1.0, 3.0):
        comparator = multiple_of_identity(shape, len(problem.x0), scale / problem.smoothness)
        assert_bounded(bounds.static_regret(t, comparator, eta))


def test_static_regret_bound_fails_for_the_wrong_sign_of_the_rate():
    eta = 0.5
    climbing = Constants(-eta, learner=learner.ogd, action=action.null_step)
    sides = bounds.static_regret(traces.trace(QUADRATIC, climbing, 80), np.ones(6), eta)
    assert (sides.left > sides.right).any()


@for_strongly_convex
def test_dynamic_regret_is_bounded_by_the_path(problem):
    """Against the exact line search of each step, clipped to the box of the learner."""
    low, high = 0.0, 4 / problem.smoothness
    eta = 0.5 / problem.smoothness
    box = learner.box(low, high)
    t = traces.trace(
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
    t = traces.trace(problem, Constants(eta, shape=shape, learner=learn, action=action.null_step), steps=80)
    comparator = multiple_of_identity(shape, len(problem.x0), 1 / problem.smoothness)
    assert_bounded(bounds.adagrad_regret(t, comparator, eta))


@for_problems
@for_shapes
@pytest.mark.parametrize("act", AHEAD, ids=lambda a: a.__name__)
def test_lookahead_regret_is_bounded_by_a_constant(problem, shape, act):
    L = problem.smoothness
    t = traces.trace(problem, Constants(1 / L, L, shape=shape, learner=learner.ogd, action=act), steps=60)
    for scale in (1.0, 2.0):
        assert_bounded(bounds.lookahead_regret(t, multiple_of_identity(shape, len(problem.x0), scale / L)))


def trace_from_zero(problem, shape, act):
    """A run with the hypergradient's rate of 1/L from P_1 = 0, and P^ = I/L."""
    L = problem.smoothness
    t = traces.trace(problem, Constants(1 / L, L, shape=shape, learner=learner.ogd, action=act), steps=60)
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


@for_strongly_convex
@for_shapes
def test_ratio_regret_lemma_2_and_theorem_2_hold(problem, shape):
    L = problem.smoothness
    eta = 1 / (4 * L**2)
    constants = Constants(
        eta, bound=problem.optimal_value, feedback=RATIO, shape=shape, learner=learner.ogd, action=action.vanilla
    )
    t = traces.trace(problem, constants, steps=60)
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
    t = traces.trace(problem, constants, steps=60)
    assert_bounded(bounds.ratio_lookahead_convergence(t, multiple_of_identity(shape, len(problem.x0), 1 / L)))


@for_problems
@for_shapes
def test_null_step_global_bounds_hold_and_f_never_rises(problem, shape):
    constants = Constants(2 / problem.smoothness, shape=shape, action=action.null_step)
    t = traces.trace(problem, constants, steps=150)
    assert (np.diff(t.values) <= 0).all()
    assert_bounded(bounds.null_step_convergence(t, find_diameter(problem)))
    assert_bounded(bounds.mean_progress_convergence(t, find_diameter(problem)))
    assert_bounded(bounds.mean_progress_gradient(t))


@for_strongly_convex
@for_shapes
def test_null_step_linear_bounds_hold(problem, shape):
    constants = Constants(2 / problem.smoothness, shape=shape, action=action.null_step)
    t = traces.trace(problem, constants, steps=150)
    assert_bounded(bounds.null_step_linear_convergence(t))
    assert_bounded(bounds.mean_progress_linear_convergence(t))


def test_null_step_bounds_fail_without_the_null_step():
    constants = Constants(0.1, shape=SCALAR, learner=learner.ogd, action=action.vanilla)
    sides = bounds.mean_progress_linear_convergence(traces.trace(quadratics.spike_toy(), constants, 70))
    assert (sides.left > sides.right).any()


MILD = mild_quadratic()
MILD_DIAGONAL = quadratics.quadratic([1.0, 0.75, 0.5], x0=[1.0, -2.0, 3.0], name="mild diagonal quadratic")


@pytest.mark.parametrize(("feedback", "act", "rate", "power", "factor"), SUPERLINEAR.values(), ids=SUPERLINEAR)
@pytest.mark.parametrize("problem", [QUADRATIC, MILD, MILD_DIAGONAL], ids=lambda p: p.name)
def test_superlinear_bound_holds_on_quadratics_with_a_full_stepsize(feedback, act, rate, power, factor, problem):
    L, n = problem.smoothness, len(problem.x0)
    start = multiple_of_identity(FULL, n, 1 / L)
    constants = Constants(rate / L**power, L, 0.0, start, feedback, FULL, learner.ogd, action=act)
    t = traces.trace(problem, constants, steps=60, least=1e-200)
    inverse = np.linalg.inv(hessian_of(problem, problem.x0))
    sides = bounds.superlinear_convergence(t, inverse, factor)
    assert (sides.left <= sides.right).all()  # f* = 0 at 0, or far below the bound: the gap has all its digits


@pytest.mark.parametrize(("feedback", "act", "rate", "power", "factor"), SUPERLINEAR.values(), ids=SUPERLINEAR)
def test_superlinear_bound_is_not_vacuous_and_the_ratios_fall(feedback, act, rate, power, factor):
    constants = Constants(rate, 1.0, 0.0, np.eye(4), feedback, FULL, learner.ogd, action=act)
    t = traces.trace(MILD, constants, steps=60, least=1e-200)
    sides = bounds.superlinear_convergence(t, np.linalg.inv(MILD.hessian), factor)
    assert sides.right[-1] < 1e-6 * traces.first_gap(t)
    ratios = t.values[1:] / t.values[:-1]
    assert ratios[-1] < 0.1 * ratios[0]


def test_superlinear_bound_fails_for_a_rate_past_its_limit():
    problem = quadratics.scalar_quadratic(a=1.0)
    constants = Constants(2.5, stepsize=np.array([0.9]), learner=learner.ogd, action=action.vanilla)
    sides = bounds.superlinear_convergence(traces.trace(problem, constants, 8), np.array([1.0]), 4.0)
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
    t = traces.trace(problem, constants, steps=100)
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
    t = traces.trace(problem, constants, steps=steps)
    assert_bounded(bounds.hypergradient_regret(t, multiple_of_identity(shape, n, 1 / L), eta, radius))


def test_every_learner_runs_under_a_null_step_and_keeps_f_falling():
    for learn in (learner.ogd, learner.decaying_ogd, learner.adagrad, learner.adagrad_inside):
        t = traces.trace(LOGISTIC, osgm.osgm_h(0.5, learner=learn), 60)
        assert (np.diff(t.values) <= 0).all()
        assert t.values[-1] < t.values[0]
