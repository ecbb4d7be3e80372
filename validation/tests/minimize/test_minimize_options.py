"""Options of hypergrad.minimize: one description checks them, converts them and prints them."""

import inspect
import math
import pydoc
from contextlib import suppress
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hypergrad
from hypergrad._minimize.options import COMMON, FLAG, LIMIT, OPTIONS
from hypergrad._minimize.table import find_method, list_options
from hypergrad.errors import ArgumentError
from hypergrad.methods import NAMES

KNOWN = OPTIONS | COMMON
GOOD = {
    "smoothness": 4, "strong_convexity": 1, "optimal_value": 0, "lr": 0.125, "hyper_lr": 0.5, "hyper_lr_beta": 0.5,
    "beta": 0.5, "momentum": 0.5, "omega": 0, "tau": 2, "beta1": 0.5, "beta2": 0.5, "eps": 0.5, "seed": 3, "memory": 4,
    "ftol": 0, "device": "numpy",
    "gtol": 0.5, "maxiter": 3, "maxfun": 9, "maxjev": 9, "history": True, "return_all": True, "disp": False,
}  # fmt: skip
EVERY = [(method, row.option.name) for method in NAMES for row in list_options(method)]
NUMBERS = [(method, option) for method, option in EVERY if option != "device"]


def run(method, **options):
    required = {"optimal_value": 0.0} if method == "osgm_r" else {}
    return hypergrad.minimize(
        lambda x: (float(x @ x), 2 * x), [3.0, 4.0], jac=True, method=method,
        options={**required, "maxiter": 4, **options},
    )  # fmt: skip


def ways(value):
    """The same number in other types."""
    if isinstance(value, bool):
        return [np.bool_(value), int(value), float(value), np.array(value)]
    kinds = [np.float64, np.float32, np.float16, np.longdouble, np.array, Fraction]
    whole = [int, np.int64, np.uint8, np.int16] if value == int(value) else []
    return [kind(value) for kind in kinds + whole]


@pytest.mark.parametrize(("method", "option"), NUMBERS)
def test_number_of_any_type_is_the_same_option(method, option):
    expected = run(method, **{option: GOOD[option]})
    for value in ways(GOOD[option]):
        result = run(method, **{option: value})
        assert (result.x.tobytes(), result.nit, result.nfev) == (expected.x.tobytes(), expected.nit, expected.nfev)


@pytest.mark.parametrize(("method", "option"), EVERY)
def test_none_is_the_default(method, option):
    if option == "optimal_value" and method == "osgm_r":
        with pytest.raises(ArgumentError, match="needs the option 'optimal_value'"):
            run(method, optimal_value=None)
    else:
        default = {row.option.name: row.default for row in list_options(method)}[option]
        given = {} if default is None else {option: default}
        assert run(method, **{option: None}).x.tobytes() == run(method, **given).x.tobytes()


ALWAYS_WRONG = [
    "1", b"1", [], [1.0], (1,), {}, math.nan, np.float32("nan"), 1j, np.complex128(1), Decimal("0.5"), np.ones(1),
    object, -math.inf, np.datetime64("2020"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "option"), EVERY)
def test_value_that_is_no_number_is_named_with_the_range(method, option):
    for value in ALWAYS_WRONG:
        with pytest.raises(ArgumentError) as caught:
            run(method, **{option: value})
        assert str(caught.value) == f"{option}={value!r}: give {KNOWN[option].range.words}"


@pytest.mark.parametrize(("method", "option"), NUMBERS)
def test_number_out_of_range_is_named_with_the_range(method, option):
    wrong = {
        "a finite number > 0": [0, -1, 0.0, -0.0, math.inf, np.float32(-1), np.int64(0), 10**400, True],
        "a finite number >= 0": [-1, -1e-300, math.inf, np.int8(-1), False],
        "a number >= 0": [-1, -1e-300, True],
        "a finite number": [math.inf, 10**400, True],
        "a number >= 0 and < 1": [-0.1, 1, 1.0, 2, math.inf, True],
        "an integer >= 0": [-1, 1.5, math.inf, np.float32(0.5), True],
        "an integer >= 1": [0, -1, 1.5, math.inf, True],
        "an integer >= 0, or inf for no limit": [-1, 1.5, True],
        "True or False": [2, -1, 0.5, "yes"],
    }[KNOWN[option].range.words]
    for value in wrong:
        with pytest.raises(ArgumentError) as caught:
            run(method, **{option: value})
        assert str(caught.value) == f"{option}={value!r}: give {KNOWN[option].range.words}"


