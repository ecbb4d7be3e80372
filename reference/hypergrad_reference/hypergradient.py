"""The hypergradient of Baydin et al. 2018, and the two rules by which a learning rate follows it.

    h_t     = -<g_t, d_{t-1}>                                        derivative of the loss at t for the rate at t-1
    alpha_t = alpha_{t-1} - beta h_t                                 `schedule_additive`
    alpha_t = alpha_{t-1} (1 - beta' h_t / (||g_t|| ||d_{t-1}||))    `schedule_multiplicative`

d_t is the direction of the method, theta_t = theta_{t-1} - alpha_t d_t, and g_t the gradient at theta_{t-1}, before
momentum or moments. Inner products run over all tensors of a model: there is one rate. No rule here bounds it, and the
additive one lets it turn negative, as in the paper.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hypergrad_reference.rule import Sums
from hypergrad_reference.sums import block_sums, total
from hypergrad_reference.types import Vector


class Record(NamedTuple):
    """Why a rate moved, or did not; its first fields are those of `hypergrad_reference.rule.Record`.

    lr_before, lr    alpha_{t-1} and alpha_t
    reason           "adapted"; the rate stayed: "no direction" (nothing moved in the step before), "zero norm",
                     "zero rate", "non-finite sum", "non-finite rate"
    applied          the rate that theta moves with: alpha_t, unless a rule blends it with another
    normalizer       what h_t is divided by: 1, or ||g_t|| ||d_{t-1}||; nan where there was no h_t
    """

    step: int
    lr_before: float
    lr: float
    hypergradient: float
    reason: str
    applied: float
    normalizer: float


Schedule = Callable[[int, float, Sums | None], Record]
"""A rule for the rate with its constants bound: (step, lr, sums) to the record of the step."""


def check_gradients(thetas: Sequence[Vector], grads: Sequence[Vector | None]) -> None:
    """Raise ValueError unless there is a gradient, or None, for every tensor, in the shape and dtype of the tensor."""
    if len(grads) != len(thetas):
        raise ValueError(f"grads has {len(grads)} entries for {len(thetas)} tensors: give one, or None, for each")
    for i, (theta, grad) in enumerate(zip(thetas, grads, strict=True)):
        if grad is not None and (grad.shape, grad.dtype) != (theta.shape, theta.dtype):
            raise ValueError(
                f"grads[{i}] is {grad.dtype}{grad.shape}, thetas[{i}] is {theta.dtype}{theta.shape}: make them alike"
            )


def inner_products(grads: Sequence[Vector | None], directions: Sequence[Vector | None]) -> Sums | None:
    """Sum over the tensors that moved at t-1 and have a gradient at t; the others have a derivative of 0.

    grads         g_t of each tensor, None where it has none; float32 or float64
    directions    d_{t-1} of each tensor, None where it did not move; shape and dtype of its gradient

    Returns None if no tensor has both, as in a first step. The order of the sums is that of `hypergrad_reference.sums`.

    >>> import numpy as np
    >>> sums = inner_products([np.array([1.0, 3.0]), None], [np.array([2.0, 4.0]), np.array([5.0])])
    >>> sums.grad_direction, sums.grad_grad, sums.direction_direction
    (14.0, 10.0, 20.0)
    """
    pairs = [(g, d) for g, d in zip(grads, directions, strict=True) if g is not None and d is not None]
    if not pairs:
        return None
    return Sums(
        grad_direction=total(block_sums(g, d) for g, d in pairs),
        grad_grad=total(block_sums(g, g) for g, _ in pairs),
        direction_direction=total(block_sums(d, d) for _, d in pairs),
    )


def _stay(step: int, lr: float, h: float, normalizer: float, reason: str) -> Record:
    return Record(step, lr, lr, h, reason, lr, normalizer)


def _move(step: int, before: float, after: float, h: float, normalizer: float) -> Record:
    if not math.isfinite(after):
        return _stay(step, before, h, normalizer, "non-finite rate")
    return Record(step, before, after, h, "adapted", after, normalizer)


def _check(hyper_lr: float) -> None:
    if not 0 <= hyper_lr < math.inf:
        raise ValueError(f"hyper_lr is {hyper_lr}: give a finite number >= 0, where 0 keeps the rate")


def schedule_additive(step: int, lr: float, sums: Sums | None, hyper_lr: float) -> Record:
    """The next rate, additive rule.

        alpha_t = alpha_{t-1} - beta h_t = alpha_{t-1} + beta <g_t, d_{t-1}>

    step        t, from 1
    lr          alpha_{t-1}, of any sign
    sums        of this step; None leaves the rate alone (alpha_1 = alpha_0)
    hyper_lr    beta >= 0, in units of lr / <g, d>: it changes with the scale of the loss and of theta

    Returns the record, whose `lr` is alpha_t. Where the sum or the new rate is not finite, the rate stays, and the
    record says so.
    Raises ValueError if hyper_lr is negative or not finite.
    Source: Baydin et al. 2018, Algorithm 4.

    >>> schedule_additive(2, 0.25, Sums(-3.0, 9.0, 4.0), hyper_lr=0.125)
    Record(step=2, lr_before=0.25, lr=-0.125, hypergradient=3.0, reason='adapted', applied=-0.125, normalizer=1.0)
    """
    _check(hyper_lr)
    if sums is None:
        return _stay(step, lr, math.nan, math.nan, "no direction")
    h = -sums.grad_direction
    if not math.isfinite(h):
        return _stay(step, lr, h, 1.0, "non-finite sum")
    return _move(step, lr, lr - hyper_lr * h, h, 1.0)


def schedule_multiplicative(step: int, lr: float, sums: Sums | None, hyper_lr: float) -> Record:
    """The next rate, multiplicative rule; arguments and errors as in schedule_additive.

        alpha_t = alpha_{t-1} (1 - beta' h_t / (||g_t|| ||d_{t-1}||)) = alpha_{t-1} (1 + beta' cos(g_t, d_{t-1}))

    hyper_lr    beta' >= 0, a pure number; below 1 the rate keeps its sign

    The factor is 1 where a norm is zero (the paper does not treat 0/0). The cosine is held in [-1, 1], which rounding
    alone can leave, so that alpha_t / alpha_{t-1} is in [1 - beta', 1 + beta'] without exception. A rate of 0 stays 0.
    Source: Baydin et al. 2018, eq. 7 and 8, from D. Martinez Rubio, MSc thesis, Oxford 2017. Algorithm 4 prints beta
    where eq. 8 has beta'.

    >>> schedule_multiplicative(2, 0.25, Sums(-3.0, 9.0, 4.0), hyper_lr=0.5)
    Record(step=2, lr_before=0.25, lr=0.1875, hypergradient=3.0, reason='adapted', applied=0.1875, normalizer=6.0)
    """
    _check(hyper_lr)
    if sums is None:
        return _stay(step, lr, math.nan, math.nan, "no direction")
    h = -sums.grad_direction
    normalizer = math.sqrt(sums.grad_grad) * math.sqrt(sums.direction_direction)
    if not (math.isfinite(h) and math.isfinite(normalizer)):
        return _stay(step, lr, h, normalizer, "non-finite sum")
    if normalizer == 0:
        return _stay(step, lr, h, normalizer, "zero norm")
    if lr == 0:
        return _stay(step, lr, h, normalizer, "zero rate")
    return _move(step, lr, lr * (1 - hyper_lr * min(max(h / normalizer, -1.0), 1.0)), h, normalizer)


class Adaptation(NamedTuple):
    """A schedule, and the inner products it needs."""

    schedule: Callable[..., Record]
    products: tuple[str, ...]


SCHEDULES = {
    "additive": Adaptation(schedule_additive, ("grad_direction",)),
    "multiplicative": Adaptation(schedule_multiplicative, ("grad_direction", "grad_grad", "direction_direction")),
}
"""The two rules of the paper, by the name of the option."""
