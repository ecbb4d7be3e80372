"""HDM, its heavy ball and its Nesterov form: closed forms, step counts, the spike, slopes, descent and rates."""

from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from hypergrad_papers.hdm2025 import laws as hdm_laws
from hypergrad_papers.osgm2025.laws import heavy_ball_sides
from hypergrad_problems import quadratics, toys
from hypergrad_problems.runs import run
from hypergrad_reference import action, hdm, hdm_agd, hdm_hb, learner, osgm
from hypergrad_reference.feedback import RATIO
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR

QUADRATIC = quadratics.quadratic(
    [1.0, 0.5, 0.2, 0.05], rotation=quadratics.random_rotation(4), optimum=0.5, x0=2.0, name="quadratic"
)
HUBER = toys.huber([1.0, 0.5, 0.1])


# The scalar quadratic f = a/2 x^2, where 1 - a P_{k+1} = (1 - eta a) (1 - a P_k)


@pytest.mark.parametrize("shape", [SCALAR, DIAGONAL, FULL], ids=["scalar", "diagonal", "full"])
def test_scalar_quadratic_follows_the_closed_form(shape):
    a, eta, first, x = 2.0, 0.3, 0.1, 1.5
    stepsize = np.full_like(shape.zeros(1), first)
    constants = hdm.Constants(hyper_lr=eta, stepsize=stepsize, shape=shape)
    states = run(hdm, quadratics.scalar_quadratic(a, x), constants, 12)
    e, r = 1 - a * first, 1 - eta * a
    for K, state in enumerate(states):
        # Rounding of a product of 2 K factors, each a difference that has lost some digits.
        assert state.x[0] == pytest.approx(x * e**K * r ** (K * (K - 1) / 2), rel=1e-10)


def test_scalar_quadratic_follows_exact_arithmetic_bit_for_bit():
    """Dyadic numbers and powers of two in the denominators leave nothing to round."""
    a, eta = Fraction(2), Fraction(1, 4)
    x, P = Fraction(2), Fraction(1, 4)
    constants = hdm.Constants(hyper_lr=float(eta), stepsize=np.array([float(P)]))
    for state in run(hdm, quadratics.scalar_quadratic(float(a), float(x)), constants, 5):
        assert (Fraction(state.x[0]), Fraction(state.P[0])) == (x, P)
        g = a * x
        trial = x - P * g
        P = P + eta * (a * trial) * g / g**2
        x = trial


@pytest.mark.parametrize(("first", "steps"), [(0.125, 2), (0.0, 2)], ids=["from P > 0", "from P = 0"])
def test_rate_of_one_over_the_curvature_ends_exactly_at_zero(first, steps):
    constants = hdm.Constants(hyper_lr=0.5, stepsize=np.array([first]))
    states = run(hdm, quadratics.scalar_quadratic(2.0, 4.0), constants, steps)
    assert states[steps - 1].x[0] != 0
    assert states[steps].x[0] == 0
    assert states[steps].value == 0


