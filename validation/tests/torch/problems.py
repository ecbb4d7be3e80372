"""Small problems whose gradients NumPy and torch give alike, in float64."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from hypergrad import torch as rules
from hypergrad_reference import adam_hd, adamw, adamw_auto, adamw_hd, delayed, sgd_hd, surprise
from hypergrad_reference.hypergradient import SCHEDULES

SHAPES = [(7, 5), (11,), (1,), (3, 2, 2), (0,)]
STEPS = 300

Arrays = list[np.ndarray]


def start(shapes: Sequence[tuple[int, ...]] = SHAPES) -> Arrays:
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape) for shape in shapes]


def draw_gradient(step: int, thetas: Arrays) -> list[np.ndarray | None]:
    """Of a noisy quadratic; now and then a tensor has none."""
    rng = np.random.default_rng(step)
    noise = [0.3 * rng.normal(size=theta.shape) for theta in thetas]
    grads = [(1 + i) * theta / 4 + n for i, (theta, n) in enumerate(zip(thetas, noise, strict=True))]
    return [None if step % 17 == i + 3 else g for i, g in enumerate(grads)]


STEPS_OF = {
    sgd_hd: (sgd_hd.step, delayed.step_sgd_hd),
    adam_hd: (adam_hd.step, delayed.step_adam_hd),
}
"""The algorithm of a rule, exact and with delay 1."""

Step = Callable[[Arrays, list[np.ndarray | None], Any], tuple[Arrays, Any, Any]]


def of_sgd(**o: Any) -> tuple[Any, Step, Callable[[Any], float]]:
    constants = sgd_hd.Constants(
        o.get("momentum", 0), o.get("dampening", 0), o.get("nesterov", False), o.get("weight_decay", 0)
    )
    schedule = partial(SCHEDULES[o.get("rule", "additive")].schedule, hyper_lr=o["hyper_lr"])
    return (
        lambda thetas: sgd_hd.init(thetas, o["lr"], constants),
        lambda thetas, grads, state: STEPS_OF[sgd_hd][o.get("delay", 0)](thetas, grads, state, schedule, constants),
        lambda state: state.lr,
    )


def of_adam(**o: Any) -> tuple[Any, Step, Callable[[Any], float]]:
    constants = adam_hd.Constants(*o.get("betas", (0.9, 0.999)), o.get("eps", 1e-8), o.get("weight_decay", 0))
    schedule = partial(SCHEDULES[o.get("rule", "additive")].schedule, hyper_lr=o["hyper_lr"])
    return (
        lambda thetas: adam_hd.init(thetas, o["lr"]),
        lambda thetas, grads, state: STEPS_OF[adam_hd][o.get("delay", 0)](thetas, grads, state, schedule, constants),
        lambda state: state.lr,
    )


def read_adamw(o: dict[str, Any]) -> adamw.Constants:
    return adamw.Constants(*o.get("betas", (0.9, 0.999)), o.get("eps", 1e-8), o.get("weight_decay", 0.01))


def with_amsgrad(state: Any, thetas: Arrays, amsgrad: bool) -> Any:
    if not amsgrad:
        return state
    moments = [adamw.init_amsgrad(theta) for theta in thetas]
    return state._replace(moments=moments)


def of_adamw_hd(**o: Any) -> tuple[Any, Step, Callable[[Any], float]]:
    constants = adamw_hd.Constants(
        o["hyper_lr"], o.get("lr_min", 1e-6), o.get("lr_max", 1.0), o.get("decay_in_hypergradient", True)
    )
    schedule = adamw_hd.schedule_log if o.get("log_scale") else adamw_hd.schedule_linear

    def init(thetas: Arrays) -> Any:
        return with_amsgrad(adamw_hd.init(thetas, o["lr"]), thetas, o.get("amsgrad", False))

    if o.get("delay"):
        return (
            lambda thetas: delayed.AdamWState(math.nan, init(thetas)),
            lambda thetas, grads, state: delayed.step_adamw_hd(
                thetas, grads, state, schedule, constants, read_adamw(o)
            ),
            lambda state: state.own.lr,
        )
    return (
        init,
        lambda thetas, grads, state: adamw_hd.step(thetas, grads, state, schedule, constants, read_adamw(o)),
        lambda state: state.lr,
    )


def of_auto(**o: Any) -> tuple[Any, Step, Callable[[Any], float]]:
    names = adamw_auto.Constants._fields
    constants = adamw_auto.Constants(**{name: o[name] for name in names if name in o})
    options = {
        "normalization": o.get("normalization", "gradient"),
        "momentum_rule": o.get("momentum_rule", "published") if o.get("adapt_momentum") else None,
        "watch": surprise.Watch() if o.get("track_surprise") else None,
        "decay_in_hypergradient": o.get("decay_in_hypergradient", True),
    }
    return (
        lambda thetas: adamw_auto.init(thetas, o["lr"], o.get("betas", (0.9, 0.999))[0]),
        lambda thetas, grads, state: adamw_auto.step(thetas, grads, state, constants, read_adamw(o), **options),
        lambda state: state.learned.lr,
    )


CASES: dict[str, tuple[type[torch.optim.Optimizer], Callable[..., Any], dict[str, Any]]] = {
    "sgd_hd": (rules.SGDHD, of_sgd, {"lr": 0.05, "hyper_lr": 1e-4}),
    "sgd_hd-multiplicative": (rules.SGDHD, of_sgd, {"lr": 0.05, "hyper_lr": 0.02, "rule": "multiplicative"}),
    "sgd_hd-decay": (rules.SGDHD, of_sgd, {"lr": 0.05, "hyper_lr": 1e-4, "weight_decay": 0.1}),
    "sgd_hd-momentum": (rules.SGDHD, of_sgd, {"lr": 0.02, "hyper_lr": 1e-5, "momentum": 0.9, "dampening": 0.5}),
    "sgd_hd-nesterov": (rules.SGDHD, of_sgd, {"lr": 0.02, "hyper_lr": 1e-5, "momentum": 0.9, "nesterov": True}),
    "adam_hd": (rules.AdamHD, of_adam, {"lr": 0.01, "hyper_lr": 1e-5}),
    "adam_hd-multiplicative": (
        rules.AdamHD, of_adam, {"lr": 0.01, "hyper_lr": 0.02, "rule": "multiplicative", "weight_decay": 0.1},
    ),
    "adamw_hd": (rules.HypergradientAdamW, of_adamw_hd, {"lr": 0.01, "hyper_lr": 1e-5}),
    "adamw_hd-no-decay": (
        rules.HypergradientAdamW, of_adamw_hd, {"lr": 0.01, "hyper_lr": 1e-5, "decay_in_hypergradient": False},
    ),
    "adamw_hd-decay": (rules.HypergradientAdamW, of_adamw_hd, {"lr": 0.01, "hyper_lr": 1e-5, "weight_decay": 0.5}),
    "adamw_hd-log": (rules.HypergradientAdamW, of_adamw_hd, {"lr": 0.01, "hyper_lr": 1e-3, "log_scale": True}),
    "adamw_hd-amsgrad": (rules.HypergradientAdamW, of_adamw_hd, {"lr": 0.01, "hyper_lr": 1e-5, "amsgrad": True}),
    "adamw_hd-bounds": (
        rules.HypergradientAdamW, of_adamw_hd, {"lr": 0.01, "hyper_lr": 1e-2, "lr_min": 0.005, "lr_max": 0.02},
    ),
    "adamw_auto": (rules.AutoHypergradientAdamW, of_auto, {"lr": 0.01, "hyper_lr": 1e-3}),
    "adamw_auto-decay": (
        rules.AutoHypergradientAdamW, of_auto,
        {"lr": 0.01, "hyper_lr": 1e-3, "weight_decay": 0.3, "normalization": "cosine"},
    ),
    "adamw_auto-direction": (
        rules.AutoHypergradientAdamW, of_auto,
        {"lr": 0.01, "hyper_lr": 1e-3, "normalization": "direction", "decay_in_hypergradient": False},
    ),
    "adamw_auto-momentum": (
        rules.AutoHypergradientAdamW, of_auto,
        {"lr": 0.01, "hyper_lr": 1e-3, "adapt_momentum": True, "hyper_lr_beta": 1e-3},
    ),
    "adamw_auto-derivative": (
        rules.AutoHypergradientAdamW, of_auto,
        {"lr": 0.01, "hyper_lr": 1e-3, "adapt_momentum": True, "hyper_lr_beta": 1e-3, "momentum_rule": "derivative"},
    ),
    "sgd_hd-delay": (rules.SGDHD, of_sgd, {"lr": 0.02, "hyper_lr": 1e-5, "momentum": 0.9, "delay": 1}),
    "adam_hd-delay": (rules.AdamHD, of_adam, {"lr": 0.01, "hyper_lr": 1e-5, "delay": 1}),
    "adamw_hd-delay": (rules.HypergradientAdamW, of_adamw_hd, {"lr": 0.01, "hyper_lr": 1e-5, "delay": 1}),
    "adamw_auto-surprise": (
        rules.AutoHypergradientAdamW, of_auto, {"lr": 0.01, "hyper_lr": 1e-3, "track_surprise": True},
    ),
}  # fmt: skip
