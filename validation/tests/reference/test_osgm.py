"""OSGM's parts: derivatives of every feedback in every shape, laws of h, learners, actions, bounds without f*."""

import dataclasses
from fractions import Fraction
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

import hypergrad
from hypergrad_problems import linear_models, quadratics, toys
from hypergrad_problems.runs import run, solve
from hypergrad_reference import action, feedback, hdm, learner, osgm, osgm_best
from hypergrad_reference.feedback import GRADIENT_NORM, HYPERGRADIENT, RATIO, regularised, try_stepsize
from hypergrad_reference.osgm import Constants, DoubleLoop
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR, pattern

N = 5
QUADRATIC = quadratics.quadratic(
    [1.0, 0.6, 0.4, 0.2, 0.1], rotation=quadratics.random_rotation(N), optimum=0.5, x0=2.0, name="quadratic"
)
HUBER = toys.huber([1.0, 0.5, 0.2, 0.1, 0.05], x0=3.0)
_RNG = np.random.default_rng(0)
LOGISTIC = dataclasses.replace(
    linear_models.logistic(_RNG.standard_normal((20, N - 1)), np.sign(_RNG.standard_normal(20)), reg=0.1, mean=True),
    x0=_RNG.standard_normal(N),
)
ROWS, COLUMNS = np.array([0, 1, 1, 2, 3, 4, 4]), np.array([0, 0, 1, 2, 3, 1, 4])
SHAPES = {"scalar": SCALAR, "diagonal": DIAGONAL, "full": FULL, "pattern": pattern(ROWS, COLUMNS)}
FEEDBACKS = {
    "hypergradient": HYPERGRADIENT,
    "ratio": RATIO,
    "gradient norm": GRADIENT_NORM,
    "regularised": regularised(HYPERGRADIENT, 0.75),
}

for_shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
for_convex = pytest.mark.parametrize("problem", [QUADRATIC, LOGISTIC, HUBER], ids=lambda p: p.name)


def as_matrix(shape, P):
    """P as an (n, n) matrix, column by column."""
    return np.array([shape.apply(P, e) for e in np.eye(N)]).T


def random_stepsize(shape, seed, scale=0.4):
    rng = np.random.default_rng(seed)
    return np.asarray(scale * rng.standard_normal(shape.zeros(N).shape))


def trial_of(problem, shape, P, x=None, bound=-1.0):
    x = problem.x0 if x is None else x
    return try_stepsize(problem, shape, P, x, *problem.value_and_gradient(x), bound)


def unused(gradient):
    """The learned stepsize, for an action that must not ask for it."""
    raise AssertionError("P_{k+1} g was asked for")


# Derivatives


def softplus_value(problem, x):
    """The logistic problem's f for a complex x, from the definition."""
    return problem.scale * np.log1p(np.exp(-(problem.rows @ x))).sum() + problem.reg / 2 * (x @ x)


def softplus_gradient(problem, x):
    return -problem.scale * (problem.rows.T @ (1 / (1 + np.exp(problem.rows @ x)))) + problem.reg * x


COMPLEX_MEASURES = {
    "hypergradient": lambda p, t, x, P: (softplus_value(p, x) - t.value) / (t.gradient @ t.gradient),
    "ratio": lambda p, t, x, P: (softplus_value(p, x) - t.bound) / (t.value - t.bound),
    "gradient norm": lambda p, t, x, P: np.sqrt(np.sum(softplus_gradient(p, x) ** 2)) / np.linalg.norm(t.gradient),
    "regularised": lambda p, t, x, P: (
        (softplus_value(p, x) - t.value) / (t.gradient @ t.gradient) + 0.75 / 2 * np.sum(P * P)
    ),
}


@for_shapes
@pytest.mark.parametrize("name", FEEDBACKS)
def test_slope_is_the_derivative_of_the_feedback(name, shape):
    """By complex step from the definitions to rounding, and by central differences of the measure itself."""
    measured = FEEDBACKS[name]
    P = random_stepsize(shape, 1)
    trial = trial_of(LOGISTIC, shape, P)
    slope = np.asarray(measured.slope(LOGISTIC, trial, shape))
    assert slope.shape == P.shape
    for index in np.ndindex(P.shape):
        moved = np.array(P, dtype=complex)
        moved[index] += 1e-30j
        point = trial.x - sum(
            moved[i] * shape.apply(_unit(P, i), trial.gradient) for i in np.ndindex(P.shape)
        )  # P g is linear in P
        derivative = COMPLEX_MEASURES[name](LOGISTIC, trial, point, moved).imag / 1e-30
        assert slope[index] == pytest.approx(derivative, rel=1e-11, abs=1e-13)
        ahead, behind = (
            measured.measure(trial_of(LOGISTIC, shape, P + sign * 1e-5 * _unit(P, index))) for sign in (1, -1)
        )
        assert slope[index] == pytest.approx((ahead - behind) / 2e-5, rel=1e-6, abs=1e-8)


