"""hypergrad.minimize without an option, the estimates that this needs, and how the default was chosen."""

import math

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from without_options import ESTIMATING

import hypergrad
from hypergrad._minimize.minimize import DEFAULT
from hypergrad._minimize.objective import Function
from hypergrad._minimize.smoothness import estimate_smoothness
from hypergrad.methods import NAMES
from hypergrad_papers.default_method import Trial, main, rank, scale
from hypergrad_problems.classic_functions import CLASSICS
from hypergrad_problems.data import load
from hypergrad_problems.quadratics import quadratic, random_rotation
from hypergrad_problems.set_models import mean_logistic


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("through", [hypergrad.minimize, scipy.optimize.minimize])
def test_method_runs_without_an_option(method, through):
    problem = mean_logistic(load("breast_cancer"), reg=1e-2)
    options = {"optimal_value": 0.0} if method == "osgm_r" else None
    result = through(
        problem.value, problem.x0, jac=problem.gradient, method=getattr(hypergrad.methods, method), options=options
    )
    assert result.success or (result.status, result.nit) == (1, 1000)
    # f* is 0.1134; 0.14 is a fifth of the way that f(0) = 0.69 has to go
    assert result.fun < (0.6 if method in ("adam", "osgm_g") else 0.14)


@pytest.mark.parametrize("name", CLASSICS)
def test_default_method_solves_the_classic_functions(name):
    fun, x0, least = CLASSICS[name]
    result = hypergrad.minimize(fun, x0, jac=True)
    assert result.success, result.message
    assert result.fun - least < 1e-6 or name == "Styblinski n=4"  # it has sixteen minima


@pytest.mark.parametrize("unit", [1e-6, 1e-4, 1e4, 1e6])
@pytest.mark.parametrize("name", CLASSICS)
def test_default_method_is_not_lost_in_other_units(name, unit):
    """The authors' OSGM-Best ends in NaN where x moves by less than 1e-3 at a time: its sibling must not."""
    _, _, fun, x0 = scale(name, CLASSICS[name], unit)
    result = hypergrad.minimize(fun, x0, jac=True, options={"gtol": 1e-4})
    assert result.status in (0, 1)
    assert result.success or unit != 1e-4


def test_authors_osgm_best_is_lost_in_small_units():
    _, _, fun, x0 = scale("Wood", CLASSICS["Wood"], 1e-6)
    assert hypergrad.minimize(fun, x0, jac=True, method="osgm_best", options={"gtol": 1e-4}).status == 3


def test_default_method_needs_no_gradient():
    result = hypergrad.minimize(scipy.optimize.rosen, [-1.2, 1.0], options={"gtol": 1e-4})
    assert result.success
    # near the minimum f >= mu/2 |x - 1|^2 with mu = 0.3994
    assert np.abs(result.x - 1).max() < 1e-3


def test_default_method_is_the_one_of_the_docstring():
    assert f'"{DEFAULT}"' in hypergrad.minimize.__doc__
    fun, x0, _ = CLASSICS["Beale"]
    named = hypergrad.minimize(fun, x0, jac=True, method=DEFAULT)
    assert hypergrad.minimize(fun, x0, jac=True).x.tobytes() == named.x.tobytes()


# Estimates.


@pytest.mark.parametrize("method", ESTIMATING)
def test_estimate_is_counted_and_in_the_result(method):
    calls = {"fun": 0, "jac": 0}

    def fun(x):
        calls["fun"] += 1
        return 2 * float(x @ x)

    def jac(x):
        calls["jac"] += 1
        return 4 * x

    result = hypergrad.minimize(fun, [3.0, 4.0], jac=jac, method=method, options={"maxiter": 5})
    assert (result.nfev, result.njev) == (calls["fun"], calls["jac"])
    assert result.smoothness == pytest.approx(4.0, rel=1e-9)  # differences of 1e-4 lose ten digits
    again = hypergrad.minimize(
        fun, [3.0, 4.0], jac=jac, method=method, options={"maxiter": 5, "smoothness": result.smoothness}
    )
    assert again.x.tobytes() == result.x.tobytes()
    assert (result.nfev - again.nfev, result.njev - again.njev) == (
        (0, 3) if method.startswith("osgm_best") else (1, 2)
    )
    assert "smoothness" not in again


