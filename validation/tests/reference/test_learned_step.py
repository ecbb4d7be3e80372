"""The learned step: P learns before x moves."""

from functools import partial

import numpy as np
import pytest
from osgm_parts import LOGISTIC, QUADRATIC, SHAPES, N, for_shapes, random_stepsize, trial_of, unused

import hypergrad
from hypergrad_problems import quadratics
from hypergrad_problems.runs import run
from hypergrad_reference import action, hdm, learner, osgm
from hypergrad_reference.feedback import HYPERGRADIENT, RATIO
from hypergrad_reference.osgm import Constants
from hypergrad_reference.stepsize import SCALAR


def learn(problem, shape, P, hyper_lr):
    """The trial of a P, and the P learned from it by gradient descent on the hypergradient."""
    trial = trial_of(problem, shape, P)
    return trial, P - hyper_lr * HYPERGRADIENT.slope(problem, trial, shape)


BEYOND = {
    "scalar": lambda g, ahead: (ahead @ g) * g / (g @ g),
    "diagonal": lambda g, ahead: ahead * g * g / (g @ g),
    "full": lambda g, ahead: ahead,
}
"""How far the learned step goes beyond x+, times L."""


@pytest.mark.parametrize("problem", [QUADRATIC, LOGISTIC], ids=lambda p: p.name)
@pytest.mark.parametrize("shape", BEYOND)
@pytest.mark.parametrize("seed", range(4))
def test_learned_step_goes_beyond_the_trial_point_as_its_shape_has_it(problem, shape, seed):
    """With a full P it is the lookahead; with another it is not, unless g+ happens to be along g."""
    L = problem.smoothness
    trial, P = learn(problem, SHAPES[shape], random_stepsize(SHAPES[shape], seed), 1 / L)
    point = action.learned_step(problem, trial, partial(SHAPES[shape].apply, P), L)
    expected = trial.point - BEYOND[shape](trial.gradient, trial.point_gradient) / L
    # Some roundings of the sums over n entries of P g and of x, which are all of the size of x here.
    np.testing.assert_allclose(point.x, expected, rtol=0, atol=4 * N * np.finfo(float).eps * np.abs(trial.x).max())
    ahead = action.lookahead(problem, trial, unused, L)
    assert (np.abs(point.x - ahead.x).max() < 1e-13) == (shape == "full")


@for_shapes
def test_learned_step_is_a_step_with_the_next_stepsize_bit_for_bit(shape):
    """In osgm and in hdm, after the projection."""
    P, project = random_stepsize(shape, 1), learner.box(-0.1, 0.1)
    parts = {"hyper_lr": 0.5, "stepsize": P, "shape": shape, "learner": learner.ogd, "project": project}
    for method in (osgm, hdm):
        constants = method.Constants(**parts, action=action.learned_step)
        before, after = run(method, LOGISTIC, constants, 1)
        np.testing.assert_array_equal(after.P, project(learn(LOGISTIC, shape, P, 0.5)[1]))
        np.testing.assert_array_equal(after.x, before.x - shape.apply(after.P, before.gradient))
        value, gradient = LOGISTIC.value_and_gradient(after.x)
        assert after.value == value
        np.testing.assert_array_equal(after.gradient, gradient)


def test_learned_step_keeps_the_better_of_two_points_and_the_trial_is_neither():
    """The trial point is lower than both, and is not taken."""
    trial = trial_of(QUADRATIC, SCALAR, np.array(1.0))
    good, bad = ((lambda gradient, P=P: P * gradient) for P in (0.01, -0.01))
    point = action.monotone_learned_step(QUADRATIC, trial, good, 1.0)
    assert trial.point_value < point.value < trial.value
    np.testing.assert_array_equal(point.x, trial.x - 0.01 * trial.gradient)
    assert action.monotone_learned_step(QUADRATIC, trial, bad, 1.0).x is trial.x


def test_learned_step_follows_the_closed_form_a_step_ahead_of_the_other_order():
    """On x^2 from P = 0 with eta = 1/4: x_{K+1} = x_1 2^{-K (K+1) / 2} exactly, with K (K-1) / 2 if x moves first."""
    problem = quadratics.scalar_quadratic(2.0, 4.0)
    for act, ahead in ((action.monotone_learned_step, 1), (action.null_step, -1)):
        states = run(hdm, problem, hdm.Constants(hyper_lr=0.25, action=act), 8)
        assert [state.x[0] for state in states] == [4.0 * 0.5 ** (K * (K + ahead) // 2) for K in range(9)]


@for_shapes
@pytest.mark.parametrize("feedback_", [HYPERGRADIENT, RATIO], ids=["hypergradient", "ratio"])
def test_learned_step_serves_every_learner_and_feedback(shape, feedback_):
    for learn_by in (learner.ogd, learner.adagrad, learner.adagrad_inside, learner.decaying_ogd):
        constants = Constants(
            0.25, bound=0.0, feedback=feedback_, shape=shape, learner=learn_by, action=action.monotone_learned_step
        )
        states = run(osgm, QUADRATIC, constants, 200)
        assert (np.diff([state.value for state in states]) <= 0).all()
        assert states[-1].value < 1e-2 * states[0].value


def test_learned_step_costs_two_gradients_an_iteration_and_learns_at_one_over_l():
    counts = []
    for given in ({"smoothness": 2.0}, {"smoothness": 2.0, "hyper_lr": 0.5}, {"hyper_lr": 0.5}):
        result = hypergrad.minimize(
            QUADRATIC.value, QUADRATIC.x0, jac=QUADRATIC.gradient, method="hdm_learned_step", options=given
        )
        assert result.success
        assert (result.nfev, result.njev) == (1 + 2 * result.nit, 1 + 2 * result.nit)
        counts.append((result.nit, result.x.tobytes()))
    assert len(set(counts)) == 1