def _unit(P, index):
    unit = np.zeros(P.shape)
    unit[index] = 1.0
    return unit


def test_feedbacks_and_slopes_are_exact_on_dyadic_numbers():
    """f = (2 x_1^2 + 4 x_2^2) / 2, g = (4, 4), P = diag(1/4, 1/8): powers of two in every denominator."""
    problem = quadratics.quadratic([2.0, 4.0], x0=[2.0, 1.0])
    h, x, P = [Fraction(2), Fraction(4)], [Fraction(2), Fraction(1)], [Fraction(1, 4), Fraction(1, 8)]
    g = [a * b for a, b in zip(h, x, strict=True)]
    ahead = [a - p * b for a, p, b in zip(x, P, g, strict=True)]
    g_ahead = [a * b for a, b in zip(h, ahead, strict=True)]
    value, value_ahead = (sum(a * b * b for a, b in zip(h, y, strict=True)) / 2 for y in (x, ahead))
    square, z = sum(b * b for b in g), Fraction(-2)
    trial = try_stepsize(
        problem, DIAGONAL, np.array([0.25, 0.125]), problem.x0, *problem.value_and_gradient(problem.x0), -2.0
    )
    assert Fraction(feedback.hypergradient(trial)) == (value_ahead - value) / square
    assert Fraction(feedback.ratio(trial)) == (value_ahead - z) / (value - z)
    slopes = HYPERGRADIENT.slope(problem, trial, DIAGONAL), RATIO.slope(problem, trial, DIAGONAL)
    assert [list(map(Fraction, slope)) for slope in slopes] == [
        [-a * b / square for a, b in zip(g_ahead, g, strict=True)],
        [-a * b / (value - z) for a, b in zip(g_ahead, g, strict=True)],
    ]


@for_shapes
@pytest.mark.parametrize("measured", FEEDBACKS.values(), ids=FEEDBACKS)
def test_slope_vanishes_at_a_stationary_point(measured, shape):
    trial = trial_of(QUADRATIC, shape, shape.zeros(N), QUADRATIC.optimum, bound=0.0)
    assert not np.any(measured.slope(QUADRATIC, trial, shape))


@pytest.mark.parametrize("measured", FEEDBACKS.values(), ids=FEEDBACKS)
def test_pattern_learns_the_entries_of_the_full_slope(measured):
    shape = SHAPES["pattern"]
    P = random_stepsize(shape, 2)
    sparse = measured.slope(LOGISTIC, trial_of(LOGISTIC, shape, P), shape)
    full = measured.slope(LOGISTIC, trial_of(LOGISTIC, FULL, as_matrix(shape, P)), FULL)
    np.testing.assert_allclose(sparse, full[ROWS, COLUMNS], rtol=1e-12)


# The laws of the hypergradient feedback, and of the ratio


@for_convex
@for_shapes
@pytest.mark.parametrize("seed", range(4))
def test_hypergradient_keeps_its_laws(problem, shape, seed):
    L, mu = problem.smoothness, problem.strong_convexity
    x = problem.x0 + np.random.default_rng(seed).standard_normal(N)
    P, Q = (random_stepsize(shape, 10 * seed + i) / L for i in range(2))
    at_P, at_Q, between = (trial_of(problem, shape, R, x) for R in (P, Q, (P + Q) / 2))
    h, dP, dQ = feedback.hypergradient, *(HYPERGRADIENT.slope(problem, t, shape) for t in (at_P, at_Q))
    assert h(between) <= (h(at_P) + h(at_Q)) / 2 + 1e-12  # 1: convex,
    assert h(trial_of(problem, shape, shape.zeros(N), x)) == 0  # and 0 at 0
    assert np.linalg.norm(dP - dQ) <= L * np.linalg.norm(as_matrix(shape, P - Q)) * (1 + 1e-12)  # 2
    size = np.linalg.norm(at_P.point_gradient) / np.linalg.norm(at_P.gradient)
    full = HYPERGRADIENT.slope(problem, trial_of(problem, FULL, as_matrix(shape, P), x), FULL)
    assert np.linalg.norm(full) == pytest.approx(size, rel=1e-12)  # 3
    assert size <= (1 + L * np.linalg.norm(as_matrix(shape, P), 2)) * (1 + 1e-12)
    assert np.linalg.norm(dP) <= size * (1 + 1e-12)
    descent = trial_of(problem, FULL, np.eye(N) / L, x)
    assert h(descent) <= -1 / (2 * L) + 1e-12  # 4, and -h(I/L) >= 1/(2 L) of Corollary 3
    assert mu == 0 or h(at_P) >= -1 / (2 * mu) - 1e-12  # 5


