"""hypergrad.minimize has SciPy's conventions for memory, callbacks, exceptions, limits and methods."""

import pickle
from functools import partial

import numpy as np
import pytest
import scipy.optimize
from bowls import CENTRE, START, bowl, defaults, run, slope

import hypergrad
from hypergrad.errors import ArgumentError
from hypergrad.methods import NAMES

# Memory is never shared.


def write_in_fun(x):
    x -= CENTRE
    return float(x @ x)


def write_in_jac(x):
    x -= CENTRE
    x *= 2
    return x


def write_in_both(x):
    x -= CENTRE
    value = float(x @ x)
    x *= 2
    return value, x


class Buffered:
    """A gradient that is always the same array."""

    def __init__(self):
        self.buffer = np.zeros(2)

    def __call__(self, x):
        self.buffer[:] = slope(x)
        return self.buffer

    def pair(self, x):
        return bowl(x), self(x)


class Hoarder:
    """A function that keeps every x that it is given, and spoils it at the next call."""

    def __init__(self):
        self.kept = []

    def __call__(self, x):
        for old in self.kept:
            old[:] = np.nan
        self.kept.append(x)
        return bowl(x)


def spoil(x):
    x[:] = np.nan


def spoil_result(intermediate_result):
    intermediate_result.x[:] = np.nan
    if "jac" in intermediate_result:
        intermediate_result.jac[:] = np.nan


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize(
    "rude",
    [
        {"fun": write_in_fun},
        {"jac": write_in_jac},
        {"fun": write_in_fun, "jac": write_in_jac},
        {"fun": write_in_both, "jac": True},
        {"jac": Buffered()},
        {"fun": Buffered().pair, "jac": True},
        {"fun": Hoarder()},
        {"callback": spoil},
        {"callback": spoil_result},
        {"hessp": lambda x, v: [spoil(x), 2 * v.copy(), spoil(v)][1]},
        {"hess": lambda x: [2 * np.eye(2), spoil(x)][0]},
    ],
    ids=["fun", "jac", "both", "pair", "buffer", "buffered pair", "hoarder", "callback", "result", "hessp", "hess"],
)
def test_users_writes_do_not_reach_the_method(method, rude):
    polite = {"hessp": lambda x, v: 2 * v} if {"hess", "hessp"} & set(rude) else {}
    options = {**defaults(method), "maxiter": 20}
    expected = run(method=method, options=options, **polite)
    result = run(method=method, options=options, **rude)
    if "hess" in rude and method == "osgm_g":  # a product with the matrix, which rounds in its own way
        np.testing.assert_allclose(result.x, expected.x, rtol=1e-12)
    else:
        assert result.x.tobytes() == expected.x.tobytes()
        assert (result.fun, result.nit) == (expected.fun, expected.nit)


@pytest.mark.parametrize("method", NAMES)
def test_result_belongs_to_the_user(method):
    x0 = np.array(START)
    buffered = Buffered()
    iterates = []
    options = {**defaults(method), "maxiter": 3, "return_all": True}
    result = run(x0=x0, jac=buffered, method=method, callback=iterates.append, options=options)
    assert x0.tolist() == START
    arrays = [x0, buffered.buffer, result.x, result.jac, *iterates, *result.allvecs]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])
    assert result.x.flags.writeable
    assert result.jac.flags.writeable


# Callbacks.


class Watcher:
    """A callback that is an object."""

    def __init__(self):
        self.seen = []

    def __call__(self, x):
        self.seen.append(x)

    def look(self, intermediate_result):
        self.seen.append(intermediate_result.x)


@pytest.mark.parametrize("method", ["gd", "hdm_best", "bfgs", "l_bfgs"])
@pytest.mark.parametrize("through", [hypergrad.minimize, scipy.optimize.minimize])
@pytest.mark.parametrize(
    "make",
    [
        lambda w: w, lambda w: w.look, lambda w: w.seen.append, lambda w: lambda *args: w.seen.extend(args),
        lambda w: partial(lambda keep, x: keep.append(x), w.seen),
        lambda w: partial(lambda keep, intermediate_result: keep.append(intermediate_result.x), w.seen),
        lambda w: lambda x: [True, w.seen.append(x)][0], lambda w: lambda x, more=None: w.seen.append(x),
    ],
    ids=["object", "method", "builtin", "stars", "partial", "partial of result", "returns True", "default"],
)  # fmt: skip
def test_callback_may_be_anything_callable(method, through, make):
    watcher = Watcher()
    result = through(
        bowl, START, jac=slope, method=getattr(hypergrad.methods, method), callback=make(watcher),
        options={"gtol": 1e-8},
    )  # fmt: skip
    assert result.success
    assert len(watcher.seen) == result.nit
    assert watcher.seen[-1].tobytes() == result.x.tobytes()


