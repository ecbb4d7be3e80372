"""hypergrad.minimize: one loop for all methods, SciPy's manners, truthful counts, no endless run."""

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen, rosen_der, rosen_hess, rosen_hess_prod

import hypergrad
from hypergrad._minimize.table import METHODS, QUASI_NEWTON
from hypergrad.errors import ArgumentError
from hypergrad_problems.data import load
from hypergrad_problems.quadratics import hdm_toy, quadratic
from hypergrad_problems.set_models import mean_logistic

TOY = hdm_toy()
CONSTANTS = {
    "smoothness": 4.0, "strong_convexity": 2.0, "optimal_value": -3.0, "lr": 0.25, "hyper_lr": 0.1, "hyper_lr_beta": 0.1
}  # fmt: skip


def known_to(method):
    """What of CONSTANTS a method can be told."""
    return {name: value for name, value in CONSTANTS.items() if method in METHODS and name in METHODS[method].options}


def run(method, problem=TOY, jac=None, **options):
    hessp = problem.hessian_product if method == "osgm_g" else None
    fun = problem.value_and_gradient if jac else problem.value
    return hypergrad.minimize(
        fun, problem.x0, jac=jac or problem.gradient, hessp=hessp, method=method,
        options={**known_to(method), "maxiter": 5000, **options},
    )  # fmt: skip


class Counter:
    """A function that counts its own calls."""

    def __init__(self, problem):
        self.problem, self.values, self.gradients, self.pairs = problem, 0, 0, 0

    def value(self, x):
        self.values += 1
        return self.problem.value(x)

    def gradient(self, x):
        self.gradients += 1
        return self.problem.gradient(x)

    def pair(self, x):
        self.pairs += 1
        return self.problem.value_and_gradient(x)


EVERY = [*METHODS, *QUASI_NEWTON]


@pytest.mark.parametrize("method", EVERY)
def test_method_finds_the_minimum(method):
    result = run(method, gtol=1e-4)
    assert result.success, result.message
    assert np.abs(result.jac).max() < 1e-4
    # f - f* <= ||g||^2 / (2 mu) with mu = 2, two entries below 1e-4
    assert result.fun - TOY.optimal_value <= 2 * 1e-8 / 4


@pytest.mark.parametrize("method", EVERY)
def test_counts_are_those_of_the_calls(method):
    counter = Counter(TOY)
    hessp = TOY.hessian_product if method == "osgm_g" else None
    result = hypergrad.minimize(
        counter.value, TOY.x0, jac=counter.gradient, hessp=hessp, method=method,
        options={**known_to(method), "maxiter": 7},
    )  # fmt: skip
    assert (result.nfev, result.njev) == (counter.values, counter.gradients)
    together = run(method, jac=True, maxiter=7)
    assert together.x.tobytes() == result.x.tobytes()


@pytest.mark.parametrize("method", METHODS)
def test_pair_is_evaluated_once(method):
    counter = Counter(TOY)
    hessp = TOY.hessian_product if method == "osgm_g" else None
    result = hypergrad.minimize(
        counter.pair, TOY.x0, jac=True, hessp=hessp, method=method, options={**known_to(method), "maxiter": 7}
    )
    # AGD and Armijo ask for a gradient or a value alone as well; every other call is a pair
    assert max(result.nfev, result.njev) <= counter.pairs <= result.nfev + result.njev


def test_pair_counts_as_a_value_and_a_gradient():
    counter = Counter(TOY)
    result = hypergrad.minimize(counter.pair, TOY.x0, jac=True, method="gd", options={"smoothness": 4.0, "maxiter": 7})
    assert (result.nfev, result.njev, counter.pairs) == (8, 8, 8)


def test_adgd_grows_by_its_last_growth_where_there_is_no_curvature():
    """On a straight line lr = sqrt(1 + theta) lr, theta = 1 after the first step, which keeps its length."""
    result = hypergrad.minimize(
        lambda x: (float(x[0]), np.ones(1)), [0.0], jac=True, method="adgd",
        options={"lr": 1.0, "maxiter": 3, "history": True},
    )  # fmt: skip
    assert result.history["lr"].tolist()[:3] == [1.0, 1.0, np.sqrt(2.0)]


