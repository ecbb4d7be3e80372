"""Optimizers of every class, at first and in the middle of a run, and everything of one that a step could change."""

from collections.abc import Mapping

import numpy as np

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW, TuningFreeAdamW


class TuningFree(TuningFreeAdamW):
    """TuningFreeAdamW that takes an lr as the others do: its search starts there, unless it is 0."""

    def __init__(self, params, lr=1e-3, **options):
        super().__init__(params, lr_start=lr or 1e-3, **options)


TuningFree.__name__ = TuningFreeAdamW.__name__

OPTIMIZERS = [AdamW, HypergradientAdamW, AutoHypergradientAdamW, SGDHD, AdamHD]
EVERY = [*OPTIMIZERS, TuningFree]
BOUNDED = [HypergradientAdamW, AutoHypergradientAdamW]
LEARNING = [*BOUNDED, SGDHD, AdamHD]

FULL = {
    AdamW: {"amsgrad": True},
    HypergradientAdamW: {"decay_in_hypergradient": True, "hyper_lr": 1e-3},
    AutoHypergradientAdamW: {
        "adapt_momentum": True, "momentum_rule": "derivative", "track_surprise": True, "warmup_steps": 1
    },
    SGDHD: {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1, "hyper_lr": 1e-3},
    AdamHD: {"weight_decay": 0.1, "hyper_lr": 1e-3, "rule": "multiplicative"},
    TuningFree: {"weight_decay": 0.1},
}  # fmt: skip
"""Options under which a class keeps and learns as much as it can."""


class Param:
    """A parameter as frameworks have them."""

    def __init__(self, data, grad=None):
        self.data, self.grad = data, grad


def make(kind, params=None, **options):
    """An optimizer on NumPy, of one small tensor unless others are given."""
    return kind([np.ones(3)] if params is None else params, **({"device": "numpy", "lr": 0.01} | options))


def make_stepped(kind, steps=2, **options):
    """An optimizer in the middle of a run, its parameters, and gradients for the next step."""
    params = [np.array([1.0, 2.0, 3.0], np.float32), np.array([[4.0, 5.0]])]
    opt = kind(params, lr=0.01, device="numpy", **(FULL[kind] | options))
    grads = [np.array([0.5, -1.0, 2.0]), np.array([[1.0, -1.0]])]  # the first is rounded: a copy
    for _ in range(steps):
        opt.step(gradients=grads)
    return opt, params, grads


def step_once(kind, params, **given):
    """An optimizer on NumPy after one step."""
    opt = kind(params, lr=0.5, device="numpy")
    opt.step(**given)
    return opt


def show(thetas, opt):
    """A run as values: its parameters and its state."""
    return freeze([thetas, opt.state_dict()])


def freeze(value):
    """A value to compare: arrays by their bits, so that nan equals nan."""
    if isinstance(value, Mapping):
        return {key: freeze(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [freeze(item) for item in value]
    if isinstance(value, Param):
        return freeze([value.data, value.grad])
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    return repr(value)


def get_record(opt):
    """The latest record; of the first group where groups have rates of their own."""
    latest = opt.last_record
    return latest[0] if isinstance(latest[0], tuple) else latest


def take_snapshot(opt, *arrays):
    """The arrays, and all that the optimizer shows, as values."""
    return freeze([
        arrays, opt.state_dict(), list(opt.records), opt.skipped, opt.lr_histories, opt.current_lr, opt.defaults,
        opt.param_groups,
    ])  # fmt: skip
