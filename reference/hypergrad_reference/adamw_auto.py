"""AutoHypergradientAdamW: AdamW whose rate, and if wanted beta1, follow a normalised hypergradient through AdaGrad.

    h     = clip(-<g_t, d_{t-1}> / ||g_{t-1}||^2, -1, 1)
    G     = 0.99 G + 0.01 h^2
    lr    = lr - hyper_lr h / (sqrt(G) + 1e-12), by at most a tenth of lr, then within [lr_min, lr_max]
    hb    = clip(<g_t, m_{t-1}> / ||g_{t-1}||^2, -1, 1), and beta1 likewise with hyper_lr_beta in [beta_min, beta_max]

Nothing moves in the first `warmup_steps` steps, nor where ||g_{t-1}||^2 <= 1e-12. The rule is not invariant to the scale
of the loss, since d is free of that scale and ||g||^2 is not. Source: Grillcheese-AI/grilly, optim/hypergradient.py.
"""

import math
from typing import NamedTuple

DECAY = 0.99  # memory of the accumulators
EPS = 1e-12  # of the root, and the least ||g_{t-1}||^2 that a rate learns from
LARGEST_CHANGE = 0.1  # of lr, in one step


class Constants(NamedTuple):
    """What stays the same over a run."""

    hyper_lr: float = 0.01
    hyper_lr_beta: float = 1.0
    lr_min: float = 1e-6
    lr_max: float = 1.0
    beta_min: float = 0.5
    beta_max: float = 0.9995
    warmup_steps: int = 10


class State(NamedTuple):
    """What the schedule carries from one step to the next; scalars in float64."""

    lr: float
    beta1: float
    lr_accumulator: float = 1.0  # G of the rate
    beta1_accumulator: float = 1.0  # G of beta1


class Record(NamedTuple):
    """Why the rate and beta1 moved, or did not; scalars in float64, nan where a quantity was not formed."""

    step: int  # the step of the optimizer that this record belongs to, from 1
    lr_before: float
    lr: float
    beta1_before: float
    beta1: float
    hypergradient: float  # h after its clip
    beta1_hypergradient: float  # hb after its clip
    grad_direction: float  # <g_t, d_{t-1}>
    grad_exp_avg: float  # <g_t, m_{t-1}>
    normalizer: float  # ||g_{t-1}||^2
    lr_accumulator: float
    beta1_accumulator: float
    reason: str  # "adapted" | "limited" | "lr_min" | "lr_max" | "warmup" | "no direction" | "small gradient" | "non-finite sum"


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _stay(step: int, state: State, reason: str) -> tuple[State, Record]:
    nan = math.nan
    record = Record(
        step, state.lr, state.lr, state.beta1, state.beta1, nan, nan, nan, nan, nan,
        state.lr_accumulator, state.beta1_accumulator, reason,
    )  # fmt: skip
    return state, record


def schedule(
    step: int,
    state: State,
    grad_direction: float | None,
    normalizer: float | None,
    constants: Constants,
    grad_exp_avg: float | None = None,
) -> tuple[State, Record]:
    """The next rate and beta1.

    step              number of the step that is being taken, from 1; step - 1 have been taken
    grad_direction    <g_t, d_{t-1}>; None where no tensor has a direction
    normalizer        ||g_{t-1}||^2 over the same tensors
    grad_exp_avg      <g_t, m_{t-1}>; None leaves beta1 alone

    Returns the new state and the record. Rates are finite, within [lr_min, lr_max].

    >>> constants = Constants(hyper_lr=0.03125, hyper_lr_beta=0.125, warmup_steps=1)
    >>> state, record = schedule(2, State(0.5, 0.75), 4.0, 2.0, constants, grad_exp_avg=-1.0)
    >>> state.lr, state.beta1, state.lr_accumulator, state.beta1_accumulator
    (0.5312499999999687, 0.812735701653499, 1.0, 0.9924999999999999)
    >>> record.hypergradient, record.beta1_hypergradient, record.reason
    (-1.0, -0.5, 'adapted')
    """
    if step - 1 < constants.warmup_steps:
        return _stay(step, state, "warmup")
    if grad_direction is None or normalizer is None:
        return _stay(step, state, "no direction")
    if not all(map(math.isfinite, (grad_direction, normalizer, grad_exp_avg or 0.0))):
        return _stay(step, state, "non-finite sum")
    if normalizer <= EPS:
        return _stay(step, state, "small gradient")

    h = _clip(-grad_direction / normalizer, -1.0, 1.0)
    lr_accumulator = DECAY * state.lr_accumulator + (1 - DECAY) * h * h
    target = state.lr - constants.hyper_lr * h / (math.sqrt(lr_accumulator) + EPS)
    limited = _clip(target, state.lr - LARGEST_CHANGE * state.lr, state.lr + LARGEST_CHANGE * state.lr)
    lr = _clip(limited, constants.lr_min, constants.lr_max)

    beta1, beta1_accumulator, hb = state.beta1, state.beta1_accumulator, math.nan
    if grad_exp_avg is not None:
        hb = _clip(grad_exp_avg / normalizer, -1.0, 1.0)
        beta1_accumulator = DECAY * beta1_accumulator + (1 - DECAY) * hb * hb
        beta1 -= constants.hyper_lr_beta * hb / (math.sqrt(beta1_accumulator) + EPS)
        beta1 = _clip(beta1, constants.beta_min, constants.beta_max)

    if lr != limited:
        reason = "lr_min" if lr > limited else "lr_max"
    else:
        reason = "adapted" if limited == target else "limited"
    record = Record(
        step, state.lr, lr, state.beta1, beta1, h, hb, grad_direction,
        math.nan if grad_exp_avg is None else grad_exp_avg, normalizer, lr_accumulator, beta1_accumulator, reason,
    )  # fmt: skip
    return State(lr, beta1, lr_accumulator, beta1_accumulator), record
