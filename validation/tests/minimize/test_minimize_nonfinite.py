"""hypergrad.minimize ends honestly where values are not finite: the last good point, and a word on what to try."""

import math

import numpy as np
import pytest
from without_options import defaults

import hypergrad
from hypergrad._minimize.table import QUASI_NEWTON
from hypergrad.methods import NAMES

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize(
    ("value", "gradient"),
    [
        (NAN, 0.0), (INF, 0.0), (-INF, 0.0), (NAN, 1.0), (INF, 1.0), (-INF, 1.0), (1.0, NAN), (1.0, INF), (1.0, -INF),
        (NAN, NAN), (INF, INF), (-INF, NAN),
    ],
)  # fmt: skip
def test_start_that_is_not_finite_is_lost(method, value, gradient):
    options = defaults(method) | {"history": True}
    result = hypergrad.minimize(
        lambda x: (value, np.full(2, gradient)), [1.0, 2.0], jac=True, method=method, options=options
    )
    assert (result.success, result.status, result.nit, result.nfev) == (False, 3, 0, 1)
    assert result.x.tolist() == [1.0, 2.0]
    assert len(result.history["fun"]) == 1
    assert "not finite" in result.message


def spoiled(call, value, gradient):
    """A function that is smooth at first; from a call on, f or its gradient or both are as given."""
    calls = []

    def fun(x):
        calls.append(x)
        f, g = float(x @ x) + 3 * np.sin(x[0]), 2 * x + np.array([3 * np.cos(x[0]), 0.0])
        if len(calls) < call:
            return f, g
        return f if value is None else value, g if gradient is None else np.full(2, gradient)

    return fun


def assert_honest(result, gtol=1e-5):
    assert np.isfinite(result.x).all()
    assert np.isfinite(result.fun)
    assert np.isfinite(result.jac).all()
    assert result.success == (result.status == 0)
    assert not result.success or np.abs(result.jac).max() <= gtol
    assert result.nit >= 0


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("call", [2, 3, 5, 8])
@pytest.mark.parametrize(
    ("value", "gradient"),
    [(NAN, None), (INF, None), (-INF, None), (None, NAN), (None, INF), (NAN, 0.0), (INF, 0.0), (-INF, 0.0), (NAN, NAN)],
)
def test_last_good_point_is_returned(method, call, value, gradient):
    result = hypergrad.minimize(
        spoiled(call, value, gradient), [5.0, 1.0], jac=True, method=method,
        options={**defaults(method), "maxiter": 100},
    )  # fmt: skip
    assert_honest(result)
    if (value, gradient) in [(-INF, None), (None, NAN), (NAN, NAN)]:
        assert not result.success


EDGES = {
    "x - log x": (lambda x: (x[0] - math.log(x[0]), 1 - 1 / x) if x[0] > 0 else (NAN, np.full(1, NAN)), [0.01]),
    "barrier": (lambda x: (x[0] - math.log(x[0]), 1 - 1 / x) if x[0] > 0 else (INF, np.zeros(1)), [0.01]),
    "root": (lambda x: (np.sqrt(x[0]), 0.5 / np.sqrt(x)), [3.0]),
    "log": (lambda x: (np.log(x[0]), 1 / x), [1e-3]),
    "-exp": (lambda x: (-np.exp(x[0]), -np.exp(x)), [1.0]),
    "-x^2": (lambda x: (-float(x @ x), -2 * x), [1.0, -1.0]),
    "linear": (lambda x: (x[0], np.ones(1)), [0.0]),
    "exp(-x)": (lambda x: (np.exp(-x[0]), -np.exp(-x)), [0.0]),
    "1 / x": (lambda x: (1 / x[0], -1 / x**2), [-1e-3]),
    "x^4 far away": (lambda x: (float((x**4).sum()), 4 * x**3), [1e76]),
    "tiny": (lambda x: (1e-300 * float(x @ x), 2e-300 * x), [1.0, 1.0]),
    "huge": (lambda x: (1e300 * float(x @ x), 2e300 * x), [1.0, 1.0]),
    "|x|": (lambda x: (abs(x[0]), np.sign(x)), [1.3]),
    "constant": (lambda x: (1.0, 0 * x), [1.3]),
    "gradient of another sign": (lambda x: (float(x @ x), -2 * x), [1.3, 1.0]),
    "steps": (lambda x: (np.floor(x[0]), 0 * x + 1), [1.3]),
    "far bump": (lambda x: (-np.exp(-float(x @ x)), 2 * x * np.exp(-float(x @ x))), [30.0]),
    "x^x": (lambda x: (x[0] ** x[0], x**x * (np.log(x) + 1)), [5.0]),
}


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("edge", EDGES)
def test_function_at_the_edge_ends_in_an_honest_result(method, edge):
    fun, x0 = EDGES[edge]
    for gtol in (1e-5, 0.0):
        result = hypergrad.minimize(
            fun, x0, jac=True, method=method, options={**defaults(method), "maxiter": 150, "gtol": gtol}
        )
        assert_honest(result, gtol)


def test_floating_point_settings_of_the_user_do_not_stop_a_run():
    with np.errstate(all="raise"):
        result = hypergrad.minimize(lambda x: (1e-300 * float(x @ x), 2e-300 * x), [1.0], jac=True)
    assert result.success


@pytest.mark.parametrize("method", QUASI_NEWTON)
def test_method_of_scipy_that_finds_no_step_has_made_no_iteration(method):
    result = hypergrad.minimize(lambda x: 1e300 * float(x @ x), [5.0, 1.0], jac=lambda x: 2e300 * x, method=method)
    assert not result.success
    assert result.nit == 0
    assert result.x.tolist() == [5.0, 1.0]