@pytest.mark.parametrize("seed", range(4))
def test_hypergradient_is_bounded_below_and_by_itself(seed):
    for problem in (QUADRATIC, HUBER):
        L = problem.smoothness
        trial = trial_of(problem, DIAGONAL, random_stepsize(DIAGONAL, seed))
        least = (problem.optimal_value - trial.value) / (trial.gradient @ trial.gradient)
        h = feedback.hypergradient(trial)
        assert h >= least - 1e-12  # 5
        square = np.sum(HYPERGRADIENT.slope(problem, trial, DIAGONAL) ** 2)
        assert square <= 2 * L * (h - least) * (1 + 1e-9) + 1e-12  # 6


@for_shapes
@pytest.mark.parametrize("power", [-2, 3])
def test_scaling_f_scales_the_hypergradient_bit_for_bit(shape, power):
    c = 2.0**power
    plain, scaled = (
        quadratics.quadratic([s, s / 2, s / 4, s / 8, s / 16], x0=[1.0, 2.0, -3.0, 4.0, 5.0]) for s in (1.0, c)
    )
    P = random_stepsize(shape, 3)
    a, b = trial_of(plain, shape, P), trial_of(scaled, shape, P / c)
    assert feedback.hypergradient(b) == feedback.hypergradient(a) / c  # 7
    slopes = (HYPERGRADIENT.slope(p, t, shape) for p, t in ((scaled, b), (plain, a)))
    np.testing.assert_array_equal(*slopes)


def test_inverse_hessian_minimises_every_hypergradient_of_a_quadratic():
    inverse = np.linalg.inv(QUADRATIC.hessian)
    best = trial_of(QUADRATIC, FULL, inverse)
    assert np.linalg.norm(HYPERGRADIENT.slope(QUADRATIC, best, FULL)) < 1e-13
    for seed in range(4):
        trial = trial_of(QUADRATIC, FULL, inverse + random_stepsize(FULL, seed))
        excess = (trial.point_value - QUADRATIC.optimal_value) / (trial.gradient @ trial.gradient)
        assert feedback.hypergradient(trial) - feedback.hypergradient(best) == pytest.approx(excess, rel=1e-12)  # 8


@pytest.mark.parametrize("problem", [QUADRATIC, HUBER], ids=lambda p: p.name)
@pytest.mark.parametrize("seed", range(4))
def test_ratio_keeps_proposition_1_and_its_self_bound(problem, seed):
    L = problem.smoothness
    P, Q = (random_stepsize(FULL, 10 * seed + i) for i in range(2))
    at_P, at_Q, between = (trial_of(problem, FULL, R, bound=problem.optimal_value) for R in (P, Q, (P + Q) / 2))
    dP, dQ = (RATIO.slope(problem, t, FULL) for t in (at_P, at_Q))
    r = feedback.ratio
    assert r(between) <= (r(at_P) + r(at_Q)) / 2 + 1e-12
    assert np.linalg.norm(dP - dQ) <= 2 * L**2 * np.linalg.norm(P - Q) * (1 + 1e-12)
    assert np.sum(dP**2) <= 4 * L**2 * r(at_P) * (1 + 1e-12)
    gap = at_P.value - problem.optimal_value
    link = 1 + feedback.hypergradient(at_P) * (at_P.gradient @ at_P.gradient) / gap
    assert r(at_P) == pytest.approx(link, rel=1e-12)


def test_regularised_hypergradient_is_convex_where_f_is_not():
    """On f = -L/2 x^2 the plain one is concave in P, and weight = L just makes up for it."""
    problem = quadratics.quadratic([-2.0, -1.0, -0.5, 1.0, 2.0], x0=[1.0, 2.0, -1.0, 0.5, 3.0])
    rng = np.random.default_rng(1)
    convex, plain = regularised(HYPERGRADIENT, 2.0), HYPERGRADIENT
    violated = 0
    for _ in range(50):
        P, Q = rng.standard_normal((2, N, N))
        P_, Q_, M = (trial_of(problem, FULL, R) for R in (P, Q, (P + Q) / 2))
        assert convex.measure(M) <= (convex.measure(P_) + convex.measure(Q_)) / 2 + 1e-12
        violated += plain.measure(M) > (plain.measure(P_) + plain.measure(Q_)) / 2
    assert violated > 0


# Methods


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


# The learned step: P learns before x moves


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
