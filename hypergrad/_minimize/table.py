"""The methods that minimise a function whose value is known: what each is, its rule, and its options."""

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from hypergrad._minimize.driver import CONSTANT_NAMES, Guess, Rule, find_smoothness, probe_smoothness
from hypergrad._minimize.options import COMMON, OPTIONS, Row
from hypergrad._minimize.quasi_newton import SCIPY_DEFAULTS
from hypergrad_reference import (
    adagrad,
    adam,
    gradient_descent,
    hdm,
    hdm_agd,
    hdm_best,
    hdm_best_corrected,
    hdm_best_loops,
    hdm_hb,
    line_search,
    nesterov,
    osgm,
    osgm_best,
)
from hypergrad_reference.action import lookahead, monotone_learned_step, monotone_lookahead, null_step
from hypergrad_reference.hdm_best_loops import Loops
from hypergrad_reference.learner import adagrad as adagrad_learner


class Method(NamedTuple):
    """A method: what it is, and its options."""

    title: str  # what it is, in a sentence
    source: str
    options: tuple[str, ...]  # names of `OPTIONS`
    rule: Rule | None  # None is run by SciPy
    words: Mapping[str, str] = {}  # defaults that depend on others, in words
    required: Mapping[str, str] = {}  # options that have no default: what to do instead of giving them
    hessian: bool = False  # whether it asks for products with the Hessian
    on_device: Callable[[Loops], Rule] | None = None  # the rule with its two loops run by others, under option "device"


_ESTIMATE = Guess("estimated at the start", find_smoothness)
_UNLESS_RATE = _ESTIMATE._replace(words="estimated at the start unless hyper_lr is given", unless="hyper_lr")
_PROBED = Guess("the largest curvature of three random probes", probe_smoothness)
_STEP = Guess("1 / L, with L estimated at the start", lambda *given: 1 / find_smoothness(*given))
_CONVEXITY = Guess("1e-4 smoothness", lambda function, start, known: 1e-4 * known["smoothness"])
_BOUND = Guess("f(x0) - 0.1", lambda function, start, known: start.value - 0.1)

_L = {"smoothness": _ESTIMATE}
_L_MU = {"smoothness": _ESTIMATE, "strong_convexity": _CONVEXITY}
_L_UNLESS_RATE = {"smoothness": _UNLESS_RATE}
_HALF = {"hyper_lr": "1 / (2 smoothness)"}
_WHOLE = {"hyper_lr": "1 / smoothness"}
_BEST = {"hyper_lr": "10 / smoothness", "device": "NumPy, whose own inner products depend on version and processor"}

_HDM = "Chu et al. 2025 (HDM)"
_COLT = "Gao et al. 2025 (COLT)"
_SINKHORN = "Gao, Qu, Ye and Udell 2026 (Sinkhorn-Knopp)"
_PART2 = "Gao et al. 2025 (OSGM, Part II)"
_BEST_OPTIONS = ("smoothness", "hyper_lr", "hyper_lr_beta", "beta", "device")
_HB_OPTIONS = ("hyper_lr", "hyper_lr_beta", "beta", "omega", "tau")


def _hdm(**constants: Any) -> Rule:
    return Rule(hdm.init, hdm.step, partial(hdm.Constants, **constants), _L_UNLESS_RATE)


def _best(loops: Loops) -> Rule:
    steps = hdm_best_loops
    return Rule(partial(steps.init, loops), partial(steps.step, loops), hdm_best.Constants, _L)


def _best_corrected(loops: Loops) -> Rule:
    steps = hdm_best_loops
    return Rule(partial(steps.init_corrected, loops), partial(steps.step_corrected, loops), hdm_best.Constants, _L)