def test_ratio_feedback_on_the_scalar_quadratic_halves_ever_faster():
    """Rate 1 / (4 a^2) gives x_{K+1} = x_1 2^{-K (K-1) / 2}, exactly for a = 2."""
    constants = osgm.osgm_r(1 / 16, bound=0.0, learner=learner.ogd, action=action.vanilla)
    for K, state in enumerate(run(osgm, quadratics.scalar_quadratic(2.0, 4.0), constants, 8)):
        assert state.x[0] == 4.0 * 0.5 ** (K * (K - 1) // 2)


def test_too_large_a_rate_with_clipping_cycles_between_the_end_points():
    a, width = 2.0, 0.25
    box = learner.box(1 / a - width, 1 / a + width)
    constants = hdm.Constants(hyper_lr=1.5, stepsize=np.array([0.375]), project=box)
    states = run(hdm, quadratics.scalar_quadratic(a, 4.0), constants, 12)
    stepsizes = [float(state.P[0]) for state in states[2:]]
    assert stepsizes == [stepsizes[0], stepsizes[1]] * 5 + [stepsizes[0]]
    assert sorted(stepsizes[:2]) == [0.25, 0.75]
    # Yet f falls at every step, so that a null step never fires, and only linearly.
    assert [after.value / before.value for before, after in pairwise(states[2:])] == [0.25] * 10


def test_a_scalar_rate_past_two_over_the_curvature_diverges():
    constants = hdm.Constants(hyper_lr=1.25, stepsize=np.array([0.25]))
    states = run(hdm, quadratics.scalar_quadratic(2.0, 1.0), constants, 12)
    assert abs(states[-1].x[0]) > 1e6


def test_diagonal_quadratic_contracts_each_error_by_its_share_of_the_gradient():
    """(1 - a_i p_i) shrinks by (1 - eta a_i g_i^2 / ||g||^2)."""
    problem = quadratics.quadratic([1.0, 0.5, 0.25], x0=[1.0, -2.0, 4.0])
    states = run(hdm, problem, hdm.Constants(hyper_lr=0.5), 10)
    for before, after in pairwise(states):
        share = before.gradient**2 / (before.gradient @ before.gradient)
        expected = (1 - problem.hessian * before.P) * (1 - 0.5 * problem.hessian * share)
        np.testing.assert_allclose(1 - problem.hessian * after.P, expected, rtol=1e-12, atol=1e-15)


def test_ogd_with_rate_one_over_rayleigh_is_the_delayed_exact_line_search():
    """With eta the inverse Rayleigh quotient of g, the next scalar stepsize is the long Barzilai-Borwein one."""
    x, g = QUADRATIC.x0, QUADRATIC.gradient(QUADRATIC.x0)
    inverse = float(g @ g / (g @ QUADRATIC.hessian_product(x, g)))
    constants = hdm.Constants(hyper_lr=inverse, stepsize=np.array(0.3), shape=SCALAR)
    after = run(hdm, QUADRATIC, constants, 1)[1]
    s, y = after.x - x, after.gradient - g
    assert float(after.P) == pytest.approx(float(s @ s / (s @ y)), rel=1e-13)


@pytest.mark.parametrize(
    ("spectrum", "vanilla", "ahead"),
    [([1.0, 0.5], 10, 6), ([1.0, 0.5, 0.25], 16, 11), ([1.0, 0.1], 24, 17)],
    ids=str,
)
def test_full_stepsize_takes_the_counted_steps(spectrum, vanilla, ahead):
    """Steps until f / f_1 < 1e-14; the rotation enters by rounding only near there, hence one step of freedom."""
    n = len(spectrum)
    problem = quadratics.quadratic(spectrum, rotation=quadratics.random_rotation(n))
    for act, eta, count in (
        (action.vanilla, 0.5, vanilla),
        (action.null_step, 0.5, vanilla),
        (action.lookahead, 1, ahead),
    ):
        constants = hdm.Constants(1.0, eta, stepsize=np.eye(n), shape=FULL, action=act)
        values = [state.value for state in run(hdm, problem, constants, 40)]
        steps = next(k for k, value in enumerate(values) if value < 1e-14 * values[0])
        assert abs(steps - count) <= 1


# The spike: f_k / f_0 on 1/2 (x_1^2 + 0.01 x_2^2); computed independently, some in 60 digits

SPIKE = {
    # rule: (peak, its k), f_k / f_0 at k = 20, 50, 100, 200, relative tolerance
    "OGD": ((238.086, 61), (7.4332e-3, 2.1920e-3, 1.3169e-3, 4.8485e-6), 1e-3),
    "OGD, null step": ((1, 0), (7.4332e-3, 1.3795e-3, 2.8638e-4, 5.9165e-6), 1e-3),
    "OGD, lookahead": ((1, 0), (4.53e-3, 3.12e-4, 6.62e-8, 9.04e-22), 5e-3),
    "AdaGrad": ((6.9282e20, 58), (1.7995e-3, 2.4141e19, 1.5732e-5, 1.9736e-7), 1e-3),
    "AdaGrad, null step": ((1, 0), (1.7995e-3, 7.2011e-4, 1.3206e-4, 2.9343e-6), 1e-3),
    "OGD, diagonal": ((1, 0), (3.31e-3, 4.26e-7, 2.74e-22, 2.5e-85), 2e-2),
    "OGD, diagonal, null step": ((1, 0), (3.31e-3, 4.26e-7, 2.74e-22, 2.5e-85), 2e-2),
}


@pytest.mark.parametrize(("rule", "peak", "values", "rel"), [(rule, *row) for rule, row in SPIKE.items()], ids=SPIKE)
def test_spike_toy_gives_the_row_of_the_table(rule, peak, values, rel):
    """The tolerance is the last printed digit, 1e-3 where float64 and 60 digits agree to three and more."""
    relative, _ = hdm_laws.spike(rule)
    assert int(relative.argmax()) == peak[1]
    assert relative.max() == pytest.approx(peak[0], rel=1e-3)
    assert relative[[20, 50, 100, 200]] == pytest.approx(values, rel=rel)


@pytest.mark.parametrize("learn", ["OGD", "AdaGrad"])
def test_stepsize_clipped_where_no_component_grows_does_not_spike(learn):
    relative, stepsizes = hdm_laws.spike(f"{learn}, clipped")
    assert relative.max() == 1
    assert stepsizes.max() == 2.0


@pytest.mark.parametrize("act", [action.vanilla, action.null_step, action.lookahead], ids=lambda a: a.__name__)
def test_hdm_is_osgm_with_hypergradient_feedback_bit_for_bit(act):
    parts = {"learner": learner.adagrad, "action": act}
    mine = run(hdm, QUADRATIC, hdm.Constants(1.0, 0.5, **parts), 20)
    theirs = run(osgm, QUADRATIC, osgm.Constants(0.5, 1.0, **parts), 20)
    for a, b in zip(mine, theirs, strict=True):
        assert (a.x.tobytes(), a.P.tobytes(), a.value) == (b.x.tobytes(), b.P.tobytes(), b.value)


def test_rate_is_half_of_one_over_smoothness_unless_given():
    default, given = run(hdm, QUADRATIC, hdm.Constants(1.0), 5), run(hdm, QUADRATIC, hdm.Constants(1.0, 0.5), 5)
    assert default[-1].P.tobytes() == given[-1].P.tobytes()


@pytest.mark.parametrize("power", [-3, 4])
def test_scaling_f_by_a_power_of_two_scales_the_stepsize_and_leaves_x(power):
    c = 2.0**power
    scaled = quadratics.quadratic([c * a for a in (1.0, 0.5, 0.125)], x0=[1.0, -2.0, 4.0])
    plain = quadratics.quadratic([1.0, 0.5, 0.125], x0=[1.0, -2.0, 4.0])
    for a, b in zip(
        run(hdm, plain, hdm.Constants(hyper_lr=0.5), 20),
        run(hdm, scaled, hdm.Constants(hyper_lr=0.5 / c), 20),
        strict=True,
    ):
        assert a.x.tobytes() == b.x.tobytes()
        assert a.P.tobytes() == (c * b.P).tobytes()


# Heavy ball

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
        assert h <= -min(1 / (2 * (L + omega)), omega / tau) + 1e-9


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
    assert total <= potentials[0] - problem.optimal_value + 1e-9


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
    assert (sides.left <= sides.right + 1e-9).all()


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
        assert state.value - problem.optimal_value <= problem.smoothness * distance / (2 * state.weight) * (1 + 1e-9)
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
        assert after <= before * (1 - np.sqrt(mu / L)) * (1 + 1e-9) + 1e-14


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
