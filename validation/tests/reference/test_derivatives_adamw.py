"""Every hypergradient of the AdamW family is the derivative of the next loss, by two witnesses.

The first is a complex step: the optimizer's update is written out here once more, in the plain form of the textbook, on
complex numbers; the imaginary part of the loss after a step of 1e-200 i is the derivative, with no difference taken.
The second is a central difference of the optimizer's own reference.
"""

from fractions import Fraction

import numpy as np
import pytest

from hypergrad import AutoHypergradientAdamW, HypergradientAdamW
from hypergrad_reference.adamw import Moments, exact_scalars
from hypergrad_reference.adamw_beta1 import direction_beta1_derivative
from hypergrad_reference.adamw_hd import schedule_log
from hypergrad_reference.rule import decay_grad_direction

H = 1e-200
# u = 2^-53. Each number is a sum of about n = 40 products that are themselves a chain of some 20 roundings, hence
# n + 20 = 60 u of the sum of magnitudes, which here stays below 100 times the result; 60 u 100 is 7e-13.
ROUNDING = 1e-12
BETA2, EPS = 0.99, 1e-3


class Quartic:
    """f(x) = sum a (x - c)^4 / 4 + b x^2 / 2: convex, not quadratic, and defined for complex x."""

    def __init__(self, n, rng):
        self.a, self.b, self.c = rng.random(n) + 0.5, rng.random(n), rng.standard_normal(n)

    def value(self, x):
        return (self.a * (x - self.c) ** 4 / 4 + self.b * x**2 / 2).sum()

    def gradient(self, x):
        return self.a * (x - self.c) ** 3 + self.b * x


def step(x, g, m, v, t, lr, beta1, decay, power=None):
    """A textbook step of AdamW on real or complex numbers; power stands for beta1^t."""
    m, v = beta1 * m + (1 - beta1) * g, BETA2 * v + (1 - BETA2) * g**2
    m_hat = m / (1 - (beta1**t if power is None else power))
    x = x * (1 - lr * decay) - lr * m_hat / (np.sqrt(v / (1 - BETA2**t)) + EPS)
    return x, m, v


class Replay:
    """A run of an optimizer, with what is needed to take each of its steps once more."""

    def __init__(self, opt, params, problems):
        self.opt, self.params, self.problems = opt, params, problems
        self.before = None

    @property
    def lr(self):
        """The rate that the latest step moved with."""
        record = self.opt.last_record
        return record.lr_before if self.opt.delay else record.lr

    def advance(self, missing=()):
        grads = [
            None if i in missing else p.gradient(x)
            for i, (x, p) in enumerate(zip(self.params, self.problems, strict=True))
        ]
        before = [
            (x.copy(), g, state["exp_avg"].copy(), state["exp_avg_sq"].copy(), state["step"])
            for x, g, state in zip(self.params, grads, map(self._look, self.params), strict=True)
        ]
        self.opt.step(gradients=grads)
        self.previous, self.before = self.before, before
        self.grads = grads

    def _look(self, x):
        blank = {"exp_avg": np.zeros_like(x), "exp_avg_sq": np.zeros_like(x), "step": 0}
        return self.opt.state.get(id(x), blank)

    def derivative(self, lr, beta1, decay, by, ratios=None):
        """The derivative of the loss at t, over tensors with a gradient then, for the rate or beta1 of step t-1."""
        total = 0.0
        for i, (x, g, m, v, t) in enumerate(self.previous):
            if g is None or self.grads[i] is None:
                continue
            ratio = 1.0 if ratios is None else ratios[i]
            rate, momentum = ratio * lr, beta1
            if by == "lr":
                rate = ratio * (lr + 1j * H)
            else:
                momentum = beta1 + 1j * H
            moved, _, _ = step(x, g, m, v, t + 1, rate, momentum, decay)
            total += self.problems[i].value(moved).imag / H
        return total


def start(make, decay=0.0, sizes=(3, 30, 7), **options):
    rng = np.random.default_rng(1)
    problems = [Quartic(n, rng) for n in sizes]
    params = [rng.standard_normal(n) for n in sizes]
    opt = make(params, betas=(0.8, BETA2), eps=EPS, weight_decay=decay, device="numpy", **options)
    return Replay(opt, params, problems)


