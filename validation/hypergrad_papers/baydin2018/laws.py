"""The laws of SGD-HD, SGDN-HD and Adam-HD: what holds on every run, to the last bit wherever scaling is by powers of 2.

Each law runs what it speaks of and gives by how much it is missed, or whether it holds. Sources: Baydin et al. 2018,
and for the multiplicative rule D. Martinez Rubio, MSc thesis, Oxford 2017 ("thesis").
"""

import math
from functools import cache, partial
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np

from hypergrad_papers.baydin2018.law_runs import (
    ADDITIVE,
    LR,
    METHODS,
    RULES,
    SGD,
    STEPS,
    Problem,
    descend,
    find_directions,
    flatten,
    rates,
    run,
    run_base,
)
from hypergrad_papers.checks import law
from hypergrad_reference import sgd_hd
from hypergrad_reference.hypergradient import schedule_additive, schedule_multiplicative
from hypergrad_reference.transition import inverse_square, schedule_transition
from hypergrad_reference.types import Vector

BITS = "scaling is by powers of 2, and the order of operations is the same"
"""Why a law holds to the last bit."""


@law(
    "hypergradient against derivative of the next loss, relative", high=1e-10,
    reason="the directions are differences of theta over the rate: a few digits are lost",
)  # fmt: skip
def derivative_error(method: str) -> float:
    """h_t is the derivative of the loss after step t-1 by the rate of that step: largest relative error."""
    path, directions, records = find_directions(method, partial(schedule_additive, hyper_lr=ADDITIVE[method]))
    errors = []
    for t in range(1, STEPS):
        before, rate = path[t - 1], records[t - 1].lr
        exact = Problem().value(before - (rate + 1e-30j) * directions[t - 1]).imag / 1e-30
        errors.append(abs(records[t].hypergradient / exact - 1))
    return float(np.max(errors))


@law("beta = 0 is the base method, every bit", low=1, high=1, reason=BITS)
def is_base_without_hyper_lr(method: str, rule: str, dtype: type[np.floating[Any]] = np.float64) -> bool:
    """With beta = 0 every bit is the base method's, and the rate stays."""
    path, records = run(method, Problem(dtype), partial(RULES[rule], hyper_lr=0.0))
    return path.tobytes() == run_base(method, Problem(dtype), LR, STEPS).tobytes() and set(rates(records)) == {LR}


@law("the first step is the base method's, every bit", low=1, high=1, reason=BITS)
def is_base_at_first(method: str, rule: str) -> bool:
    """The first step is the base method's, whatever beta."""
    path, [record] = run(method, Problem(), partial(RULES[rule], hyper_lr=0.5), steps=1)
    same = path.tobytes() == run_base(method, Problem(), LR, 1).tobytes()
    return same and (record.lr, record.reason) == (LR, "no direction")


@law(
    "rate against the sum of all inner products", high=1e-12,
    reason="the directions are taken from differences of theta: u |theta| / (lr |d|), some 100 u each, and 40 of them",
)  # fmt: skip
def accumulation_error(method: str) -> float:
    """alpha_T = alpha_0 + beta sum_t <g_t, d_{t-1}>: by how much not."""
    hyper_lr = ADDITIVE[method]
    path, directions, records = find_directions(method, partial(schedule_additive, hyper_lr=hyper_lr))
    products = [
        flatten(Problem().gradients([path[t][:3], path[t][3:].reshape(2, 5)])) @ directions[t - 1]
        for t in range(1, STEPS)
    ]
    return abs(records[-1].lr - LR - hyper_lr * math.fsum(products))


@law("second rate from a rate of 0", high=1e-14, reason="Adam's epsilon is 2^-50 here; the sums are of three terms")
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

SCALINGS = {"a scaled loss": (8.0, 1.0), "scaled parameters": (1.0, 4.0)}
"""The scale and the stretch of f -> scale f(stretch x)."""


