"""The algebra and the bounds of HDM, HDM-HB and HDM-AGD as numbers: closed forms, laws, step counts, the spike, slacks.

A slack is the least right - left of an inequality, relative to 1 + |right|; negative where the inequality fails.
"""

from functools import cache
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from hypergrad_papers.checks import law
from hypergrad_papers.osgm2025 import convergence
from hypergrad_papers.osgm2025.convergence import SLACK, Sides
from hypergrad_papers.osgm2025.laws import (
    SHAPES,
    find_diameter,
    hessian_of,
    mild_quadratic,
    multiple_of_identity,
    random_logistic,
    random_quadratic,
    share,
    slack,
)
from hypergrad_problems import quadratics, toys
from hypergrad_problems.runs import run
from hypergrad_reference import action, hdm, hdm_agd, hdm_hb, learner
from hypergrad_reference.action import Action
from hypergrad_reference.feedback import HYPERGRADIENT, RATIO, Feedback, hypergradient, try_stepsize
from hypergrad_reference.learner import Learner, Projection
from hypergrad_reference.osgm import Constants
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR, Shape, Stepsize
from hypergrad_reference.types import Vector


def _problems() -> tuple[Any, ...]:
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
    for problem, shape, seed in product(_problems(), SHAPES.values(), range(seeds)):
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
        ("1: h is convex in P", _slack(h((P + Q) / 2), (h(P) + h(Q)) / 2)),
        ("1: h(0) = 0", -abs(h(shape.zeros(n)))),
        ("2: slope is L-Lipschitz", _slack(_norm(slope(P) - slope(Q)), L * _norm(P - Q))),
        ("3: ||slope|| = ||g+|| / ||g||", -abs(_norm(full) - size)),
        ("3: ||slope|| <= 1 + L ||P||", _slack(size, 1 + L * float(np.linalg.norm(matrix(P), 2)))),
        ("3: other shapes are no longer", _slack(_norm(slope(P)), size)),
        ("4: h(I/L) <= -1/(2 L)", _slack(h(multiple_of_identity(shape, n, 1 / L)), -1 / (2 * L))),
        ("5: h >= (f* - f) / ||g||^2", _slack(least, h(P))),
        ("6: ||slope||^2 <= 2 L (h - (f* - f) / ||g||^2)", _slack(_norm(slope(P)) ** 2, 2 * L * (h(P) - least))),
    ]
    if mu > 0:
        laws.append(("5: h >= -1/(2 mu)", _slack(-1 / (2 * mu), h(P))))
    if isinstance(problem, quadratics.Quadratic):
        inverse = np.linalg.inv(problem.hessian)
        best = hypergradient(attempt(inverse, FULL))
        trial = attempt(inverse + 0.4 / L * rng.standard_normal((n, n)), FULL)
        excess = (trial.point_value - problem.optimal_value) / square
        laws.append(("8: h(P) - h(1/A) = (f+ - f*) / ||g||^2", -abs(hypergradient(trial) - best - excess)))
        laws.append(("7: f -> c f, P -> P/c", -_scaling_error(shape, rng)))
    return laws


def _scaling_error(shape: Shape, rng: np.random.Generator, c: float = 3.0) -> float:
    """Of h -> h/c and of an unchanged slope under f -> c f, P -> P/c."""
    spectrum, P = np.array([1.0, 0.5, 0.2]), rng.standard_normal(shape.zeros(3).shape)
    plain, scaled = (quadratics.quadratic(scale * spectrum, x0=[1.0, -2.0, 3.0]) for scale in (1.0, c))
    a, b = (try_stepsize(p, shape, R, p.x0, *p.value_and_gradient(p.x0)) for p, R in ((plain, P), (scaled, P / c)))
    difference = HYPERGRADIENT.slope(scaled, b, shape) - HYPERGRADIENT.slope(plain, a, shape)
    return float(np.max([abs(hypergradient(b) - hypergradient(a) / c), _norm(difference)]))


