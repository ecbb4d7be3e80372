"""The laws of SGD-HD, SGDN-HD and Adam-HD: what holds on every run, to the last bit wherever scaling is by powers of 2.

Each function runs what its law speaks of and returns by how much it is missed, or whether it holds. Sources: Baydin et
al. 2018, and for the multiplicative rule D. Martinez Rubio, MSc thesis, Oxford 2017 ("thesis").
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypergrad_reference import adam_hd, adamw, sgd_hd
from hypergrad_reference.adam_hd import Constants
from hypergrad_reference.hypergradient import Record, Schedule, schedule_additive, schedule_multiplicative
from hypergrad_reference.transition import inverse_square, schedule_transition
from hypergrad_reference.types import Vector

MU, LR, EPS = 0.75, 0.0625, 2.0**-10
STEPS = 40
SHAPES: tuple[tuple[int, ...], ...] = ((3,), (2, 5))

Step = Callable[..., tuple[list[Vector], Any, Record]]
"""(thetas, grads, state, schedule, scale) to thetas, state, record; scale is that of Adam's epsilon."""


def _adam(step: Callable[..., Any]) -> Step:
    """A step whose epsilon can be scaled with the gradient."""
    return lambda thetas, grads, state, schedule, scale=1.0: step(
        thetas, grads, state, schedule, Constants(0.75, 0.875, EPS * scale)
    )


def _without_scale(step: Callable[..., Any]) -> Step:
    return lambda thetas, grads, state, schedule, scale=1.0: step(thetas, grads, state, schedule)


HEAVY_BALL, NESTEROV = sgd_hd.Constants(MU, 0.25), sgd_hd.Constants(MU, nesterov=True)
METHODS: dict[str, tuple[Callable[..., Any], Step]] = {
    "sgd": (sgd_hd.init, _without_scale(sgd_hd.step)),
    "heavy_ball": (
        partial(sgd_hd.init, constants=HEAVY_BALL),
        _without_scale(partial(sgd_hd.step, constants=HEAVY_BALL)),
    ),
    "nesterov": (
        partial(sgd_hd.init, constants=NESTEROV),
        _without_scale(partial(sgd_hd.step, constants=NESTEROV)),
    ),
    "adam": (adam_hd.init, _adam(adam_hd.step)),
    "adam_lua": (adam_hd.init, _adam(adam_hd.step_lua)),
}
SGD = ("sgd", "heavy_ball", "nesterov")
ADDITIVE = {name: 2.0**-6 if name in SGD else 2.0**-8 for name in METHODS}
RULES: dict[str, Callable[..., Record]] = {"additive": schedule_additive, "multiplicative": schedule_multiplicative}


class Problem:
    """sum a sqrt(1 + (x - c)^2): convex, smooth, with bounded gradients; as f -> scale f(stretch x)."""

    def __init__(self, dtype: type[np.floating[Any]] = np.float64, scale: float = 1.0, stretch: float = 1.0) -> None:
        rng = np.random.default_rng(0)
        self.a: list[Vector] = [(rng.random(shape) + 0.5).astype(dtype) for shape in SHAPES]
        self.c: list[Vector] = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
        self.start: list[Vector] = [(rng.standard_normal(shape) / stretch).astype(dtype) for shape in SHAPES]
        self.scale, self.stretch = dtype(scale), dtype(stretch)

    def value(self, x: NDArray[Any]) -> Any:
        """Of all parameters in one array, which may be complex."""
        a, c = (np.concatenate([part.ravel() for part in parts]) for parts in (self.a, self.c))
        return self.scale * (a * np.sqrt(1 + (self.stretch * x - c) ** 2)).sum()

    def gradients(self, thetas: Sequence[Vector]) -> list[Vector]:
        """One a tensor."""
        grads: list[Vector] = []
        for a, c, theta in zip(self.a, self.c, thetas, strict=True):
            y = self.stretch * theta - c
            grads.append(self.scale * self.stretch * (a * y / np.sqrt(1 + y * y)))
        return grads


def flatten(thetas: Sequence[Vector]) -> Vector:
    """All parameters in one array."""
    return np.concatenate([theta.ravel() for theta in thetas])


