"""The algebra and the bounds of HDM, HDM-HB and HDM-AGD as numbers: closed forms, laws, step counts, the spike, slacks.

A slack is the least right - left of an inequality, relative to 1 + |right|; negative where the inequality fails.
"""

from functools import cache
from itertools import product
from typing import Any

import numpy as np

from hypergrad_papers.checks import law
from hypergrad_papers.osgm2025 import convergence, traces
from hypergrad_papers.osgm2025.laws import (
    SHAPES,
    find_diameter,
    multiple_of_identity,
    random_logistic,
    random_quadratic,
    slack,
)
from hypergrad_papers.osgm2025.traces import SLACK
from hypergrad_problems import quadratics, toys
from hypergrad_problems.runs import run
from hypergrad_reference import action, hdm, hdm_agd, hdm_hb, learner
from hypergrad_reference.feedback import HYPERGRADIENT, hypergradient, try_stepsize
from hypergrad_reference.osgm import Constants
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR, Shape, Stepsize
from hypergrad_reference.types import Vector


def list_problems() -> tuple[Any, ...]:
    """A quadratic, a logistic regression, and one whose gradient is bounded."""
    return random_quadratic(), random_logistic(), toys.huber([1.0, 0.5, 0.1])


# The scalar quadratic


@law(
    "relative error over 12 steps", high=1e-10,
    reason="2 K differences are multiplied, each of them rounded after it has lost some digits",
)  # fmt: skip
def closed_form_error(shape: Shape = DIAGONAL) -> float:
    """The largest relative error against x_{K+1} = x_1 e^K r^(K (K-1) / 2), e = 1 - a alpha_1, r = 1 - eta a."""
    a, eta, first, x, steps = 2.0, 0.3, 0.1, 1.5, 12
    constants = hdm.Constants(hyper_lr=eta, stepsize=np.full_like(shape.zeros(1), first), shape=shape)
    states = run(hdm, quadratics.scalar_quadratic(a, x), constants, steps)
    e, r = 1 - a * first, 1 - eta * a
    expected = [x * e**K * r ** (K * (K - 1) / 2) for K in range(steps + 1)]
    return float(np.abs(np.array([state.x[0] for state in states]) / expected - 1).max())


def end_at_second_step() -> list[float]:
    """x_1, x_2, x_3 on x^2 with eta = 1/a and dyadic numbers."""
    constants = hdm.Constants(hyper_lr=0.5, stepsize=np.array([0.125]))
    return [float(state.x[0]) for state in run(hdm, quadratics.scalar_quadratic(2.0, 4.0), constants, 2)]


# The laws of the hypergradient feedback


FEEDBACK_SLACK = 1e-12
"""How far a law of the feedback may fail: h, a difference of two values, is all that is rounded."""


@law("{}: slack", low=-FEEDBACK_SLACK, reason="proved; h, a difference of two values, is all that is rounded")
def law_slacks(seeds: int = 8) -> dict[str, float]:
    """The least slack of each law, over problems, shapes and random x, P and Q with ||g||^2 > 1e-9."""
    found: dict[str, list[float]] = {}
    for problem, shape, seed in product(list_problems(), SHAPES.values(), range(seeds)):
        for name, value in _law_slacks_at(problem, shape, np.random.default_rng(seed)):
            found.setdefault(name, []).append(value)
    return {name: float(np.min(values)) for name, values in sorted(found.items())}