METHODS: dict[str, Method] = {
    "hdm": Method(
        "HDM, hypergradient descent: a diagonal stepsize learns by gradient descent on the progress of each step",
        f"{_HDM}, Algorithm 1", ("smoothness", "hyper_lr"), _hdm(), _HALF,
    ),
    "hdm_null": Method(
        "HDM with null steps: a step that does not lower f is not taken",
        f"{_HDM}, Algorithm 1 and equation (8)", ("smoothness", "hyper_lr"), _hdm(action=null_step), _HALF,
    ),
    "hdm_lookahead": Method(
        "HDM that goes one gradient step 1 / L on from its trial point; two gradients per iteration",
        f"{_HDM}, Algorithm 1", ("smoothness", "hyper_lr"),
        Rule(hdm.init, hdm.step, partial(hdm.Constants, action=lookahead), _L), _HALF,
    ),
    "hdm_monotone_lookahead": Method(
        "HDM with the lookahead where that lowers f, and a null step elsewhere; two gradients per iteration",
        f"{_HDM}, Algorithm 1", ("smoothness", "hyper_lr"),
        Rule(hdm.init, hdm.step, partial(hdm.Constants, action=monotone_lookahead), _L), _HALF,
    ),
    "hdm_learned_step": Method(
        "HDM that learns first and then moves, with the stepsize just learned, where that lowers f; two gradients per "
        "iteration",
        f"{_SINKHORN}, Algorithm 2", ("smoothness", "hyper_lr"),
        _hdm(relative_lr=1.0, action=monotone_learned_step), _WHOLE,
    ),
    "hdm_adagrad": Method(
        "HDM with null steps whose stepsize learns by AdaGrad",
        f"{_HDM}, Algorithm 1", ("smoothness", "hyper_lr"),
        _hdm(learner=adagrad_learner, action=null_step), _HALF,
    ),
    "hdm_hb": Method(
        "HDM-HB, hypergradient descent with heavy ball: the stepsize and the momentum learn together; a refused step "
        "keeps the momentum",
        f"{_HDM}, Algorithm 3", _HB_OPTIONS, Rule(hdm_hb.init, hdm_hb.step, hdm_hb.Constants),
    ),
    "hdm_hb_resetting": Method(
        "HDM-HB in which a refused step sets the momentum's displacement to 0",
        f"{_HDM}, Algorithm 3 and the authors' code", _HB_OPTIONS,
        Rule(hdm_hb.init, hdm_hb.step_resetting, hdm_hb.Constants),
    ),
    "hdm_hb_lookahead": Method(
        "HDM-HB that goes one gradient step on from its trial point; two gradients per iteration",
        f"{_HDM}, Algorithm 3, and {_PART2}", (*_HB_OPTIONS, "smoothness"),
        Rule(hdm_hb.init, hdm_hb.step_lookahead, hdm_hb.Constants, _L),
    ),
    "hdm_agd": Method(
        "HDM-AGD for convex functions: Nesterov's method, in which a learned stepsize competes with the step 1 / L",
        f"{_HDM}, authors' MATLAB code", ("smoothness", "hyper_lr"),
        Rule(hdm_agd.init, hdm_agd.step, hdm_agd.Constants, _L),
    ),
    "hdm_agd_strongly_convex": Method(
        "HDM-AGD for strongly convex functions",
        f"{_HDM}, authors' MATLAB code", ("smoothness", "strong_convexity", "hyper_lr"),
        Rule(hdm_agd.init, hdm_agd.step_strongly_convex, hdm_agd.Constants, _L_MU),
    ),
    "hdm_best": Method(
        "HDM-Best: heavy ball, AdaGrad learners and null steps, as the authors' code has it",
        f"{_HDM}, Algorithm 3 and the authors' code", _BEST_OPTIONS,
        Rule(hdm_best.init, hdm_best.step, hdm_best.Constants, _L), _BEST, on_device=_best,
    ),
    "hdm_best_corrected": Method(
        "HDM-Best without the oddities of the authors' code that do harm",
        f"{_HDM}; the differences are derived here", _BEST_OPTIONS,
        Rule(hdm_best_corrected.init, hdm_best_corrected.step, hdm_best.Constants, _L), _BEST,
        on_device=_best_corrected,
    ),
    "osgm_r": Method(
        "OSGM-R: a diagonal stepsize learns on the ratio (f(x+) - f*) / (f(x) - f*)",
        _COLT, ("optimal_value", "hyper_lr"), Rule(osgm.init, osgm.step, osgm.osgm_r),
        required={"optimal_value": "or take osgm_rz, which guesses f*, or osgm_h, which needs none"},
    ),
    "osgm_rz": Method(
        "OSGM-R with a guess of f*, which is lowered whenever f falls below it",
        _COLT, ("optimal_value", "hyper_lr"),
        Rule(osgm.init, osgm.step, osgm.osgm_rz, {"optimal_value": _BOUND}),
    ),
    "osgm_g": Method(
        "OSGM-G: a diagonal stepsize learns on the ratio of the gradient's norms. It takes one product with the "
        "Hessian per iteration, by hessp or hess, or else by two more gradients",
        _COLT, ("hyper_lr",), Rule(osgm.init, osgm.step, osgm.osgm_g), hessian=True,
    ),
    "osgm_h": Method(
        "OSGM-H: hypergradient descent by AdaGrad with null steps",
        _COLT, ("hyper_lr",), Rule(osgm.init, osgm.step, osgm.osgm_h),
    ),
    "osgm_best": Method(
        "OSGM-Best: heavy ball, AdaGrad learners, a line search ahead and null steps, as the authors' code has it",
        f"{_PART2}, authors' code", ("smoothness", "seed", "beta", "omega"),
        Rule(osgm_best.init, osgm_best.step, osgm_best.Constants, {"smoothness": _PROBED}),
    ),
    "osgm_best_corrected": Method(
        "OSGM-Best whose second phase waits for a step longer than 1e-3, so that no estimate of L is NaN",
        f"{_PART2}; the difference is derived here", ("smoothness", "seed", "beta", "omega"),
        Rule(osgm_best.init, osgm_best.step_corrected, osgm_best.Constants, {"smoothness": _PROBED}),
    ),
    "gd": Method(
        "Gradient descent with the step 1 / L",
        f"{_HDM}, authors' code", ("smoothness",),
        Rule(gradient_descent.init, gradient_descent.step, gradient_descent.Constants, _L),
    ),
    "gd_hb": Method(
        "Gradient descent with heavy ball and the step 1 / L",
        f"{_HDM}, authors' code", ("smoothness", "momentum"),
        Rule(gradient_descent.init, gradient_descent.step_heavy_ball, gradient_descent.Constants, _L),
    ),
    "gd_armijo": Method(
        "Gradient descent with Armijo's backtracking",
        f"{_PART2}, authors' code", ("lr",),
        Rule(line_search.init, line_search.step_armijo, line_search.Constants, {"lr": _STEP}),
    ),
    "adgd": Method(
        "AdGD: gradient descent whose step follows the curvature of the last step",
        "Malitsky and Mishchenko 2020", ("lr",),
        Rule(line_search.init, line_search.step_adgd, line_search.Constants, {"lr": _STEP}),
    ),
    "agd_cvx": Method(
        "Nesterov's accelerated gradient descent for convex functions; two gradients per iteration",
        f"{_HDM}, authors' code", ("smoothness",),
        Rule(nesterov.init, nesterov.step, nesterov.Constants, _L),
    ),
    "agd_scvx": Method(
        "Nesterov's accelerated gradient descent for strongly convex functions; two gradients per iteration",
        f"{_HDM}, authors' code", ("smoothness", "strong_convexity"),
        Rule(nesterov.init, nesterov.step_strongly_convex, nesterov.Constants, _L_MU),
    ),
    "adam": Method(
        "Adam, on a deterministic function",
        "Kingma and Ba 2015", ("lr", "beta1", "beta2", "eps"), Rule(adam.init, adam.step, adam.Constants),
    ),
    "adagrad": Method(
        "AdaGrad, on a deterministic function, with 1e-8 outside the root",
        "Duchi, Hazan and Singer 2011", ("lr",), Rule(adagrad.init, adagrad.step, adagrad.Constants),
    ),
    "adagrad_inside": Method(
        "AdaGrad, on a deterministic function, with 1e-12 inside the root",
        "Duchi, Hazan and Singer 2011", ("lr",), Rule(adagrad.init, adagrad.step_inside, adagrad.Constants),
    ),
}  # fmt: skip
"""The methods that this package runs, by name."""

