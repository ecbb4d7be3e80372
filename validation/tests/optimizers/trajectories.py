"""Whole runs of the optimizers, whose bits are the same on every device."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW, Optimizer, TuningFreeAdamW
from hypergrad_reference.types import Vector


def two_groups(thetas: list[Vector]) -> list[dict[str, Any]]:
    """Tensors in two groups, the second at another rate than the optimizer's."""
    return [{"params": thetas[:2]}, {"params": thetas[2:], "lr": 3e-3}]


def two_decays(thetas: list[Vector]) -> list[dict[str, Any]]:
    """Tensors in two groups, the second with weight decay and betas of its own."""
    return [{"params": thetas[:2]}, {"params": thetas[2:], "weight_decay": 1e-2, "betas": (0.8, 0.99)}]


class Trajectory(NamedTuple):
    """An optimizer on several tensors for a number of steps."""

    name: str
    optimizer: Callable[..., Optimizer]
    options: Mapping[str, Any]
    steps: int = 200
    group: Callable[[list[Vector]], list[Any]] = list


TENSORS = (((3,), "float32"), ((17, 5), "float32"), ((), "float64"), ((4, 2, 33), "float64"), ((4099,), "float32"))
"""Shapes and dtypes of the tensors of a run."""


def start_run() -> list[Vector]:
    """The tensors before the first step."""
    rng = np.random.default_rng(1)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape, dtype in TENSORS]


def find_gradient(thetas: Sequence[Vector], step: int) -> list[Vector | None]:
    """Noisy gradients of a quadratic with curvatures from 1 to 2; step counts from 0.

    The second tensor has none in every seventh step, the first none in the first two.
    """
    rng = np.random.default_rng([2, step])
    grads: list[Vector | None] = []
    for theta in thetas:
        curvature = np.linspace(1, 2, theta.size).reshape(theta.shape)
        grads.append(np.asarray(curvature * theta + 0.1 * rng.standard_normal(theta.shape), theta.dtype))
    if step % 7 == 3:
        grads[1] = None
    if step < 2:
        grads[0] = None
    return grads