def _law_slacks_at(problem: Any, shape: Shape, rng: np.random.Generator) -> list[tuple[str, float]]:
    L, mu, n = problem.smoothness, problem.strong_convexity, len(problem.x0)
    x = problem.x0 + rng.standard_normal(n)
    value, gradient = problem.value_and_gradient(x)
    square = float(gradient @ gradient)
    P, Q = (0.4 / L * rng.standard_normal(shape.zeros(n).shape) for _ in range(2))

    def attempt(R: Stepsize, shape: Shape = shape) -> Any:
        return try_stepsize(problem, shape, R, x, value, gradient)

    def slope(R: Stepsize) -> Stepsize:
        return HYPERGRADIENT.slope(problem, attempt(R), shape)

    def h(R: Stepsize) -> float:
        return hypergradient(attempt(R))

    def matrix(R: Stepsize) -> Vector:
        return np.array([shape.apply(R, unit) for unit in np.eye(n)]).T

    least = (problem.optimal_value - value) / square
    size = float(np.linalg.norm(attempt(P).point_gradient)) / square**0.5
    full = HYPERGRADIENT.slope(problem, attempt(matrix(P), FULL), FULL)
    laws = [
        ("1: h is convex in P", find_slack(h((P + Q) / 2), (h(P) + h(Q)) / 2)),
        ("1: h(0) = 0", -abs(h(shape.zeros(n)))),
        ("2: slope is L-Lipschitz", find_slack(_norm(slope(P) - slope(Q)), L * _norm(P - Q))),
        ("3: ||slope|| = ||g+|| / ||g||", -abs(_norm(full) - size)),
        ("3: ||slope|| <= 1 + L ||P||", find_slack(size, 1 + L * float(np.linalg.norm(matrix(P), 2)))),
        ("3: other shapes are no longer", find_slack(_norm(slope(P)), size)),
        ("4: h(I/L) <= -1/(2 L)", find_slack(h(multiple_of_identity(shape, n, 1 / L)), -1 / (2 * L))),
        ("5: h >= (f* - f) / ||g||^2", find_slack(least, h(P))),
        ("6: ||slope||^2 <= 2 L (h - (f* - f) / ||g||^2)", find_slack(_norm(slope(P)) ** 2, 2 * L * (h(P) - least))),
    ]
    if mu > 0:
        laws.append(("5: h >= -1/(2 mu)", find_slack(-1 / (2 * mu), h(P))))
    if isinstance(problem, quadratics.Quadratic):
        inverse = np.linalg.inv(problem.hessian)
        best = hypergradient(attempt(inverse, FULL))
        trial = attempt(inverse + 0.4 / L * rng.standard_normal((n, n)), FULL)
        excess = (trial.point_value - problem.optimal_value) / square
        laws.append(("8: h(P) - h(1/A) = (f+ - f*) / ||g||^2", -abs(hypergradient(trial) - best - excess)))
        laws.append(("7: f -> c f, P -> P/c", -_scaling_error(shape, rng)))
    return laws


def _scaling_error(shape: Shape, rng: np.random.Generator, c: float = 3.0) -> float:
    """The error of h -> h/c and of an unchanged slope under f -> c f, P -> P/c."""
    spectrum, P = np.array([1.0, 0.5, 0.2]), rng.standard_normal(shape.zeros(3).shape)
    plain, scaled = (quadratics.quadratic(scale * spectrum, x0=[1.0, -2.0, 3.0]) for scale in (1.0, c))
    a, b = (try_stepsize(p, shape, R, p.x0, *p.value_and_gradient(p.x0)) for p, R in ((plain, P), (scaled, P / c)))
    difference = HYPERGRADIENT.slope(scaled, b, shape) - HYPERGRADIENT.slope(plain, a, shape)
    return float(np.max([abs(hypergradient(b) - hypergradient(a) / c), _norm(difference)]))


def _norm(array: Vector) -> float:
    return float(np.linalg.norm(array))


def find_slack(left: float, right: float) -> float:
    """Right - left, relative to 1 + |right|."""
    return (right - left) / (1 + abs(right))


# The null step


@cache
def _trace_null_steps() -> list[traces.Trace]:
    return [
        traces.trace(problem, Constants(2 / problem.smoothness, shape=shape, action=action.null_step), 150)
        for problem, shape in product(list_problems(), SHAPES.values())
    ]


@law("largest rise of f", high=0.0, reason="a null step takes no larger value")
def null_step_rise() -> float:
    """Over problems and shapes."""
    return float(np.max([np.diff(t.values).max() for t in _trace_null_steps()]))


@law("{}: slack", low=-SLACK, reason="proved; slack for rounding alone")
def null_step_slacks() -> dict[str, float]:
    """The least slack of the two bounds on the gap, over problems and shapes."""
    found: dict[str, list[float]] = {"convex": [], "strongly convex": []}
    for t in _trace_null_steps():
        problem = t.problem
        found["convex"].append(slack(convergence.null_step_convergence(t, find_diameter(problem))))
        if problem.strong_convexity > 0:
            found["strongly convex"].append(slack(convergence.null_step_linear_convergence(t)))
    return {name: float(np.min(values)) for name, values in found.items()}