def run(
    method: str, problem: Problem, schedule: Schedule, lr: float = LR, scale: float = 1.0, steps: int = STEPS
) -> tuple[Vector, list[Record]]:
    """All parameters after every step, and the records."""
    init, step = METHODS[method]
    thetas, state = problem.start, init(problem.start, lr)
    path, records = [], []
    for _ in range(steps):
        thetas, state, record = step(thetas, problem.gradients(thetas), state, schedule, scale=scale)
        path.append(flatten(thetas))
        records.append(record)
    return np.array(path), records


def rates(records: Sequence[Record]) -> Vector:
    """alpha_t."""
    return np.array([record.lr for record in records])


BASE: dict[str, Callable[[Vector, Vector, int], tuple[Vector, Vector]]] = {
    "sgd": lambda g, v, t: (g, v),
    "heavy_ball": lambda g, v, t: (g, g) if t == 1 else (MU * v + 0.75 * g,) * 2,
    "nesterov": lambda g, v, t: (g + MU * (MU * v + g), MU * v + g),
}


def run_base(method: str, problem: Problem, lr: float, steps: int) -> Vector:
    """The base method, written out once more: all parameters after every step."""
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
        path.append(flatten(thetas))
    return np.array(path)


def find_directions(method: str, schedule: Schedule) -> tuple[Vector, Vector, list[Record]]:
    """Parameters before each step, the directions taken from their differences, and the records."""
    path, records = run(method, Problem(), schedule)
    path = np.vstack([flatten(Problem().start), path])
    return path, (path[:-1] - path[1:]) / rates(records)[:, None], records


def derivative_error(method: str) -> float:
    """h_t is the derivative of the loss after step t-1 by the rate of that step: largest relative error."""
    path, directions, records = find_directions(method, partial(schedule_additive, hyper_lr=ADDITIVE[method]))
    errors = []
    for t in range(1, STEPS):
        before, rate = path[t - 1], records[t - 1].lr
        exact = Problem().value(before - (rate + 1e-30j) * directions[t - 1]).imag / 1e-30
        errors.append(abs(records[t].hypergradient / exact - 1))
    return float(np.max(errors))


def is_base_without_hyper_lr(method: str, rule: str, dtype: type[np.floating[Any]] = np.float64) -> bool:
    """With beta = 0 every bit is the base method's, and the rate stays."""
    path, records = run(method, Problem(dtype), partial(RULES[rule], hyper_lr=0.0))
    return path.tobytes() == run_base(method, Problem(dtype), LR, STEPS).tobytes() and set(rates(records)) == {LR}


def is_base_at_first(method: str, rule: str) -> bool:
    """The first step is the base method's, whatever beta."""
    path, [record] = run(method, Problem(), partial(RULES[rule], hyper_lr=0.5), steps=1)
    same = path.tobytes() == run_base(method, Problem(), LR, 1).tobytes()
    return same and (record.lr, record.reason) == (LR, "no direction")


def accumulation_error(method: str) -> float:
    """alpha_T = alpha_0 + beta sum_t <g_t, d_{t-1}>: by how much not."""
    hyper_lr = ADDITIVE[method]
    path, directions, records = find_directions(method, partial(schedule_additive, hyper_lr=hyper_lr))
    products = [
        flatten(Problem().gradients([path[t][:3], path[t][3:].reshape(2, 5)])) @ directions[t - 1]
        for t in range(1, STEPS)
    ]
    return abs(records[-1].lr - LR - hyper_lr * math.fsum(products))


def error_from_zero(method: str, expected: float) -> float:
    """From alpha_0 = 0 nothing moves at first, and alpha_2 is beta <g, d>: by how much not; inf if something moved."""
    init, step = METHODS[method]
    thetas, grads = [np.ones(3)], [np.array([1.0, -2.0, 0.5])]
    state, schedule = init(thetas, 0.0), partial(schedule_additive, hyper_lr=0.5)
    moved, state, _ = step(thetas, grads, state, schedule, scale=2.0**-40)
    _, state, _ = step(moved, grads, state, schedule, scale=2.0**-40)
    return abs(state.lr - expected) if np.array_equal(moved[0], thetas[0]) else math.inf


