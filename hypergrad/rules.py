"""Every method that minimises a function whose value is known: its rule in the reference, and what it can be told."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from hypergrad_reference import (
    adagrad,
    adam,
    gradient_descent,
    hdm,
    hdm_agd,
    hdm_best,
    hdm_best_mended,
    hdm_hb,
    line_search,
    nesterov,
    osgm,
    osgm_best,
)
from hypergrad_reference.action import lookahead, monotone_lookahead, null_step
from hypergrad_reference.learner import adagrad as adagrad_learner


class Method(NamedTuple):
    """A rule, and how options become its constants."""

    init: Callable[..., Any]  # (objective, x0, constants) to the first state
    step: Callable[..., Any]  # (objective, state, constants) to the next
    constants: Callable[..., Any]  # from options, under the names on the right of `options`
    options: Mapping[str, str]  # name for the user: name of the constant
    required: tuple[str, ...] = ()  # options without which the method has no step length
    hessian: bool = False  # whether it asks for products with the Hessian
    trials: bool = False  # the authors count one f a trial (HDM, OSGM), and none for the others


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


_L = ("smoothness",)
_HB = _same("hyper_lr", "hyper_lr_beta", "beta", "omega", "tau", "smoothness")
_BEST = _same("smoothness", "hyper_lr", "hyper_lr_beta", "beta", "maxiter")
_HDM = _same("smoothness", "hyper_lr")
_OSGM = _same("hyper_lr", "smoothness")
_RATIO = {**_OSGM, "optimal_value": "bound"}

METHODS: dict[str, Method] = {
    "hdm": Method(hdm.init, hdm.step, hdm.Constants, _HDM, trials=True),
    "hdm_null": Method(hdm.init, hdm.step, partial(hdm.Constants, action=null_step), _HDM, trials=True),
    "hdm_lookahead": Method(hdm.init, hdm.step, partial(hdm.Constants, action=lookahead), _HDM, _L, trials=True),
    "hdm_monotone_lookahead": Method(
        hdm.init, hdm.step, partial(hdm.Constants, action=monotone_lookahead), _HDM, _L, trials=True
    ),
    "hdm_adagrad": Method(
        hdm.init, hdm.step, partial(hdm.Constants, learner=adagrad_learner, action=null_step), _HDM, trials=True
    ),
    "hdm_hb": Method(hdm_hb.init, hdm_hb.step, hdm_hb.Constants, _HB, trials=True),
    "hdm_hb_resetting": Method(hdm_hb.init, hdm_hb.step_resetting, hdm_hb.Constants, _HB, trials=True),
    "hdm_hb_lookahead": Method(hdm_hb.init, hdm_hb.step_lookahead, hdm_hb.Constants, _HB, _L, trials=True),
    "hdm_agd": Method(hdm_agd.init, hdm_agd.step, hdm_agd.Constants, _HDM, _L, trials=True),
    "hdm_agd_strongly_convex": Method(
        hdm_agd.init, hdm_agd.step_strongly_convex, hdm_agd.Constants, {**_HDM, **_same("strong_convexity")},
        ("smoothness", "strong_convexity"), trials=True,
    ),
    "hdm_best": Method(hdm_best.init, hdm_best.step, hdm_best.Constants, _BEST, _L, trials=True),
    "hdm_best_mended": Method(
        hdm_best_mended.init, hdm_best_mended.step, hdm_best.Constants, _BEST, _L, trials=True
    ),
    "osgm_r": Method(osgm.init, osgm.step, osgm.osgm_r, _RATIO, ("optimal_value",), trials=True),
    "osgm_rz": Method(osgm.init, osgm.step, osgm.osgm_rz, _RATIO, ("optimal_value",), trials=True),
    "osgm_g": Method(osgm.init, osgm.step, osgm.osgm_g, _OSGM, hessian=True, trials=True),
    "osgm_h": Method(osgm.init, osgm.step, osgm.osgm_h, _OSGM, trials=True),
    "osgm_best": Method(
        osgm_best.init, osgm_best.step, osgm_best.Constants, _same("smoothness", "seed", "beta", "omega", "maxiter"),
        trials=True,
    ),
    "gd": Method(gradient_descent.init, gradient_descent.step, gradient_descent.Constants, _same(*_L), _L),
    "gd_hb": Method(
        gradient_descent.init, gradient_descent.step_heavy_ball, gradient_descent.Constants,
        _same("smoothness", "momentum"), _L,
    ),
    "gd_armijo": Method(line_search.init, line_search.step_armijo, line_search.Constants, _same("lr"), ("lr",)),
    "adgd": Method(line_search.init, line_search.step_adgd, line_search.Constants, _same("lr"), ("lr",)),
    "agd_cvx": Method(nesterov.init, nesterov.step, nesterov.Constants, _same(*_L), _L),
    "agd_scvx": Method(
        nesterov.init, nesterov.step_strongly_convex, nesterov.Constants, _same("smoothness", "strong_convexity"),
        ("smoothness", "strong_convexity"),
    ),
    "adam": Method(adam.init, adam.step, adam.Constants, _same("lr", "beta1", "beta2", "eps")),
    "adagrad": Method(adagrad.init, adagrad.step, adagrad.Constants, _same("lr")),
    "adagrad_inside": Method(adagrad.init, adagrad.step_inside, adagrad.Constants, _same("lr")),
}  # fmt: skip
"""By name. The names of the papers: `hdm`, `osgm_r`, ...; `_best` are the authors' practical methods."""

QUASI_NEWTON = ("bfgs", "l_bfgs")
"""Baselines that SciPy runs, under this package's options."""
