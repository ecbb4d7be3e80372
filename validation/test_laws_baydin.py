"""The laws of SGD-HD, SGDN-HD and Adam-HD: what holds on every run, to the last bit wherever scaling is by powers of 2.

Sources: Baydin et al. 2018, and for the multiplicative rule D. Martinez Rubio, MSc thesis, Oxford 2017 ("thesis").
"""

import math
from copy import deepcopy
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from hypergrad_reference import adam_hd, adamw, sgd_hd
from hypergrad_reference.adam_hd import Constants
from hypergrad_reference.hypergradient import Sums, schedule_additive, schedule_multiplicative
from hypergrad_reference.transition import inverse_square, schedule_transition

MU, LR, EPS = 0.75, 0.0625, 2.0**-10
STEPS = 40
SHAPES = [(3,), (2, 5)]
DTYPES = [np.float32, np.float64]


def adam(step):
    """A step whose epsilon can be scaled with the gradient."""
    return lambda thetas, grads, state, schedule, scale=1.0: step(
        thetas, grads, state, schedule, Constants(0.75, 0.875, EPS * scale)
    )


def without_scale(step):
    return lambda thetas, grads, state, schedule, scale=1.0: step(thetas, grads, state, schedule)


METHODS = {
    "sgd": (sgd_hd.init, without_scale(sgd_hd.step_sgd)),
    "heavy_ball": (
        sgd_hd.init_momentum,
        without_scale(partial(sgd_hd.step_heavy_ball, momentum=MU, dampening=0.25)),
    ),
    "nesterov": (sgd_hd.init_momentum, without_scale(partial(sgd_hd.step_nesterov, momentum=MU))),
    "adam": (adam_hd.init, adam(adam_hd.step)),
    "adam_lua": (adam_hd.init, adam(adam_hd.step_lua)),
}
SGD = ("sgd", "heavy_ball", "nesterov")
ADDITIVE = {name: 2.0**-6 if name in SGD else 2.0**-8 for name in METHODS}
RULES = {"additive": schedule_additive, "multiplicative": schedule_multiplicative}


class Problem:
    """sum a sqrt(1 + (x - c)^2): convex, smooth, with bounded gradients; as f -> scale f(stretch x)."""

    def __init__(self, dtype=np.float64, scale=1.0, stretch=1.0):
        rng = np.random.default_rng(0)
        self.a = [(rng.random(shape) + 0.5).astype(dtype) for shape in SHAPES]
        self.c = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
        self.start = [(rng.standard_normal(shape) / stretch).astype(dtype) for shape in SHAPES]
        self.scale, self.stretch = dtype(scale), dtype(stretch)

    def gradients(self, thetas):
        grads = []
        for a, c, theta in zip(self.a, self.c, thetas, strict=True):
            y = self.stretch * theta - c
            grads.append(self.scale * self.stretch * (a * y / np.sqrt(1 + y * y)))
        return grads


def run(method, problem, schedule, lr=LR, scale=1.0, steps=STEPS):
    """All parameters after every step, and the records."""
    init, step = METHODS[method]
    thetas, state = problem.start, init(problem.start, lr)
    path, records = [], []
    for _ in range(steps):
        thetas, state, record = step(thetas, problem.gradients(thetas), state, schedule, scale=scale)
        path.append(np.concatenate([theta.ravel() for theta in thetas]))
        records.append(record)
    return np.array(path), records


def rates(records):
    return np.array([record.lr for record in records])


BASE = {
    "sgd": lambda g, v, t: (g, v),
    "heavy_ball": lambda g, v, t: (g, g) if t == 1 else (MU * v + 0.75 * g,) * 2,
    "nesterov": lambda g, v, t: (g + MU * (MU * v + g), MU * v + g),
}