FROM_ZERO = {
    "sgd": 0.5 * 5.25, "heavy_ball": 0.5 * 5.25, "nesterov": 0.5 * 1.75 * 5.25, "adam": 0.5 * 3.5,
}  # fmt: skip
"""alpha_2: half the squared norm of g for SGD, (1 + mu) of it for SGDN, half the sum of |g| for Adam."""


def scales(method: str, rule: str, scale: float, stretch: float, dtype: type[np.floating[Any]] = np.float64) -> bool:
    """Under f -> scale f(stretch x) the run is the same in every bit once alpha_0 and beta are scaled with it.

    With c the scale and s the stretch, powers of 2: alpha / (c s^2) and beta / (c^3 s^4) for SGD, alpha / s and
    beta / (c s^2) for Adam, whose epsilon goes with the gradient; the multiplicative rule keeps its beta'.
    """
    c, s = scale, stretch
    alpha, beta = (c * s**2, c**3 * s**4) if method in SGD else (s, c * s**2)
    hyper_lr = ADDITIVE[method] if rule == "additive" else 0.125
    plain = run(method, Problem(dtype), partial(RULES[rule], hyper_lr=hyper_lr))
    scaled_lr = hyper_lr / beta if rule == "additive" else hyper_lr
    schedule = partial(RULES[rule], hyper_lr=scaled_lr)
    scaled = run(method, Problem(dtype, c, s), schedule, lr=LR / alpha, scale=c * s)
    return (
        (scaled[0] * dtype(s)).tobytes() == plain[0].tobytes()
        and np.array_equal(rates(scaled[1]) * alpha, rates(plain[1]))
        and len(set(rates(plain[1]))) > STEPS // 2
    )


def moves_by_no_more_than_hyper_lr(method: str) -> bool:
    """A multiplicative rate changes by a factor within 1 +- beta'."""
    _, records = run(method, Problem(), partial(schedule_multiplicative, hyper_lr=0.125), lr=2.0)
    within = all(record.lr_before * 0.875 <= record.lr <= record.lr_before * 1.125 for record in records)
    return within and min(rates(records)) < 2.0


def descend(
    curvature: Any,
    x: Any,
    schedule: Schedule,
    lr: float,
    steps: int,
    gradient: Callable[[Vector], Vector] | None = None,
) -> tuple[list[Vector], list[Record]]:
    """Gradient descent on sum a x^2 / 2, or on what has the gradient given: points before each step, and records."""
    thetas: list[Vector] = [np.array(x, float)]
    state = sgd_hd.init(thetas, lr)
    points, records = [thetas[0]], []
    for _ in range(steps):
        g = curvature * thetas[0] if gradient is None else gradient(thetas[0])
        thetas, state, record = sgd_hd.step(thetas, [g], state, schedule)
        points.append(thetas[0])
        records.append(record)
    return points, records


def moves_towards_the_curvatures(rule: str, seed: int) -> bool:
    """Full gradients: a rate below 1 / L rises, one above 1 / m falls; f L-smooth and m-strongly convex.

    Thesis, lemma 3.2.2.
    """
    rng = np.random.default_rng(seed)
    curvature = np.array([0.5, *(0.5 + 3.5 * rng.random(6)), 4.0])
    x = rng.standard_normal(8)
    schedule = partial(RULES[rule], hyper_lr=1e-3)
    _, (_, rose) = descend(curvature, x, schedule, 0.999 / 4.0, 2)
    _, (_, fell) = descend(curvature, x, schedule, 1.001 / 0.5, 2)
    return rose.lr > rose.lr_before and fell.lr < fell.lr_before


def converges_in_one_dimension(a: float, lr: float, hyper_lr: float) -> bool:
    """F = a x^2, multiplicative: once in [(1 - b) / 2a, (1 + b) / 2a] the rate stays there, and x shrinks by b a step.

    Thesis, theorem 3.2.4.
    """
    points, records = descend(2 * a, [1.0], partial(schedule_multiplicative, hyper_lr=hyper_lr), lr, 120)
    low, high = (1 - hyper_lr) / (2 * a), (1 + hyper_lr) / (2 * a)
    inside = [low * (1 - 1e-15) <= r.lr <= high * (1 + 1e-15) for r in records]
    entered = inside.index(True)
    # 1 - 2 a alpha loses the 2 u of its terms
    shrinks = all(abs(y[0]) <= (hyper_lr + 1e-15) * abs(x[0]) for x, y in pairwise(points[entered:]))
    return all(inside[entered:]) and shrinks and bool(abs(points[-1][0]) < 1e-10)


