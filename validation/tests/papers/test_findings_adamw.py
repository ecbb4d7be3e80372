"""What the hypergradient AdamW optimizers do, and do not do, as published: a test for each entry of FINDINGS.md."""

import math
from pathlib import Path

import numpy as np
import pytest

from hypergrad import AutoHypergradientAdamW, HypergradientAdamW
from hypergrad_papers.adamw.laws import compute_laws, render
from hypergrad_reference import surprise
from hypergrad_reference.adamw import apply_exact, apply_shader, exact_scalars, init, shader_scalars
from hypergrad_reference.adamw_hd import schedule_log


def test_laws_are_those_that_the_findings_quote():
    findings = (Path(__file__).parents[2] / "FINDINGS.md").read_text("utf-8")
    assert render(compute_laws()) in findings


def run_auto(size, scale=1.0, steps=100, **options):
    """The rates on a random quadratic of 20 variables, from 1e-3; size is that of the first gradients."""
    rng = np.random.default_rng(0)
    curvature, x = rng.random(20) + 0.5, rng.standard_normal(20) * size
    opt = AutoHypergradientAdamW([x], lr=1e-3, eps=scale * 1e-8, weight_decay=0.0, device="numpy", **options)
    for _ in range(steps):
        opt.step(gradients=[scale * curvature * x])
    return np.array(opt.lr_history)


@pytest.mark.parametrize(
    ("normalization", "size", "invariant"),
    [("gradient", 100.0, False), ("direction", 0.01, False), ("cosine", 1.0, True)],
)
def test_rates_depend_on_the_scale_of_the_loss_but_under_the_cosine(normalization, size, invariant):
    # sizes at which h is not clipped at either scale, and a hyper_lr that leaves the limit of a tenth out of play
    plain, scaled = (run_auto(size, c, normalization=normalization, hyper_lr=1e-4) for c in (1.0, 4.0))
    assert (plain.tobytes() == scaled.tobytes()) is invariant
    assert plain[-1] != plain[0]


def test_at_small_rates_the_limit_of_a_tenth_is_the_rule():
    rates = run_auto(10.0)
    small = rates[:-1] < 0.01
    ratios = rates[1:][small] / rates[:-1][small]
    # 1.1 and 0.9 to rounding of a product, a sum and a quotient
    assert np.all((np.abs(ratios - 1.1) < 1e-15) | (np.abs(ratios - 0.9) < 1e-15))
    assert small.sum() > 20
    assert rates[-1] > 50 * rates[0]


def drive_beta1(momentum_rule):
    """Largest direction, and share of steps at which beta1 sits on a bound, on noisy gradients."""
    rng = np.random.default_rng(1)
    curvature, x = rng.random(30) + 0.1, rng.standard_normal(30)
    opt = AutoHypergradientAdamW(
        [x], lr=1e-3, weight_decay=0.0, adapt_momentum=True, momentum_rule=momentum_rule, hyper_lr=0.0, device="numpy"
    )
    largest = 0.0
    for step in range(500):
        before = x.copy()
        opt.step(gradients=[curvature * x + 5 * rng.standard_normal(30)])
        if step > 10:
            largest = max(largest, float(np.abs(x - before).max()) / opt.current_lr)
    beta1 = np.array(opt.beta1_history)
    return largest, float(np.mean((beta1 == opt.beta_min) | (beta1 == opt.beta_max)))


def test_changing_beta1_blows_the_direction_up_unless_the_correction_is_a_product():
    published, share = drive_beta1("published")
    derivative, _ = drive_beta1("derivative")
    assert share > 0.4  # at the default hyper_lr_beta beta1 jumps from bound to bound
    # |m_hat| / sqrt(v_hat) of gradients that are nearly all noise is below 1 except by chance
    assert published > 10
    assert derivative < 1.5


def test_surprise_reads_its_first_value_whatever_the_gradient():
    opt = AutoHypergradientAdamW([np.ones(3)], track_surprise=True, warmup_steps=0, device="numpy")
    opt.step(gradients=[np.array([1.0, -2.0, 0.5])])
    assert opt.current_surprise == math.tanh(1 / (1 + 1e-12 / 5.25))


def test_surprise_reads_the_noise_and_not_a_change():
    """On stationary noise ||g - e||^2 / q settles at 1 + (1-gamma)/(1+gamma) = 1.05 for gamma = 0.9."""
    rng, state, ema = np.random.default_rng(2), surprise.State(), None
    readings = []
    for _ in range(400):
        g = rng.standard_normal(2000)
        deviation = g if ema is None else g - ema
        state = surprise.observe(state, float(g @ g), float(deviation @ deviation), 0.9, 0.1, 0.5)
        ema = g.copy() if ema is None else surprise.follow(ema, g, 0.9)
        readings.append(state.surprise)
    # 300 readings of 2000 terms each: a standard error below 1e-3
    assert abs(np.mean(readings[100:]) - math.tanh(1 + 0.1 / 1.9)) < 5e-3
    assert state.accumulated > 0.5  # above the default threshold


