"""hypergrad.minimize: what fun, jac, hess, args and x0 may be, and how those that may not are named."""

import numpy as np
import pytest
import scipy.optimize
from bowls import CENTRE, START, bowl, defaults, run, slope
from scipy import sparse
from scipy.sparse.linalg import aslinearoperator

import hypergrad
from hypergrad.errors import ArgumentError
from hypergrad.methods import NAMES

# What fun, jac and args may be.


@pytest.mark.parametrize("method", ["hdm_best", "agd_cvx", "gd_armijo", "bfgs", "l_bfgs"])
@pytest.mark.parametrize(
    "wrap",
    [
        np.float64, np.array, lambda v: np.array([v]), lambda v: np.array([[v]]), lambda v: [v], lambda v: (v,),
        np.longdouble, lambda v: np.array(v, dtype=object), lambda v: np.ma.array([v]), lambda v: np.array(v)[()],
    ],
    ids=["float64", "0-d", "(1,)", "(1, 1)", "list", "tuple", "longdouble", "object", "masked array", "scalar"],
)  # fmt: skip
def test_value_may_be_any_number(method, wrap):
    expected = run(method=method)
    result = run(lambda x: wrap(bowl(x)), method=method)
    assert type(result.fun) is float
    assert (result.fun, result.nfev) == (expected.fun, expected.nfev)
    together = run(lambda x: (wrap(bowl(x)), slope(x)), jac=True, method=method)
    assert together.fun == expected.fun


@pytest.mark.parametrize("value", [7, np.int64(7), np.float32(7), np.float16(7), True, np.array(7), np.uint8(7)])
@pytest.mark.parametrize("method", NAMES)
def test_value_of_another_type_becomes_a_float(method, value):
    result = run(lambda x: value, jac=lambda x: np.zeros(2), method=method, options=defaults(method))
    assert (result.status, result.fun, type(result.fun)) == (0, float(value), float)


@pytest.mark.parametrize("method", ["hdm_best", "l_bfgs"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "fun returned None"), (1 + 0j, "complex"), (np.complex64(1), "complex"), (np.ones(2), r"shape \(2,\)"),
        ("3", "'3'"), (b"3", "b'3'"), ({}, "dict"), ([], "a list of 0"), (np.ma.masked, "masked"),
        (np.zeros(0), "shape"), ([None], "a list of 1"),
        ((1.0, np.ones(2)), "or give jac=True"), (object(), "object"), (10**400, "int"),
        (np.datetime64("2020"), "2020"),
    ],
)  # fmt: skip
def test_value_that_is_no_number_is_named(method, value, words):
    with pytest.raises(ArgumentError, match=words):
        run(lambda x: value, method=method)


@pytest.mark.parametrize(
    "convert",
    [list, tuple, np.float32, lambda g: g.astype(object), lambda g: g[::-1].copy()[::-1], np.ma.array, np.longdouble],
)
def test_gradient_may_be_any_vector(convert):
    result = run(jac=lambda x: convert(slope(x)))
    assert result.success
    assert result.jac.dtype == np.float64


@pytest.mark.parametrize("convert", [lambda g: g[0], lambda g: [g], lambda g: g[:, None]])
def test_gradient_in_one_variable_may_have_any_shape(convert):
    result = hypergrad.minimize(lambda x: (x[0] - 3) ** 2, 1.0, jac=lambda x: convert(2 * (x - 3)))
    assert result.success
    assert result.jac.shape == (1,)


@pytest.mark.parametrize("method", ["hdm_best", "l_bfgs"])
@pytest.mark.parametrize(
    "gradient",
    [None, 1.0, np.ones(3), np.ones((2, 1)), np.ones((1, 2)), np.ones(2) * 1j, "ab", ["a", "b"],
     sparse.eye_array(2), [None, 1.0],     np.ma.array([1.0, 2.0], mask=[True, False]), [[1.0], [1.0, 2.0]]],
)  # fmt: skip
def test_gradient_that_is_none_is_named(method, gradient):
    with pytest.raises(ArgumentError, match=r"jac returned .* at an x of shape"):
        run(jac=lambda x: gradient, method=method)
    with pytest.raises(ArgumentError, match=r"the gradient of fun returned .* at an x of shape"):
        run(lambda x: (1.0, gradient), jac=True, method=method)


@pytest.mark.parametrize("pair", [None, 1.0, np.float64(1), (), (1.0,), {}, np.array(1.0), [1.0]])
def test_pair_that_is_none_is_named(pair):
    with pytest.raises(ArgumentError, match="with jac=True: return the pair"):
        run(lambda x: pair, jac=True)


@pytest.mark.parametrize("args", [3.0, np.array([3.0, 1.0]), [3.0, 1.0], "name", None, {"a": 1}, 0, False])
@pytest.mark.parametrize("through", [hypergrad.minimize, scipy.optimize.minimize])
def test_what_is_no_tuple_is_one_argument(args, through):
    seen = []

    def fun(x, given):
        seen.append(given)
        return bowl(x)

    method = hypergrad.methods.hdm_best
    assert through(fun, START, args, jac=lambda x, given: slope(x), method=method).success
    assert all(given is args for given in seen)


def test_args_reach_every_function():
    def check(x, *args):
        assert args == (7, "a")
        return slope(x)

    result = hypergrad.minimize(
        lambda x, *args: (check(x, *args), bowl(x))[1], START, (7, "a"), jac=check,
        hessp=lambda x, v, *args: (check(x, *args), 2 * v)[1], method="osgm_g",
    )  # fmt: skip
    assert result.nhev > 0


