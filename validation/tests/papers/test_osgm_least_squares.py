"""OSGM on the experiments of Gao et al. 2025 (COLT): published curves, read off figures 2 and 3, and their bands.

What the paper reports is held to the published numbers in `test_verdicts.py`; here is what stands behind it.
"""

import dataclasses

import numpy as np
import pytest
from scipy import optimize

from hypergrad_papers.osgm2025 import runs as colt
from hypergrad_problems import data, set_models
from hypergrad_problems.matched_quadratics import COLT_CONDITION_NUMBERS, matched_least_squares, near_diagonal
from hypergrad_reference import osgm
from hypergrad_reference.learner import ogd
from hypergrad_reference.optimal_diagonal import condition_number, find_optimal_diagonal

SEEDS = (0, 1, 2)
LENGTH = 1999  # of the figure's axis


@pytest.fixture(scope="module")
def curves():
    """Gap by sigma, seed and method."""
    return {
        (sigma, seed, name): curve
        for sigma in (1e-2, 1e-3)
        for seed in SEEDS
        for name, curve in colt.compute_curves(matched_least_squares(sigma, seed), LENGTH).items()
    }


def find_index(curves, sigma, seed, name):
    return colt.first_index(curves[sigma, seed, name], 1e-10) or LENGTH + 1


def test_hypergradient_comes_before_the_ratio_at_one_sigma_only(curves):
    """Finding: H <= R, as drawn, holds for sigma = 1e-3; for 1e-2 (337 and 343 published) it is up to the draw."""
    votes = {
        sigma: [
            find_index(curves, sigma, seed, "OSGM-H") <= find_index(curves, sigma, seed, "OSGM-R") for seed in SEEDS
        ]
        for sigma in (1e-2, 1e-3)
    }
    assert all(votes[1e-3])
    assert set(votes[1e-2]) == {True, False}


@pytest.mark.parametrize("seed", SEEDS)
def test_gradient_descent_follows_the_spectrum_and_the_published_count(seed):
    """1e-10 at index 1289 published, give or take the start.

    The tail slope is that of (1 - 1/kappa)^2 only where the second eigenvalue stands clear of the first; in two of
    these draws it is 3 and 4 % larger, and the slope not within 0.5 % at the end. The closed form holds in all.
    """
    problem = matched_least_squares(1e-1, seed)
    curve = colt.gap_curve(problem, colt.method_constants(problem)["GD"], LENGTH, least=0.0)
    _, singular, V = np.linalg.svd(problem.matrix)
    shares = (singular * (V @ (problem.x0 - problem.optimum))) ** 2 / 2
    for k in (100, 500, 1000, 1500):
        # The optimum is known to about 1e-14, which the slowest components see in 1e-6 of themselves by then.
        closed_form = float(shares @ (1 - (singular / singular[0]) ** 2) ** (2 * k))
        assert curve[k + 1] == pytest.approx(closed_form, rel=1e-5)
    assert colt.first_index(curve, 1e-10) == pytest.approx(1289, rel=0.1)
    slope = (np.log10(curve[-1]) - np.log10(curve[-301])) / 300
    assert slope <= 2 * np.log10(1 - 1 / COLT_CONDITION_NUMBERS[1e-1]) * (1 - 1e-5)


def test_first_crossing_of_the_accelerated_method_is_up_to_the_draw():
    """Its gap swings: the published first index below 1e-10 is one dip's, and the published gaps are ordinary."""
    published = {50: -2.33, 100: -3.39, 200: -4.67, 500: -7.27, 1000: -10.06, 1500: -12.35, 1999: -14.47}
    curves = [colt.compute_fixed(matched_least_squares(1e-1, seed), LENGTH, least=1e-30)["AGD"] for seed in range(24)]
    crossings = [colt.first_index(curve, 1e-10) for curve in curves]
    assert min(crossings) < 697 < max(crossings)
    assert max(crossings) > 1.5 * min(crossings)
    for index, gap in published.items():
        below = np.mean([np.log10(curve[index - 1]) < gap for curve in curves])
        assert 0.1 < below < 0.9


