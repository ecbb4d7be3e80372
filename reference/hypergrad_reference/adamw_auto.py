"""AutoHypergradientAdamW: AdamW whose rate, and as an option beta1, follow a normalised hypergradient through AdaGrad.

    h     = clip(-<g_t, d_{t-1}> / ||g_{t-1}||^2, -1, 1)
    G     = 0.99 G + 0.01 h^2
    lr    = lr - hyper_lr h / (sqrt(G) + 1e-12), by at most a tenth of lr, then within [lr_min, lr_max]
    hb    = clip(<g_t, m_{t-1}> / ||g_{t-1}||^2, -1, 1); beta1 follows it as lr follows h, with hyper_lr_beta

beta1 stays in [beta_min, beta_max]. Nothing moves in the first `warmup_steps` steps, nor where ||g_{t-1}||^2 <= 1e-12.
That is the published rule. Two of its parts can be exchanged for others, named functions here and options of the
optimizer:

    the normalizer       ||g_{t-1}||^2 | ||d_{t-1}||^2 | ||g_t|| ||d_{t-1}||; under f -> c f the quotient changes by
                         1/c, by c, and not at all, since d is free of the scale of f
    the rule of beta1    <g_t, m_{t-1}> | the derivative -lr <g_t, dd_{t-1}/dbeta1>

Source: Grillcheese-AI/grilly, optim/hypergradient.py; the cosine and the derivative are derived here.
"""

import math
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from hypergrad_reference import adamw, surprise
from hypergrad_reference.adamw import Moments, apply_exact, direction_exact, exact_scalars
from hypergrad_reference.adamw_beta1 import direction_beta1_derivative
from hypergrad_reference.hypergradient import check_gradients
from hypergrad_reference.rule import Sums, decay_grad_direction
from hypergrad_reference.sums import block_sums, total
from hypergrad_reference.types import Vector

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


class Learned(NamedTuple):
    """What the schedule carries from one step to the next; scalars in float64."""

    lr: float
    beta1: float
    lr_accumulator: float = 1.0  # G of the rate
    beta1_accumulator: float = 1.0  # G of beta1


class Record(NamedTuple):
    """Why the rate and beta1 moved, or did not; its first fields are those of `hypergrad_reference.rule.Record`.

    hypergradient          -<g_t, d_{t-1}>, or the derivative with weight decay, before it is divided
    reason                 "adapted", "limited" (to a tenth of the rate), or the bound that the rate met, "lr_min" or
                           "lr_max"; nothing moved: "warmup", "no direction" (nothing moved in the step before),
                           "non-finite sum", "small normalizer"
    beta1_before, beta1    beta1 before and after
    normalizer             what both hypergradients are divided by
    normalized             h of the equations: the hypergradient over the normalizer, in [-1, 1]
    beta1_hypergradient    what moves beta1, before it is divided: <g_t, m_{t-1}>, or under momentum_rule="derivative"
                           the derivative of the loss at t with respect to the beta1 of step t-1
    beta1_normalized       hb of the equations: the same over the normalizer, in [-1, 1]
    lr_accumulator         G of the rate, after the step
    beta1_accumulator      G of beta1, after the step

    Scalars are float64, nan where a quantity was not formed.
    """

    step: int
    lr_before: float
    lr: float
    hypergradient: float
    reason: str
    beta1_before: float
    beta1: float
    normalizer: float
    normalized: float
    beta1_hypergradient: float
    beta1_normalized: float
    lr_accumulator: float
    beta1_accumulator: float


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def _stay(step: int, state: Learned, reason: str) -> tuple[Learned, Record]:
    nan = math.nan
    record = Record(
        step, state.lr, state.lr, nan, reason, state.beta1, state.beta1, nan, nan, nan, nan,
        state.lr_accumulator, state.beta1_accumulator,
    )  # fmt: skip
    return state, record


def normalize_by_gradient(sums: Sums) -> float:
    """||g_{t-1}||^2, the published normalizer; 0 where it is too small to learn from."""
    return sums.last_grad_grad if not sums.last_grad_grad <= LEAST_GRAD_SQ else 0.0


def normalize_by_direction(sums: Sums) -> float:
    """||d_{t-1}||^2."""
    return sums.direction_direction


def normalize_by_cosine(sums: Sums) -> float:
    """||g_t|| ||d_{t-1}||, which makes h the cosine of the angle between them, free of the scale of the loss."""
    return math.sqrt(sums.grad_grad) * math.sqrt(sums.direction_direction)


def follow_moment(sums: Sums) -> float:
    """<g_t, m_{t-1}>, the published numerator of hb; neither the derivative nor its negative."""
    return sums.grad_exp_avg


def follow_derivative(sums: Sums) -> float:
    """dL/dbeta1 = -lr <g_t, dd_{t-1}/dbeta1>."""
    return -sums.lr_grad_beta1_derivative


Normalization = Literal["gradient", "direction", "cosine"]
MomentumRule = Literal["published", "derivative"]

