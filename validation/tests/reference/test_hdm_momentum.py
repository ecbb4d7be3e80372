"""HDM's heavy ball and its Nesterov form: slopes, descent, potentials and rates; pure steps, refused constants."""

from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hdm_problems import HUBER, QUADRATIC

from hypergrad_papers.osgm2025.laws import heavy_ball_sides
from hypergrad_papers.osgm2025.traces import SLACK
from hypergrad_problems import quadratics
from hypergrad_problems.runs import run
from hypergrad_reference import action, hdm, hdm_agd, hdm_hb, learner, osgm
from hypergrad_reference.feedback import RATIO
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR

KEEPING = hdm_hb
RESETTING = SimpleNamespace(init=hdm_hb.init, step=hdm_hb.step_resetting)
AHEAD = SimpleNamespace(init=hdm_hb.init, step=hdm_hb.step_lookahead)


def heavy_ball_value(problem, state, constants, P, beta):
    """h(P, beta) from the definition, by the problem's value alone; complex P and beta give a complex h."""
    c, d, g = constants, state.displacement, state.gradient
    point = state.x - (P @ g if P.ndim == 2 else P * g) + beta * d
    moved = point - state.x
    error = point - problem.center
    after = error @ (problem.hessian @ error) / 2 + problem.offset + c.omega / 2 * (moved @ moved)
    before = problem.value(state.x) + c.omega / 2 * (d @ d)
    return (after - before) / (g @ g + c.tau / 2 * (d @ d))