SITTING = {"all": {}, "one sits out": {3: (1,), 4: (1,), 7: (0, 2)}}


@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("missing", SITTING)
@pytest.mark.parametrize("decay", [0.0, 0.25], ids=["no decay", "decay"])
def test_h_is_the_derivative_for_lr(decay, missing, delay):
    replay = start(HypergradientAdamW, decay, lr=0.05, hyper_lr=1e-4, decay_in_hypergradient=True, delay=delay)
    for t in range(1, 12):
        lr = replay.lr if t > 1 else None
        replay.advance(SITTING[missing].get(t, ()))
        if t > 1:
            expected = replay.derivative(lr, 0.8, decay, "lr")
            assert abs(replay.opt.last_record.hypergradient - expected) <= ROUNDING * abs(expected)
    assert replay.opt.current_lr != 0.05


def test_h_of_the_published_rule_leaves_the_decay_out():
    with_decay = start(HypergradientAdamW, 0.25, lr=0.05, hyper_lr=0.0)
    for _ in range(2):
        with_decay.advance()
    h = with_decay.opt.last_record.hypergradient
    without = with_decay.derivative(0.05, 0.8, 0.0, "lr")
    true = with_decay.derivative(0.05, 0.8, 0.25, "lr")
    # the published h is taken at the point that the decay led to: with a small rate it is the derivative without decay
    assert abs(h - true) > 1e-3 * abs(true)
    assert abs(h - without) < abs(h - true)


@pytest.mark.parametrize("delay", [0, 1])
def test_h_of_groups_is_the_derivative_for_the_base_rate(delay):
    rng = np.random.default_rng(2)
    problems = [Quartic(n, rng) for n in (4, 9)]
    params = [rng.standard_normal(n) for n in (4, 9)]
    groups = [{"params": [params[0]]}, {"params": [params[1]], "lr": 0.02}]
    opt = HypergradientAdamW(
        groups, lr=0.05, betas=(0.8, BETA2), eps=EPS, weight_decay=0.0, hyper_lr=1e-4, delay=delay,
        device="numpy",
    )  # fmt: skip
    replay = Replay(opt, params, problems)
    for t in range(1, 8):
        lr = replay.lr if t > 1 else None
        replay.advance()
        if t > 1:
            expected = replay.derivative(lr, 0.8, 0.0, "lr", ratios=[1.0, 0.02 / 0.05])
            assert abs(opt.last_record.hypergradient - expected) <= ROUNDING * abs(expected)


def test_derivative_on_the_log_scale_is_lr_times_h():
    replay = start(HypergradientAdamW, lr=0.05, hyper_lr=1e-4, log_scale=True)
    for t in range(1, 6):
        lr = replay.opt.current_lr
        replay.advance()
        if t > 1:
            h = replay.opt.last_record.hypergradient
            # d loss / d log lr = lr d loss / d lr; the rule uses h itself and drops the factor
            expected = lr * replay.derivative(lr, 0.8, 0.0, "lr")
            assert abs(lr * h - expected) <= ROUNDING * abs(expected)
            assert replay.opt.last_record.lr == schedule_log(t, lr, h, 1e-4, 1e-6, 1.0).lr


def test_central_difference_agrees():
    replay = start(HypergradientAdamW, lr=0.05, hyper_lr=0.0)
    for _ in range(2):
        replay.advance()
    d = 1e-5

    def loss(lr):
        moved = [step(x, g, m, v, t + 1, lr, 0.8, 0.0)[0] for x, g, m, v, t in replay.previous]
        return sum(p.value(x) for p, x in zip(replay.problems, moved, strict=True))

    difference = (loss(0.05 + d) - loss(0.05 - d)) / (2 * d)
    # error d^2 f'''/6 + u f/d: at most 1e-10 f''' and 1e-11 f, both f''' and f below 1e3 here
    assert abs(replay.opt.last_record.hypergradient - difference) < 1e-6