@pytest.mark.parametrize("method", EVERY)
def test_history_has_an_entry_at_the_start_and_one_an_iteration(method):
    result = run(method, maxiter=9, gtol=0.0, history=True)
    assert len(result.history["fun"]) == len(result.history["gnorm"]) == result.nit + 1
    assert result.history["fun"][0] == TOY.value(TOY.x0)
    assert result.history["fun"][-1] == result.fun
    assert result.history["gnorm"][-1] == np.abs(result.jac).max()
    if method in METHODS and "hyper_lr" in METHODS[method].options:
        assert len(result.history["P"]) == result.nit + 1


@pytest.mark.parametrize("method", EVERY)
def test_scipy_runs_the_same_method(method):
    ours = run(method, maxiter=20)
    hessp = TOY.hessian_product if method == "osgm_g" else None
    theirs = scipy.optimize.minimize(
        TOY.value, TOY.x0, jac=TOY.gradient, hessp=hessp, method=getattr(hypergrad.methods, method),
        options={**known_to(method), "maxiter": 20},
    )  # fmt: skip
    assert theirs.x.tobytes() == ours.x.tobytes()
    assert (theirs.nit, theirs.nfev, theirs.njev, theirs.status) == (ours.nit, ours.nfev, ours.njev, ours.status)


def test_scipy_runs_rosenbrock_by_heavy_ball():
    result = scipy.optimize.minimize(
        rosen, [-1.2, 1.0], jac=rosen_der, method=hypergrad.methods.hdm_hb, options={"maxiter": 20000}
    )
    assert result.success
    # near the minimum f >= mu/2 |x - 1|^2 with mu = 0.3994, the least eigenvalue of its Hessian there
    assert np.abs(result.x - 1).max() < 1e-4


def test_scipy_runs_logistic_regression_with_jac_true():
    problem = mean_logistic(load("breast_cancer"), reg=1e-2)
    result = scipy.optimize.minimize(
        problem.value_and_gradient, problem.x0, jac=True, method=hypergrad.methods.hdm_best, tol=1e-6,
        options={"smoothness": problem.smoothness, "maxiter": 3000},
    )  # fmt: skip
    best = scipy.optimize.minimize(problem.value_and_gradient, problem.x0, jac=True, method="BFGS", tol=1e-9)
    assert result.success
    # both gradients are below 1e-6 an entry, 31 entries: f - f* <= 31e-12 / (2 reg) = 1.6e-9
    assert abs(result.fun - best.fun) <= 1.6e-9


def test_hessian_may_be_given_whole():
    options = {"hyper_lr": 1e-3, "maxiter": 50}
    ways = [{"hess": rosen_hess}, {"hessp": rosen_hess_prod}]
    xs = [
        hypergrad.minimize(rosen, [0.5, 0.5], jac=rosen_der, method="osgm_g", options=options, **way).x for way in ways
    ]
    # the two products round differently
    assert np.abs(xs[0] - xs[1]).max() < 1e-9


def test_args_reach_the_function():
    result = hypergrad.minimize(
        lambda x, a: (a * float(x @ x), 2 * a * x), [1.0], (3.0,), jac=True, method="gd", options={"smoothness": 6.0}
    )
    assert (result.success, result.nit) == (True, 1)


# Callbacks, as in SciPy.


def test_callback_gets_a_copy_of_x_or_the_result():
    seen = []

    def look(x):
        seen.append(x.copy())
        x[:] = np.nan

    result = hypergrad.minimize(
        TOY.value, TOY.x0, jac=TOY.gradient, method="gd", callback=look, options={"smoothness": 4.0, "maxiter": 5}
    )
    assert len(seen) == result.nit == 5
    assert seen[-1].tobytes() == result.x.tobytes()

    def inspect(intermediate_result):
        seen.append(intermediate_result.fun)

    seen.clear()
    hypergrad.minimize(
        TOY.value, TOY.x0, jac=TOY.gradient, method="gd", callback=inspect, options={"smoothness": 4.0, "maxiter": 5}
    )
    assert seen == sorted(seen, reverse=True)


