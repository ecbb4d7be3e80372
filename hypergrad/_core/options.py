"""Every option of every optimizer, once: what it may be, and what it means. An option means the same in every class.

A class lists those that it has, with their defaults, in the signature of its constructor, and with their types in its
Options. `describe` writes the tables of its docstring.
"""

from collections import namedtuple
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar, cast, get_args, get_type_hints

from hypergrad._core.checks import Check, Choice, Number, check_betas, check_count, check_delay, check_every, check_flag
from hypergrad_reference.adamw_auto import MomentumRule, Normalization

Nonfinite = Literal["raise", "skip", "propagate"]
DelayedNonfinite = Literal["raise", "skip", "propagate", "stop"]
LrScope = Literal["global", "group"]
ScalarConvention = Literal["exact", "shader"]
RateRule = Literal["additive", "multiplicative"]
Variant = Literal["G", "K"]

SHARE = Number(0, 1)
BELOW_ONE = Number(0, 1, open_high=True)
POSITIVE = Number(0, open_low=True)


class Option(NamedTuple):
    """An option, whichever classes have it."""

    check: Check
    meaning: str  # with its unit


def _list_words(words: Any) -> Choice:
    return Choice(get_args(words))


OPTIONS: dict[str, Option] = {
    "lr": Option(Number(), "the rate, at first where it is learned; may be changed in param_groups between steps"),
    "betas": Option(check_betas, "the shares that the running means of g and of g^2 keep in a step"),
    "eps": Option(POSITIVE, "is added to the root of the mean of g^2, in units of the gradient"),
    "weight_decay": Option(Number(), "decoupled, theta (1 - lr weight_decay), in units of 1 / lr"),
    "lr_start": Option(POSITIVE, "where the search for a rate starts; a tenth or ten times as much changes little"),
    "delay": Option(check_delay, "1: what a step sees moves the rate of the next step, in one pass over the arrays"),
    "every": Option(check_every, "steps from look to look, once a hundred steps are done: 8 saves memory traffic"),
    "variant": Option(_list_words(Variant), '"G", or "K": gradients at the iterate; it fits wrong labels less'),
    "momentum": Option(BELOW_ONE, "mu, the share of the velocity that is kept in a step"),
    "dampening": Option(SHARE, "tau, of heavy-ball momentum; the first step of a tensor is not dampened"),
    "nesterov": Option(check_flag, "Nesterov's momentum, which needs momentum > 0 and dampening 0"),
    "hyper_lr": Option(Number(), "the pace at which the rate learns, in units of lr / h; 0 keeps the rate"),
    "hyper_lr_beta": Option(Number(), "the pace at which beta1 learns, a pure number; 0 keeps it"),
    "lr_min": Option(Number(), "the least learned rate"),
    "lr_max": Option(Number(), "the largest learned rate, and the largest rate of a group"),
    "log_scale": Option(check_flag, "log(lr) moves by hyper_lr h instead of lr, which needs lr_min > 0"),
    "rule": Option(
        _list_words(RateRule),
        'how the rate follows h: "additive", lr - hyper_lr h, or "multiplicative", lr (1 + hyper_lr cos(g_t, d_{t-1}))',
    ),
    "adapt_momentum": Option(check_flag, "beta1 learns too, within [beta_min, beta_max]"),
    "beta_min": Option(BELOW_ONE, "the least learned beta1"),
    "beta_max": Option(BELOW_ONE, "the largest learned beta1"),
    "momentum_rule": Option(
        _list_words(MomentumRule),
        'what moves beta1: "published" <g_t, m_{t-1}>, or "derivative", the derivative of the next loss',
    ),
    "normalization": Option(
        _list_words(Normalization),
        'what <g_t, d_{t-1}> is divided by: "gradient" ||g_{t-1}||^2, "direction" ||d_{t-1}||^2, or "cosine" '
        "||g_t|| ||d_{t-1}||, with which h does not depend on the scale of the loss",
    ),
    "warmup_steps": Option(check_count, "steps before anything learns"),
    "track_surprise": Option(
        check_flag, "surprise is computed, for the model to read: 12 bytes more per float32 parameter"
    ),
    "surprise_gamma": Option(SHARE, "the share that the running mean of the gradient keeps in a step"),
    "surprise_alpha": Option(SHARE, "the share of the newest surprise in the accumulated one"),
    "trauma_threshold": Option(POSITIVE, "the accumulated surprise at which the gain is largest, a pure number"),
    "amsgrad": Option(check_flag, "divide by the running maximum of the mean of g^2"),
    "lr_scope": Option(
        _list_words(LrScope),
        '"global": one learned rate, with which groups step in the proportion of their "lr" to the first lr; "group": '
        "a learned rate per group, from its own gradients",
    ),
    "decay_in_hypergradient": Option(
        check_flag, "h is the derivative with weight decay (4 bytes more per float32 parameter)"
    ),
    "maximize": Option(check_flag, "climb instead of descend"),
    "grad_scale": Option(Number(float("-inf")), "every gradient is multiplied by it first, a pure number"),
    "clear_grad": Option(check_flag, "a step leaves zeros in every gradient"),
    "scalar_convention": Option(
        _list_words(ScalarConvention),
        'scalars of a step: "exact", formed in float64 and rounded once, or "shader", as adamw-update.glsl forms them',
    ),
    "nonfinite": Option(
        _list_words(DelayedNonfinite),
        'NaN or infinity in a gradient, or in what the step would write: "raise" NonFiniteError, "skip" the step and '
        'count it in `skipped`, "propagate" it, which saves a pass over the gradient, or, with delay=1, "stop": '
        "an element that would not be finite keeps what it had, and NonFiniteError says which",
    ),
}
"""By name. An alias has no entry of its own."""

NOT_STOP = (
    'NaN or infinity in a gradient, or in what the step would write: "raise" NonFiniteError, "skip" the step and count '
    'it in `skipped`, or "propagate" it, which saves a pass over the gradient'
)
"""What `nonfinite` means where no pass over the arrays looks while it writes."""

OF_GROUPS = ("lr", "betas", "eps", "weight_decay")
"""Options that each group has; the constructor's are their defaults."""


def check_options(**given: Any) -> dict[str, Any]:
    """Options as plain Python values, in the order given. Raises ArgumentError for what is out of range.

    >>> import numpy as np
    >>> check_options(lr=np.float64(0.5), betas=[0.5, np.float64(0.75)], amsgrad=np.True_)
    {'lr': 0.5, 'betas': (0.5, 0.75), 'amsgrad': True}
    """
    return {name: OPTIONS[name].check(name, value) for name, value in given.items()}


Kind = TypeVar("Kind")


def freeze(options: type[Kind]) -> Callable[..., Kind]:
    """An immutable tuple with the fields that a class of options declares; it stands for an instance of that class."""
    fields = list(get_type_hints(options))
    make: Any = namedtuple
    return cast("Callable[..., Kind]", make("Settings", fields, module=options.__module__))