QUASI_NEWTON: dict[str, Method] = {
    "bfgs": Method("BFGS by SciPy, as a baseline", "SciPy", (), None),
    "l_bfgs": Method("L-BFGS by SciPy, as a baseline", "SciPy", tuple(SCIPY_DEFAULTS), None),
}
"""Baselines that SciPy runs, under this package's options."""

NAMES = (*METHODS, *QUASI_NEWTON)
"""Every method."""


ALIASES = {"hdm_best_mended": "hdm_best_corrected", "osgm_best_mended": "osgm_best_corrected"}
"""Earlier names of methods, which are still accepted."""


def find_method(name: str) -> Method:
    """The method of a name."""
    return METHODS[name] if name in METHODS else QUASI_NEWTON[name]


def list_options(name: str) -> list[Row]:
    """The options of a method, its own first."""
    method = find_method(name)
    rows = [_find_default(method, option) for option in method.options]
    for common in COMMON.values():
        words = "no limit by default" if common.default == math.inf else f"default {common.default}"
        rows.append(Row(common, common.default, words))
    return rows


def _find_default(method: Method, name: str) -> Row:
    option, rule = OPTIONS[name], method.rule
    if name in method.required:
        return Row(option, None, "required")
    if name in method.words:
        return Row(option, None, f"default {method.words[name]}")
    if rule is None:
        return Row(option, SCIPY_DEFAULTS[name], f"default {SCIPY_DEFAULTS[name]:g}")
    if name in rule.guesses:
        return Row(option, None, f"default {rule.guesses[name].words}")
    value = inspect.signature(rule.constants).parameters[CONSTANT_NAMES.get(name, name)].default
    return Row(option, value, f"default {value:g}")
