"""Optimizers of every class, and everything of one that a step could have changed."""

from collections.abc import Mapping

import numpy as np

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW

OPTIMIZERS = [AdamW, HypergradientAdamW, AutoHypergradientAdamW, SGDHD, AdamHD]

FULL = {
    AdamW: {"amsgrad": True},
    HypergradientAdamW: {"decay_in_hypergradient": True, "hyper_lr": 1e-3},
    AutoHypergradientAdamW: {
        "adapt_momentum": True, "momentum_rule": "derivative", "track_surprise": True, "warmup_steps": 1
    },
    SGDHD: {"momentum": 0.5, "nesterov": True, "weight_decay": 0.1, "hyper_lr": 1e-3},
    AdamHD: {"weight_decay": 0.1, "hyper_lr": 1e-3, "rule": "multiplicative"},
}  # fmt: skip
"""Options under which a class keeps and learns as much as it can."""


class Param:
    """A parameter as frameworks have them."""

    def __init__(self, data, grad=None):
        self.data, self.grad = data, grad


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
