"""hypergrad.minimize, beside scipy.optimize.minimize: what every method is asked for, checked."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult

from hypergrad._minimize.device import open_loops
from hypergrad._minimize.differences import SCHEMES
from hypergrad._minimize.driver import drive, lose_start, wrap_callback
from hypergrad._minimize.objective import Function, read_start
from hypergrad._minimize.options import read_options
from hypergrad._minimize.quasi_newton import run_scipy
from hypergrad._minimize.table import ALIASES, METHODS, NAMES, Method, find_method
from hypergrad.errors import ArgumentError

DEFAULT = "osgm_best_corrected"
"""The method where none is named; the docstring of `minimize` says why."""


def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: str | Callable[..., Any] | None = None,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> OptimizeResult:
    """Minimise a smooth function of n variables, as scipy.optimize.minimize does, by a method of hypergrad.methods.

    fun, args             f(x, *args), one real number; args that are no tuple are one argument. With jac=True, the pair
                          of f and its gradient, evaluated once
    x0                    the start, n finite numbers; taken as float64, of which every x is that a function gets
    method                a name or a function of hypergrad.methods; None is "osgm_best_corrected"
    jac                   the gradient (x, *args), of shape (n,), or True; or how to estimate it from values of f:
                          "2-point" (None and False too), "3-point" or "cs"
    hess, hessp           the Hessian (x, *args), or its product (x, v, *args), for `osgm_g` alone; where neither is a
                          function, two gradients per product estimate it. The other methods do not look at them
    bounds, constraints   refused unless empty
    tol                   the option gtol, unless that is given
    callback              called after each iteration, with x, or with intermediate_result=OptimizeResult if that is its
                          only parameter; StopIteration ends the run, what it returns is ignored
    options               a dict of the options of the method, see help(hypergrad.methods.hdm_hb), and of these:

    gtol                  1e-5: the run ends when no entry of the gradient is as large
    maxiter               1000: the most iterations
    maxfun, maxjev        no limits: evaluations of f and of its gradient, after which no iteration starts
    history               False; whether the result has `history`
    return_all            False; whether the result has `allvecs`
    disp                  False; whether to print how the run ended

    `hdm_best` and `hdm_best_corrected` run their loops over the variables on an OpenCL device with the option device, a
    string as in the optimizers, with the same bits on every device and for device="numpy"; without it they run in NumPy
    as all others do.

    An option that is None has its default. No method needs an option but `osgm_r`. Where a method needs the smoothness
    L, the first step lr, the strong convexity mu or a guess of f*, and is not given it, the value is estimated at x0
    and put into the result. L is estimated by a power iteration on differences of gradients, and doubled until the
    first step of length 1 / L lowers f as it should: 3 to 6 gradients and one value mostly. `osgm_best` and
    `osgm_best_corrected` take the largest curvature of three random probes, three gradients.

    Returns OptimizeResult. Its arrays are the caller's.

    x, fun, jac           the last iterate, f and its gradient there
    success, status       True and 0: the gradient is below gtol. False and 1: a limit was reached. 2: `bfgs` or
                          `l_bfgs` can lower f no further. 3: f, its gradient or the stepsize is NaN or infinite where
                          the method cannot refuse the step; x is the last good point. 99: the callback raised
                          StopIteration
    message               the same in words
    nit, nfev, njev       iterations, evaluations of f and of its gradient, those for estimates included; nhev is the
                          number of Hessian products of `osgm_g`
    smoothness, lr, strong_convexity, optimal_value      what was estimated
    history               "fun", "gnorm" (the largest entry of the gradient) and what the method adapts, at the start
                          and after each iteration
    allvecs               the start and each iterate
    hess_inv              as SciPy has it, for `bfgs` and `l_bfgs`

    What a function or a callback does with the arrays that it gets does not reach the method, and an error that it
    raises passes unchanged. Warnings of NumPy about floating point are off during a run.

    The default was chosen by measurement, which `python -m hypergrad_papers.default_method` repeats: of the methods
    of this package it solves the most of 111 problems within 1000 gradients, all classic test functions among them, in
    small and in large units. The problems are those, and the SVMs and logistic regressions on 28 sets of LIBSVM and 11
    of scikit-learn. Work is the median over all problems; the methods that are not listed solve 55 % of the classic
    functions or less. SciPy's methods need less work; `bfgs` stores n x n numbers, the others a few times n.

    method                 solved    work
    osgm_best_corrected      84 %     307
    hdm_best_corrected       81 %     241
    osgm_best                81 %     315
    hdm_best                 80 %     242
    hdm_hb_resetting         52 %     715
    hdm_hb                   49 %       -
    bfgs                     97 %      43
    l_bfgs                   88 %      44

    Raises ArgumentError for an argument that cannot be used, and names it, its value and what to give instead.

    >>> from scipy.optimize import rosen, rosen_der
    >>> result = minimize(rosen, [-1.2, 1.0], jac=rosen_der)
    >>> result.success, result.x.round(3)
    (True, array([1., 1.]))
    >>> result = minimize(lambda x: ((x**2).sum(), 2 * x), [3.0, 4.0], jac=True, method="gd", options={"smoothness": 4})
    >>> result.success, result.nit, result.nfev, result.njev, float(result.fun) < 1e-10
    (True, 20, 21, 21, True)
    """
    name = _find_name(method)
    chosen = find_method(name)
    _refuse_limits(name, bounds, constraints)
    _refuse_device(name, chosen, options)
    settings, own = read_options(name, chosen.options, options, tol)
    for missing, instead in chosen.required.items():
        if missing not in own:
            raise ArgumentError(f"method={name!r} needs the option {missing!r}: give it in options, {instead}")
    if chosen.hessian:
        _check_hessian(name, hess, hessp)
    function, start, report = Function(fun, args, jac, hess, hessp), read_start(x0), wrap_callback(callback)
    device, rule = own.pop("device", None), chosen.rule
    if device is not None and chosen.on_device is not None:
        rule = chosen.on_device(open_loops(device, start))
    with np.errstate(all="ignore"):  # judged by status, not by a warning
        point = function.start(start)
        if not point.is_finite():
            result = lose_start(point, function, settings)
        elif rule is None:
            result = run_scipy(name, function, point, own, report, settings)
        else:
            result = drive(rule, function, point, own, report, settings)
    if chosen.hessian:
        result.nhev = function.nhev
    if settings.disp:
        _print_end(result)
    return result


def _find_name(method: Any) -> str:
    if method is None:
        return DEFAULT
    if isinstance(method, str) and (name := ALIASES.get(method.lower(), method.lower())) in NAMES:
        return name
    if getattr(method, "__module__", None) == "hypergrad.methods" and method.__name__ in NAMES:
        return str(method.__name__)
    raise ArgumentError(f"method={method!r}: give one of {', '.join(NAMES)}")


def _refuse_limits(name: str, bounds: Any, constraints: Any) -> None:
    for word, given in (("bounds", bounds), ("constraints", constraints)):
        if given is not None and not (isinstance(given, (tuple, list, dict)) and not given):
            raise ArgumentError(
                f"method={name!r} knows no {word}: leave them out, or take method='SLSQP' of scipy.optimize.minimize"
            )


def _refuse_device(name: str, method: Method, options: Any) -> None:
    if method.on_device is None and isinstance(options, Mapping) and options.get("device") is not None:
        known = ", ".join(other for other in METHODS if METHODS[other].on_device is not None)
        raise ArgumentError(
            f"device={options['device']!r}: method={name!r} has no kernels: leave the option out, or take "
            f"one of {known}"
        )


def _check_hessian(name: str, hess: Any, hessp: Any) -> None:
    if not (hessp is None or callable(hessp)):
        raise ArgumentError(f"hessp={hessp!r}: give a function of x and v, or None")
    if not (hess is None or callable(hess) or (isinstance(hess, str) and hess in SCHEMES)):
        raise ArgumentError(f"hess={hess!r}: method={name!r} takes a function of x, or None for an estimate")


def _print_end(result: OptimizeResult) -> None:
    print(result.message)
    print(f"         Current function value: {result.fun:f}")
    print(f"         Iterations: {result.nit:d}")
    print(f"         Function evaluations: {result.nfev:d}")
    print(f"         Gradient evaluations: {result.njev:d}")
