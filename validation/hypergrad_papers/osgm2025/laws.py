"""The algebra and the bounds of OSGM as numbers: errors of derivatives and closed forms, slack of every inequality."""

import dataclasses
from collections.abc import Iterator
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy import optimize

from hypergrad_papers.checks import law
from hypergrad_papers.osgm2025 import convergence, traces
from hypergrad_papers.osgm2025.traces import SLACK, Sides
from hypergrad_problems import linear_models, matched_quadratics, quadratics
from hypergrad_problems.newton import find_least_value
from hypergrad_problems.runs import run
from hypergrad_reference import action, hdm, hdm_hb, learner, osgm
from hypergrad_reference.feedback import GRADIENT_NORM, HYPERGRADIENT, RATIO, Trial, try_stepsize
from hypergrad_reference.optimal_diagonal import condition_number, find_optimal_diagonal
from hypergrad_reference.osgm import Constants
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR, Shape, Stepsize
from hypergrad_reference.types import Vector

FEEDBACKS = {"ratio": RATIO, "hypergradient": HYPERGRADIENT, "gradient norm": GRADIENT_NORM}
SHAPES = {"full": FULL, "diagonal": DIAGONAL, "scalar": SCALAR}


def random_logistic(seed: int = 0, n: int = 8, m: int = 40) -> linear_models.Logistic:
    """Regularised logistic regression on m random rows in n variables, its optimum known to rounding."""
    rng = np.random.default_rng(seed)
    features, labels = rng.standard_normal((m, n - 1)), np.sign(rng.standard_normal(m))
    problem = linear_models.logistic(features, labels, reg=0.05, mean=True, x0=rng.standard_normal(n), name="logistic")
    best = optimize.minimize(
        problem.value, problem.x0, jac=problem.gradient, hess=lambda x: hessian_of(problem, x),
        method="trust-exact", options={"gtol": 1e-13},
    )  # fmt: skip
    return dataclasses.replace(problem, optimum=best.x, optimal_value=float(best.fun))


def random_least_squares(seed: int = 0, n: int = 8) -> quadratics.LeastSquares:
    """Least squares with n random rows not far from those of I, f* = 0."""
    rng = np.random.default_rng(seed)
    matrix = np.eye(n) + rng.standard_normal((n, n)) / (2 * np.sqrt(n))
    return quadratics.least_squares(
        matrix, rng.standard_normal(n), rng.standard_normal(n), name="least squares", source="random"
    )  # fmt: skip


def random_svm(seed: int = 0, n: int = 8, m: int = 40) -> linear_models.SmoothedSVM:
    """Regularised SVM with the squared hinge on m random rows in n variables, f* known to rounding."""
    rng = np.random.default_rng(seed)
    features, labels = rng.standard_normal((m, n - 1)), np.sign(rng.standard_normal(m))
    problem = linear_models.smoothed_svm(features, labels, reg=2.0, x0=rng.standard_normal(n), name="SVM")
    return dataclasses.replace(problem, optimal_value=find_least_value(problem))


def flat_quadratic(ratio: float = 1e6) -> quadratics.Quadratic:
    """One with mu = 1 and L = ratio that starts on the axis of mu: no trial meets the curvature L."""
    return quadratics.quadratic([ratio, 1.0], x0=[0.0, 1.0], name="flat quadratic")


def random_quadratic() -> quadratics.Quadratic:
    """A rotated quadratic of condition number 10."""
    spectrum = [1.0, 0.7, 0.5, 0.3, 0.2, 0.1]
    return quadratics.quadratic(
        spectrum, rotation=quadratics.random_rotation(6), optimum=0.5, x0=2.0, name="quadratic"
    )  # fmt: skip


def mild_quadratic() -> quadratics.Quadratic:
    """One of condition number 2, so that L^2 ||A^-1||^2 is passed after few steps; f* = 0 at 0."""
    return quadratics.quadratic([1.0, 0.8, 0.6, 0.5], rotation=quadratics.random_rotation(4), name="mild quadratic")


def hessian_of(problem: Any, x: Vector) -> Vector:
    """The Hessian at x, (n, n)."""
    return np.array([problem.hessian_product(x, unit) for unit in np.eye(len(x))])


def find_diameter(problem: Any) -> float:
    """Delta, at most, over the sublevel set of x0: by strong convexity, or entry by entry for Huber's function."""
    gap = problem.value(problem.x0) - problem.optimal_value
    if problem.strong_convexity > 0:
        return float(np.sqrt(2 * gap / problem.strong_convexity))
    heights = gap / problem.weights / problem.threshold
    return float(np.linalg.norm(np.maximum(np.sqrt(2 * heights), heights + problem.threshold / 2)))