@pytest.mark.parametrize("seed", SEEDS)
def test_toy_has_the_published_numbers(seed):
    """The condition number, that after the best diagonal scaling (proven from below), and the first gap."""
    problem = near_diagonal(seed)
    diagonal = find_optimal_diagonal(problem.hessian)
    assert np.linalg.cond(problem.hessian) == pytest.approx(67.54, rel=1e-10)
    # the soft maximum of the solver is off by at most 2 log(n) / sharpness = 7e-4 in log kappa
    assert condition_number(problem.hessian, diagonal) == pytest.approx(4.69, rel=1e-3)
    assert colt.bound_kappa(problem.hessian, diagonal) == pytest.approx(4.69, rel=1e-3)
    assert np.log10(problem.value(problem.x0)) == pytest.approx(0.197, abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_lower_bound_of_kappa_is_below_every_scaling(seed):
    """Also where the diagonal it is formed from is far from the best."""
    rng = np.random.default_rng(seed)
    basis = rng.standard_normal((6, 6))
    hessian = basis @ basis.T + 0.1 * np.eye(6)
    least = condition_number(hessian, find_optimal_diagonal(hessian))
    for scale in (0.0, 0.1, 1.0):
        d = find_optimal_diagonal(hessian) * np.exp(scale * rng.standard_normal(6))
        assert colt.bound_kappa(hessian, d) <= least * (1 + 1e-12)
    assert colt.bound_kappa(hessian, find_optimal_diagonal(hessian)) >= 0.99 * least


@pytest.mark.parametrize("sigma", [1e-2, 1e-3])
def test_hypergradient_reaches_the_end_where_gradient_descent_hardly_moves(curves, sigma):
    for seed in SEEDS:
        assert curves[sigma, seed, "OSGM-H"][-1] < 1e-10
        assert curves[sigma, seed, "GD"][-1] > 1e-2


def test_curves_repeat_the_first_value_as_the_authors_do():
    problem = matched_least_squares(1e-1)
    curve = colt.gap_curve(problem, colt.method_constants(problem)["OSGM-H"], 10)
    assert curve[0] == curve[1] == curve[2] == problem.value(problem.x0)  # for the iteration from P = 0 does not move
    assert len(curve) == 10


SVM = {"a1a": (-3.79, 143), "a2a": (-3.65, 157), "a3a": (-3.39, 166)}
"""Published: log10 gap of gradient descent at index 999, and index at which OSGM-H reaches 1e-10."""


@pytest.mark.parametrize(
    ("name", "end", "reached"),
    [pytest.param(name, *row, id=name) for name, row in SVM.items()],
)
def test_svm_gives_the_published_gradient_descent_and_not_the_published_osgm(name, end, reached):
    """Within 0.25 of log10, for the start is another; OSGM-H wins, at less than half of its published speed.

    Rates from 1e-4 to 1e-3 are the best of the paper's grid here; the published slope is that of an accelerated method.
    """
    problem = set_models.colt_svm(data.load(name, reading="authors"))
    options = {"maxcor": 30, "ftol": 1e-16, "gtol": 1e-9, "maxiter": 5000}
    best = optimize.minimize(problem.value, problem.x0, jac=problem.gradient, method="L-BFGS-B", options=options)
    problem = dataclasses.replace(problem, optimal_value=best.fun)
    rate = np.full(len(problem.x0), 1 / problem.smoothness)
    descent = colt.gap_curve(problem, osgm.Constants(0.0, stepsize=rate, learner=ogd), 999)
    assert np.log10(descent[-1]) == pytest.approx(end, abs=0.25)
    for hyper_lr in (1e-4, 1e-3):
        learned = colt.gap_curve(problem, osgm.osgm_h(hyper_lr=hyper_lr), 999)
        assert learned[-1] < 1e-3 * descent[-1]
        assert colt.first_index(learned, 1e-10) > 2 * reached
