"""OSGM's feedbacks: derivatives in every shape, and the laws of the hypergradient and of the ratio."""

from fractions import Fraction

import numpy as np
import pytest
from osgm_parts import (
    COLUMNS,
    HUBER,
    LOGISTIC,
    QUADRATIC,
    ROWS,
    SHAPES,
    N,
    as_matrix,
    for_shapes,
    random_stepsize,
    trial_of,
)

from hypergrad_papers.hdm2025.laws import FEEDBACK_SLACK
from hypergrad_problems import quadratics
from hypergrad_reference import feedback
from hypergrad_reference.feedback import GRADIENT_NORM, HYPERGRADIENT, RATIO, regularised, try_stepsize
from hypergrad_reference.stepsize import DIAGONAL, FULL

FEEDBACKS = {
    "hypergradient": HYPERGRADIENT,
    "ratio": RATIO,
    "gradient norm": GRADIENT_NORM,
    "regularised": regularised(HYPERGRADIENT, 0.75),
}


for_convex = pytest.mark.parametrize("problem", [QUADRATIC, LOGISTIC, HUBER], ids=lambda p: p.name)


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
    assert h(between) <= (h(at_P) + h(at_Q)) / 2 + FEEDBACK_SLACK  # 1: convex,
    assert h(trial_of(problem, shape, shape.zeros(N), x)) == 0  # and 0 at 0
    assert np.linalg.norm(dP - dQ) <= L * np.linalg.norm(as_matrix(shape, P - Q)) * (1 + FEEDBACK_SLACK)  # 2
    size = np.linalg.norm(at_P.point_gradient) / np.linalg.norm(at_P.gradient)
    full = HYPERGRADIENT.slope(problem, trial_of(problem, FULL, as_matrix(shape, P), x), FULL)
    assert np.linalg.norm(full) == pytest.approx(size, rel=FEEDBACK_SLACK)  # 3
    assert size <= (1 + L * np.linalg.norm(as_matrix(shape, P), 2)) * (1 + FEEDBACK_SLACK)
    assert np.linalg.norm(dP) <= size * (1 + FEEDBACK_SLACK)
    descent = trial_of(problem, FULL, np.eye(N) / L, x)
    assert h(descent) <= -1 / (2 * L) + FEEDBACK_SLACK  # 4, and -h(I/L) >= 1/(2 L) of Corollary 3
    assert mu == 0 or h(at_P) >= -1 / (2 * mu) - FEEDBACK_SLACK  # 5


@pytest.mark.parametrize("seed", range(4))
def test_hypergradient_is_bounded_below_and_by_itself(seed):
    for problem in (QUADRATIC, HUBER):
        L = problem.smoothness
        trial = trial_of(problem, DIAGONAL, random_stepsize(DIAGONAL, seed))
        least = (problem.optimal_value - trial.value) / (trial.gradient @ trial.gradient)
        h = feedback.hypergradient(trial)
        assert h >= least - FEEDBACK_SLACK  # 5
        square = np.sum(HYPERGRADIENT.slope(problem, trial, DIAGONAL) ** 2)
        assert square <= 2 * L * (h - least) * (1 + FEEDBACK_SLACK) + FEEDBACK_SLACK  # 6


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
