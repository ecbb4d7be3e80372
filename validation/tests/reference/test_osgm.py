"""OSGM's methods: learners, actions, projections, bounds without f*, and OSGM-Best."""

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from osgm_parts import QUADRATIC, N, for_shapes, trial_of, unused

from hypergrad_problems import quadratics
from hypergrad_problems.runs import run, solve
from hypergrad_reference import action, feedback, learner, osgm, osgm_best
from hypergrad_reference.feedback import try_stepsize
from hypergrad_reference.osgm import Constants, DoubleLoop
from hypergrad_reference.stepsize import FULL, SCALAR


@pytest.mark.parametrize(("learn", "relative"), [(learner.adagrad, 1e-7), (learner.adagrad_inside, 1e-7)])
def test_first_adagrad_step_moves_every_stepsize_to_the_rate_and_x_not_at_all(learn, relative):
    after = run(osgm, QUADRATIC, Constants(0.3, learner=learn), 1)[1]
    np.testing.assert_array_equal(after.x, QUADRATIC.x0)
    np.testing.assert_allclose(after.P, 0.3, rtol=relative)


@pytest.mark.parametrize(
    "constants",
    [
        osgm.osgm_h(1.0),
        osgm.osgm_r(hyper_lr=1.0, bound=0.0),
        osgm.osgm_rz(hyper_lr=1.0, bound=5.0),
        osgm.osgm_g(hyper_lr=1.0),
    ],
    ids=["osgm_h", "osgm_r", "osgm_rz", "osgm_g"],
)
@for_shapes
def test_named_methods_converge_in_every_shape(constants, shape):
    states = run(osgm, QUADRATIC, constants._replace(shape=shape), 200)
    assert states[-1].value < 1e-3 * states[0].value


def _gradient_descent(rate):
    """A learner that never learns is gradient descent."""
    return Constants(0.0, stepsize=np.full(N, rate), learner=learner.ogd, action=action.vanilla)


def test_rate_zero_is_gradient_descent_bit_for_bit():
    x = QUADRATIC.x0
    for state in run(osgm, QUADRATIC, _gradient_descent(0.5), 10):
        np.testing.assert_array_equal(state.x, x)
        x = x - 0.5 * QUADRATIC.gradient(x)


@pytest.mark.parametrize(
    "act",
    [action.null_step, action.line_search, action.monotone_lookahead, action.monotone_learned_step],
    ids=lambda a: a.__name__,
)
@pytest.mark.parametrize("P", [0.5, 100.0, -1.0], ids=["good step", "far step", "uphill"])
@pytest.mark.parametrize("learned", [0.75, 100.0, -1.0], ids=lambda learned: f"learned {learned}")
def test_monotone_actions_never_raise_f_and_return_what_is_true_at_the_point(act, P, learned):
    trial = trial_of(QUADRATIC, SCALAR, np.array(P))
    point = act(QUADRATIC, trial, lambda gradient: learned * gradient, QUADRATIC.smoothness)
    assert point.value <= trial.value
    value, gradient = QUADRATIC.value_and_gradient(point.x)
    assert point.value == value
    np.testing.assert_array_equal(point.gradient, gradient)


def test_null_step_stays_where_nothing_is_gained():
    trial = trial_of(QUADRATIC, SCALAR, np.array(0.0))
    assert action.null_step(QUADRATIC, trial, unused, 1.0).x is trial.x


def test_lookahead_is_a_gradient_step_from_the_trial_point():
    """With L the only curvature it ends at the minimum, from wherever the trial has gone."""
    problem = quadratics.scalar_quadratic(2.0, 4.0)
    here = problem.value_and_gradient(problem.x0)
    trial = try_stepsize(problem, SCALAR, np.array(0.125), problem.x0, *here)
    assert action.lookahead(problem, trial, unused, 2.0) == (0.0, 0.0, 0.0)


def test_line_search_rescues_a_far_step_that_a_null_step_refuses():
    trial = trial_of(QUADRATIC, SCALAR, np.array(100.0))
    assert action.null_step(QUADRATIC, trial, unused, 1.0).x is trial.x
    assert action.line_search(QUADRATIC, trial, unused, 1.0).value < trial.value


def test_norm_null_step_compares_norms_and_not_values():
    """On f = (x_1^2 + 100 x_2^2) / 2 a step may lower f and lengthen the gradient."""
    problem = quadratics.quadratic([1.0, 100.0], x0=[10.0, 0.0])
    trial = try_stepsize(
        problem, FULL, np.array([[0.5, 0.0], [0.05, 0.0]]), problem.x0, *problem.value_and_gradient(problem.x0)
    )
    assert trial.point_value < trial.value
    assert np.linalg.norm(trial.point_gradient) > np.linalg.norm(trial.gradient)
    assert action.null_step(problem, trial, unused, 100.0).x is trial.point
    assert action.null_step_norm(problem, trial, unused, 100.0).x is trial.x


def test_nan_at_the_trial_point_is_refused():
    trial = trial_of(QUADRATIC, SCALAR, np.array(0.5))._replace(point_value=np.nan, point_gradient=np.full(N, np.nan))
    assert action.null_step(QUADRATIC, trial, unused, 1.0).x is trial.x
    assert action.null_step_norm(QUADRATIC, trial, unused, 1.0).x is trial.x