@given(option=st.sampled_from(sorted(KNOWN)), value=st.one_of(
    st.floats(), st.integers(), st.booleans(), st.text(max_size=3), st.none(), st.floats(width=32).map(np.float32),
    st.lists(st.floats(), max_size=2), st.complex_numbers(), st.fractions(), st.decimals(),
))  # fmt: skip
def test_option_is_a_plain_number_or_an_error_of_ours(option, value):
    with suppress(ArgumentError):
        number = KNOWN[option].read(value)
        assert type(number) in (float, int, bool)  # no text here is a device
        assert number == float(value)
        assert (type(number) is bool) == (KNOWN[option].range is FLAG)


@pytest.mark.parametrize("method", NAMES)
def test_unknown_option_is_refused_with_the_known(method):
    known = ", ".join(sorted(row.option.name for row in list_options(method)))
    for name in ("count", "step", "xtol", "maxfev", "norm", 3, None, ("a",)):
        with pytest.raises(ArgumentError) as caught:
            run(method, gtol=1e-3) if False else hypergrad.minimize(
                lambda x: (float(x @ x), 2 * x), [1.0], jac=True, method=method, options={name: 1}
            )
        assert str(caught.value) == f"options {[name]} are unknown to {method!r}: it knows {known}"


@pytest.mark.parametrize("options", [3, "maxiter", [("maxiter", 3)], ("maxiter",), {"maxiter"}, True])
def test_options_that_are_no_mapping_are_named(options):
    with pytest.raises(ArgumentError, match=r"options=.*: give a dict such as"):
        hypergrad.minimize(lambda x: float(x @ x), [1.0], options=options)


def test_callers_options_stay_as_they_are():
    options = {"maxiter": np.int64(3), "gtol": None}
    hypergrad.minimize(lambda x: (float(x @ x), 2 * x), [3.0], jac=True, tol=1e-3, options=options)
    assert options == {"maxiter": 3, "gtol": None}


@pytest.mark.parametrize("method", ["agd_scvx", "hdm_agd_strongly_convex"])
def test_strong_convexity_above_the_smoothness_is_refused(method):
    with pytest.raises(ArgumentError, match=r"strong_convexity=5\.0 is above smoothness=4\.0: give mu <= L"):
        run(method, strong_convexity=5, smoothness=4)
    assert run(method, strong_convexity=5).smoothness == 5


# Common options.


@pytest.mark.parametrize("method", NAMES)
def test_tol_is_gtol_unless_gtol_is_given(method):
    def stop_at(**arguments):
        options = arguments.pop("options", {}) | ({"optimal_value": 0.0} if method == "osgm_r" else {})
        return hypergrad.minimize(
            lambda x: (float(x @ x), 2 * x), [3.0], jac=True, method=method, options=options, **arguments
        )

    assert stop_at(tol=7.0).nit == stop_at(options={"gtol": 7.0}).nit == 0
    assert stop_at(tol=7.0, options={"gtol": 5.0}).nit > 0
    for wrong in (-1, "x", math.nan, True, []):
        with pytest.raises(ArgumentError, match=r"tol=.*: give a number >= 0"):
            stop_at(tol=wrong)


@pytest.mark.parametrize("method", NAMES)
def test_no_iteration_is_taken_with_maxiter_0(method):
    result = run(method, maxiter=0, history=True, return_all=True)
    assert (result.nit, result.status, result.success, result.x.tolist()) == (0, 1, False, [3.0, 4.0])
    assert (len(result.history["fun"]), len(result.allvecs)) == (1, 1)