def test_log_scale_moves_by_h_where_its_derivative_is_lr_h():
    small, large = (schedule_log(2, lr, -1.0, 0.1, 1e-9, 1e9) for lr in (1e-3, 1e3))
    # the same factor at either rate, to rounding of exp and log
    assert small.lr / 1e-3 == pytest.approx(large.lr / 1e3, rel=1e-12)
    assert small.lr / 1e-3 == pytest.approx(math.exp(0.1), rel=1e-12)


def test_shader_forms_one_minus_beta2_in_float32():
    formed = float(np.float32(1) - np.float32(0.999))
    assert abs(formed / 0.001 - 1) == pytest.approx(1.3e-5, rel=0.05)
    # at t = 1 the error cancels against the bias correction; later it does not fully
    rng = np.random.default_rng(3)
    grads = rng.standard_normal((50, 100)).astype(np.float32)
    errors = []
    for form, apply in ((exact_scalars, apply_exact), (shader_scalars, apply_shader)):
        theta, moments = np.zeros(100, np.float32), init(np.zeros(100, np.float32))
        wide, wide_moments = np.zeros(100), init(np.zeros(100))
        for t, g in enumerate(grads, 1):
            scalars = form(1e-3, 0.9, 0.999, 1e-8, 0.0, 0.9**t, 0.999**t)
            theta, moments = apply(theta, g, moments, scalars)
            wide, wide_moments = apply_exact(
                wide, g.astype(np.float64), wide_moments, exact_scalars(1e-3, 0.9, 0.999, 1e-8, 0.0, 0.9**t, 0.999**t)
            )
        errors.append(float(np.abs(moments.exp_avg_sq / wide_moments.exp_avg_sq - 1).max()))
    assert errors[1] > 10 * errors[0]


def published_step(x, state, gradient):
    """The published rule as it stands, on one tensor: no check of what is finite."""
    m, v, lr, d, t = state
    if d is not None:
        lr = min(max(lr + 1e-3 * float(gradient @ d), 1e-6), 1.0) if lr == lr else lr
        lr = lr + 0.0 * float(gradient @ d)
    m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
    d = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
    return x - lr * d, (m, v, lr, d, t + 1)


def test_one_nan_poisons_the_published_rule_forever_and_ours_not_at_all():
    gradients = [np.array([1.0, 2.0]), np.array([np.nan, 1.0]), np.array([1.0, 2.0]), np.array([1.0, 2.0])]
    x, state = np.ones(2), (np.zeros(2), np.zeros(2), 1e-3, None, 1)
    for gradient in gradients:
        x, state = published_step(x, state, gradient)
    assert np.isnan(state[2])
    assert np.isnan(x).all()
    ours = np.ones(2)
    opt = HypergradientAdamW([ours], hyper_lr=1e-3, nonfinite="skip", device="numpy")
    for gradient in gradients:
        opt.step(gradients=[gradient])
    assert np.isfinite(ours).all()
    assert np.isfinite(opt.current_lr)
    assert opt.skipped == 1


def test_tensor_that_sat_out_contributes_nothing():
    """It did not move, so its derivative is 0; the published code uses the direction of an earlier step."""
    x, y = np.ones(2), np.ones(3)
    opt = HypergradientAdamW([x, y], hyper_lr=1e-3, device="numpy")
    opt.step(gradients=[np.ones(2), np.ones(3)])
    opt.step(gradients=[np.ones(2), None])
    opt.step(gradients=[np.ones(2), np.ones(3)])
    alone = np.ones(2)
    single = HypergradientAdamW([alone], hyper_lr=1e-3, device="numpy")
    for _ in range(3):
        single.step(gradients=[np.ones(2)])
    assert opt.last_record.hypergradient == single.last_record.hypergradient


def earlier_change(h, lr=1e-3, hyper_lr=0.01):
    """The first change of an earlier public version: AdaGrad from 0, no decay, no clip, no limit."""
    accumulator = h * h
    return lr - hyper_lr * h / (math.sqrt(accumulator) + 1e-12)


@pytest.mark.parametrize("h", [-1e-6, -1.0, -1e6])
def test_first_change_of_an_earlier_version_is_hyper_lr_whatever_h_is(h):
    # 1e-12 / |h| of it is lost to the epsilon: at most 1e-6
    assert abs(earlier_change(h) - 1.1e-2) < 1e-7
