"""The AdamW family by hand, and against the textbook in 40 digits."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest

from hypergrad import HypergradientAdamW
from hypergrad_reference import adamw, adamw_auto, adamw_auto_rule, adamw_hd, rule, surprise
from hypergrad_reference.adamw import Moments
from hypergrad_reference.adamw_auto import Constants, Learned
from hypergrad_reference.rule import Sums, Term, total_over_groups
from hypergrad_validation.drawn import DTYPES, Data

# Two steps on one number, worked out on paper: beta1 = 1/2, beta2 = 3/4, eps = 1, weight_decay = 1/4, lr = 1/2.
#   g_1 = 1      m = 1/2                     v = 1/4               m_hat = 1   v_hat = 1   d = 1/2   theta = 7 - 1/4
#   g_2 = 5/2    m = 1/4 + 5/4 = 3/2         v = 3/16 + 25/16      m_hat = 2   v_hat = 4   d = 2/3
#   theta = 27/4 * 7/8 - 1/3
BY_HAND = {"lr": 0.5, "beta1": 0.5, "beta2": 0.75, "eps": 1.0, "weight_decay": 0.25}


@pytest.mark.parametrize(
    ("form", "apply"),
    [(adamw.exact_scalars, adamw.apply_exact), (adamw.shader_scalars, adamw.apply_shader)],
    ids=["exact", "shader"],
)
def test_adamw_takes_two_steps_as_by_hand(form, apply):
    theta, moments = np.array([8.0]), adamw.init(np.zeros(1))
    theta, moments = apply(theta, np.array([1.0]), moments, form(**BY_HAND, beta1_power=0.5, beta2_power=0.75))
    assert (theta[0], moments.exp_avg[0], moments.exp_avg_sq[0]) == (6.75, 0.5, 0.25)
    theta, moments = apply(theta, np.array([2.5]), moments, form(**BY_HAND, beta1_power=0.25, beta2_power=0.5625))
    assert (moments.step, moments.exp_avg[0], moments.exp_avg_sq[0]) == (2, 1.5, 1.75)
    assert theta[0] == pytest.approx(6.75 * 0.875 - 1 / 3, rel=4 * 2**-53, abs=0)  # 1/3 and 1/(1 - beta^2) are rounded


@pytest.mark.parametrize(
    ("form", "direct"),
    [(adamw.exact_scalars, adamw.direction_exact), (adamw.shader_scalars, adamw.direction_shader)],
    ids=["exact", "shader"],
)
def test_direction_is_that_of_the_step_before(form, direct):
    scalars = form(**BY_HAND, beta1_power=0.25, beta2_power=0.5625)
    d = direct(Moments(2, np.array([1.5]), np.array([1.75])), scalars)
    assert d[0] == pytest.approx(2 / 3, rel=4 * 2**-53, abs=0)


def test_direction_with_amsgrad_divides_by_the_largest_second_moment():
    scalars = adamw.exact_scalars(**BY_HAND, beta1_power=0.5, beta2_power=0.75)
    moments = Moments(1, np.array([0.5]), np.array([0.25]), np.array([2.25]))
    assert adamw.direction_exact(moments, scalars)[0] == 1 / 4  # the root of 4 v_max is 3


def test_amsgrad_divides_by_the_largest_second_moment():
    scalars = adamw.exact_scalars(**BY_HAND, beta1_power=0.5, beta2_power=0.75)
    moments = Moments(0, np.zeros(2), np.zeros(2), np.array([2.25, 0.0]))
    theta, moments = adamw.apply_amsgrad(np.array([8.0, 8.0]), np.array([1.0, 1.0]), moments, scalars)
    assert moments.max_exp_avg_sq.tolist() == [2.25, 0.25]
    assert theta.tolist() == [7 - 0.5 / 4, 7 - 0.5 / 2]  # roots of 4 v_max: 3 and 1


def test_conventions_differ_in_one_minus_beta():
    """The numbers of float32(1) - float32(0.999) and of float32(0.001), seen in v = (1 - beta2) g^2 with g = 1."""
    seen = {}
    for name, form, apply in (
        ("exact", adamw.exact_scalars, adamw.apply_exact),
        ("shader", adamw.shader_scalars, adamw.apply_shader),
    ):
        ones = np.ones(1, np.float32)
        scalars = form(1e-3, 0.9, 0.999, 1e-8, 0.0, beta1_power=0.9, beta2_power=0.999)
        _, moments = apply(ones, ones, adamw.init(ones), scalars)
        seen[name] = moments.exp_avg_sq[0]
    assert seen == {"exact": np.float32(0.001), "shader": np.float32(1) - np.float32(0.999)}
    assert seen["shader"] / seen["exact"] - 1 == pytest.approx(-1.29e-5, rel=1e-2)  # grilly's own error, 1.3e-5


ROUNDINGS = 16
"""Of a step, at most: 6 scalars, 3 operations in m, 4 in v (2 of them halved by the root), 5 in theta."""


def step_by_the_textbook(theta, g, m, v, t):
    beta1, beta2, lr, eps, decay = map(Decimal, (0.9, 0.999, 1e-2, 1e-8, 0.01))
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    moved = lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)
    return theta - lr * decay * theta - moved, abs(theta) + abs(moved)


@pytest.mark.parametrize("t", [1, 2, 7, 1000])
@pytest.mark.parametrize("dtype", DTYPES)
def test_exact_convention_is_the_textbook_except_for_roundings(dtype, t):
    data = Data(dtype, 200)
    theta, g, v = (data.draw(name) for name in ("theta", "grad", "exp_avg_sq"))
    m = np.copysign(data.draw("exp_avg"), g)  # of one sign, so that the sum in m magnifies no rounding
    scalars = adamw.exact_scalars(1e-2, 0.9, 0.999, 1e-8, 0.01, beta1_power=0.9**t, beta2_power=0.999**t)
    got, _ = adamw.apply_exact(theta, g, Moments(t - 1, m, v), scalars)
    with localcontext(prec=40):
        for i in range(data.n):
            wanted, scale = step_by_the_textbook(*(Decimal(float(x[i])) for x in (theta, g, m, v)), t)
            unit = Decimal(float(np.finfo(dtype).eps)) / 2
            # 1 - beta^t is a difference in float64; at t = 1 it magnifies the rounding of beta2 a thousandfold
            assert abs(Decimal(float(got[i])) - wanted) <= ROUNDINGS * unit * scale + 1000 * Decimal(2) ** -53 * scale


def test_hypergradient_moves_the_rate_as_by_hand():
    """The two steps above with a third gradient of 3: h = -<g_3, d_2> = -3 * 2/3, lr = 1/2 + 2/16."""
    theta = np.array([8.0])
    opt = HypergradientAdamW(
        [theta], lr=0.5, betas=(0.5, 0.75), eps=1.0, weight_decay=0.25, hyper_lr=0.0, use_gpu=False
    )
    opt.step(gradients=[np.array([1.0])])
    opt.step(gradients=[np.array([2.5])])
    assert opt.last_record.hypergradient == -1.25  # -5/2 * 1/2
    opt.hyper_lr = 0.0625
    opt.step(gradients=[np.array([3.0])])
    assert opt.last_record.hypergradient == pytest.approx(-2, rel=4 * 2**-53, abs=0)
    assert opt.current_lr == pytest.approx(0.625, rel=4 * 2**-53, abs=0)


@pytest.mark.parametrize(
    ("h", "lr", "reason"),
    [
        (-2.0, 0.375, "adapted"),
        (2.0, 0.125, "adapted"),
        (0.0, 0.25, "adapted"),
        (-100.0, 0.5, "lr_max"),
        (100.0, 0.0625, "lr_min"),
        (math.inf, 0.25, "non-finite sum"),
        (math.nan, 0.25, "non-finite sum"),
    ],
)
def test_linear_schedule_moves_against_h_within_its_bounds(h, lr, reason):
    record = adamw_hd.schedule_linear(5, 0.25, h, 0.0625, 0.0625, 0.5)
    assert (record.step, record.lr_before, record.lr, record.reason) == (5, 0.25, lr, reason)


@pytest.mark.parametrize(
    ("h", "lr", "reason"),
    [
        (-math.log(1.5), 0.375, "adapted"),
        (math.log(2.0), 0.125, "adapted"),
        (-5.0, 0.5, "lr_max"),
        (5.0, 0.0625, "lr_min"),
        (math.inf, 0.25, "non-finite sum"),
    ],
)
def test_log_schedule_multiplies_within_its_bounds(h, lr, reason):
    record = adamw_hd.schedule_log(5, 0.25, h, 1.0, 0.0625, 0.5)
    assert record.lr == pytest.approx(lr, rel=4 * 2**-52, abs=0)  # a logarithm, an exponential, a sum
    assert record.reason == reason


def form_sums(grad_direction, last_grad_grad):
    return Sums(grad_direction, last_grad_grad=last_grad_grad)


# hyper_lr = 1/32 and G = 1 before: a clipped h of 1 leaves G at 1 and moves lr by 1/32, less 1e-12 of it for the eps.
AUTO = Constants(hyper_lr=0.03125, hyper_lr_beta=0.125, lr_min=0.25, lr_max=0.75, beta_min=0.5, beta_max=0.8125)


@pytest.mark.parametrize(
    ("state", "sums", "lr", "reason"),
    [
        (Learned(0.5, 0.75), form_sums(4.0, 2.0), 0.53125, "adapted"),
        (Learned(0.5, 0.75), form_sums(-4.0, 2.0), 0.46875, "adapted"),
        (Learned(0.25, 0.75), form_sums(4.0, 2.0), 0.275, "limited"),
        (Learned(0.3, 0.75), form_sums(-4.0, 2.0), 0.27, "limited"),
        (Learned(0.5, 0.75), form_sums(1.0, 2.0), 0.5 + 0.015625 / math.sqrt(0.9925), "adapted"),  # G = 0.99 + 0.01/4
        (Learned(0.75, 0.75), form_sums(4.0, 2.0), 0.75, "lr_max"),
        (Learned(0.25, 0.75), form_sums(-4.0, 2.0), 0.25, "lr_min"),
        (Learned(0.5, 0.75), form_sums(4.0, 1e-12), 0.5, "small normalizer"),
        (Learned(0.5, 0.75), form_sums(math.inf, 2.0), 0.5, "non-finite sum"),
        (Learned(0.5, 0.75), None, 0.5, "no direction"),
    ],
)
def test_auto_schedule_moves_as_by_hand(state, sums, lr, reason):
    after, record = adamw_auto.schedule(11, state, sums, AUTO)
    assert (record.lr_before, record.lr, record.reason) == (state.lr, after.lr, reason)
    assert after.lr == pytest.approx(lr, rel=2e-12, abs=0)  # the eps of the root
    assert after.beta1 == state.beta1


def test_auto_schedule_waits_for_the_warmup():
    state, sums = Learned(0.5, 0.75), form_sums(4.0, 2.0)
    reasons = [adamw_auto.schedule(step, state, sums, AUTO)[1].reason for step in (1, 10, 11)]
    assert reasons == ["warmup", "warmup", "adapted"]


@pytest.mark.parametrize(
    ("numerator", "hb", "beta1"),
    [
        (2.0, 1.0, 0.625),
        (0.5, 0.25, 0.75 - 0.03125 / math.sqrt(0.990625)),  # G = 0.99 + 0.01/16
        (-0.5, -0.25, 0.75 + 0.03125 / math.sqrt(0.990625)),
        (-2.0, -1.0, 0.8125),  # beta_max
        (-64.0, -1.0, 0.8125),
    ],
)
def test_auto_schedule_moves_beta1_against_its_numerator(numerator, hb, beta1):
    sums = Sums(0.0, last_grad_grad=2.0, grad_exp_avg=numerator)
    after, record = adamw_auto.schedule(11, Learned(0.5, 0.75), sums, AUTO, follow=adamw_auto.follow_moment)
    assert (record.beta1_normalized, record.beta1_hypergradient, record.lr) == (hb, numerator, 0.5)
    assert after.beta1 == record.beta1 == pytest.approx(beta1, rel=2e-12, abs=0)  # the eps of the root


def test_surprise_starts_and_settles_as_by_hand():
    """q = 4, then 3.5; deviations of 4 and 7, so S = tanh(1) and tanh(2)."""
    first = surprise.observe(surprise.State(), 4.0, 4.0, 0.75, 0.25, 0.5)
    second = surprise.observe(first, 2.0, 7.0, 0.75, 0.25, 0.5)
    assert (first.grad_sq_ema, second.grad_sq_ema) == (4.0, 3.5)
    assert first.surprise == pytest.approx(math.tanh(1), rel=1e-12)  # the eps of 1e-12
    assert second.surprise == pytest.approx(math.tanh(2), rel=1e-12)
    assert second.accumulated == pytest.approx(0.25 * math.tanh(2) + 0.75 * 0.25 * math.tanh(1), rel=1e-12)
    assert second.gain == pytest.approx(second.accumulated * math.exp(-2 * second.accumulated), rel=2**-50)


@pytest.mark.parametrize("sums", [(math.nan, 1.0), (1.0, math.inf)])
def test_surprise_takes_in_no_sum_that_is_not_finite(sums):
    state = surprise.State(4.0, 0.5, 0.25, 0.125)
    assert surprise.observe(state, *sums, 0.75, 0.25, 0.5) == state


def test_hypergradient_of_groups_weighs_each_by_its_rate_and_decay():
    """2 (3 + 3/8) / (1 - 1/4) + 1/2 (1 + 2) / (1 - 1/2) = 9 + 3, the first in two tensors."""

    def show(grad_direction, grad_theta):
        return {"grad_direction": np.array([grad_direction]), "grad_theta": np.array([grad_theta])}

    terms = [
        Term(2.0, 0.5, 0.5, [show(1.0, 0.5)]),
        Term(0.5, 0.5, 1.0, [show(1.0, 2.0)]),
        Term(2.0, 0.5, 0.5, [show(2.0, 0.25)]),
    ]
    assert total_over_groups(terms).decayed_grad_direction == 12.0


def test_decay_in_the_hypergradient_of_auto_is_part_of_its_numerator():
    constants, of_adamw = adamw_auto.Constants(warmup_steps=1), adamw.Constants(weight_decay=0.25)
    thetas, grads = [np.array([8.0, -1.0])], [np.array([1.0, 3.0])]
    first, state, _ = adamw_auto.step(thetas, grads, adamw_auto.init(thetas, 0.5, 0.9), constants, of_adamw)
    _, _, plain = adamw_auto.step(first, grads, state, constants, of_adamw)
    _, _, decayed = adamw_auto.step(first, grads, state, constants, of_adamw, decay_in_hypergradient=True)
    exact = rule.decay_grad_direction(-plain.hypergradient, float(grads[0] @ first[0]), 0.5, 0.25)
    assert -decayed.hypergradient == exact != -plain.hypergradient
    history = rule.History(0, 1, moved=True)
    asked = adamw_auto_rule.Rule(constants, decay_in_hypergradient=True)
    sums = rule.Sums(-plain.hypergradient, 1.0, last_grad_grad=10.0, decayed_grad_direction=exact)
    learned, record = asked.schedule(2, adamw_auto.Learned(0.5, 0.9), sums, (1e-6, 1.0))
    assert "grad_theta" in asked.products(2, history)
    assert (learned, record) == adamw_auto_rule.Rule(constants).schedule(
        2, adamw_auto.Learned(0.5, 0.9), sums._replace(grad_direction=exact), (1e-6, 1.0)
    )
    assert record.hypergradient == -exact