def multiple_of_identity(shape: Shape, n: int, scale: float) -> Stepsize:
    """Scale times I in a shape."""
    return scale * np.eye(n) if shape is FULL else np.full_like(shape.zeros(n), scale)


# Algebra


def slope_errors() -> dict[str, float]:
    """The largest difference between a slope and central differences of its feedback, over the slope's largest entry.

    At a random P, on logistic regression, where every feedback is smooth and none is quadratic.
    """
    problem, rng = random_logistic(), np.random.default_rng(1)
    n, errors = len(problem.x0), {}
    for shape_name, shape in SHAPES.items():
        P = 0.4 * rng.standard_normal(shape.zeros(n).shape)
        for name, feedback in FEEDBACKS.items():
            slope = np.asarray(feedback.slope(problem, _try(problem, shape, P), shape))
            differences = np.zeros(P.shape)
            for index in np.ndindex(P.shape):
                unit = np.zeros(P.shape)
                unit[index] = 1e-5
                ahead, behind = (feedback.measure(_try(problem, shape, P + sign * unit)) for sign in (1, -1))
                differences[index] = (ahead - behind) / 2e-5
            errors[f"{name}, {shape_name} P"] = float(np.abs(slope - differences).max() / np.abs(slope).max())
    return errors


SLOPES = law("relative error, {}", high=1e-6, reason="exact algebra; central differences of step 1e-5")(slope_errors)


def _try(problem: Any, shape: Shape, P: Stepsize) -> Trial:
    value, gradient = problem.value_and_gradient(problem.x0)
    return try_stepsize(problem, shape, P, problem.x0, value, gradient, problem.optimal_value)