@pytest.mark.parametrize("omega", [0.0, 0.3])
@pytest.mark.parametrize("momentum", [SCALAR, DIAGONAL], ids=["scalar beta", "diagonal beta"])
@pytest.mark.parametrize("shape", [SCALAR, DIAGONAL, FULL], ids=["scalar", "diagonal", "full"])
def test_heavy_ball_slopes_are_the_derivatives_of_its_progress(shape, momentum, omega):
    constants = hdm_hb.Constants(
        0.2, 0.3, beta=0.5, omega=omega, tau=0.7, shape=shape, momentum=momentum, learner=learner.ogd
    )
    state = run(KEEPING, QUADRATIC, constants, 4)[-1]
    assert state.displacement.any()
    trial = hdm_hb.try_heavy_ball(QUADRATIC, state, constants)
    of_P, of_beta = hdm_hb.slopes(state, trial, constants)
    assert hdm_hb.progress(state, trial, omega) == pytest.approx(
        heavy_ball_value(QUADRATIC, state, constants, state.P, state.beta), rel=1e-12
    )
    step = 1e-30  # no cancellation in a complex step, so that rounding is all that is left
    for index in np.ndindex(state.P.shape):
        P = np.array(state.P, dtype=complex)
        P[index] += step * 1j
        derivative = heavy_ball_value(QUADRATIC, state, constants, P, state.beta).imag / step
        assert of_P[index] == pytest.approx(derivative, rel=1e-12, abs=1e-14)
    for index in np.ndindex(state.beta.shape):
        beta = np.array(state.beta, dtype=complex)
        beta[index] += step * 1j
        derivative = heavy_ball_value(QUADRATIC, state, constants, state.P, beta).imag / step
        assert of_beta[index] == pytest.approx(derivative, rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("problem", [QUADRATIC, HUBER], ids=lambda p: p.name)
def test_heavy_ball_promises_descent_at_the_plain_gradient_step(problem):
    """h(I / (L + omega), 0) <= -min(1 / (2 (L + omega)), omega / tau)."""
    omega, tau, L = 0.5, 2.0, problem.smoothness
    constants = hdm_hb.Constants(0.2, beta=0.9, omega=omega, tau=tau)
    for state in run(KEEPING, problem, constants, 15):
        at = state._replace(P=np.full_like(state.P, 1 / (L + omega)), beta=np.array(0.0))
        h = hdm_hb.progress(at, hdm_hb.try_heavy_ball(problem, at, constants), omega)
        assert h <= -min(1 / (2 * (L + omega)), omega / tau) + SLACK


@pytest.mark.parametrize("omega", [0.0, 0.5])
@pytest.mark.parametrize("problem", [QUADRATIC, HUBER], ids=lambda p: p.name)
def test_heavy_ball_potential_telescopes_when_a_refusal_keeps_both_points(problem, omega):
    constants = hdm_hb.Constants(8.0, 0.5, omega=omega, tau=1.0)
    states = run(KEEPING, problem, constants, 60)
    potentials = [hdm_hb.potential(s.value, s.displacement, omega) for s in states]
    assert (np.diff(potentials) <= 0).all()
    assert any(after.x is before.x for before, after in pairwise(states[2:]))  # some are refused
    total = 0.0
    for state in states[:-1]:
        trial = hdm_hb.try_heavy_ball(problem, state, constants)
        total += max(-hdm_hb.progress(state, trial, omega), 0.0) * trial.denominator
    assert total <= potentials[0] - problem.optimal_value + SLACK


def test_heavy_ball_as_coded_forgets_the_displacement_on_refusal_and_keeps_f_falling():
    states = run(RESETTING, QUADRATIC, hdm_hb.Constants(2.0, 0.5), 60)
    refused = [after for before, after in pairwise(states) if after.x is before.x]
    assert len(refused) > 1
    assert not any(state.displacement.any() for state in refused)
    assert (np.diff([state.value for state in states]) <= 0).all()
    kept = run(KEEPING, QUADRATIC, hdm_hb.Constants(2.0, 0.5), 60)
    assert any(s.x is t.x and t.displacement.any() for s, t in pairwise(kept))


def test_heavy_ball_lookahead_is_a_gradient_step_on_the_potential():
    """From the trial point, with 1 / (L + omega): on a potential of curvature L + omega it ends at the minimum."""
    problem = quadratics.scalar_quadratic(2.0, 4.0)
    constants = hdm_hb.Constants(beta=0.5, omega=0.5, smoothness=2.0, stepsize=np.array([0.125]))
    state = hdm_hb.init(problem, problem.x0, constants)._replace(displacement=np.array([-8.0]))
    after = hdm_hb.step_lookahead(problem, state, constants)
    # phi(y, x) = y^2 + (y - 4)^2 / 4 has its minimum at y = 4/5.
    assert after.x[0] == pytest.approx(0.8, rel=1e-15)


def test_heavy_ball_lookahead_has_constant_regret():
    """sum h_k <= sum h_k(P^, beta^) + (L + omega)/2 ||P_1 - P^||^2 + (L + omega)/tau (beta_1 - beta^)^2."""
    sides = heavy_ball_sides(QUADRATIC)
    assert (sides.left <= sides.right + SLACK).all()


def test_heavy_ball_of_osgm_starts_without_momentum_and_bounds_it():
    states = run(RESETTING, QUADRATIC, hdm_hb.osgm_hb(hyper_lr=0.5), 80)
    assert float(states[0].beta) == 0.0
    assert all(-1 <= float(state.beta) <= 1 for state in states)
    assert len({float(state.beta) for state in states}) > 3
    assert states[-1].value < 1e-6 * states[0].value


# Nesterov


STRONG = SimpleNamespace(init=hdm_agd.init, step=hdm_agd.step_strongly_convex)


@pytest.mark.parametrize("hyper_lr", [0.1, 10.0])
@pytest.mark.parametrize(
    "progress", [hdm_agd.gradient_progress, hdm_agd.measured_progress], ids=["proved z", "coded z, bound not proved"]
)
@pytest.mark.parametrize("problem", [QUADRATIC, HUBER], ids=lambda p: p.name)
def test_agd_converges_like_one_over_k_squared_whatever_the_stepsize(problem, progress, hyper_lr):
    constants = hdm_agd.Constants(problem.smoothness, hyper_lr=hyper_lr, progress=progress)
    distance = float(np.sum((problem.x0 - problem.optimum) ** 2))
    for K, state in enumerate(run(hdm_agd, problem, constants, 80)[1:], start=1):
        assert state.value - problem.optimal_value <= problem.smoothness * distance / (2 * state.weight) * (1 + SLACK)
        assert state.weight >= K**2 / 4


def test_agd_without_learning_is_nesterovs_method():
    """P = 0 loses to every gradient step; the recursion is written as the authors have it."""
    L, x, z, A = QUADRATIC.smoothness, QUADRATIC.x0, QUADRATIC.x0, 0.0
    for state in run(hdm_agd, QUADRATIC, hdm_agd.Constants(L, hyper_lr=0.0), 20):
        np.testing.assert_allclose(state.x, x, rtol=1e-12)
        np.testing.assert_allclose(state.z, z, rtol=1e-12)
        a = (1 + np.sqrt(4 * A + 1)) / 2
        y = x + (1 - A / (A + a)) * (z - x)
        g = QUADRATIC.gradient(y)
        x, z, A = y - g / L, z - a / L * g, A + a


def test_agd_weights_solve_their_quadratic_equation():
    states = run(hdm_agd, QUADRATIC, hdm_agd.Constants(1.0), 20)
    for before, after in pairwise(states):
        assert (after.weight - before.weight) ** 2 == pytest.approx(after.weight, rel=1e-14)


def test_agd_keeps_the_better_candidate_and_its_own_gradient():
    for state in run(hdm_agd, QUADRATIC, hdm_agd.Constants(1.0), 30) + run(
        STRONG, QUADRATIC, hdm_agd.Constants(1.0, 0.05), 30
    ):
        value, gradient = QUADRATIC.value_and_gradient(state.x)
        assert state.value == value
        assert state.gradient.tobytes() == gradient.tobytes()


def test_agd_for_strongly_convex_functions_beats_the_rate_of_gradient_descent():
    problem, mu, L = QUADRATIC, QUADRATIC.strong_convexity, QUADRATIC.smoothness
    states = run(STRONG, problem, hdm_agd.Constants(L, mu, hyper_lr=1.0), 60)
    potentials = [
        s.value - problem.optimal_value + mu / 2 * float(np.sum((s.z - problem.optimum) ** 2)) for s in states
    ]
    # Both candidates are at least as good as a gradient step, so Nesterov's potential falls by 1 - sqrt(mu / L).
    for before, after in pairwise(potentials):
        assert after <= before * (1 - np.sqrt(mu / L)) * (1 + SLACK) + 1e-14


@pytest.mark.parametrize(
    ("method", "constants", "words"),
    [
        (hdm, hdm.Constants(), "smoothness is nan and hyper_lr None"),
        (hdm, hdm.Constants(1.0, stepsize=np.ones(3)), r"stepsize has shape \(3,\)"),
        (hdm_hb, hdm_hb.Constants(stepsize=np.ones((4, 4))), r"stepsize has shape \(4, 4\)"),
        (hdm_agd, hdm_agd.Constants(np.inf), "smoothness is inf"),
        (STRONG, hdm_agd.Constants(1.0), "strong_convexity is 0.0"),
        (osgm, osgm.Constants(stepsize=np.ones(2)), r"stepsize has shape \(2,\)"),
    ],
    ids=["hdm without L", "hdm stepsize", "hb stepsize", "agd L", "agd mu", "osgm stepsize"],
)
def test_wrong_constants_are_refused_with_the_remedy(method, constants, words):
    with pytest.raises(ValueError, match=words):
        run(method, QUADRATIC, constants, 1)


@pytest.mark.parametrize(
    ("method", "constants"),
    [
        (hdm, hdm.Constants(1.0, action=action.null_step)),
        (osgm, osgm.osgm_r(0.5, bound=0.0, feedback=RATIO)),
        (KEEPING, hdm_hb.Constants()),
        (hdm_agd, hdm_agd.Constants(1.0)),
    ],
    ids=["hdm", "osgm_r", "hdm_hb", "hdm_agd"],
)
def test_step_is_pure(method, constants):
    """The same state twice gives the same next state, and is as it was."""
    state = run(method, QUADRATIC, constants, 3)[-1]
    before = [np.array(field).tobytes() for field in state]
    first, second = (method.step(QUADRATIC, state, constants) for _ in range(2))
    assert [np.array(field).tobytes() for field in state] == before
    assert [np.array(a).tobytes() for a in first] == [np.array(b).tobytes() for b in second]