@pytest.mark.parametrize("method", ["gd_armijo", "adgd"])
def test_first_step_is_estimated(method):
    result = hypergrad.minimize(lambda x: (2 * float(x @ x), 4 * x), [3.0, 4.0], jac=True, method=method)
    assert result.lr == pytest.approx(0.25, rel=1e-9)


@pytest.mark.parametrize("method", ["agd_scvx", "hdm_agd_strongly_convex"])
def test_strong_convexity_is_a_share_of_the_smoothness(method):
    def fun(x):
        return 2 * float(x @ x), 4 * x

    result = hypergrad.minimize(fun, [3.0], jac=True, method=method, options={"smoothness": 8.0})
    assert result.strong_convexity == 8e-4
    assert "smoothness" not in result


def test_least_value_is_guessed_below_the_start():
    result = hypergrad.minimize(lambda x: (float(x @ x), 2 * x), [3.0], jac=True, method="osgm_rz")
    assert result.optimal_value == 9.0 - 0.1
    assert result.success


@pytest.mark.parametrize("method", ["hdm", "hdm_null", "hdm_adagrad"])
def test_smoothness_is_not_estimated_where_hyper_lr_is_given(method):
    result = hypergrad.minimize(
        lambda x: (float(x @ x), 2 * x), [3.0], jac=True, method=method, options={"hyper_lr": 0.1, "maxiter": 4}
    )
    assert (result.nfev, result.njev, "smoothness" in result) == (5, 5, False)


@given(
    curvatures=st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=6),
    scale=st.sampled_from([1e-200, 1e-9, 1.0, 1e9, 1e200]),
    seed=st.integers(0, 10),
)
def test_estimate_comes_close_to_the_smoothness_of_quadratics(curvatures, scale, seed):
    n = len(curvatures)
    x0 = np.random.default_rng(seed).standard_normal(n)
    problem = quadratic(np.array(curvatures), rotation=random_rotation(n, seed), x0=x0)

    def fun(x):
        value, gradient = problem.value_and_gradient(x)
        return scale * value, scale * gradient

    function = Function(fun, (), jac=True)
    start = function.start(problem.x0)
    estimate = estimate_smoothness(function, start)
    # with a curvature just above the others the power iteration may stop at a mean of both; it may double it once
    assert 0.5 * scale * max(curvatures) <= estimate <= 2.01 * scale * max(curvatures)
    assert function.njev <= 11


@pytest.mark.parametrize(
    ("fun", "x0"),
    [
        (lambda x: (float(x[0]), np.ones(1)), [0.0]), (lambda x: (1.0, np.zeros(1)), [1.0]),
        (lambda x: (-float(x @ x), -2 * x), [1.0, 2.0]), (lambda x: (1e-300 * float(x @ x), 2e-300 * x), [1.0]),
        (lambda x: (1e300 * float(x @ x), 2e300 * x), [1.0]), (lambda x: (float(x @ x), 2 * x), [1e150]),
        (lambda x: (float((x**4).sum()), 4 * x**3), [1e76]), (lambda x: (abs(x[0]), np.sign(x)), [1.0]),
        (lambda x: (float(x @ x), 2 * x), [0.0]), (lambda x: (math.exp(x[0]), np.exp(x)), [600.0]),
        (lambda x: (x[0] - math.log(x[0]), 1 - 1 / x) if x[0] > 0 else (math.nan, x), [1e-6]),
        (lambda x: (float(x @ x), 2 * x) if x[0] == 1 else (math.nan, np.full(1, math.nan)), [1.0]),
        (lambda x: (float(x @ x), 2 * x), [1e-200]), (lambda x: (1e-320 * x[0], np.full(1, 1e-320)), [0.0]),
        (lambda x: (-math.cos(x[0]), np.sin(x)), [math.pi / 2]),
    ],
)  # fmt: skip
def test_estimate_is_always_finite_and_positive(fun, x0):
    function = Function(fun, (), jac=True)
    with np.errstate(all="ignore"):
        estimate = estimate_smoothness(function, function.start(np.array(x0)))
    assert 1e-307 <= estimate <= 1e307
    assert function.njev <= 11
    assert function.nfev <= 61


