"""AutoHypergradientAdamW: AdamW whose rate, and if wanted beta1, follow a normalised hypergradient through AdaGrad.

    h     = clip(-<g_t, d_{t-1}> / ||g_{t-1}||^2, -1, 1)
    G     = 0.99 G + 0.01 h^2
    lr    = lr - hyper_lr h / (sqrt(G) + 1e-12), by at most a tenth of lr, then within [lr_min, lr_max]
    hb    = clip(<g_t, m_{t-1}> / ||g_{t-1}||^2, -1, 1), and beta1 likewise with hyper_lr_beta in [beta_min, beta_max]

Nothing moves in the first `warmup_steps` steps, nor where ||g_{t-1}||^2 <= 1e-12. That is the seed's rule. Two of its
parts can be exchanged for others, named functions here and options of the optimizer:

    the normalizer       ||g_{t-1}||^2 | ||d_{t-1}||^2 | ||g_t|| ||d_{t-1}||; under f -> c f the quotient changes by
                         1/c, by c, and not at all, since d is free of the scale of f
    the rule of beta1    <g_t, m_{t-1}> | the derivative -lr <g_t, dd_{t-1}/dbeta1>

Source: Grillcheese-AI/grilly, optim/hypergradient.py; the cosine and the derivative are derived here.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

DECAY = 0.99  # memory of the accumulators
EPS = 1e-12  # of the root
LEAST_GRAD_SQ = 1e-12  # a rate learns from no smaller ||g_{t-1}||^2
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
    beta1_numerator: float  # hb times the normalizer
    normalizer: float
    lr_accumulator: float
    beta1_accumulator: float
    reason: str  # "adapted", "limited" (to a tenth), "lr_min", "lr_max", or why not: "warmup", "no direction", ...


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _stay(step: int, state: State, reason: str) -> tuple[State, Record]:
    nan = math.nan
    record = Record(
        step, state.lr, state.lr, state.beta1, state.beta1, nan, nan, nan, nan, nan,
        state.lr_accumulator, state.beta1_accumulator, reason,
    )  # fmt: skip
    return state, record


class Sums(NamedTuple):
    """The inner products of one step, over the tensors stepped at t-1 that have a gradient at t; nan if not formed."""

    grad_direction: float  # <g_t, d_{t-1}>
    last_grad_sq: float = math.nan  # ||g_{t-1}||^2
    grad_sq: float = math.nan  # ||g_t||^2
    direction_sq: float = math.nan  # ||d_{t-1}||^2
    grad_exp_avg: float = math.nan  # <g_t, m_{t-1}>
    lr_grad_beta1_derivative: float = math.nan  # lr <g_t, dd_{t-1}/dbeta1>, lr as used at t-1


def normalize_by_gradient(sums: Sums) -> float:
    """||g_{t-1}||^2, the seed's normalizer; 0 where it is too small to learn from."""
    return sums.last_grad_sq if not sums.last_grad_sq <= LEAST_GRAD_SQ else 0.0


def normalize_by_direction(sums: Sums) -> float:
    """||d_{t-1}||^2."""
    return sums.direction_sq


def normalize_by_cosine(sums: Sums) -> float:
    """||g_t|| ||d_{t-1}||, which makes h the cosine of the angle between them, free of the scale of the loss."""
    return math.sqrt(sums.grad_sq) * math.sqrt(sums.direction_sq)


def follow_moment(sums: Sums) -> float:
    """<g_t, m_{t-1}>, the seed's numerator of hb; neither the derivative nor its negative."""
    return sums.grad_exp_avg


def follow_derivative(sums: Sums) -> float:
    """dL/dbeta1 = -lr <g_t, dd_{t-1}/dbeta1>."""
    return -sums.lr_grad_beta1_derivative


NORMALIZERS: dict[str, tuple[Callable[[Sums], float], tuple[str, ...]]] = {
    "gradient": (normalize_by_gradient, ("grad_grad",)),
    "direction": (normalize_by_direction, ("direction_direction",)),
    "cosine": (normalize_by_cosine, ("grad_grad", "direction_direction")),
}
"""By the name of the option: the function, and the inner products it needs beside <g_t, d_{t-1}>."""

MOMENTUM_RULES: dict[str, tuple[Callable[[Sums], float], tuple[str, ...]]] = {
    "seed": (follow_moment, ("grad_exp_avg",)),
    "derivative": (follow_derivative, ("grad_beta1_derivative",)),
}
"""By the name of the option: the function, and the inner products it needs."""


def schedule(
    step: int,
    state: State,
    sums: Sums | None,
    constants: Constants,
    normalize: Callable[[Sums], float] = normalize_by_gradient,
    follow: Callable[[Sums], float] | None = None,
) -> tuple[State, Record]:
    """The next rate and beta1.

    step         number of the step that is being taken, from 1; step - 1 have been taken
    sums         None where no tensor has a direction
    normalize    the normalizer of h and hb; nothing moves where it is 0
    follow       the numerator of hb; None leaves beta1 alone

    Returns the new state and the record. Rates are finite, within [lr_min, lr_max].

    >>> constants = Constants(hyper_lr=0.03125, hyper_lr_beta=0.125, warmup_steps=1)
    >>> sums = Sums(grad_direction=4.0, last_grad_sq=2.0, grad_exp_avg=-1.0)
    >>> state, record = schedule(2, State(0.5, 0.75), sums, constants, follow=follow_moment)
    >>> state.lr, state.beta1, state.lr_accumulator, state.beta1_accumulator
    (0.5312499999999687, 0.812735701653499, 1.0, 0.9924999999999999)
    >>> record.hypergradient, record.beta1_hypergradient, record.reason
    (-1.0, -0.5, 'adapted')
    """
    if step - 1 < constants.warmup_steps:
        return _stay(step, state, "warmup")
    if sums is None:
        return _stay(step, state, "no direction")
    normalizer = normalize(sums)
    numerator = 0.0 if follow is None else follow(sums)
    if not all(map(math.isfinite, (sums.grad_direction, normalizer, numerator))):
        return _stay(step, state, "non-finite sum")
    if normalizer <= 0:
        return _stay(step, state, "small normalizer")

    h = _clip(-sums.grad_direction / normalizer, -1.0, 1.0)
    lr_accumulator = DECAY * state.lr_accumulator + (1 - DECAY) * (h * h)
    target = state.lr - constants.hyper_lr * h / (math.sqrt(lr_accumulator) + EPS)
    limited = _clip(target, state.lr - LARGEST_CHANGE * state.lr, state.lr + LARGEST_CHANGE * state.lr)
    lr = _clip(limited, constants.lr_min, constants.lr_max)

    beta1, beta1_accumulator, hb = state.beta1, state.beta1_accumulator, math.nan
    if follow is not None:
        hb = _clip(numerator / normalizer, -1.0, 1.0)
        beta1_accumulator = DECAY * beta1_accumulator + (1 - DECAY) * (hb * hb)
        beta1 -= constants.hyper_lr_beta * hb / (math.sqrt(beta1_accumulator) + EPS)
        beta1 = _clip(beta1, constants.beta_min, constants.beta_max)

    if lr != limited:
        reason = "lr_min" if lr > limited else "lr_max"
    else:
        reason = "adapted" if limited == target else "limited"
    record = Record(
        step, state.lr, lr, state.beta1, beta1, h, hb, sums.grad_direction,
        math.nan if follow is None else numerator, normalizer, lr_accumulator, beta1_accumulator, reason,
    )  # fmt: skip
    return State(lr, beta1, lr_accumulator, beta1_accumulator), record