@pytest.mark.parametrize("delay", [0, 1])
def test_hb_is_the_derivative_for_beta1(delay):
    """With the running product in the bias correction, through steps at which beta1 itself has changed."""
    rng = np.random.default_rng(3)
    problem, x = Quartic(20, rng), rng.standard_normal(20)
    opt = AutoHypergradientAdamW(
        [x], lr=0.05, betas=(0.8, BETA2), eps=EPS, weight_decay=0.0, warmup_steps=0, adapt_momentum=True,
        momentum_rule="derivative", hyper_lr=1e-4, hyper_lr_beta=1e-2, delay=delay,
        device="numpy",
    )  # fmt: skip
    power, previous = 1.0, None
    m = v = np.zeros(20)
    for t in range(1, 12):
        g, theta = problem.gradient(x), x.copy()
        if previous is not None:
            p, g0, m0, v0, last_power, t0, beta1, lr = previous
            momentum = beta1 + 1j * H
            moved, m, v = step(p, g0, m0, v0, t0, lr, momentum, 0.0, power=last_power * momentum)
            expected, power = problem.value(moved).imag / H, last_power * beta1
            m, v = m.real, v
            assert np.array_equal(moved.real.round(12), theta.round(12))  # the replay is on the run's own path
        opt.step(gradients=[g])
        if previous is not None:
            # two terms of the size of lr <|g|, |d|> are subtracted; at the first step nothing is left of them, since
            # the correction takes beta1 out again
            tolerance = ROUNDING * max(abs(expected), np.abs(g) @ np.abs(p - moved.real))
            assert abs(opt.last_record.beta1_hypergradient - expected) <= tolerance
        record = opt.last_record
        previous = (theta, g, m, v, power, t) + (
            (record.beta1_before, record.lr_before) if delay else (record.beta1, record.lr)
        )
    assert len(set(opt.beta1_history)) > 8


@pytest.mark.parametrize("beta1", [0.5, 0.9])
def test_direction_beta1_derivative_is_that_of_the_direction(beta1):
    rng = np.random.default_rng(4)
    m0, v0, g = rng.standard_normal(9), rng.random(9), rng.standard_normal(9)
    last_power = 0.7
    v = BETA2 * v0 + (1 - BETA2) * g**2
    b = beta1 + 1j * H
    d = (b * m0 + (1 - b) * g) / (1 - last_power * b) / (np.sqrt(v / (1 - BETA2**5)) + EPS)
    scalars = exact_scalars(1.0, beta1, BETA2, EPS, 0.0, last_power * beta1, BETA2**5)
    moments = Moments(5, beta1 * m0 + (1 - beta1) * g, v)
    ours = direction_beta1_derivative(moments, scalars, g, last_power)
    assert np.abs(ours - d.imag / H).max() <= ROUNDING * np.abs(d.imag / H).max()


def test_decayed_hypergradient_is_exact_in_rationals():
    # one weight, f = x^4 / 4, d given: x1 = x0 (1 - lr wd) - lr d, and -df(x1)/dlr = x1^3 (wd x0 + d)
    x0, d, lr, wd = Fraction(3), Fraction(2), Fraction(1, 8), Fraction(1, 4)
    x1 = x0 * (1 - lr * wd) - lr * d
    g = x1**3
    assert decay_grad_direction(g * d, g * x1, lr, wd) == g * (wd * x0 + d)


def test_hb_of_the_published_rule_is_neither_the_derivative_nor_its_negative():
    """Finding: on noisy gradients its sign agrees with the true derivative's about half of the time."""
    rng = np.random.default_rng(5)
    n, agreed, steps = 50, 0, 400
    a = rng.random(n) + 0.1
    x = rng.standard_normal(n)
    opt = AutoHypergradientAdamW(
        [x], lr=1e-3, weight_decay=0.0, warmup_steps=0, adapt_momentum=True, momentum_rule="derivative",
        hyper_lr_beta=0.0, device="numpy",
    )  # fmt: skip
    for t in range(steps):
        g = a * x + rng.standard_normal(n)
        published = g @ opt.state[id(x)]["exp_avg"] if t else 0.0
        opt.step(gradients=[g])
        if t:
            agreed += np.sign(published) == np.sign(opt.last_record.beta1_hypergradient)
    # a rule that followed the derivative would agree always, its negative never; 400 coin flips stay within 4 sigma
    assert 160 <= agreed <= 240
