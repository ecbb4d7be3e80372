"""Every hypergradient of Baydin et al. 2018 is the derivative of the next loss.

SGD-HD and SGDN-HD have nothing but sums and products, so their reference is run on rational numbers, and the losses are
quadratic: the central difference of a quadratic is its derivative, without remainder. Equality is exact.
Adam-HD has a root: its update is written out once more on complex numbers, and the imaginary part of the next loss
after a step of 1e-200 i is the derivative, with no difference taken.
"""

from fractions import Fraction
from functools import partial

import numpy as np
import pytest

from hypergrad_reference import adam_hd, delayed, hyper_order, hypergradient, sgd_hd
from hypergrad_reference.hypergradient import schedule_additive, schedule_multiplicative
from hypergrad_reference.transition import inverse_square, schedule_transition

F = Fraction
ZERO, MU, TAU, STEPS = F(0), F(1, 2), F(1, 3), 5
MISSING = {"every gradient": {}, "some missing": {2: (1,), 3: (0,), 4: (0, 1)}}


@pytest.fixture
def rational_total(monkeypatch):
    """Inner products as rational numbers: the one place of the rules that turns to float64."""
    monkeypatch.setattr(hypergradient, "total", lambda blocks: sum(F(term) for array in blocks for term in array))


def rationals(rng, n):
    return np.array([F(int(k), 4) for k in rng.integers(-8, 9, n)])


class Minibatches:
    """Quadratic losses, a new one for every step and tensor: sum a x^2 / 2 + b x, and the L2 term of the method."""

    def __init__(self, weight_decay):
        rng = np.random.default_rng(0)
        self.start = [rationals(rng, n) for n in (2, 3)]
        self.a = [[rationals(rng, n) ** 2 for n in (2, 3)] for _ in range(STEPS + 1)]
        self.b = [[rationals(rng, n) for n in (2, 3)] for _ in range(STEPS + 1)]
        self.weight_decay = weight_decay

    def value(self, t, thetas, missing):
        return sum(
            ((a + self.weight_decay) * x**2 / 2 + b * x).sum()
            for i, (a, b, x) in enumerate(zip(self.a[t], self.b[t], thetas, strict=True))
            if i not in missing
        )

    def gradients(self, t, thetas, missing):
        """Without the L2 term, which the methods add."""
        return [
            None if i in missing else a * x + b
            for i, (a, b, x) in enumerate(zip(self.a[t], self.b[t], thetas, strict=True))
        ]


def derivative(loss, at):
    """Of a quadratic: exact."""
    return (loss(at + 1) - loss(at - 1)) / 2


# The direction of each method by the textbook: (g, v of the step before, whether it is the tensor's first) to d and v.
TEXTBOOK = {
    "sgd": lambda g, v, first: (g, v),
    "heavy_ball": lambda g, v, first: (g, g) if first else (MU * v + (1 - TAU) * g,) * 2,
    "nesterov": lambda g, v, first: (g + MU * (MU * v + g), MU * v + g),
}
REFERENCE = {
    "sgd": sgd_hd.Constants(),
    "heavy_ball": sgd_hd.Constants(MU, TAU),
    "nesterov": sgd_hd.Constants(MU, nesterov=True),
}


def walk(method, schedule, coupled=ZERO, decoupled=ZERO, missing=MISSING["every gradient"], step=sgd_hd.step):
    """Run the reference, and yield each step's record with the next loss as a function of the rate applied before."""
    problem, textbook = Minibatches(coupled), TEXTBOOK[method]
    constants = REFERENCE[method]._replace(weight_decay=coupled, decoupled_weight_decay=decoupled)
    thetas, state = problem.start, sgd_hd.init(problem.start, F(1, 8), constants)
    velocities, counts = [0 * x for x in thetas], [0, 0]
    loss, applied = None, None
    for t in range(1, STEPS + 1):
        absent = missing.get(t, ())
        grads = problem.gradients(t, thetas, absent)
        before = thetas
        thetas, state, record = step(thetas, grads, state, schedule, constants)
        yield record, loss, applied
        directions = [0 * x for x in before]
        for i, (x, g) in enumerate(zip(before, grads, strict=True)):
            if g is not None:
                d, velocities[i] = textbook(g + coupled * x, velocities[i], counts[i] == 0)
                directions[i] = d + decoupled * x
                counts[i] += 1

        def loss(rate, t=t, before=before, directions=directions):
            moved = [x - rate * d for x, d in zip(before, directions, strict=True)]
            return problem.value(t + 1, moved, missing.get(t + 1, ()))

        applied = record.applied
        for moved, x, d in zip(thetas, before, directions, strict=True):
            assert np.array_equal(moved, x - applied * d)  # the textbook is on the path of the run


DECAYS = {"no decay": {}, "L2": {"coupled": F(1, 3)}, "decoupled": {"decoupled": F(1, 3)}}