def test_multiplicative_weights_stay_positive_and_in_their_budget():
    constants = Constants(
        0.5, stepsize=np.full(N, 2.0 / N), learner=learner.multiplicative_weights, project=learner.budget(2.0)
    )
    states = run(osgm, QUADRATIC, constants, 100)
    assert all((state.P > 0).all() and state.P.sum() <= 2.0 * (1 + 1e-15) for state in states)
    assert states[-1].value < 1e-2 * states[0].value


@pytest.mark.parametrize(
    ("project", "holds"),
    [
        (learner.box(-0.5, 0.75), lambda P: ((P >= -0.5) & (P <= 0.75)).all()),
        (learner.ball(1.0), lambda P: P @ P <= 1 + 1e-15),
    ],
    ids=["box", "ball"],
)
def test_projections_return_the_nearest_point_of_their_set(project, holds):
    rng = np.random.default_rng(0)
    P = 2 * rng.standard_normal(N)
    nearest = project(P)
    assert holds(nearest)
    for _ in range(50):
        other = project(2 * rng.standard_normal(N))
        assert (P - nearest) @ (other - nearest) <= 1e-12
    np.testing.assert_allclose(project(nearest), nearest, rtol=1e-15)


# Life without f*


def test_raising_the_bound_halves_its_error_and_stays_below_the_optimum():
    """Lemma 14: if f(x) - f* <= f* - z, then z+ <= f* and f* - z+ <= (f* - z) / 2."""
    optimal = 3.0
    for error in (0.5, 1.0, 4.0):
        for share in (0.0, 0.25, 1.0):
            z, value = optimal - error, optimal + share * error
            raised = feedback.halve_bound(z, value)
            assert raised <= optimal
            assert optimal - raised <= error / 2
    assert feedback.halve_bound(optimal - 1.0, optimal + 1.5) > optimal  # and not if f(x) is farther


def test_ratio_with_a_lower_bound_comes_as_near_as_the_bound_is():
    """Theorem 7 as its proof has it: min gap <= f* - z, once (1 - 1/(2 kappa) + regret)^K is small."""
    L = QUADRATIC.smoothness
    for error in (1.0, 1e-2, 1e-4):
        constants = osgm.osgm_r(
            hyper_lr=1 / (4 * L**2), bound=-error, learner=learner.ogd, action=action.vanilla,
            stepsize=np.full(N, 1 / L),
        )  # fmt: skip
        assert min(state.value for state in run(osgm, QUADRATIC, constants, 400)) <= error


def test_double_loop_halves_the_error_of_the_bound_each_round():
    L, rounds, length = QUADRATIC.smoothness, 6, 60
    constants = osgm.osgm_r(
        hyper_lr=1 / (4 * L**2), bound=-1.0, learner=learner.ogd, action=action.null_step, stepsize=np.full(N, 1 / L)
    )
    states = run(DoubleLoop(length), QUADRATIC, constants, rounds * length)
    errors = [-states[i].bound for i in range(0, rounds * length + 1, length)]
    assert all(0 <= after <= before / 2 for before, after in pairwise(errors))
    restart = states[length]
    np.testing.assert_array_equal(restart.P, constants.stepsize)
    assert restart.iteration == 1


def test_practical_bound_ends_below_the_values_it_has_seen():
    for factor in (5.0, 1e-2):
        rule = partial(feedback.lower_bound, factor=factor)
        states = run(osgm, QUADRATIC, osgm.osgm_rz(hyper_lr=1.0, bound=1.0, rebound=rule), 60)
        assert states[0].value > 1.0 > states[-1].value
        for before, after in pairwise(states):
            assert after.bound < before.value


# OSGM-Best


def test_osgm_best_probes_the_curvature_and_counts_its_phases():
    problem = quadratics.quadratic(np.geomspace(1e-3, 1.0, 20), x0=1.0)
    states = solve(osgm_best, problem, osgm_best.Constants(maxiter=100), gtol=1e-9, maxiter=2000)
    assert 0 < states[0].smoothness <= 1.0 + 1e-9
    assert (np.diff([state.value for state in states]) <= 0).all()
    phase_2 = next(i for i, state in enumerate(states) if state.phase == 2)
    assert states[phase_2].accepted == 26  # more than maxiter / 4
    assert not states[phase_2].memory.any()
    assert states[phase_2].lr == 1 / states[phase_2].smoothness
    assert np.abs(states[-1].gradient).max() < 1e-9


def test_osgm_best_decays_its_rate_until_phase_2():
    problem = quadratics.quadratic([1.0, 1e-3], x0=1.0)
    states = run(osgm_best, problem, osgm_best.Constants(smoothness=1.0), 60)
    assert [states[k].lr for k in (0, 48, 49, 60)] == [1.0, 1.0, 0.8, 0.8]


def test_osgm_best_keeps_the_gradient_of_its_point_through_lookaheads():
    """With a learned stepsize far too long for the trial, phase 2 looks ahead."""
    problem = quadratics.quadratic([1.0, 0.01], x0=[1e-3, 1.0])
    state = osgm_best.init(problem, problem.x0, osgm_best.Constants(smoothness=1.0))
    state = state._replace(phase=2, P=np.full(2, 60.0))
    after = osgm_best.step(problem, state, osgm_best.Constants(smoothness=1.0))
    trial = state.x - 60.0 * state.gradient
    assert not np.array_equal(after.x, trial)
    assert after.x is not state.x
    value, gradient = problem.value_and_gradient(after.x)
    assert after.value == value
    np.testing.assert_array_equal(after.gradient, gradient)
