"""Bounds on the methods of hypergrad_reference.osgm and hdm, as named formulas with both sides along a real run.

A run is recorded once as a `Trace`; a bound takes the trace and what it compares with, and returns `Sides`: left and
right for K = 1, 2, ... steps, of which left <= right is claimed. P^ is a comparator, any fixed stepsize of the shape
and, if there is a projection, of its set; eta the learner's rate; G_k the norm of the slope at step k.

Sources: "Lemma", "Theorem" are those of Gao et al. 2025 (COLT), "Lemma 4.3" that of Gao, Qu, Ye and Udell 2026 ("Tight
Nonasymptotic Local Convergence of Sinkhorn-Knopp"); "derived" has a short proof in the text. The constants of Chu et
al. 2025 (HDM) and of Gao et al. 2025 (Parts I and II) are not known.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import numpy as np

from hypergrad_papers.osgm2025.traces import Sides, Trace, counts, first_gap, gaps, measure_comparator, squared_distance
from hypergrad_reference import hdm_hb
from hypergrad_reference.feedback import HYPERGRADIENT
from hypergrad_reference.stepsize import Stepsize
from hypergrad_reference.types import Vector

# Regret


def static_regret(t: Trace, comparator: Stepsize, hyper_lr: float) -> Sides:
    """Online gradient descent against one P^ (derived; the textbook bound).

    sum l_k(P_k) - sum l_k(P^) <= ||P_1 - P^||^2 / (2 eta) + eta/2 sum G_k^2
    """
    left = np.cumsum(t.measures - measure_comparator(t, comparator))
    distance = squared_distance(t.trials[0].P, comparator)
    return Sides(left, distance / (2 * hyper_lr) + hyper_lr / 2 * np.cumsum(t.slopes**2))


def dynamic_regret(t: Trace, comparators: list[Stepsize], hyper_lr: float, diameter: float) -> Sides:
    """Projected online gradient descent against a P^_k for each step (derived).

    sum l_k(P_k) - sum l_k(P^_k)
        <= ||P_1 - P^_1||^2 / (2 eta) + D/eta sum ||P^_{k+1} - P^_k|| + eta/2 sum G_k^2
    """
    left = np.cumsum(t.measures - measure_comparator(t, comparators))
    moves = [np.sqrt(squared_distance(Q, P)) for P, Q in pairwise(comparators)]
    path = np.concatenate([[0.0], np.cumsum(moves)])
    distance = squared_distance(t.trials[0].P, comparators[0])
    right = distance / (2 * hyper_lr) + diameter / hyper_lr * path + hyper_lr / 2 * np.cumsum(t.slopes**2)
    return Sides(left, right)


def adagrad_regret(t: Trace, comparator: Stepsize, hyper_lr: float) -> Sides:
    """AdaGrad against one P^ (derived).

    sum l_k(P_k) - sum l_k(P^) <= sum_i (D_i^2 / (2 eta) + eta) sqrt(sum_k slope_ki^2),   D_i = max_k |P_ki - P^_i|
    """
    left = np.cumsum(t.measures - measure_comparator(t, comparator))
    distances = np.maximum.accumulate([np.ravel(trial.P - comparator) ** 2 for trial in t.trials])
    right = ((distances / (2 * hyper_lr) + hyper_lr) * np.sqrt(np.cumsum(t.squares, axis=0))).sum(axis=1)
    return Sides(left, right)


def lookahead_regret(t: Trace, comparator: Stepsize) -> Sides:
    """Hypergradient and lookahead, eta = 1/L: constant regret (derived).

    sum (f(x_{k+1}) - f(x_k)) / ||g_k||^2 <= sum h_k(P^) + L/2 ||P_1 - P^||^2

    f(y - g+/L) <= f(y) - ||g+||^2 / (2 L) cancels eta/2 G_k^2.
    """
    left = np.cumsum(np.diff(t.values) / t.gradients[:-1] ** 2)
    constant = t.problem.smoothness / 2 * squared_distance(t.trials[0].P, comparator)
    return Sides(left, np.cumsum(measure_comparator(t, comparator)) + constant)


def ratio_regret(t: Trace, comparator: Stepsize, hyper_lr: float) -> Sides:
    """Ratio, eta <= 1/(4 L^2), against any P^ (Lemma 2).

    sum r_k(P_k) - sum r_k(P^) <= ||P^ - P_1||^2 / eta + 4 L^2 eta sum r_k(P^)
    """
    ratios = measure_comparator(t, comparator)
    distance = squared_distance(t.trials[0].P, comparator)
    right = distance / hyper_lr + 4 * t.problem.smoothness**2 * hyper_lr * np.cumsum(ratios)
    return Sides(np.cumsum(t.measures - ratios), right)


def heavy_ball_regret(
    problem: Any, states: Sequence[hdm_hb.State], constants: hdm_hb.Constants, comparator: Stepsize, beta: float
) -> Sides:
    """Heavy ball with lookahead on the potential, eta = 1/(L + omega), eta_beta = tau/(2 (L + omega)) (derived).

    sum (phi_{k+1} - phi_k) / den_k
        <= sum h_k(P^, beta^) + (L + omega)/2 ||P_1 - P^||^2 + (L + omega)/tau (beta_1 - beta^)^2

    states    of the run, K + 1 of them
    """
    omega, smoothness = constants.omega, problem.smoothness + constants.omega
    drops, rivals = [], []
    for before, after in pairwise(states):
        rival = before._replace(P=comparator, beta=np.array(beta))
        trial = hdm_hb.try_heavy_ball(problem, rival, constants)
        phi, phi_before = (hdm_hb.potential(s.value, s.displacement, omega) for s in (after, before))
        drops.append((phi - phi_before) / trial.denominator)
        rivals.append(hdm_hb.progress(rival, trial, omega))
    first = states[0]
    constant = smoothness / 2 * squared_distance(first.P, comparator)
    constant += smoothness / constants.tau * float(first.beta - beta) ** 2
    return Sides(np.cumsum(drops), np.cumsum(rivals) + constant)


# A single step
#
# For the hypergradient with eta = 1/L, f convex and L-smooth; K counts the steps, none of which leans on those before.
# P^ may be another one for each step.


def learning_descent(t: Trace) -> Sides:
    """What a step of the learner gains at x_k (in the proof of Lemma 4.3): h_k(P_{k+1}) <= h_k(P_k) - G_k^2 / (2 L).

    h_k is L-smooth in P. The paper prints 1/(2 L^2), a slip: on f = L/2 ||x||^2 and a scalar P the two sides are equal.
    """
    return Sides(measure_comparator(t, t.stepsizes[1:]), t.measures - t.slopes**2 / (2 * t.problem.smoothness))


def step_progress(t: Trace, comparators: Stepsize | list[Stepsize]) -> Sides:
    """Learned step or lookahead, monotone or not (derived; the middle of the proof of Lemma 4.3).

        (f(x_{k+1}) - f(x_k)) / ||g_k||^2 <= h_k(P^) + L/2 (||P_k - P^||^2 - ||P_{k+1} - P^||^2)

    The left side is at most h_k(P_k) - G_k^2 / (2 L): for the learned step by `learning_descent`, for the lookahead by
    the descent lemma. Where a step is refused the left side is 0, and would have been no less. As h_k is convex,
    h_k(P_k) <= h_k(P^) + <slope, P_k - P^>, and the square of P_{k+1} - P^ = P_k - P^ - slope / L does the rest.

    The learned step keeps it under a projection on a convex set that holds P^, for P_{k+1} is then the least point of
    <slope, P> + L/2 ||P - P_k||^2 in the set.
    """
    drops = np.diff(t.values) / t.gradients[:-1] ** 2
    return Sides(drops, measure_comparator(t, comparators) + t.problem.smoothness / 2 * _approach(t, comparators))


def step_certificate(t: Trace, comparators: Stepsize | list[Stepsize], pl_constant: float) -> Sides:
    """Monotone learned step (Lemma 4.3) or monotone lookahead (derived), ||grad f||^2 >= 2 mu (f - f*).

        Omega(x_{k+1}, P_{k+1}) <= Omega(x_k, P_k) + 2 mu h_k(P^),   Omega(x, P) = log(f(x) - f*) + mu L ||P - P^||^2

    By `step_progress`, and since log(1 + u) <= u for u = (f(x_{k+1}) - f(x_k)) / (f(x_k) - f*), which is at most 2 mu
    times the progress where that is not positive. The sides are those of exp(log gap_{k+1} - log gap_k) <= exp(...),
    so that a gap may be 0.

    pl_constant    mu
    """
    gap = t.values - t.problem.optimal_value
    return Sides(gap[1:] / gap[:-1], np.exp(2 * pl_constant * step_progress(t, comparators).right))


def _approach(t: Trace, comparators: Stepsize | list[Stepsize]) -> Vector:
    """||P_k - P^||^2 - ||P_{k+1} - P^||^2, shape (K,)."""
    each = comparators if isinstance(comparators, list) else [comparators] * len(t.trials)
    pairs = zip(pairwise(t.stepsizes), each, strict=True)
    return np.array([squared_distance(P, Q) - squared_distance(P_next, Q) for (P, P_next), Q in pairs])


# From feedback to convergence


def power_mean(t: Trace, total: Vector) -> Vector:
    """The first gap times (total_K / K)^K: the mean inequality on K ratios that sum to total_K."""
    return first_gap(t) * (total / counts(t)) ** counts(t)


def ratio_convergence(t: Trace, comparator: Stepsize, hyper_lr: float) -> Sides:
    """Ratio, vanilla action (Theorem 2 with Lemma 2): gap <= first gap ((sum r_k(P^) + regret bound) / K)^K."""
    total = np.cumsum(measure_comparator(t, comparator)) + ratio_regret(t, comparator, hyper_lr).right
    return Sides(gaps(t), power_mean(t, total))


def ratio_lookahead_convergence(t: Trace, comparator: Stepsize) -> Sides:
    """Ratio and lookahead, eta = 1/(2 L^2): gap <= first gap ((sum r_k(P^) + L^2 ||P_1 - P^||^2) / K)^K (derived)."""
    constant = t.problem.smoothness**2 * squared_distance(t.trials[0].P, comparator)
    return Sides(gaps(t), power_mean(t, np.cumsum(measure_comparator(t, comparator)) + constant))


def superlinear_convergence(t: Trace, inverse: Stepsize, factor: float) -> Sides:
    """A quadratic with the Hessian A, gap <= first gap (factor L^2 ||P_1 - A^{-1}||^2 / K)^K.

    factor    4 for the ratio with eta = 1/(4 L^2) (Theorem 4) and the hypergradient with eta = 1/(2 L) (derived);
              1 for both with lookahead and eta = 1/(2 L^2), 1/L (derived)
    """
    constant = factor * t.problem.smoothness**2 * squared_distance(t.trials[0].P, inverse)
    return Sides(gaps(t), power_mean(t, np.full(len(t.trials), constant)))


def local_superlinear_convergence(t: Trace, inverse: Stepsize, distances: Vector, lipschitz_hessian: float) -> Sides:
    """Ratio and lookahead near x*, P^ the inverse of the Hessian there (derived): gap <= first gap (C_K / K)^K.

    C_K = L^2 ||P_1 - P^||^2 + kappa H^2 / (4 mu^2) sum ||x_k - x*||^2

    distances            (K,)  ||x_k - x*||
    lipschitz_hessian    H
    """
    p = t.problem
    growth = p.smoothness * lipschitz_hessian**2 / (4 * p.strong_convexity**3) * np.cumsum(distances**2)
    constant = p.smoothness**2 * squared_distance(t.trials[0].P, inverse)
    return Sides(gaps(t), power_mean(t, constant + growth))


def null_step_convergence(t: Trace, diameter: float) -> Sides:
    """Null step, f convex (derived): gap <= 1 / (1 / first gap + S_K / Delta^2), S_K = sum max(-h_k, 0).

    diameter    Delta, the largest distance to x* over the sublevel set of x_1
    """
    progress = np.cumsum(np.maximum(-t.measures, 0))
    return Sides(gaps(t), 1 / (1 / first_gap(t) + progress / diameter**2))


def null_step_linear_convergence(t: Trace) -> Sides:
    """Null step, f mu-strongly convex (derived): gap <= first gap prod (1 - 2 mu max(-h_k, 0))."""
    factors = 1 - 2 * t.problem.strong_convexity * np.maximum(-t.measures, 0)
    return Sides(gaps(t), first_gap(t) * np.cumprod(factors))


def mean_progress(t: Trace) -> Vector:
    """A = max(-(1/K) sum h_k, 0) for K = 1, 2, ..."""
    return cast(Vector, np.maximum(-np.cumsum(t.measures) / counts(t), 0))


def linear_rate(t: Trace, progress: Vector) -> Sides:
    """A mean progress A, f mu-strongly convex: gap <= first gap (1 - 2 mu A)^K."""
    factor = 1 - 2 * t.problem.strong_convexity * progress
    return Sides(gaps(t), first_gap(t) * factor ** counts(t))


def convex_rate(t: Trace, progress: Vector, diameter: float) -> Sides:
    """A mean progress A, f convex: gap K A <= Delta^2."""
    return Sides(gaps(t) * counts(t) * progress, np.full(len(t.trials), diameter**2))


def mean_progress_linear_convergence(t: Trace) -> Sides:
    """Null step, f mu-strongly convex, any P_k (Lemma 7): `linear_rate`."""
    return linear_rate(t, mean_progress(t))


def mean_progress_convergence(t: Trace, diameter: float) -> Sides:
    """Null step, f convex, any P_k (Lemma 7): `convex_rate`."""
    return convex_rate(t, mean_progress(t), diameter)


def mean_progress_gradient(t: Trace) -> Sides:
    """Null step, f convex, any P_k (Lemma 7): min_{k <= K} ||g_k||^2 K A <= first gap."""
    smallest = np.minimum.accumulate(t.gradients[:-1] ** 2)
    return Sides(smallest * counts(t) * mean_progress(t), np.full(len(t.trials), first_gap(t)))


def lookahead_progress(t: Trace, comparator: Stepsize) -> Vector:
    """A = max(-(1/K) (sum h_k(P^) + L/2 ||P_1 - P^||^2), 0): the mean progress that `lookahead_regret` promises."""
    return cast(Vector, np.maximum(-lookahead_regret(t, comparator).right / counts(t), 0))


def lookahead_linear_convergence(t: Trace, comparator: Stepsize) -> Sides:
    """Hypergradient and monotone lookahead, f mu-strongly convex (derived): `linear_rate`."""
    return linear_rate(t, lookahead_progress(t, comparator))


def lookahead_convergence(t: Trace, comparator: Stepsize, diameter: float) -> Sides:
    """Hypergradient and monotone lookahead, f convex (derived): `convex_rate`."""
    return convex_rate(t, lookahead_progress(t, comparator), diameter)


def gradient_norm_regret(t: Trace, comparator: Stepsize, hyper_lr: float) -> Sides:
    """Gradient norm on a quadratic, where it is convex and L-Lipschitz (Lemma 5 with H = 0, before 2 D is put in).

    sum n_k(P_k) - sum n_k(P^) <= ||P_1 - P^||^2 / (2 eta) + eta/2 K L^2
    """
    left = np.cumsum(t.measures - measure_comparator(t, comparator))
    distance = squared_distance(t.trials[0].P, comparator)
    return Sides(left, distance / (2 * hyper_lr) + hyper_lr / 2 * counts(t) * t.problem.smoothness**2)


def gradient_norm_convergence(t: Trace, comparator: Stepsize, hyper_lr: float) -> Sides:
    """The monotone action in the norm (Theorem 5): ||g_{K+1}|| <= ||g_1|| ((sum n_k(P^) + regret bound) / K)^K."""
    total = np.cumsum(measure_comparator(t, comparator)) + gradient_norm_regret(t, comparator, hyper_lr).right
    return Sides(t.gradients[1:], t.gradients[0] * (total / counts(t)) ** counts(t))


def hypergradient_regret(t: Trace, comparator: Stepsize, hyper_lr: float, radius: float) -> Sides:
    """Hypergradient, which is (L D + 1)-Lipschitz where ||P|| <= D (Proposition 4, Lemma 8 before 2 D is put in).

    sum h_k(P_k) - sum h_k(P^) <= ||P_1 - P^||^2 / (2 eta) + eta/2 K (L D + 1)^2
    """
    if t.feedback is not HYPERGRADIENT:
        raise ValueError("the trace must be one of HYPERGRADIENT")
    left = np.cumsum(t.measures - measure_comparator(t, comparator))
    distance = squared_distance(t.trials[0].P, comparator)
    right = distance / (2 * hyper_lr) + hyper_lr / 2 * counts(t) * (t.problem.smoothness * radius + 1) ** 2
    return Sides(left, right)