# Heavy ball and Nesterov


@law("HDM-HB: slopes against differences", high=1e-4, reason="central differences of step 1e-6")
def heavy_ball_slope_error(step: float = 1e-6) -> float:
    """The largest difference between the slopes in P and beta and central ones, over the slope's largest entry."""
    errors = []
    for problem, shape, momentum, omega in product(
        (random_quadratic(), random_logistic()), SHAPES.values(), (SCALAR, DIAGONAL), (0.0, 0.3)
    ):
        constants = hdm_hb.Constants(
            0.2, 0.3, beta=0.5, omega=omega, tau=0.7, shape=shape, momentum=momentum, learner=learner.ogd
        )
        state = run(hdm_hb, problem, constants, 4)[-1]
        found = hdm_hb.slopes(state, hdm_hb.try_heavy_ball(problem, state, constants), constants)
        for name, slope in zip(("P", "beta"), found, strict=True):
            value = getattr(state, name)
            for index in np.ndindex(value.shape):
                unit = np.zeros(value.shape)
                unit[index] = step
                ahead, behind = (
                    _progress(problem, state._replace(**{name: value + sign * unit}), constants) for sign in (1, -1)
                )
                difference = (ahead - behind) / (2 * step)
                errors.append(abs(float(slope[index]) - difference) / float(np.abs(slope).max()))
    return float(np.max(errors))


def _progress(problem: Any, state: hdm_hb.State, constants: hdm_hb.Constants) -> float:
    return hdm_hb.progress(state, hdm_hb.try_heavy_ball(problem, state, constants), constants.omega)


@law("HDM-HB, {}: slack", low=-SLACK, reason="proved; slack for rounding alone")
def heavy_ball_slacks() -> dict[str, float]:
    """Descent at P = I/(L + omega) and beta = 0, and the telescoped potential: the least slack of each."""
    found: dict[str, list[float]] = {"descent": [], "telescoping": []}
    for problem, omega in product(list_problems(), (0.25, 0.5)):
        L, tau = problem.smoothness, 2.0
        constants = hdm_hb.Constants(2 / L, 0.5, omega=omega, tau=tau)
        states = run(hdm_hb, problem, constants, 60)
        total = 0.0
        for state in states[:-1]:
            if state.gradient @ state.gradient < 1e-9 * max(1.0, abs(state.value)):
                break  # h, a difference of nearly equal values over ||g||^2, has no digits left
            at = state._replace(P=np.full_like(state.P, 1 / (L + omega)), beta=np.array(0.0))
            promised = -min(1 / (2 * (L + omega)), omega / tau)
            found["descent"].append(find_slack(_progress(problem, at, constants), promised))
            trial = hdm_hb.try_heavy_ball(problem, state, constants)
            total += float(np.maximum(-hdm_hb.progress(state, trial, omega), 0.0)) * trial.denominator
        first = hdm_hb.potential(states[0].value, states[0].displacement, omega) - problem.optimal_value
        found["telescoping"].append(find_slack(total, first))
    return {name: float(np.min(values)) for name, values in found.items()}


@law("HDM-AGD, L ||x_1 - x*||^2 / (2 A_K): slack", low=-SLACK, reason="proved; slack for rounding alone")
def agd_slack() -> float:
    """The slack of f(x_K) - f* <= L ||x_1 - x*||^2 / (2 A_K), A_K >= K^2 / 4, the least over problems, rates and K."""
    found = []
    for problem, hyper_lr in product(list_problems(), (0.1, 10.0)):
        constants = hdm_agd.Constants(problem.smoothness, hyper_lr=hyper_lr, progress=hdm_agd.gradient_progress)
        distance = float(np.sum((problem.x0 - problem.optimum) ** 2))
        for K, state in enumerate(run(hdm_agd, problem, constants, 80)[1:], start=1):
            bound = problem.smoothness * distance / (2 * state.weight)
            found += [find_slack(state.value - problem.optimal_value, bound), find_slack(K**2 / 4, state.weight)]
    return float(np.min(found))