def closed_form_errors() -> dict[str, float]:
    """The largest relative errors of the iterates on a/2 x^2 and on a diagonal quadratic against their closed forms."""
    a, x = 2.0, 1.5
    scalar = quadratics.scalar_quadratic(a, x)
    errors = {}
    for relative in (0.6, 2.1):  # eta a, stable below 2
        values = [state.x[0] for state in run(hdm, scalar, hdm.Constants(hyper_lr=relative / a), 8)]
        expected = [x * (1 - relative) ** (K * (K - 1) // 2) for K in range(9)]
        errors[f"hypergradient on a/2 x^2, eta a = {relative}"] = _relative(values, expected)
    ratio = osgm.osgm_r(1 / (4 * a**2), bound=0.0, learner=learner.ogd, action=action.vanilla)
    halved = [state.x[0] for state in run(osgm, scalar, ratio, 8)]
    exact = [x * 0.5 ** (K * (K - 1) // 2) for K in range(9)]
    return errors | {
        "ratio with 1 / (4 a^2) on a/2 x^2": _relative(halved, exact),
        "1 - a_i p_i on a diagonal quadratic": float(np.max(list(_share_errors()))),
    }


CLOSED_FORMS = law("error, {}", high=1e-12, reason="exact algebra: a dozen roundings")(closed_form_errors)


@law("error, x_3 with eta = 1/a", high=0.0, reason="exact algebra, which an update in the wrong order breaks")
def end_at_third_step() -> float:
    """|x_3| on x^2."""
    return abs(float(run(hdm, quadratics.scalar_quadratic(2.0, 1.5), hdm.Constants(hyper_lr=0.5), 2)[2].x[0]))


def _relative(ours: Any, expected: Any) -> float:
    return float(np.abs(np.asarray(ours) / np.asarray(expected) - 1).max())


def _share_errors() -> Iterator[float]:
    """The errors of (1 - a_i p_i)+ = (1 - a_i p_i) (1 - eta a_i w_i), w_i = g_i^2 / ||g||^2, step by step."""
    problem = quadratics.quadratic([1.0, 0.5, 0.25], x0=[1.0, -2.0, 4.0])
    for before, after in pairwise(run(hdm, problem, hdm.Constants(hyper_lr=0.5), 6)):
        share = before.gradient**2 / (before.gradient @ before.gradient)
        expected = (1 - problem.hessian * before.P) * (1 - 0.5 * problem.hessian * share)
        yield _relative(1 - problem.hessian * after.P, expected)


def first_step(hyper_lr: float) -> dict[str, float]:
    """AdaGrad from P = 0: how far p_i is from its rate, relative, where g_i^2 > 1e-4 ||g||^2; how far x went."""
    problem = matched_quadratics.matched_least_squares(1e-1)
    before, after = run(osgm, problem, Constants(hyper_lr), 1)
    large = before.gradient**2 > 1e-4 * (before.gradient @ before.gradient)
    return {"p": _relative(after.P[large], hyper_lr), "x": float(np.abs(after.x - before.x).max())}


FIRST_STEPSIZE = law("relative error of p_i", high=1e-7, reason="the learner's eps, which small entries of g feel")(
    first_step
)
FIRST_MOVE = law("largest move of x", high=0.0, reason="P = 0 is the stepsize of the first step")(first_step)


# Bounds


def _both() -> tuple[Any, ...]:
    return random_logistic(), random_quadratic()


def slack(sides: Sides) -> float:
    """The least right - left, relative to 1 + |right|; negative where the bound fails."""
    return float(((sides.right - sides.left) / (1 + np.abs(sides.right))).min())


def share(sides: Sides) -> float:
    """The least 1 - left / right: the slack of a bound that falls to 0 with what it bounds."""
    return float((1 - sides.left / sides.right).min())


def published_slacks() -> dict[str, float]:
    """Lemma 2, Lemma 7 and Theorem 4 of Gao et al. 2025 (COLT), the least slack of all K, comparators and problems."""
    found: dict[str, list[float]] = {"Lemma 2": [], "Lemma 7": [], "Theorem 4": []}
    for problem in _both():
        L, n = problem.smoothness, len(problem.x0)
        eta = 1 / (4 * L**2)
        vanilla = osgm.osgm_r(
            eta, bound=problem.optimal_value, shape=FULL, learner=learner.ogd, action=action.vanilla
        )  # fmt: skip
        at_optimum = hessian_of(problem, problem.optimum)
        comparators = (np.eye(n) / L, np.linalg.inv(at_optimum), np.diag(find_optimal_diagonal(at_optimum)))
        t = traces.trace(problem, vanilla, 80)
        found["Lemma 2"] += [slack(convergence.ratio_regret(t, P, eta)) for P in comparators]
        t = traces.trace(problem, Constants(2 / L), 150)
        found["Lemma 7"] += [
            slack(convergence.mean_progress_linear_convergence(t)),
            slack(convergence.mean_progress_convergence(t, find_diameter(problem))),
            slack(convergence.mean_progress_gradient(t)),
        ]
    found["Theorem 4"].append(share(superlinear_sides(0.25, action.vanilla, 4.0)))
    return {name: float(np.min(values)) for name, values in found.items()}


PUBLISHED = law("least slack, {}", low=-SLACK, reason="proved; cancellation near the optimum")(published_slacks)


def derived_slacks() -> dict[str, float]:
    """The bounds with lookahead, which are not in the COLT paper: the least slack of all K and problems."""
    found: dict[str, list[float]] = {
        "ratio, lookahead": [], "hypergradient, lookahead": [], "its two rates": [], "heavy ball, lookahead": [],
    }  # fmt: skip
    for problem in _both():
        L, n = problem.smoothness, len(problem.x0)
        diameter = find_diameter(problem)
        at_optimum = hessian_of(problem, problem.optimum)
        sharp = {"full": np.linalg.inv(at_optimum), "diagonal": find_optimal_diagonal(at_optimum)}
        for name, shape in SHAPES.items():
            comparators = [multiple_of_identity(shape, n, 1 / L), *([sharp[name]] if name in sharp else [])]
            ratio = osgm.osgm_r(
                1 / (2 * L**2), L, problem.optimal_value, shape=shape, learner=learner.ogd, action=action.lookahead
            )  # fmt: skip
            t = traces.trace(problem, ratio, 60)
            found["ratio, lookahead"] += [slack(convergence.ratio_lookahead_convergence(t, P)) for P in comparators]
            ahead = Constants(1 / L, L, shape=shape, learner=learner.ogd, action=action.monotone_lookahead)
            t = traces.trace(problem, ahead, 60)
            found["hypergradient, lookahead"] += [slack(convergence.lookahead_regret(t, P)) for P in comparators]
            for P in comparators:
                linear = convergence.lookahead_linear_convergence(t, P)
                found["its two rates"] += [share(linear), slack(convergence.lookahead_convergence(t, P, diameter))]
        found["heavy ball, lookahead"].append(slack(heavy_ball_sides(problem)))
    found["full P on a quadratic"] = [share(superlinear_sides(0.5, action.lookahead, 1.0))]
    found["local superlinear"] = [share(local_superlinear_sides())]
    return {name: float(np.min(values)) for name, values in found.items()}


DERIVED = law("least slack, {}", low=-SLACK, reason="proved; cancellation near the optimum")(derived_slacks)


def bite() -> dict[str, float]:
    """That the superlinear bounds say something.

    How far gradient descent breaks those on a quadratic (`share`), what the local one is at last over the first gap,
    and the last f_(K+1) / f_K of the ratio with a full P.
    """
    left = superlinear_sides(0.25, action.vanilla, 4.0).left
    start: Any = dataclasses.replace(random_logistic(), x0=_near_optimum())
    return {
        "gradient descent, theorem 4": share(superlinear_sides(0.0, action.vanilla, 4.0)),
        "gradient descent, full P on a quadratic": share(superlinear_sides(0.0, action.vanilla, 1.0)),
        "local bound": float(local_superlinear_sides().right[-1] / (start.value(start.x0) - start.optimal_value)),
        "last ratio": float(left[-1] / left[-2]),
    }


def heavy_ball_sides(problem: Any, omega: float = 0.5, tau: float = 2.0, steps: int = 30) -> Sides:
    """Heavy ball with lookahead on the potential, from P_1 = 0 and beta_1 = 1/2 against P^ = I/L and beta^ = 1/4."""
    smoothness = problem.smoothness + omega
    constants = hdm_hb.Constants(
        1 / smoothness, tau / (2 * smoothness), beta=0.5, omega=omega, tau=tau, smoothness=problem.smoothness,
        learner=learner.ogd,
    )  # fmt: skip
    ahead = SimpleNamespace(init=hdm_hb.init, step=hdm_hb.step_lookahead)
    states = run(ahead, problem, constants, steps)
    return convergence.heavy_ball_regret(
        problem, states, constants, np.full_like(states[0].P, 1 / problem.smoothness), 0.25
    )


def superlinear_sides(rate: float, act: action.Action, factor: float) -> Sides:
    """The ratio with a full P from I/L on the mild quadratic, eta = rate / L^2, and its bound with the factor.

    With a rate of 0 it is gradient descent.
    """
    quadratic = mild_quadratic()
    L = quadratic.smoothness
    constants = osgm.osgm_r(
        rate / L**2, L, 0.0, np.eye(len(quadratic.x0)) / L, shape=FULL, learner=learner.ogd, action=act
    )  # fmt: skip
    t = traces.trace(quadratic, constants, 80, least=1e-200)
    return convergence.superlinear_convergence(t, np.linalg.inv(quadratic.hessian), factor)


def _near_optimum() -> Vector:
    """So near that the bound is below the first gap at once, and so far that a gap has digits."""
    problem: Any = random_logistic()
    start: Vector = problem.optimum + 1e-3 * np.sign(problem.x0)
    return start


def local_superlinear_sides() -> Sides:
    """Logistic regression from near its optimum, P from near the inverse Hessian there."""
    problem: Any = random_logistic()
    L, n = problem.smoothness, len(problem.x0)
    near = dataclasses.replace(problem, x0=_near_optimum())
    inverse = np.linalg.inv(hessian_of(near, near.optimum))
    # |d^3 softplus| <= 1 / (6 sqrt 3), so that H <= mean |a|^3 / (6 sqrt 3).
    lipschitz = float(np.mean(np.linalg.norm(near.rows, axis=1) ** 3)) / (6 * np.sqrt(3))
    start = inverse + 0.02 * np.eye(n) / L
    constants = osgm.osgm_r(
        1 / (2 * L**2), L, near.optimal_value, start, shape=FULL, learner=learner.ogd, action=action.lookahead
    )
    t = traces.trace(near, constants, steps=40, least=1e-16)
    distances = np.array([np.linalg.norm(trial.x - near.optimum) for trial in t.trials])
    return convergence.local_superlinear_convergence(t, inverse, distances, lipschitz)


def two_by_two_error() -> float:
    """The largest relative error of kappa* of eight random 2 x 2 matrices against (1 + |rho|) / (1 - |rho|)."""
    rng, errors = np.random.default_rng(0), []
    for _ in range(8):
        basis = rng.standard_normal((2, 2))
        hessian = basis @ basis.T + 0.1 * np.eye(2)
        rho = abs(hessian[0, 1]) / np.sqrt(hessian[0, 0] * hessian[1, 1])
        found = condition_number(hessian, find_optimal_diagonal(hessian))
        errors.append(_relative(found, (1 + rho) / (1 - rho)))
    return float(np.max(errors))