def _norm(array: Vector) -> float:
    return float(np.linalg.norm(array))


def _slack(left: float, right: float) -> float:
    return (right - left) / (1 + abs(right))


# Regret: the runs that the figure draws, too


def static_regret(problem: Any, shape: Shape = DIAGONAL, act: Action = action.null_step, scale: float = 1.0) -> Sides:
    """Online gradient descent, eta = 1/(2 L), against scale I/L."""
    L, eta = problem.smoothness, 0.5 / problem.smoothness
    t = convergence.trace(problem, Constants(eta, shape=shape, learner=learner.ogd, action=act), 80)
    return convergence.static_regret(t, multiple_of_identity(shape, len(problem.x0), scale / L), eta)


def dynamic_regret(problem: Any) -> Sides:
    """A scalar stepsize in [0, 4/L], eta = 1/(2 L), against the exact line search of each step, kept in that box."""
    high, eta = 4 / problem.smoothness, 0.5 / problem.smoothness
    box = learner.box(0.0, high)
    constants = Constants(eta, shape=SCALAR, learner=learner.ogd, project=box, action=action.null_step)
    t = convergence.trace(problem, constants, 80)
    best: list[Stepsize] = []
    for trial in t.trials:
        curvature = trial.gradient @ problem.hessian_product(trial.x, trial.gradient)
        best.append(box(np.asarray(trial.gradient @ trial.gradient / curvature)))
    return convergence.dynamic_regret(t, best, eta, high)


def adagrad_regret(problem: Any, shape: Shape = DIAGONAL) -> Sides:
    """AdaGrad, eta = 1/L, against I/L."""
    L = problem.smoothness
    t = convergence.trace(problem, Constants(1 / L, shape=shape, learner=learner.adagrad, action=action.null_step), 80)
    return convergence.adagrad_regret(t, multiple_of_identity(shape, len(problem.x0), 1 / L), 1 / L)


def lookahead_regret(problem: Any, shape: Shape = DIAGONAL, scale: float = 1.0) -> Sides:
    """Lookahead, eta = 1/L, against scale I/L."""
    L = problem.smoothness
    constants = Constants(1 / L, L, shape=shape, learner=learner.ogd, action=action.lookahead)
    t = convergence.trace(problem, constants, 80)
    return convergence.lookahead_regret(t, multiple_of_identity(shape, len(problem.x0), scale / L))


def constant_regret(problem: Any) -> Sides:
    """`lookahead_regret` with what I/L has gained on the left: the right is n / (2 L) at every K."""
    left, right = lookahead_regret(problem)
    constant = len(problem.x0) / (2 * problem.smoothness)
    return Sides(left - (right - constant), np.full_like(right, constant))


REGRETS = {
    "static": static_regret, "dynamic": dynamic_regret, "AdaGrad": adagrad_regret, "lookahead": constant_regret,
}  # fmt: skip


def regret_cell(bound: str) -> Sides:
    """A regret and its bound on the quadratic, with a diagonal stepsize, the dynamic one with a scalar."""
    return REGRETS[bound](random_quadratic())


@law("{}: slack", low=-SLACK, reason="proved; slack for rounding alone")
def regret_slacks() -> dict[str, float]:
    """The least slack of each regret bound over problems, shapes, actions and comparators."""
    every = list(product(_problems(), SHAPES.values()))
    convex = [problem for problem in _problems() if problem.strong_convexity > 0]
    found = {
        "regret": [
            slack(static_regret(problem, shape, act, scale))
            for problem, shape in every
            for act in (action.vanilla, action.null_step, action.line_search)
            for scale in (0.0, 1.0, 3.0)
        ],
        "dynamic regret": [slack(dynamic_regret(problem)) for problem in convex],
        "AdaGrad": [slack(adagrad_regret(problem, shape)) for problem, shape in every],
        "lookahead": [
            slack(lookahead_regret(problem, shape, scale)) for problem, shape in every for scale in (1.0, 2.0)
        ],
    }
    return {name: float(np.min(slacks)) for name, slacks in found.items()}


