"""HDM: closed forms, step counts, the spike, and that it is OSGM with one feedback."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hdm_problems import QUADRATIC

from hypergrad_papers.hdm2025 import laws as hdm_laws
from hypergrad_papers.hdm2025 import spike
from hypergrad_papers.hdm2025.published import PEAK_REL, SPIKE, STEPS, STEPS_ABS
from hypergrad_problems import quadratics
from hypergrad_problems.runs import run
from hypergrad_reference import action, hdm, learner, osgm
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR


@pytest.mark.parametrize("shape", [SCALAR, DIAGONAL, FULL], ids=["scalar", "diagonal", "full"])
def test_scalar_quadratic_follows_the_closed_form(shape):
    assert hdm_laws.closed_form_error.judge(shape).holds


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


@pytest.mark.parametrize("spectrum", STEPS, ids=str)
def test_full_stepsize_takes_the_counted_steps(spectrum):
    n = len(spectrum)
    problem = quadratics.quadratic(spectrum, rotation=quadratics.random_rotation(n))
    for rule, act, eta in (
        ("hypergradient", action.vanilla, 0.5),
        ("hypergradient, null step", action.null_step, 0.5),
        ("hypergradient, lookahead", action.lookahead, 1),
    ):
        constants = hdm.Constants(1.0, eta, stepsize=np.eye(n), shape=FULL, action=act)
        values = [state.value for state in run(hdm, problem, constants, 40)]
        steps = next(k for k, value in enumerate(values) if value < 1e-14 * values[0])
        assert abs(steps - STEPS[spectrum][rule]) <= STEPS_ABS


@pytest.mark.parametrize("rule", SPIKE)
def test_spike_toy_gives_the_row_of_the_table(rule):
    (highest, at), values, rel = SPIKE[rule]
    relative, _ = spike.spike(rule)
    assert int(relative.argmax()) == at
    assert relative.max() == pytest.approx(highest, rel=PEAK_REL)
    assert relative[[20, 50, 100, 200]] == pytest.approx(values, rel=rel)


@pytest.mark.parametrize("learn", ["OGD", "AdaGrad"])
def test_stepsize_clipped_where_no_component_grows_does_not_spike(learn):
    relative, stepsizes = spike.spike(f"{learn}, clipped")
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