@law("{1} rule under {2}, every bit", low=1, high=1, reason=BITS)
def scales(method: str, rule: str, scaling: str, dtype: type[np.floating[Any]] = np.float64) -> bool:
    """Under f -> scale f(stretch x) the run is the same in every bit once alpha_0 and beta are scaled with it.

    With c the scale and s the stretch, powers of 2: alpha / (c s^2) and beta / (c^3 s^4) for SGD, alpha / s and
    beta / (c s^2) for Adam, whose epsilon goes with the gradient; the multiplicative rule keeps its beta'.
    """
    c, s = SCALINGS[scaling]
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


@law(
    "multiplicative rate moves by no more than beta'", low=1, high=1, reason="the cosine is clipped, and 1 +- 1/8 exact"
)
def moves_by_no_more_than_hyper_lr(method: str) -> bool:
    """A multiplicative rate changes by a factor within 1 +- beta'."""
    _, records = run(method, Problem(), partial(schedule_multiplicative, hyper_lr=0.125), lr=2.0)
    within = all(record.lr_before * 0.875 <= record.lr <= record.lr_before * 1.125 for record in records)
    return within and min(rates(records)) < 2.0


@law("rate rises below 1 / L and falls above 1 / m", low=1, high=1, reason="a sign, a thousandth away from the limits")
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


ONE_DIMENSION = tuple(product((0.25, 1.0, 3.0), (0.01, 0.1, 1.0, 4.0), (0.125, 0.5)))
"""a, the first rate and beta'."""


@law("multiplicative rule converges on a x^2 as proved", low=1, high=1, reason="proved; the slack is of rounding alone")
def converges_in_one_dimension(a: float, lr: float, hyper_lr: float) -> bool:
    """F = a x^2, multiplicative: the rate stays in [(1 - b) / 2a, (1 + b) / 2a] once there, x shrinks by b per step.

    Thesis, theorem 3.2.4.
    """
    points, records = descend(2 * a, [1.0], partial(schedule_multiplicative, hyper_lr=hyper_lr), lr, 120)
    low, high = (1 - hyper_lr) / (2 * a), (1 + hyper_lr) / (2 * a)
    inside = [low * (1 - 1e-15) <= r.lr <= high * (1 + 1e-15) for r in records]
    entered = inside.index(True)
    # 1 - 2 a alpha loses the 2 u of its terms
    shrinks = all(abs(y[0]) <= (hyper_lr + 1e-15) * abs(x[0]) for x, y in pairwise(points[entered:]))
    return all(inside[entered:]) and shrinks and bool(abs(points[-1][0]) < 1e-10)


@law(
    "its gap at last on least squares, {} x 6, relative", high=1e-12, reason="proved to vanish; far above its rounding"
)
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


@law("its growth per step on x^4", low=3, reason="proved: |1 - 4 alpha x^2| >= 3")
def growth_without_smoothness(hyper_lr: float) -> float:
    """F = x^4, multiplicative, b < 8/9, from alpha x^2 = 1: least growth of |x| a step. Thesis, proposition 3.2.1."""
    points, _ = descend(
        0.0, [2.0], partial(schedule_multiplicative, hyper_lr=hyper_lr), 0.25, 5, gradient=lambda x: 4 * x**3
    )
    return float(np.min([abs(after[0] / before[0]) for before, after in pairwise(points)]))


@law("change of the rate over its bound", low=1e-3, high=1 + 1e-14, reason="proved; the sums are rounded")
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


@cache
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


@law("transition: starts at the adapted rate and leaves it", low=1, high=1, reason="no rounding: delta(1) is 1")
def transition_starts() -> bool:
    """gamma_1 is alpha_1, and gamma_2 is another."""
    return compare_transition().starts


@law("transition: distance from the minimum at last", high=1e-12, reason="proved to vanish; far above its rounding")
def transition_finds() -> float:
    """Where the transition ends."""
    return compare_transition().found


@law("the plain rule's, at the same beta", low=1, reason="it does not converge: a distance of the size of the start's")
def plain_rule_loses() -> float:
    """How near the plain rule comes."""
    return compare_transition().lost


@law("transition: rate against its limit, over the bound", low=1e-3, high=1, reason="proved, and far from equal")
def transition_uses_its_bound() -> float:
    """How much of the bound is used."""
    return compare_transition().used