# The null step


@cache
def _trace_null_steps() -> list[convergence.Trace]:
    return [
        convergence.trace(problem, Constants(2 / problem.smoothness, shape=shape, action=action.null_step), 150)
        for problem, shape in product(_problems(), SHAPES.values())
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


# Superlinear convergence on a quadratic


class Rule(NamedTuple):
    """A method with a full stepsize and the constant of its bound."""

    feedback: Feedback
    act: Action
    rate: float  # eta in units of 1/L, or 1/L^2 for the ratio
    power: int
    factor: float  # of L^2 ||P_1 - A^-1||^2


SUPERLINEAR = {
    "hypergradient": Rule(HYPERGRADIENT, action.vanilla, 0.5, 1, 4.0),
    "hypergradient, null step": Rule(HYPERGRADIENT, action.null_step, 0.5, 1, 4.0),
    "hypergradient, lookahead": Rule(HYPERGRADIENT, action.lookahead, 1.0, 1, 1.0),
    "ratio": Rule(RATIO, action.vanilla, 0.25, 2, 4.0),
    "ratio, lookahead": Rule(RATIO, action.lookahead, 0.5, 2, 1.0),
}


def superlinear_sides(rule: str, problem: Any, steps: int = 40) -> Sides:
    """The gap and its bound from P_1 = I/L, as long as the gap is above 0."""
    feedback, act, rate, power, factor = SUPERLINEAR[rule]
    L, n = problem.smoothness, len(problem.x0)
    constants = Constants(
        rate / L**power, L, problem.optimal_value, np.eye(n) / L, feedback, FULL, learner.ogd, action=act
    )
    t = convergence.trace(problem, constants, steps, least=1e-200)
    return convergence.superlinear_convergence(t, np.linalg.inv(hessian_of(problem, problem.x0)), factor)


def superlinear_cell(rule: str) -> Sides:
    """The gap and its bound on the mild quadratic, over the gap at the start."""
    problem = mild_quadratic()
    first = problem.value(problem.x0)  # f* = 0
    sides = superlinear_sides(rule, problem)
    return Sides(sides.left / first, sides.right / first)


def gradient_descent_gaps(steps: int = 40) -> Vector:
    """The gap of gradient descent with 1/L on the mild quadratic after 1, 2, ... steps, over that at the start."""
    problem = mild_quadratic()
    constants = hdm.Constants(hyper_lr=0.0, stepsize=np.full(len(problem.x0), 1 / problem.smoothness))
    first, *values = (state.value for state in run(hdm, problem, constants, steps))
    return np.array([value / first for value in values])


@law("{}: 1 - gap / bound", low=0.0, reason="the bound is strict")
def superlinear_slacks() -> dict[str, float]:
    """The largest gap over its bound, from 1, over three quadratics; 0 or more where the bound is strict.

    After 120 steps, or a gap of 0: the constant of the third is 40, and below that many steps its bound does not fall.
    """
    three = (mild_quadratic(), *(_rotated(spectrum) for spectrum in ([1.0, 0.5], [1.0, 0.5, 0.25])))
    return {
        rule: float(np.min([share(superlinear_sides(rule, problem, steps=120)) for problem in three]))
        for rule in SUPERLINEAR
    }


def _rotated(spectrum: list[float]) -> quadratics.Quadratic:
    return quadratics.quadratic(spectrum, rotation=quadratics.random_rotation(len(spectrum)))


def count_steps(spectrum: list[float], rule: str) -> int:
    """Steps from x_1 = (1, ..., 1) and P_1 = I/L until f / f_1 < 1e-14."""
    problem = _rotated(spectrum)
    sides = superlinear_sides(rule, problem)
    return int(np.flatnonzero(sides.left < 1e-14 * problem.value(problem.x0))[0]) + 1


# The spike


class Cure(NamedTuple):
    """A rule on the toy whose f may spike; L = 1 and mu = 0.01."""

    learn: Learner
    hyper_lr: float
    act: Action = action.vanilla
    shape: Shape = SCALAR
    project: Projection = learner.unconstrained


SPIKE = {
    "OGD": Cure(learner.ogd, 0.1),
    "OGD, null step": Cure(learner.ogd, 0.1, action.null_step),
    "OGD, lookahead": Cure(learner.ogd, 0.1, action.lookahead),
    "OGD, clipped": Cure(learner.ogd, 0.1, project=learner.box(0.0, 2.0)),
    "AdaGrad": Cure(learner.adagrad, 1.0),
    "AdaGrad, null step": Cure(learner.adagrad, 1.0, action.null_step),
    "AdaGrad, lookahead": Cure(learner.adagrad, 1.0, action.lookahead),
    "AdaGrad, clipped": Cure(learner.adagrad, 1.0, project=learner.box(0.0, 2.0)),
    "OGD, diagonal": Cure(learner.ogd, 0.5, shape=DIAGONAL),
    "OGD, diagonal, null step": Cure(learner.ogd, 0.5, action.null_step, DIAGONAL),
}
"""Clipped: the stepsize is kept in [0, 2/L], where no component of a gradient step grows."""


def spike(rule: str, steps: int = 200) -> tuple[Vector, Vector]:
    """f(x_k) / f(x_0) and the stepsizes P_k, k = 0, ..., steps, from x_0 = (1, 1) and P_0 = 0."""
    learn, eta, act, shape, project = SPIKE[rule]
    constants = hdm.Constants(1.0, eta, shape=shape, learner=learn, action=act, project=project)
    states = run(hdm, quadratics.spike_toy(), constants, steps)
    return np.array([state.value for state in states]) / states[0].value, np.array([state.P for state in states])


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
    for problem, omega in product(_problems(), (0.25, 0.5)):
        L, tau = problem.smoothness, 2.0
        constants = hdm_hb.Constants(2 / L, 0.5, omega=omega, tau=tau)
        states = run(hdm_hb, problem, constants, 60)
        total = 0.0
        for state in states[:-1]:
            if state.gradient @ state.gradient < 1e-9 * max(1.0, abs(state.value)):
                break  # h, a difference of nearly equal values over ||g||^2, has no digits left
            at = state._replace(P=np.full_like(state.P, 1 / (L + omega)), beta=np.array(0.0))
            promised = -min(1 / (2 * (L + omega)), omega / tau)
            found["descent"].append(_slack(_progress(problem, at, constants), promised))
            trial = hdm_hb.try_heavy_ball(problem, state, constants)
            total += float(np.maximum(-hdm_hb.progress(state, trial, omega), 0.0)) * trial.denominator
        first = hdm_hb.potential(states[0].value, states[0].displacement, omega) - problem.optimal_value
        found["telescoping"].append(_slack(total, first))
    return {name: float(np.min(values)) for name, values in found.items()}


@law("HDM-AGD, L ||x_1 - x*||^2 / (2 A_K): slack", low=-SLACK, reason="proved; slack for rounding alone")
def agd_slack() -> float:
    """Of f(x_K) - f* <= L ||x_1 - x*||^2 / (2 A_K) and A_K >= K^2 / 4, the least over problems, rates and K."""
    found = []
    for problem, hyper_lr in product(_problems(), (0.1, 10.0)):
        constants = hdm_agd.Constants(problem.smoothness, hyper_lr=hyper_lr, progress=hdm_agd.gradient_progress)
        distance = float(np.sum((problem.x0 - problem.optimum) ** 2))
        for K, state in enumerate(run(hdm_agd, problem, constants, 80)[1:], start=1):
            bound = problem.smoothness * distance / (2 * state.weight)
            found += [_slack(state.value - problem.optimal_value, bound), _slack(K**2 / 4, state.weight)]
    return float(np.min(found))