NORMALIZERS: dict[Normalization, tuple[Callable[[Sums], float], tuple[str, ...]]] = {
    "gradient": (normalize_by_gradient, ("grad_grad",)),
    "direction": (normalize_by_direction, ("direction_direction",)),
    "cosine": (normalize_by_cosine, ("grad_grad", "direction_direction")),
}
"""By the name of the option: the function, and the inner products it needs beside <g_t, d_{t-1}>."""

MOMENTUM_RULES: dict[MomentumRule, tuple[Callable[[Sums], float], tuple[str, ...]]] = {
    "published": (follow_moment, ("grad_exp_avg",)),
    "derivative": (follow_derivative, ("grad_beta1_derivative",)),
}
"""By the name of the option: the function, and the inner products it needs."""


def schedule(
    step: int,
    state: Learned,
    sums: Sums | None,
    constants: Constants,
    normalize: Callable[[Sums], float] = normalize_by_gradient,
    follow: Callable[[Sums], float] | None = None,
) -> tuple[Learned, Record]:
    """The next rate and beta1.

    step         number of the step that is being taken, from 1; step - 1 have been taken
    sums         None where no tensor has a direction
    normalize    the normalizer of h and hb; nothing moves where it is 0
    follow       the numerator of hb; None leaves beta1 alone

    Returns the new state and the record. Rates are finite, within [lr_min, lr_max].

    >>> constants = Constants(hyper_lr=0.03125, hyper_lr_beta=0.125, warmup_steps=1)
    >>> sums = Sums(grad_direction=4.0, last_grad_grad=2.0, grad_exp_avg=-1.0)
    >>> state, record = schedule(2, Learned(0.5, 0.75), sums, constants, follow=follow_moment)
    >>> state.lr, state.beta1, state.lr_accumulator, state.beta1_accumulator
    (0.5312499999999687, 0.812735701653499, 1.0, 0.9924999999999999)
    >>> record.hypergradient, record.normalized, record.beta1_hypergradient, record.beta1_normalized, record.reason
    (-4.0, -1.0, -1.0, -0.5, 'adapted')
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
        step, state.lr, lr, -sums.grad_direction, reason, state.beta1, beta1, normalizer, h,
        math.nan if follow is None else numerator, hb, lr_accumulator, beta1_accumulator,
    )  # fmt: skip
    return Learned(lr, beta1, lr_accumulator, beta1_accumulator), record


class Kept(NamedTuple):
    """What is kept of one tensor; arrays in its shape and dtype."""

    moments: Moments
    scalars: adamw.ExactScalars | None = None  # of step t-1; None if the tensor was not stepped then
    last_grad: Vector | None = None  # g of its latest step
    grad_ema: Vector | None = None  # e, what surprise expects of the gradient; None before the first observation
    last_beta1_power: float = 1.0  # product of the beta1 of all its steps but the latest, and with the latest
    beta1_power: float = 1.0


class State(NamedTuple):
    """What is carried from one step to the next."""

    step: int  # t, the number of steps taken
    learned: Learned
    surprise: surprise.State
    kept: list[Kept]  # one per tensor


def init(thetas: Sequence[Vector], lr: float, beta1: float) -> State:
    """The state before the first step; lr in [lr_min, lr_max], beta1 in [beta_min, beta_max] if it adapts."""
    return State(0, Learned(lr, beta1), surprise.State(), [Kept(adamw.init(theta)) for theta in thetas])


def step(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    constants: Constants,
    of_adamw: adamw.Constants,
    normalization: Normalization = "gradient",
    momentum_rule: MomentumRule | None = None,
    watch: surprise.Watch | None = None,
    decay_in_hypergradient: bool = False,
) -> tuple[list[Vector], State, Record]:
    """One step of AutoHypergradientAdamW: the whole algorithm.

        h     = clip(-<g_t, d_{t-1}> / normalizer, -1, 1),   G = 0.99 G + 0.01 h^2
        lr    = lr - hyper_lr h / (sqrt(G) + 1e-12), by at most a tenth of lr, then within [lr_min, lr_max]
        beta1 in the same way, if it adapts
        m     = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        theta = theta (1 - lr weight_decay) - lr m_hat / (sqrt(v_hat) + eps)
        m_hat = m / (1 - beta1^t),  or m / (1 - product of the beta1 used) under the rule "derivative"

    thetas           theta_{t-1}, one array per tensor, any shapes; float32 or float64
    grads            the gradient at theta_{t-1}, shape and dtype of its tensor; None lets the tensor sit this step out
    state            from `init`, or from the step before
    of_adamw         beta2, eps and weight_decay; its beta1 is not used
    normalization    a key of NORMALIZERS
    momentum_rule    a key of MOMENTUM_RULES; None leaves beta1 alone
    watch            follows the surprise of the gradients, if given
    decay_in_hypergradient    the numerator of h is the derivative with weight decay: `rule.decay_grad_direction`

    Returns the tensors, the state and the record of the step; inputs are untouched.
    Raises ValueError if a gradient is missing (not None) or differs from its tensor in shape or dtype.

    >>> import numpy as np
    >>> constants, of_adamw = Constants(hyper_lr=0.03125, warmup_steps=1), adamw.Constants(0.5, 0.75, 1.0, 0.25)
    >>> thetas = [np.array([8.0, -1.0])]
    >>> state = init(thetas, 0.5, 0.5)
    >>> thetas, state, record = step(thetas, [np.array([1.0, 3.0])], state, constants, of_adamw)
    >>> thetas, record.reason
    ([array([ 6.75, -1.25])], 'warmup')
    >>> _, state, record = step(thetas, [np.array([2.0, 4.0])], state, constants, of_adamw)
    >>> record.hypergradient, record.normalizer, record.normalized, state.kept[0].moments.exp_avg
    (-4.0, 10.0, -0.4, array([1.25, 2.75]))
    """
    check_gradients(thetas, grads)
    t, decay = state.step + 1, of_adamw.weight_decay if decay_in_hypergradient else None
    # loop 1, and the scalars between the loops
    sums = find_sums(thetas, grads, state.kept, state.learned.lr, momentum_rule, decay)
    normalize, _ = NORMALIZERS[normalization]
    follow = None if momentum_rule is None else MOMENTUM_RULES[momentum_rule][0]
    learned, record = schedule(t, state.learned, sums, constants, normalize, follow)
    watch = watch if watch is not None and state.step >= watch.warmup_steps else None
    seen = observe(grads, state, watch)
    # loop 2
    thetas, kept = apply(thetas, grads, state.kept, learned, of_adamw, momentum_rule, watch)
    return thetas, State(t, learned, seen, kept), record


def find_sums(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    kept: Sequence[Kept],
    lr: float,
    momentum_rule: str | None,
    weight_decay: float | None,
) -> Sums | None:
    """The inner products over the tensors that moved at t-1 and have a gradient at t; None if there are none.

    lr              of step t-1
    weight_decay    of step t-1, to be included in grad_direction; None leaves it out
    """
    tensors = zip(thetas, grads, kept, strict=True)
    movers = [(theta, g, k, k.scalars) for theta, g, k in tensors if g is not None and k.scalars is not None]
    if not movers:
        return None
    directions = [direction_exact(k.moments, scalars) for _, _, k, scalars in movers]
    last = [k.last_grad for _, _, k, _ in movers if k.last_grad is not None]
    sums = Sums(
        grad_direction=total(block_sums(g, d) for (_, g, _, _), d in zip(movers, directions, strict=True)),
        grad_grad=total(block_sums(g, g) for _, g, _, _ in movers),
        direction_direction=total(block_sums(d, d) for d in directions),
        last_grad_grad=total(block_sums(g, g) for g in last),
        grad_exp_avg=total(block_sums(g, k.moments.exp_avg) for _, g, k, _ in movers),
    )
    if weight_decay is not None:
        grad_theta = total(block_sums(g, theta) for theta, g, _, _ in movers)
        decayed = decay_grad_direction(sums.grad_direction, grad_theta, lr, weight_decay)
        sums = sums._replace(grad_direction=decayed)
    if momentum_rule == "derivative":
        slopes = [
            (g, direction_beta1_derivative(k.moments, scalars, last_grad, k.last_beta1_power))
            for (_, g, k, scalars), last_grad in zip(movers, last, strict=True)
        ]
        sums = sums._replace(lr_grad_beta1_derivative=lr * total(block_sums(g, slope) for g, slope in slopes))
    return sums


def observe(grads: Sequence[Vector | None], state: State, watch: surprise.Watch | None) -> surprise.State:
    """The surprise of the gradients of a step; what it was if nobody watches."""
    if watch is None:
        return state.surprise
    tensors = [(g, kept.grad_ema) for g, kept in zip(grads, state.kept, strict=True) if g is not None]
    deviations = [g if ema is None else g - ema for g, ema in tensors]
    grad_sq = total(block_sums(g, g) for g, _ in tensors)
    return watch.observe(state.surprise, grad_sq, total(block_sums(x, x) for x in deviations))


def apply(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    kept: Sequence[Kept],
    learned: Learned,
    of_adamw: adamw.Constants,
    momentum_rule: str | None,
    watch: surprise.Watch | None,
) -> tuple[list[Vector], list[Kept]]:
    """Move every tensor that has a gradient with this rate and beta1; one without sits the step out."""
    stepped, after = [], []
    for theta, g, own in zip(thetas, grads, kept, strict=True):
        if g is None:
            stepped.append(theta.copy())
            after.append(own._replace(scalars=None))
            continue
        n, power = own.moments.step + 1, own.beta1_power * learned.beta1
        correction = power if momentum_rule == "derivative" else learned.beta1**n
        _, beta2, eps, weight_decay = of_adamw
        scalars = exact_scalars(learned.lr, learned.beta1, beta2, eps, weight_decay, correction, beta2**n)
        theta, moments = apply_exact(theta, g, own.moments, scalars)
        ema = own.grad_ema
        if watch is not None:
            ema = g.copy() if ema is None else surprise.follow(ema, g, watch.gamma)
        stepped.append(theta)
        after.append(Kept(moments, scalars, g.copy(), ema, own.beta1_power, power))
    return stepped, after