@pytest.mark.parametrize("method", NAMES)
@pytest.mark.parametrize(("limit", "count"), [("maxfun", "nfev"), ("maxjev", "njev")])
def test_no_iteration_starts_beyond_a_limit(method, limit, count):
    counts = []

    def fun(x):
        return float(x @ x + np.cos(3 * x).sum())

    def run_to(most):
        options = {limit: most, "gtol": 0} | ({"optimal_value": 0.0} if method == "osgm_r" else {})
        return hypergrad.minimize(
            fun, [3.0, 4.0], jac=lambda x: 2 * x - 3 * np.sin(3 * x), method=method, options=options
        )

    for most in (0, 1, 8, 12):
        result = run_to(most)
        counts.append(result[count])
        assert result.status == 1 or result[count] < most
        assert result.nit == 0 or most > 1
    # a line search or the estimate may pass a limit within an iteration
    assert counts[-1] <= 12 + 12


@pytest.mark.parametrize("method", NAMES)
def test_allvecs_are_the_start_and_the_iterates(method):
    seen = []
    required = {"optimal_value": 0.0} if method == "osgm_r" else {}
    result = hypergrad.minimize(
        lambda x: (float(x @ x), 2 * x), [3.0, 4.0], jac=True, method=method, callback=seen.append,
        options={**required, "maxiter": 4, "return_all": True},
    )  # fmt: skip
    assert [x.tolist() for x in result.allvecs] == [[3.0, 4.0], *(x.tolist() for x in seen)]
    assert "allvecs" not in run(method)
    assert "history" not in run(method)


@pytest.mark.parametrize("method", NAMES)
def test_disp_prints_how_the_run_ended(method, capsys):
    result = run(method, disp=True)
    assert capsys.readouterr().out == (
        f"{result.message}\n         Current function value: {result.fun:f}\n         Iterations: {result.nit}\n"
        f"         Function evaluations: {result.nfev}\n         Gradient evaluations: {result.njev}\n"
    )
    run(method)
    assert capsys.readouterr().out == ""


# What help shows.


@pytest.mark.parametrize("method", NAMES)
def test_help_of_a_method_has_its_source_and_every_option(method):
    text = pydoc.render_doc(getattr(hypergrad.methods, method), renderer=pydoc.plaintext)
    assert f"function {method} in module hypergrad.methods" in text
    assert find_method(method).source in text
    words = " ".join(text.split())
    for option, default, described in list_options(method):
        values = option.range.words
        assert f" {option.name} {option.meaning}. {values[0].upper()}{values[1:]}; {described}." in words
        assert default is not None or described == "required" or described.startswith("default ")


@pytest.mark.parametrize("method", NAMES)
def test_signature_has_every_option_with_the_default_in_use(method):
    signature = inspect.signature(getattr(hypergrad.methods, method))
    defaults = {row.option.name: row.default for row in list_options(method)}
    keywords = {name: p.default for name, p in signature.parameters.items() if p.kind is p.KEYWORD_ONLY}
    assert keywords == defaults
    shown = {option: default for option, default in defaults.items() if default is not None}
    assert run(method, **{**shown, "maxiter": 4}).x.tobytes() == run(method).x.tobytes()


def test_docstring_of_minimize_lists_everything():
    text = hypergrad.minimize.__doc__
    for name in (*inspect.signature(hypergrad.minimize).parameters, *COMMON, "status", "message", "success", "hess_inv",
                 "nhev", "allvecs", "history", "smoothness", "StopIteration"):  # fmt: skip
        assert name in text


def test_limits_may_be_infinite():
    assert COMMON["maxfun"].range is COMMON["maxjev"].range is LIMIT
    assert run("gd", maxfun=math.inf, maxjev=np.inf).nit == run("gd").nit


@pytest.mark.parametrize("method", NAMES)
def test_method_is_listed_where_names_are_looked_for(method):
    assert method in dir(hypergrad.methods)
    assert getattr(hypergrad.methods, method).__name__ == method