@pytest.mark.parametrize(
    ("x0", "shape"),
    [(5.0, (1,)), (5, (1,)), ([5], (1,)), ((5.0, 4.0), (2,)), (np.array([5, 4]), (2,)), (np.array(5.0), (1,)),
     (np.float32([5, 4]), (2,)), (np.array([5.0, 4.0])[::-1], (2,)), ([True, False], (2,)), (np.int8([5, 4]), (2,)),
     (range(2), (2,)), (np.ma.array([5.0, 4.0]), (2,)), (np.array([5.0, 4.0], dtype=">f8"), (2,))],
)  # fmt: skip
def test_start_may_be_any_vector(x0, shape):
    seen = []
    result = hypergrad.minimize(
        lambda x: (seen.append(x), float((x - 3) @ (x - 3)))[1], x0, jac=lambda x: 2 * (x - 3), method="gd"
    )
    assert (result.success, result.x.shape) == (True, shape)
    assert all((x.dtype, x.dtype.isnative, x.shape) == (np.float64, True, shape) for x in seen)


@pytest.mark.parametrize(
    ("x0", "words"),
    [(np.ones((2, 2)), r"x0 has shape \(2, 2\): give a vector, such as np.ravel"), ([[5], [4]], r"np.ravel\(x0\)"),
     ([], "x0 is empty"), ([1.0, np.nan], r"x0\[1\] is nan"), ([-np.inf], r"x0\[0\] is -inf"), (None, "x0 is None"),
     ("ab", "x0 is 'ab'"), ([1j], "real numbers"), ({}, "x0 is {}"), ([[1], [1, 2]], "real numbers"),
     ([None], "x0 is a list of 1"), (["1"] * 10**6, "x0 is a list of 1000000: give"),
     (np.ma.array([1.0, 2.0], mask=[0, 1]), "x0 is a masked array"), (np.longdouble("1e400"), r"x0\[0\] is inf")],
)  # fmt: skip
def test_start_that_is_no_vector_is_named(x0, words):
    with pytest.raises(ArgumentError, match=words):
        run(x0=x0)


@pytest.mark.filterwarnings("ignore:the matrix subclass")
@pytest.mark.parametrize("convert", [np.asmatrix, np.ndarray.tolist, np.asarray])
def test_remedy_for_a_start_of_two_dimensions_works(convert):
    assert run(x0=np.ravel(convert(np.ones((2, 1))))).success


# Derivatives that are estimated.


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize("jac", [None, False, np.False_, "2-point", "3-point", "cs"])
def test_gradient_is_estimated_and_every_evaluation_counted(method, jac):
    calls = []

    def fun(x):
        calls.append(x)
        return (x - CENTRE) @ (x - CENTRE)

    result = hypergrad.minimize(fun, START, jac=jac, method=method, options={**defaults(method), "maxiter": 30})
    assert (result.nfev, result.status in (0, 1)) == (len(calls), True)
    assert result.nfev >= {"3-point": 4, "cs": 2}.get(jac, 2) * result.njev
    # forward differences are off by h/2 f'' = 7.5e-8 at |x| <= 5, the others by roundings of f below 41 eps / h
    assert np.abs(result.jac - slope(result.x)).max() < 2e-7


def test_scipy_hands_on_no_scheme_and_forward_differences_are_taken():
    results = [
        minimize(bowl, START, jac=jac, method=hypergrad.methods.hdm_best)
        for minimize, jac in [(scipy.optimize.minimize, "3-point"), (hypergrad.minimize, "2-point")]
    ]
    assert results[0].x.tobytes() == results[1].x.tobytes()


def test_complex_step_refuses_a_function_that_drops_the_imaginary_part():
    with pytest.raises(ArgumentError, match="at a complex x, which jac='cs' needs"):
        hypergrad.minimize(lambda x: float(abs(x @ x)), START, jac="cs")


@pytest.mark.parametrize("jac", ["4-point", "", 3, 1, b"cs", [slope], np.ones(2)])
def test_jac_that_is_none_is_named(jac):
    with pytest.raises(ArgumentError, match="give the gradient as a function, jac=True if"):
        run(jac=jac)


@pytest.mark.parametrize(
    "hess",
    [lambda x: 2 * np.eye(2), lambda x: [[2, 0], [0, 2]], lambda x: 2 * sparse.eye_array(2),
     lambda x: aslinearoperator(2 * np.eye(2)), lambda x: 2 * sparse.eye_array(2, format="csr"), None, "2-point"],
)  # fmt: skip
def test_hessian_may_be_any_matrix_or_is_estimated(hess):
    result = run(method="osgm_g", hess=hess, options={"maxiter": 4})
    expected = run(method="osgm_g", hessp=lambda x, v: 2 * v, options={"maxiter": 4})
    assert (result.nhev, result.njev) == (4, 5 + (0 if callable(hess) else 2 * 4))
    # central differences of a linear gradient are exact up to roundings of 1e-16 / 6e-6; few iterations amplify them
    np.testing.assert_allclose(result.x, expected.x, rtol=1e-8)


@pytest.mark.parametrize("hess", [lambda x: np.eye(3), lambda x: None, lambda x: np.ones(2), lambda x: 1j * np.eye(2)])
def test_hessian_of_another_shape_is_named(hess):
    with pytest.raises(ArgumentError, match=r"hess returned no real matrix of shape \(2, 2\)"):
        run(method="osgm_g", hess=hess)


@pytest.mark.parametrize("wrong", [{"hessp": 3}, {"hess": np.eye(2)}, {"hess": "newton"}])
def test_hessian_that_is_no_function_is_named(wrong):
    with pytest.raises(ArgumentError, match=r"takes a function of x|give a function of x and v"):
        run(method="osgm_g", **wrong)