def test_backtracking_raises_the_estimate_along_the_first_step():
    """There is hardly a curvature at 0, and the first step 1 / L would go to -2.5e7."""
    function = Function(lambda x: (float(x[0] + x[0] ** 4), 1 + 4 * x**3), (), jac=True)
    start = function.start(np.array([0.0]))
    estimate = estimate_smoothness(function, start)
    assert function.value(start.x - start.gradient / estimate) <= -1 / (2 * estimate)
    # the step t = 1 / L meets the descent lemma from t^3 <= 1/2 on; doubling overshoots by 2 at most
    assert 2 ** (1 / 3) <= estimate <= 2 * 2 ** (1 / 3)


def steepening(x):
    """The curvature along y is x^2, 0 at the start and 1e4 at the minimum."""
    a, b = x
    return 0.5 * (a - 100) ** 2 + 0.5 * (a * b - 1) ** 2, np.array([a - 100 + b * (a * b - 1), a * (a * b - 1)])


def test_lost_run_says_what_to_try():
    lost = hypergrad.minimize(steepening, [0.0, 1.0], jac=True, method="hdm")
    assert lost.status == 3
    assert f"smoothness={lost.smoothness:.3g} is an estimate: try a larger one, or osgm_best_corrected." in lost.message
    larger = hypergrad.minimize(steepening, [0.0, 1.0], jac=True, method="hdm", options={"smoothness": 2e4})
    assert larger.status != 3
    assert hypergrad.minimize(steepening, [0.0, 1.0], jac=True, method="osgm_best_corrected").success


# How the default was chosen.


@pytest.mark.parametrize("name", CLASSICS)
def test_classic_function_has_the_gradient_of_its_values(name):
    fun, x0, least = CLASSICS[name]
    x = np.array(x0) + 0.1 * np.random.default_rng(0).standard_normal(len(x0))
    estimate = scipy.optimize.approx_fprime(x, lambda z: fun(z)[0], 1e-7)
    # forward differences of 1e-7 are off by 1e-7 f'' / 2, f'' < 2e4, and roundings of f / 1e-7
    np.testing.assert_allclose(fun(x)[1], estimate, rtol=1e-4, atol=2e-3)
    assert fun(x)[0] >= least


def test_rank_is_the_place_by_work_and_the_last_where_unsolved():
    trials = [
        Trial("c", "p", False, 5), Trial("b", "p", True, 20), Trial("a", "p", True, 10),
        Trial("c", "q", True, 4), Trial("b", "q", True, 30), Trial("a", "q", True, 30),
    ]  # fmt: skip
    rows = rank(trials)
    assert [(row.method, row.solved, row.work, row.rank, row.mean_rank) for row in rows] == [
        ("a", 1.0, 10, 1.5, 1.5), ("b", 1.0, 20, 2.0, 2.0), ("c", 0.5, 4, 2.0, 2.0)
    ]  # fmt: skip


def test_command_prints_a_row_per_method(capsys):
    assert main(["--on", "classic", "--method", "l_bfgs", "--method", "osgm_best"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{len(CLASSICS)} problems\n")
    assert all(name in out for name in ("l_bfgs", "osgm_best", "solved", "mean rank"))


def bowl(x):
    return x @ x, 2 * x


@pytest.mark.parametrize("name", ["hdm_best", "osgm_best"])
def test_earlier_name_of_a_method_is_accepted(name):
    now, earlier = f"{name}_corrected", f"{name}_mended"
    assert getattr(hypergrad.methods, earlier) is getattr(hypergrad.methods, now)
    assert earlier not in hypergrad.methods.NAMES
    results = [hypergrad.minimize(bowl, [4.0, 1.0], jac=True, method=method) for method in (now, earlier)]
    assert results[0].nfev == results[1].nfev
