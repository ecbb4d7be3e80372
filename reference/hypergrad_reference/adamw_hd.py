"""HypergradientAdamW: AdamW whose rate descends its own gradient (Baydin et al. 2018, applied to AdamW).

    h    = sum <g_t, d_{t-1}>             over the tensors stepped at t-1 that have a gradient at t
    lr   = clip(lr + beta_hyper h)        `schedule_linear`
    lr   = exp(clip(log lr + beta_hyper h))   `schedule_log`
    one AdamW step with the new lr

-h is the derivative, with respect to the lr of step t-1, of the loss that g_t belongs to, without weight decay;
`decayed_hypergradient` is the derivative with it. The first step has no direction and changes no rate.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

from hypergrad_reference.sums import total
from hypergrad_reference.types import Vector


class Record(NamedTuple):
    """Why a rate moved, or did not; scalars in float64."""

    step: int  # the step of the optimizer that this record belongs to, from 1
    lr_before: float
    lr: float
    hypergradient: float  # h as the rule defines it; nan where there was none
    reason: str  # "adapted" | "lr_min" | "lr_max" | "no direction" | "non-finite sum"


def _settle(step: int, before: float, after: float, h: float, lr_min: float, lr_max: float) -> Record:
    if after <= lr_min:
        return Record(step, before, lr_min, h, "lr_min")
    if after >= lr_max:
        return Record(step, before, lr_max, h, "lr_max")
    return Record(step, before, after, h, "adapted")


def schedule_linear(step: int, lr: float, h: float, beta_hyper: float, lr_min: float, lr_max: float) -> Record:
    """The next rate, on a linear scale.

        lr = clip(lr + beta_hyper h, lr_min, lr_max)

    step            number of the step that is being taken, from 1
    lr              rate of the step before
    h               <g_t, d_{t-1}>, finite
    beta_hyper      >= 0, in units of lr / h

    Returns the record, whose `lr` is the new rate: finite, in [lr_min, lr_max]. A non-finite h leaves lr as it is.
    Source: Baydin et al. 2018, additive rule; the clip is grilly's.

    >>> schedule_linear(2, 0.25, 2.0, 0.0625, 0.0, 1.0)
    Record(step=2, lr_before=0.25, lr=0.375, hypergradient=2.0, reason='adapted')
    """
    if not math.isfinite(h):
        return Record(step, lr, lr, h, "non-finite sum")
    return _settle(step, lr, lr + beta_hyper * h, h, lr_min, lr_max)


def schedule_log(step: int, lr: float, h: float, beta_hyper: float, lr_min: float, lr_max: float) -> Record:
    """The next rate, on a logarithmic scale; arguments as in schedule_linear, lr and lr_min > 0.

        lr = exp(clip(log lr + beta_hyper h, log lr_min, log lr_max))

    The derivative with respect to log lr is lr h; the rule as published in code drops the factor lr.
    Source: Grillcheese-AI/grilly, optim/hypergradient.py.

    >>> schedule_log(2, 0.25, 4.0, 1.0, 0.125, 0.5)
    Record(step=2, lr_before=0.25, lr=0.5, hypergradient=4.0, reason='lr_max')
    """
    if not math.isfinite(h):
        return Record(step, lr, lr, h, "non-finite sum")
    target = math.log(lr) + beta_hyper * h
    return _settle(step, lr, math.exp(min(max(target, math.log(lr_min)), math.log(lr_max))), h, lr_min, lr_max)


def keep_rate(step: int, lr: float) -> Record:
    """The record of a step that has no direction to learn from.

    >>> keep_rate(1, 0.25)
    Record(step=1, lr_before=0.25, lr=0.25, hypergradient=nan, reason='no direction')
    """
    return Record(step, lr, lr, math.nan, "no direction")


def decayed_hypergradient(grad_direction: float, grad_theta: float, lr: float, weight_decay: float) -> float:
    """Minus the derivative of the next loss with respect to lr, weight decay included.

    The decay acts on theta before step t-1, theta_t = theta_{t-1} (1 - lr wd) - lr d. In terms of the theta at hand:

        -dL/dlr = (<g_t, d_{t-1}> + wd <g_t, theta_t>) / (1 - lr wd)

    grad_direction    <g_t, d_{t-1}>
    grad_theta        <g_t, theta_t>, theta_t the point where g_t was taken
    lr, weight_decay  as used at step t-1; lr weight_decay != 1

    Source: derived here: theta_{t-1} = (theta_t + lr d) / (1 - lr wd), put into -dtheta_t/dlr = wd theta_{t-1} + d.

    >>> decayed_hypergradient(3.0, 2.0, 0.5, 0.5)
    5.333333333333333
    """
    return (grad_direction + weight_decay * grad_theta) / (1 - lr * weight_decay)


class DecayedTerm(NamedTuple):
    """One tensor's share of a hypergradient with weight decay."""

    ratio: float  # rho, the tensor's rate in units of the base rate
    lr: float  # the tensor's rate and decay at step t-1
    weight_decay: float
    grad_direction: Vector  # block sums
    grad_theta: Vector


def total_decayed(terms: Iterable[DecayedTerm]) -> float:
    """Minus the derivative of the next loss with respect to the base rate, weight decay included.

        h = sum rho (<g, d> + wd <g, theta>) / (1 - lr wd)

    Tensors that share rho, lr and wd are added exactly before anything is rounded.

    >>> import numpy as np
    >>> total_decayed([DecayedTerm(2.0, 0.5, 0.5, np.array([3.0]), np.array([0.75]))])
    9.0
    """
    alike: dict[tuple[float, float, float], list[DecayedTerm]] = {}
    for term in terms:
        alike.setdefault((term.ratio, term.lr, term.weight_decay), []).append(term)
    return math.fsum(
        ratio
        * decayed_hypergradient(
            total(term.grad_direction for term in group), total(term.grad_theta for term in group), lr, weight_decay
        )
        for (ratio, lr, weight_decay), group in alike.items()
    )