def test_callback_without_a_signature_gets_x():
    with pytest.raises(ValueError, match="no signature"):
        __import__("inspect").signature(type)
    assert run(callback=type).success


@pytest.mark.parametrize("method", NAMES)
def test_intermediate_result_tells_the_same_for_every_method(method):
    seen = []
    run(method=method, callback=lambda intermediate_result: seen.append(intermediate_result),
        options={**defaults(method), "maxiter": 3})  # fmt: skip
    assert [result.nit for result in seen] == list(range(1, len(seen) + 1))
    for result in seen:
        assert (result.fun, result.jac.tolist()) == (bowl(result.x), slope(result.x).tolist())


@pytest.mark.parametrize("callback", [3, "print", [print], object()])
def test_callback_that_cannot_be_called_is_named(callback):
    with pytest.raises(ArgumentError, match=r"callback=.*: give a function of x, or of intermediate_result"):
        run(callback=callback)


@pytest.mark.parametrize("method", NAMES)
def test_stop_iteration_leaves_a_full_history(method):
    def stop(x):
        raise StopIteration

    result = run(method=method, callback=stop, options={**defaults(method), "history": True, "return_all": True})
    assert (result.success, result.status, result.nit) == (False, 99, 1)
    assert (len(result.history["fun"]), len(result.allvecs)) == (2, 2)


# Exceptions, limits, method.


class TroubleError(Exception):
    """One that nobody else raises."""


@pytest.mark.parametrize("error", [TroubleError, ValueError, ZeroDivisionError, OverflowError, FloatingPointError,
                                   KeyError, StopIteration, TypeError, KeyboardInterrupt])  # fmt: skip
@pytest.mark.parametrize("call", [1, 4])
@pytest.mark.parametrize("method", ["hdm_best", "hdm_agd", "osgm_best", "gd_armijo", "bfgs", "l_bfgs"])
def test_error_of_the_function_passes_unchanged(error, call, method):
    raised, calls = error("mine"), []

    def fun(x):
        calls.append(x)
        if len(calls) == call:
            raise raised
        return bowl(x) + np.cos(x).sum()

    with pytest.raises(error) as caught:
        hypergrad.minimize(fun, START, jac=lambda x: slope(x) - np.sin(x), method=method)
    assert caught.value is raised


@pytest.mark.parametrize("given", [{"bounds": [(0, 1)] * 2}, {"bounds": scipy.optimize.Bounds(0, 1)},
                                   {"bounds": np.ones((2, 2))}, {"constraints": {"type": "eq", "fun": bowl}},
                                   {"constraints": [{"type": "eq", "fun": bowl}]},
                                   {"constraints": scipy.optimize.LinearConstraint([1, 1], 0, 1)}])  # fmt: skip
@pytest.mark.parametrize("method", NAMES)
def test_bounds_and_constraints_are_refused_with_the_remedy(given, method):
    (word,) = given
    with pytest.raises(ArgumentError, match=f"knows no {word}: leave them out, or take method='SLSQP' of scipy"):
        run(method=method, **given)


def test_remedy_for_bounds_works():
    assert scipy.optimize.minimize(bowl, START, jac=slope, method="SLSQP", bounds=[(0, 9)] * 2).success


@pytest.mark.parametrize("given", [{"bounds": None}, {"bounds": ()}, {"bounds": []}, {"constraints": ()},
                                   {"constraints": []}, {"constraints": None}, {"constraints": {}}])  # fmt: skip
def test_no_bounds_and_no_constraints_are_taken(given):
    assert run(**given).success


def test_arguments_have_scipys_order():
    assert hypergrad.minimize(bowl, START, (), "gd", slope, None, None, None, (), 1e-3, None, {"maxiter": 50}).success


@pytest.mark.parametrize("method", ["gd", "GD", hypergrad.methods.gd])
def test_method_is_a_name_or_a_function(method):
    expected = run(method="gd")
    assert run(method=method).x.tobytes() == expected.x.tobytes()


@pytest.mark.parametrize(
    "method", ["", "L-BFGS-B", 3, [], {}, print, scipy.optimize.minimize, hypergrad.minimize, b"gd"]
)
def test_method_that_is_unknown_is_named(method):
    with pytest.raises(ArgumentError, match="give one of hdm, "):
        run(method=method)


def test_fun_that_is_no_function_is_named():
    with pytest.raises(ArgumentError, match="fun=None: give a function of x"):
        run(fun=None)


@pytest.mark.parametrize("method", NAMES)
def test_method_can_be_pickled(method):
    published = getattr(hypergrad.methods, method)
    assert pickle.loads(pickle.dumps(published)) is published