@pytest.mark.parametrize("through", ["hypergrad", "scipy"])
def test_stop_iteration_ends_the_run(through):
    def stop(x):
        raise StopIteration

    if through == "hypergrad":
        result = run_stopping("gd", stop)
    else:
        result = scipy.optimize.minimize(
            TOY.value, TOY.x0, jac=TOY.gradient, method=hypergrad.methods.gd, callback=stop,
            options={"smoothness": 4.0},
        )  # fmt: skip
    assert (result.success, result.status, result.nit) == (False, 99, 1)
    assert "StopIteration" in result.message


def run_stopping(method, stop):
    return hypergrad.minimize(
        TOY.value, TOY.x0, jac=TOY.gradient, method=method, callback=stop, options={"smoothness": 4.0}
    )


# What cannot be used.


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"method": "newton"}, "method='newton': give one of hdm, "),
        ({"options": {"step": 1.0}}, r"options \['step'\] are unknown to 'hdm_best': it knows beta, device, disp"),
        ({"method": "osgm_r"}, "needs the option 'optimal_value': .*, or take osgm_rz"),
        ({"options": {"smoothness": -1.0}}, r"smoothness=-1\.0: give a finite number > 0"),
        ({"options": {"gtol": -1.0}}, r"gtol=-1\.0"),
        ({"options": {"maxiter": 1.5}}, r"maxiter=1\.5"),
        ({"x0": np.ones((2, 2))}, r"x0 has shape \(2, 2\)"),
        ({"jac": lambda x: np.ones(3)}, r"jac returned shape \(3,\)"),
    ],
)
def test_bad_argument_is_named_with_the_remedy(given, words):
    arguments = {"x0": TOY.x0, "jac": TOY.gradient, "method": "hdm_best", **given}
    with pytest.raises(ArgumentError, match=words):
        hypergrad.minimize(TOY.value, **arguments)


def test_bounds_are_refused():
    with pytest.raises(ArgumentError, match="knows no bounds"):
        scipy.optimize.minimize(
            TOY.value, TOY.x0, jac=TOY.gradient, method=hypergrad.methods.hdm_hb, bounds=[(0, 1), (0, 1)]
        )


def test_unknown_method_attribute_lists_the_known():
    with pytest.raises(AttributeError, match="has no 'newton': known are hdm, "):
        _ = hypergrad.methods.newton


# NaN and inf end a run or are refused.


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_start_that_is_not_finite_is_a_failure(method, bad):
    result = hypergrad.minimize(
        lambda x: bad, [1.0], jac=lambda x: np.array([1.0]), hessp=lambda x, v: v, method=method,
        options={**known_to(method), "maxiter": 50},
    )  # fmt: skip
    assert (result.success, result.status, result.nit) == (False, 3, 0)


def cliff(bad):
    """x^2, but `bad` beyond |x| = 2: with this rate the first steps overshoot."""
    return lambda x: (float(x @ x), 2 * x) if abs(x[0]) < 2 else (bad, np.full_like(x, bad))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_point_that_is_not_finite_never_makes_an_endless_run(method, bad):
    options = known_to(method) | {"maxiter": 300}
    options |= {
        name: value
        for name, value in {"smoothness": 0.4, "strong_convexity": 0.2, "lr": 5.0}.items()
        if name in options
    }
    result = hypergrad.minimize(cliff(bad), [1.5], jac=True, hessp=lambda x, v: 2 * v, method=method, options=options)
    assert result.status in (0, 1, 3)
    assert result.success == (result.status == 0)
    assert np.isfinite(result.x).all()
    assert np.isfinite(result.fun)


def test_refused_trial_is_survived():
    """The corrected HDM-Best refuses a trial at which f alone is inf, and goes on to the minimum."""
    wall = quadratic([2.0], x0=1.5)
    result = hypergrad.minimize(
        lambda x: (np.inf, 2 * x) if abs(x[0]) > 2 else wall.value_and_gradient(x), [1.5], jac=True,
        method="hdm_best_corrected", options={"smoothness": 0.4},
    )  # fmt: skip
    assert result.success
    assert result.nfev > result.nit - 1