ADAMW = {"lr": 1e-2}
HYPER = {"lr": 1e-3, "hyper_lr": 1e-6}
LOG = {"lr": 1e-3, "hyper_lr": 1e-5, "log_scale": True}
AUTO = {"adapt_momentum": True, "track_surprise": True}
DERIVATIVE = {"adapt_momentum": True, "momentum_rule": "derivative", "normalization": "cosine"}
SGD = {"lr": 1e-2, "hyper_lr": 1e-6}
LOOSE = {"delay": 1, "nonfinite": "propagate"}
STOPPING = {"delay": 1, "nonfinite": "stop"}
TRAJECTORIES = [
    Trajectory("SGDHD", SGDHD, {**SGD, "weight_decay": 1e-3}, steps=1000),
    Trajectory("SGDHD-heavy-ball", SGDHD, {**SGD, "momentum": 0.9, "dampening": 0.3}, group=two_groups),
    Trajectory("SGDHD-nesterov", SGDHD, {"momentum": 0.9, "nesterov": True, "rule": "multiplicative"}),
    Trajectory("AdamHD", AdamHD, {**SGD, "weight_decay": 1e-3}, steps=1000),
    Trajectory("AdamHD-multiplicative", AdamHD, {**SGD, "rule": "multiplicative"}, group=two_groups),
    Trajectory("AdamW", AdamW, ADAMW, steps=1000),
    Trajectory("AdamW-amsgrad", AdamW, {**ADAMW, "amsgrad": True}),
    Trajectory("AdamW-shader", AdamW, {**ADAMW, "scalar_convention": "shader"}),
    Trajectory("AdamW-climbs", AdamW, {**ADAMW, "maximize": True, "grad_scale": -0.3, "clear_grad": True}),
    Trajectory("HypergradientAdamW", HypergradientAdamW, HYPER, steps=1000),
    Trajectory("HypergradientAdamW-log", HypergradientAdamW, LOG, steps=1000),
    Trajectory("HypergradientAdamW-decay", HypergradientAdamW, {**HYPER, "decay_in_hypergradient": True}),
    Trajectory("HypergradientAdamW-shader", HypergradientAdamW, {**HYPER, "scalar_convention": "shader"}),
    Trajectory("HypergradientAdamW-amsgrad", HypergradientAdamW, {**HYPER, "amsgrad": True}),
    Trajectory("HypergradientAdamW-propagate", HypergradientAdamW, {**HYPER, "nonfinite": "propagate"}),
    Trajectory("HypergradientAdamW-groups", HypergradientAdamW, HYPER, group=two_groups),
    Trajectory("HypergradientAdamW-own-rates", HypergradientAdamW, {**HYPER, "lr_scope": "group"}, group=two_groups),
    Trajectory("AutoHypergradientAdamW", AutoHypergradientAdamW, AUTO, steps=1000),
    Trajectory("AutoHypergradientAdamW-rate-alone", AutoHypergradientAdamW, {}),
    Trajectory("AutoHypergradientAdamW-scaled", AutoHypergradientAdamW, {"track_surprise": True, "grad_scale": 0.3}),
    Trajectory("AutoHypergradientAdamW-shader", AutoHypergradientAdamW, {**AUTO, "scalar_convention": "shader"}),
    Trajectory("AutoHypergradientAdamW-derivative", AutoHypergradientAdamW, DERIVATIVE),
    Trajectory(
        "AutoHypergradientAdamW-direction-amsgrad",
        AutoHypergradientAdamW,
        {**DERIVATIVE, "normalization": "direction", "amsgrad": True},
    ),
    Trajectory("AutoHypergradientAdamW-groups", AutoHypergradientAdamW, AUTO, group=two_groups),
    Trajectory(
        "AutoHypergradientAdamW-own-rates", AutoHypergradientAdamW, {**AUTO, "lr_scope": "group"}, group=two_groups
    ),
    Trajectory("SGDHD-delayed", SGDHD, {**SGD, "delay": 1}, steps=1000),
    Trajectory(
        "SGDHD-delayed-nesterov", SGDHD, {"momentum": 0.9, "nesterov": True, "rule": "multiplicative", **STOPPING}
    ),
    Trajectory(
        "SGDHD-delayed-heavy-ball",
        SGDHD,
        {**SGD, "momentum": 0.9, "dampening": 0.3, "weight_decay": 1e-3, **LOOSE},
        group=two_groups,
    ),
    Trajectory("AdamHD-delayed", AdamHD, {**SGD, "weight_decay": 1e-3, "delay": 1}, steps=1000),
    Trajectory("AdamHD-delayed-multiplicative", AdamHD, {**SGD, "rule": "multiplicative", **LOOSE}, group=two_groups),
    Trajectory("HypergradientAdamW-delayed", HypergradientAdamW, {**HYPER, "delay": 1}, steps=1000),
    Trajectory("HypergradientAdamW-delayed-log", HypergradientAdamW, {**LOG, **LOOSE}, steps=1000),
    Trajectory(
        "HypergradientAdamW-delayed-decay",
        HypergradientAdamW,
        {**HYPER, "decay_in_hypergradient": True, "weight_decay": 0.1, **STOPPING},
    ),
    Trajectory(
        "HypergradientAdamW-delayed-shader",
        HypergradientAdamW,
        {**HYPER, "scalar_convention": "shader", "clear_grad": True, "lr_scope": "group", **STOPPING},
        group=two_groups,
    ),
    Trajectory("AutoHypergradientAdamW-delayed", AutoHypergradientAdamW, {**AUTO, "delay": 1}, steps=1000),
    Trajectory("AutoHypergradientAdamW-delayed-rate-alone", AutoHypergradientAdamW, LOOSE),
    Trajectory("AutoHypergradientAdamW-delayed-derivative", AutoHypergradientAdamW, {**DERIVATIVE, **STOPPING}),
    Trajectory(
        "AutoHypergradientAdamW-delayed-direction-amsgrad",
        AutoHypergradientAdamW,
        {**DERIVATIVE, "normalization": "direction", "amsgrad": True, "track_surprise": True, "delay": 1},
        group=two_groups,
    ),
    Trajectory("TuningFreeAdamW", TuningFreeAdamW, {"lr_start": 1e-3}, steps=1000),
    Trajectory("TuningFreeAdamW-K", TuningFreeAdamW, {"variant": "K"}, steps=300),
    Trajectory("TuningFreeAdamW-delayed", TuningFreeAdamW, {"delay": 1}, steps=300),
    Trajectory("TuningFreeAdamW-lazy", TuningFreeAdamW, {"every": 8}, steps=300),
    Trajectory("TuningFreeAdamW-lazy-delayed", TuningFreeAdamW, {"every": 8, "delay": 1}, steps=300),
    Trajectory("TuningFreeAdamW-propagate", TuningFreeAdamW, {"delay": 1, "nonfinite": "propagate"}),
    Trajectory("TuningFreeAdamW-groups", TuningFreeAdamW, {}, group=two_decays),
    Trajectory("TuningFreeAdamW-climbs", TuningFreeAdamW, {"maximize": True, "grad_scale": -0.3, "clear_grad": True}),
]