@pytest.mark.parametrize("step", [sgd_hd.step, delayed.step_sgd_hd], ids=["exact", "delayed"])
@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("method", TEXTBOOK)
@pytest.mark.usefixtures("rational_total")
def test_h_is_the_derivative_of_the_next_loss_in_rationals(method, decay, missing, step):
    schedule = partial(schedule_additive, hyper_lr=F(1, 512))
    run = list(walk(method, schedule, **DECAYS[decay], missing=MISSING[missing], step=step))
    assert run[0][0].reason == "no direction"
    moved = [(record, derivative(loss, applied)) for record, loss, applied in run[1:]]
    for record, expected in moved:
        if record.reason == "adapted":
            assert record.hypergradient == expected
            assert record.lr == record.lr_before - F(1, 512) * expected
        else:
            assert expected == 0  # no tensor that moved has a gradient: the loss does not see the rate
    assert any(expected for _, expected in moved)


@pytest.mark.parametrize("method", TEXTBOOK)
@pytest.mark.usefixtures("rational_total")
def test_transition_leaves_out_the_weight_of_the_step_before(method):
    """h is the derivative for gamma_{t-1}; for alpha_{t-1} it is delta(t-1) times that, which the rule leaves out."""
    schedule = partial(
        schedule_transition,
        adapt=partial(schedule_additive, hyper_lr=F(1, 512)),
        lr_final=F(1, 16),
        delta=lambda t: F(1, t**2),
    )
    for t, (record, loss, _) in list(enumerate(walk(method, schedule), 1))[1:]:
        weight = F(1, (t - 1) ** 2)

        def of_alpha(alpha, weight=weight, loss=loss):
            return loss(weight * alpha + (1 - weight) * F(1, 16))

        assert weight * record.hypergradient == derivative(of_alpha, record.lr_before)
    assert inverse_square(4) == F(1, 4**2)


@pytest.mark.parametrize("level", [1, 2, 3])
@pytest.mark.usefixtures("rational_total")
def test_slope_of_every_level_is_the_derivative_for_its_rate(level):
    """D^n_t is the derivative of the loss at t for k^n_{t-1}, with the rates below moved along as the levels has it."""
    problem = Minibatches(ZERO)
    kept = sgd_hd.init(problem.start, F(1, 8)).kept
    levels = hyper_order.Levels((F(1, 8), F(1, 64), F(1, 4096), F(1, 2**24)), (ZERO, ZERO, ZERO))
    # step 1 moves no rate
    thetas, kept = sgd_hd.apply(problem.start, problem.gradients(1, problem.start, ()), kept, levels.rates[0])
    seen = 0
    for t in range(2, STEPS):
        before, below = thetas, levels
        grads = problem.gradients(t, thetas, ())
        thetas, kept, levels = hyper_order.step_sgd(thetas, grads, kept, levels)

        def loss(rate, t=t, before=before, grads=grads, below=below, levels=levels):
            for n in range(level - 1, 0, -1):  # k^n_t = k^n_{t-1} - k^{n+1}_t D^n_t
                rate = below.rates[n - 1] - rate * levels.slopes[n - 1]
            return problem.value(t + 1, [x - rate * g for x, g in zip(before, grads, strict=True)], ())

        following = hyper_order.schedule_levels(levels, sgd_hd.sums(thetas, problem.gradients(t + 1, thetas, ()), kept))
        assert following.slopes[level - 1] == derivative(loss, levels.rates[level - 1])
        seen += following.slopes[level - 1] != 0
    assert seen >= 2


class Quartic:
    """sum a (x - c)^4 / 4: convex, not quadratic, defined for complex x; and an L2 term."""

    def __init__(self, n, rng, weight_decay):
        self.a, self.c, self.weight_decay = rng.random(n) + 0.5, rng.standard_normal(n), weight_decay

    def value(self, x):
        return (self.a * (x - self.c) ** 4 / 4 + self.weight_decay * x**2 / 2).sum()

    def gradient(self, x):
        return self.a * (x - self.c) ** 3


H = 1e-200
# u = 2^-53. Sums of about 40 products, each a chain of some 20 roundings, so 60 u of the sum of magnitudes, which here
# stays below 100 times the result: 7e-13.
ROUNDING = 1e-12
B1, B2, EPS = 0.8, 0.99, 1e-3


def adam(x, g, m, v, t, lr, before_correction):
    """A step of Adam by the textbook, or with epsilon added before the correction as the authors have it."""
    m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g**2
    root = np.sqrt(1 - B2**t)
    denominator = (np.sqrt(v) + EPS) / root if before_correction else np.sqrt(v) / root + EPS
    return x - lr * m / (1 - B1**t) / denominator