def end_of_least_squares(rows: int) -> float:
    """F = ||B x - c||^2 / 2 in six variables, multiplicative: F - F* at the end over that at the start.

    With more rows than variables F* > 0, with fewer the Hessian is singular. Thesis, theorem 3.2.6.
    """
    rng = np.random.default_rng(rows)
    basis, c = rng.standard_normal((rows, 6)), rng.standard_normal(rows)
    best = np.linalg.lstsq(basis, c)[0]
    schedule = partial(schedule_multiplicative, hyper_lr=0.125)
    points, _ = descend(0.0, np.ones(6), schedule, 1e-3, 1000, gradient=lambda x: basis.T @ (basis @ x - c))
    first, last = (float(np.square(basis @ (points[i] - best)).sum()) for i in (0, -1))
    return last / first


def growth_without_smoothness(hyper_lr: float) -> float:
    """F = x^4, multiplicative, b < 8/9, from alpha x^2 = 1: least growth of |x| a step. Thesis, proposition 3.2.1."""
    points, _ = descend(
        0.0, [2.0], partial(schedule_multiplicative, hyper_lr=hyper_lr), 0.25, 5, gradient=lambda x: 4 * x**3
    )
    return float(np.min([abs(after[0] / before[0]) for before, after in pairwise(points)]))


def use_of_the_bound() -> float:
    """|alpha_t - alpha_0| over (t - 1) beta M^2, M the largest norm of a gradient so far: at most. Theorem 5.1."""
    problem, hyper_lr = Problem(), 0.5
    thetas, state, largest, used = problem.start, sgd_hd.init(problem.start, LR), 0.0, []
    for t in range(1, STEPS):
        grads = problem.gradients(thetas)
        largest = max(largest, sum(float((g * g).sum()) for g in grads))
        thetas, state, _ = sgd_hd.step(thetas, grads, state, partial(schedule_additive, hyper_lr=hyper_lr))
        used.append(abs(state.lr - LR) / (max(t - 1, 1) * hyper_lr * largest))
    return float(np.max(used))


class Transition(NamedTuple):
    """What the transition does where the plain rule does not converge."""

    lost: float  # how near the plain rule comes to the minimum in its last 250 points
    found: float  # how far the transition is from it at last
    used: float  # the largest |gamma_t - alpha_inf| over delta(t) (alpha_0 + (t - 1) beta M^2 + alpha_inf)
    starts: bool  # gamma_1 is alpha_1, and gamma_2 is neither it nor alpha_inf


def compare_transition() -> Transition:
    """On sum sqrt(1 + x^2), M^2 <= n, L = 1. Theorem 5.1, alpha_inf < 1 / L."""
    x, hyper_lr, final = np.array([2.0, -1.0, 0.5]), 10.0, 0.5
    plain = partial(schedule_additive, hyper_lr=hyper_lr)
    blended = partial(schedule_transition, adapt=plain, lr_final=final)

    def gradient(x: Vector) -> Vector:
        return x / np.sqrt(1 + x * x)

    lost, _ = descend(0.0, x, plain, 0.1, 500, gradient)
    found, records = descend(0.0, x, blended, 0.1, 500, gradient)
    used = [
        abs(record.applied - final) / (inverse_square(t) * (0.1 + (t - 1) * hyper_lr * len(x) + final))
        for t, record in enumerate(records, 1)
    ]
    first, second = records[:2]
    return Transition(
        lost=float(np.min([np.abs(point).max() for point in lost[250:]])),
        found=float(np.abs(found[-1]).max()),
        used=float(np.max(used)),
        starts=first.applied == first.lr == 0.1 and second.applied not in (second.lr, first.applied, final),
    )