def run_base(method, problem, lr, steps):
    thetas, path = list(problem.start), []
    velocities = [np.zeros_like(theta) for theta in thetas]
    moments = [adamw.init(theta) for theta in thetas]
    for t in range(1, steps + 1):
        for i, g in enumerate(problem.gradients(thetas)):
            if method in BASE:
                d, velocities[i] = BASE[method](g, velocities[i], t)
                thetas[i] = thetas[i] - g.dtype.type(lr) * d
            else:
                eps = EPS if method == "adam" else EPS / math.sqrt(1 - 0.875**t)
                scalars = adamw.exact_scalars(lr, 0.75, 0.875, eps, 0.0, 0.75**t, 0.875**t)
                thetas[i], moments[i] = adamw.apply_exact(thetas[i], g, moments[i], scalars)
        path.append(np.concatenate([theta.ravel() for theta in thetas]))
    return np.array(path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", METHODS)
def test_hyper_lr_of_zero_is_the_base_method(method, rule, dtype):
    path, records = run(method, Problem(dtype), partial(RULES[rule], hyper_lr=0.0))
    assert path.tobytes() == run_base(method, Problem(dtype), LR, STEPS).tobytes()
    assert set(rates(records)) == {LR}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", METHODS)
def test_first_step_is_that_of_the_base_method(method, rule):
    path, [record] = run(method, Problem(), partial(RULES[rule], hyper_lr=0.5), steps=1)
    assert path.tobytes() == run_base(method, Problem(), LR, 1).tobytes()
    assert (record.lr, record.reason) == (LR, "no direction")


@pytest.mark.parametrize("method", METHODS)
def test_rate_is_the_first_one_plus_all_inner_products(method):
    hyper_lr = ADDITIVE[method]
    path, records = run(method, Problem(), partial(schedule_additive, hyper_lr=hyper_lr))
    path = [np.concatenate([theta.ravel() for theta in Problem().start]), *path]
    products = []
    for t in range(1, STEPS):
        g = np.concatenate([g.ravel() for g in Problem().gradients([path[t][:3], path[t][3:].reshape(2, 5)])])
        products.append(g @ ((path[t - 1] - path[t]) / records[t - 1].lr))
    # the directions are taken from differences of theta: u |theta| / (lr |d|), some 100 u each, and 40 of them
    assert abs(records[-1].lr - LR - hyper_lr * math.fsum(products)) <= 1e-12
    assert abs(records[-1].lr - LR) > 1e-2


@pytest.mark.parametrize(
    ("method", "expected"),
    [("sgd", 0.5 * 5.25), ("heavy_ball", 0.5 * 5.25), ("nesterov", 0.5 * 1.75 * 5.25), ("adam", 0.5 * 3.5)],
)
def test_rate_of_zero_starts_along_the_gradient(method, expected):
    init, step = METHODS[method]
    thetas, grads = [np.ones(3)], [np.array([1.0, -2.0, 0.5])]
    state, schedule = init(thetas, 0.0), partial(schedule_additive, hyper_lr=0.5)
    moved, state, _ = step(thetas, grads, state, schedule, scale=2.0**-40)
    assert np.array_equal(moved[0], thetas[0])
    _, state, _ = step(moved, grads, state, schedule, scale=2.0**-40)
    # the norm of g for SGD, (1 + mu) of it for SGDN, the sum of |g| for Adam, whose epsilon here is 2^-50
    assert abs(state.lr - expected) <= 1e-14


@pytest.mark.parametrize("method", METHODS)
def test_multiplicative_rate_of_zero_stays_zero(method):
    path, records = run(method, Problem(), partial(schedule_multiplicative, hyper_lr=0.5), lr=0.0)
    assert set(rates(records)) == {0.0}
    assert {record.reason for record in records[1:]} == {"zero rate"}
    assert np.array_equal(path[0], path[-1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_additive_rule_scales_with_the_loss(method, dtype):
    """f -> c f: alpha / c and beta / c^3 for SGD, alpha and beta / c for Adam, whose epsilon goes with the gradient."""
    c = 8.0
    alpha, beta = (c, c**3) if method in SGD else (1.0, c)
    plain = run(method, Problem(dtype), partial(schedule_additive, hyper_lr=ADDITIVE[method]))
    schedule = partial(schedule_additive, hyper_lr=ADDITIVE[method] / beta)
    scaled = run(method, Problem(dtype, scale=c), schedule, lr=LR / alpha, scale=c)
    assert scaled[0].tobytes() == plain[0].tobytes()
    assert np.array_equal(rates(scaled[1]) * alpha, rates(plain[1]))
    assert len(set(rates(plain[1]))) > STEPS // 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_additive_rule_scales_with_theta(method, dtype):
    """theta = s phi: alpha / s^2 and beta / s^4 for SGD, alpha / s and beta / s^2 for Adam."""
    s = 4.0
    alpha, beta = (s**2, s**4) if method in SGD else (s, s**2)
    plain = run(method, Problem(dtype), partial(schedule_additive, hyper_lr=ADDITIVE[method]))
    schedule = partial(schedule_additive, hyper_lr=ADDITIVE[method] / beta)
    scaled = run(method, Problem(dtype, stretch=s), schedule, lr=LR / alpha, scale=s)
    assert (scaled[0] * dtype(s)).tobytes() == plain[0].tobytes()
    assert np.array_equal(rates(scaled[1]) * alpha, rates(plain[1]))


@pytest.mark.parametrize("rescale", [{"scale": 8.0}, {"stretch": 4.0}], ids=["loss", "theta"])
@pytest.mark.parametrize("method", METHODS)
def test_multiplicative_rule_needs_no_other_hyper_lr_under_scaling(method, rescale):
    c, s = rescale.get("scale", 1.0), rescale.get("stretch", 1.0)
    alpha = c * s**2 if method in SGD else s
    schedule = partial(schedule_multiplicative, hyper_lr=0.125)
    plain = run(method, Problem(), schedule)
    scaled = run(method, Problem(**rescale), schedule, lr=LR / alpha, scale=c * s)
    assert (scaled[0] * s).tobytes() == plain[0].tobytes()
    assert np.array_equal(rates(scaled[1]) * alpha, rates(plain[1]))
    assert len(set(rates(plain[1]))) > STEPS // 2


@pytest.mark.parametrize("method", METHODS)
def test_multiplicative_rate_changes_by_no_more_than_hyper_lr(method):
    _, records = run(method, Problem(), partial(schedule_multiplicative, hyper_lr=0.125), lr=2.0)
    assert min(rates(records)) < 2.0
    for record in records:
        assert record.lr_before * 0.875 <= record.lr <= record.lr_before * 1.125


def descend(curvature, x, schedule, lr, steps, gradient=None):
    """Gradient descent on sum a x^2 / 2, or on what has the gradient given: points before each step, and records."""
    thetas = [np.array(x, float)]
    state = sgd_hd.init(thetas, lr)
    points, records = [thetas[0]], []
    for _ in range(steps):
        g = curvature * thetas[0] if gradient is None else gradient(thetas[0])
        thetas, state, record = sgd_hd.step_sgd(thetas, [g], state, schedule)
        points.append(thetas[0])
        records.append(record)
    return points, records


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(5))
def test_rate_below_the_inverse_of_the_largest_curvature_rises_and_above_that_of_the_smallest_falls(rule, seed):
    """Thesis, lemma 3.2.2: f L-smooth and m-strongly convex, full gradients."""
    rng = np.random.default_rng(seed)
    curvature = np.array([0.5, *(0.5 + 3.5 * rng.random(6)), 4.0])
    x = rng.standard_normal(8)
    schedule = partial(RULES[rule], hyper_lr=1e-3)
    _, (_, rose) = descend(curvature, x, schedule, 0.999 / 4.0, 2)
    _, (_, fell) = descend(curvature, x, schedule, 1.001 / 0.5, 2)
    assert rose.lr > rose.lr_before
    assert fell.lr < fell.lr_before


@pytest.mark.parametrize("hyper_lr", [0.125, 0.5])
@pytest.mark.parametrize("lr", [0.01, 4.0])
@pytest.mark.parametrize("a", [0.25, 3.0])
def test_multiplicative_rule_converges_in_one_dimension(a, lr, hyper_lr):
    """Thesis, theorem 3.2.4, f = a x^2: once in [(1 - b) / 2a, (1 + b) / 2a] the rate stays, and x shrinks by b."""
    points, records = descend(2 * a, [1.0], partial(schedule_multiplicative, hyper_lr=hyper_lr), lr, 120)
    low, high = (1 - hyper_lr) / (2 * a), (1 + hyper_lr) / (2 * a)
    inside = [low * (1 - 1e-15) <= r.lr <= high * (1 + 1e-15) for r in records]
    entered = inside.index(True)
    assert all(inside[entered:])
    for before, after in pairwise(points[entered:]):
        # 1 - 2 a alpha loses the 2 u of its terms
        assert abs(after[0]) <= (hyper_lr + 1e-15) * abs(before[0])
    assert abs(points[-1][0]) < 1e-10


def test_multiplicative_rule_converges_on_a_semidefinite_quadratic():
    """Thesis, theorem 3.2.6."""
    curvature = np.array([0.0, 0.5, 1.0, 4.0])
    points, _ = descend(curvature, np.ones(4), partial(schedule_multiplicative, hyper_lr=0.125), 1e-3, 400)
    assert curvature @ points[-1] ** 2 < 1e-12 * (curvature @ points[0] ** 2)


@pytest.mark.parametrize("hyper_lr", [0.25, 0.875])
def test_multiplicative_rule_diverges_without_smoothness(hyper_lr):
    """Thesis, proposition 3.2.1, f = x^4, b < 8/9: from alpha x^2 >= 1 on the iterates grow threefold a step."""
    points, records = descend(
        0.0, [2.0], partial(schedule_multiplicative, hyper_lr=hyper_lr), 0.25, 5, gradient=lambda x: 4 * x**3
    )
    assert records[0].lr * points[0][0] ** 2 == 1.0
    for before, after in pairwise(points):
        assert abs(after[0]) >= 3 * abs(before[0])


def test_rate_stays_within_the_bound_of_the_proof():
    """Theorem 5.1: |alpha_t - alpha_0| <= (t - 1) beta M^2, M the largest norm of a gradient so far."""
    problem, hyper_lr = Problem(), 0.5
    thetas, state, largest = problem.start, sgd_hd.init(problem.start, LR), 0.0
    for t in range(1, STEPS):
        grads = problem.gradients(thetas)
        largest = max(largest, sum(float((g * g).sum()) for g in grads))
        thetas, state, _ = sgd_hd.step_sgd(thetas, grads, state, partial(schedule_additive, hyper_lr=hyper_lr))
        assert abs(state.lr - LR) <= (t - 1) * hyper_lr * largest * (1 + 1e-14)  # the sums are rounded


def test_transition_converges_where_the_plain_rule_does_not():
    """Theorem 5.1, on sum sqrt(1 + x^2): M^2 <= n, L = 1, alpha_inf < 1 / L; and |gamma_t - alpha_inf| in its bound."""
    x, hyper_lr, final = np.array([2.0, -1.0, 0.5]), 10.0, 0.5
    plain = partial(schedule_additive, hyper_lr=hyper_lr)
    blended = partial(schedule_transition, adapt=plain, lr_final=final)

    def gradient(x):
        return x / np.sqrt(1 + x * x)

    lost, _ = descend(0.0, x, plain, 0.1, 500, gradient)
    found, records = descend(0.0, x, blended, 0.1, 500, gradient)
    assert min(np.abs(point).max() for point in lost[250:]) > 1.0
    assert np.abs(found[-1]).max() < 1e-12
    assert records[0].applied == 0.1
    for t, record in enumerate(records, 1):
        assert abs(record.applied - final) <= inverse_square(t) * (0.1 + (t - 1) * hyper_lr * len(x) + final) + 1e-16


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", METHODS)
def test_order_of_the_tensors_does_not_matter(method, rule):
    init, step = METHODS[method]
    problem, schedule = Problem(np.float32), partial(RULES[rule], hyper_lr=2.0**-8)
    forth, state = problem.start, init(problem.start, LR)
    back = forth[::-1]
    mirrored = init(back, LR)
    for _ in range(STEPS):
        grads = problem.gradients(forth)
        forth, state, _ = step(forth, grads, state, schedule)
        back, mirrored, _ = step(back, grads[::-1], mirrored, schedule)
        assert state.lr == mirrored.lr
        assert [theta.tobytes() for theta in forth] == [theta.tobytes() for theta in back[::-1]]


def arrays_of(value):
    if isinstance(value, np.ndarray):
        return [value]
    return [array for part in value for array in arrays_of(part)] if isinstance(value, tuple | list) else []


def step_pytorch(thetas, grads, state, schedule, scale=1.0):
    return adam_hd.step_pytorch(thetas, grads, state, 2.0**-8, Constants(0.75, 0.875, EPS * scale))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", [*METHODS, "adam_pytorch"])
def test_step_is_pure_and_keeps_the_dtype(method, dtype):
    """Inputs stay as they were, results share no memory with them, and the same state gives the same step again."""
    init, step = METHODS.get(method, (adam_hd.init, step_pytorch))
    problem, schedule = Problem(dtype), partial(schedule_additive, hyper_lr=2.0**-8)
    thetas, state = problem.start, init(problem.start, LR)
    for t in range(4):
        grads = problem.gradients(thetas)
        grads[1] = None if t == 2 else grads[1]
        given = (thetas, grads, state)
        kept = deepcopy(given)
        thetas, state, _ = step(*given, schedule)
        again, state_again, _ = step(*kept, schedule)
        inputs, outputs = arrays_of(given), arrays_of((thetas, state))
        assert [a.tobytes() for a in inputs] == [a.tobytes() for a in arrays_of(kept)]
        assert [a.tobytes() for a in outputs] == [a.tobytes() for a in arrays_of((again, state_again))]
        assert state.lr == state_again.lr
        assert {array.dtype for array in outputs} == {np.dtype(dtype)}
        assert not any(np.shares_memory(a, b) for a in thetas for b in inputs)
        assert not any(np.shares_memory(a, b) for a in outputs for b in grads if b is not None)


@pytest.mark.parametrize("method", SGD)
def test_tensor_counts_its_own_steps(method):
    init, step = METHODS[method]
    thetas = Problem().start
    state = init(thetas, LR)
    for absent in (None, 1, None, 0, 0):
        grads = [None if i == absent else g for i, g in enumerate(Problem().gradients(thetas))]
        thetas, state, _ = step(thetas, grads, state, partial(schedule_additive, hyper_lr=0.0))
    assert (state.step, [kept.step for kept in state.kept]) == (5, [3, 4])


@pytest.mark.parametrize(("product", "lr"), [(2.0, 0.5 * 1.25), (-2.0, 0.5 * 0.75)])
def test_cosine_past_one_by_rounding_is_held(product, lr):
    assert schedule_multiplicative(2, 0.5, Sums(product, 1.0, 1.0), hyper_lr=0.25).lr == lr


@pytest.mark.parametrize("product", [1e308, -1e308])
@pytest.mark.parametrize("rule", RULES)
def test_rate_that_would_not_be_finite_stays(rule, product):
    record = RULES[rule](2, math.copysign(1e308, product), Sums(product, 1.0, 1.0), hyper_lr=1e10)
    assert (record.lr, record.reason) == (math.copysign(1e308, product), "non-finite rate")


THETA, GRAD = [np.ones(3)], [np.ones(3)]
additive = partial(schedule_additive, hyper_lr=0.5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: schedule_additive(1, 0.5, None, -0.5), "hyper_lr is -0.5"),
        (lambda: schedule_multiplicative(1, 0.5, None, math.inf), "hyper_lr is inf"),
        (lambda: schedule_transition(1, 0.5, None, additive, 0.1, lambda t: 1.5), r"delta\(1\) is 1.5"),
        (lambda: schedule_transition(1, 0.5, None, additive, 0.1, lambda t: -0.5), r"delta\(1\) is -0.5"),
        (lambda: sgd_hd.init(THETA, math.nan), "lr is nan"),
        (lambda: adam_hd.init(THETA, math.inf), "lr is inf"),
        (lambda: sgd_hd.step_nesterov(THETA, GRAD, sgd_hd.init_momentum(THETA, 0.5), additive, 1.0), "momentum is 1.0"),
        (
            lambda: sgd_hd.step_heavy_ball(THETA, GRAD, sgd_hd.init_momentum(THETA, 0.5), additive, 0.5, 1.5),
            "dampening is 1.5",
        ),
        (lambda: sgd_hd.step_nesterov(THETA, GRAD, sgd_hd.init(THETA, 0.5), additive, 0.5), "init_momentum"),
        (lambda: sgd_hd.step_sgd(THETA, GRAD * 2, sgd_hd.init(THETA, 0.5), additive), "2 entries for 1 tensors"),
        (lambda: sgd_hd.step_sgd(THETA, [], sgd_hd.init(THETA, 0.5), additive), "0 entries for 1 tensors"),
        (
            lambda: sgd_hd.step_sgd(THETA, [np.ones(3, np.float32)], sgd_hd.init(THETA, 0.5), additive),
            r"grads\[0\] is float32\(3,\), thetas\[0\] is float64\(3,\)",
        ),
        (lambda: adam_hd.step(THETA, GRAD, adam_hd.init(THETA, 0.5), additive, Constants(beta2=1.0)), "beta2 is 1.0"),
        (lambda: adam_hd.step(THETA, GRAD, adam_hd.init(THETA, 0.5), additive, Constants(eps=0.0)), "eps is 0.0"),
    ],
)
def test_wrong_constant_or_gradient_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