@pytest.mark.parametrize("missing", MISSING)
@pytest.mark.parametrize("decay", [0.0, 0.25], ids=["no decay", "L2"])
@pytest.mark.parametrize(
    ("step", "schedule", "before_correction"),
    [
        pytest.param(adam_hd.step, partial(schedule_additive, hyper_lr=1e-3), False, id="paper"),
        pytest.param(adam_hd.step, partial(schedule_multiplicative, hyper_lr=0.1), False, id="multiplicative"),
        pytest.param(delayed.step_adam_hd, partial(schedule_additive, hyper_lr=1e-3), False, id="delayed"),
        pytest.param(adam_hd.step_lua, partial(schedule_additive, hyper_lr=1e-3), True, id="lua"),
        pytest.param(
            adam_hd.step,
            partial(schedule_transition, adapt=partial(schedule_additive, hyper_lr=1e-3), lr_final=0.02),
            False,
            id="transition",
        ),
    ],
)
def test_h_of_adam_is_the_derivative_by_a_complex_step(step, schedule, before_correction, decay, missing):
    rng = np.random.default_rng(1)
    problems = [Quartic(n, rng, decay) for n in (30, 7)]
    thetas = [rng.standard_normal(n) for n in (30, 7)]
    state = adam_hd.init(thetas, 0.05)
    constants = adam_hd.Constants(B1, B2, EPS, decay)
    adapted, before, applied = 0, [], state.lr
    for t in range(1, 9):
        absent = MISSING[missing].get(t, ())
        grads = [None if i in absent else p.gradient(x) for i, (p, x) in enumerate(zip(problems, thetas, strict=True))]
        expected = 0.0
        for i, (x, g, moments) in enumerate(before):
            if g is not None and grads[i] is not None:
                _, m, v, _ = moments
                moved = adam(x, g + decay * x, m, v, moments.step + 1, applied + 1j * H, before_correction)
                assert np.abs(moved.real - thetas[i]).max() <= ROUNDING * np.abs(thetas[i]).max()
                expected += problems[i].value(moved).imag / H
        before = [(x, g, kept.moments) for x, g, kept in zip(thetas, grads, state.kept, strict=True)]
        thetas, state, record = step(thetas, grads, state, schedule, constants)
        applied = record.applied
        if record.reason == "adapted":
            assert abs(record.hypergradient - expected) <= ROUNDING * abs(expected)
            adapted += 1
        else:
            assert (record.reason, expected) == ("no direction", 0.0)
    assert adapted >= 4


@pytest.mark.parametrize("decay", [0.0, 0.25], ids=["no decay", "L2"])
def test_h_of_the_authors_adam_adds_up_over_its_tensors(decay):
    """Tensor by tensor, at one and the same rate, its parts are those of step_lua: every tensor's own derivative."""
    rng = np.random.default_rng(2)
    problems = [Quartic(n, rng, decay) for n in (30, 7)]
    thetas = [rng.standard_normal(n) for n in (30, 7)]
    state, constants = adam_hd.init(thetas, 0.05), adam_hd.Constants(B1, B2, EPS, decay)
    fixed = partial(schedule_additive, hyper_lr=0.0)
    for _ in range(6):
        grads = [p.gradient(x) for p, x in zip(problems, thetas, strict=True)]
        _, _, records = adam_hd.step_pytorch(thetas, grads, state, 0.0, constants)
        thetas, state, record = adam_hd.step_lua(thetas, grads, state, fixed, constants)
        if state.step > 1:
            parts = [each.hypergradient for each in records]
            assert abs(sum(parts) - record.hypergradient) <= ROUNDING * sum(map(abs, parts))


def test_authors_adam_moves_its_rate_from_tensor_to_tensor():
    rng = np.random.default_rng(3)
    problems = [Quartic(n, rng, 0.0) for n in (5, 4, 3)]
    thetas = [rng.standard_normal(n) for n in (5, 4, 3)]
    state, constants = adam_hd.init(thetas, 0.05), adam_hd.Constants(B1, B2, EPS)
    alpha, directions = 0.05, [np.zeros_like(theta) for theta in thetas]
    for t in range(1, 6):
        grads = [p.gradient(x) for p, x in zip(problems, thetas, strict=True)]
        before = state.kept
        moved, state, records = adam_hd.step_pytorch(thetas, grads, state, 1e-3, constants)
        for i, (x, g, kept) in enumerate(zip(thetas, grads, before, strict=True)):
            alpha += 1e-3 * g @ directions[i]
            expected = adam(x, g, kept.moments.exp_avg, kept.moments.exp_avg_sq, t, alpha, before_correction=True)
            assert np.abs(moved[i] - expected).max() <= ROUNDING
            assert abs(records[i].lr - alpha) <= ROUNDING
            directions[i] = (x - moved[i]) / alpha
        assert state.lr == records[-1].lr
        thetas = moved
    assert abs(alpha - 0.05) > 1e-2
