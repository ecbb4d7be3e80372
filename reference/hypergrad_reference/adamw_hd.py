"""HypergradientAdamW: AdamW whose rate descends its own gradient (Baydin et al. 2018, applied to AdamW).

    h    = -sum <g_t, d_{t-1}>              over the tensors stepped at t-1 that have a gradient at t
    lr   = clip(lr - hyper_lr h)            `schedule_linear`
    lr   = exp(clip(log lr - hyper_lr h))   `schedule_log`
    one AdamW step with the new lr

h is the derivative, with respect to the lr of step t-1, of the loss that g_t belongs to, without weight decay;
`rule.decay_grad_direction` includes it. The first step has no direction and changes no rate.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hypergrad_reference import adamw
from hypergrad_reference.adamw import Base, Moments
from hypergrad_reference.hypergradient import check_gradients
from hypergrad_reference.rule import Bounds, History, Options, Rate, Sums, Traits, decay_grad_direction
from hypergrad_reference.sums import block_sums, total
from hypergrad_reference.types import Vector


class Record(NamedTuple):
    """Why a rate moved, or did not; its fields are those of `hypergrad_reference.rule.Record`.

    reason    "adapted", or the bound that the rate met, "lr_min" or "lr_max"; it stayed: "no direction" (nothing moved
              in the step before), "non-finite sum"
    """

    step: int
    lr_before: float
    lr: float
    hypergradient: float
    reason: str


def _settle(step: int, before: float, after: float, h: float, lr_min: float, lr_max: float) -> Record:
    if after <= lr_min:
        return Record(step, before, lr_min, h, "lr_min")
    if after >= lr_max:
        return Record(step, before, lr_max, h, "lr_max")
    return Record(step, before, after, h, "adapted")


def schedule_linear(step: int, lr: float, h: float, hyper_lr: float, lr_min: float, lr_max: float) -> Record:
    """The next rate, on a linear scale.

        lr = clip(lr - hyper_lr h, lr_min, lr_max)

    step            number of the step that is being taken, from 1
    lr              rate of the step before
    h               -<g_t, d_{t-1}>
    hyper_lr        >= 0, in units of lr / h

    Returns the record, whose `lr` is the new rate: finite, in [lr_min, lr_max]. A non-finite h leaves lr as it is.
    Source: Baydin et al. 2018, additive rule; the clip is grilly's.

    >>> schedule_linear(2, 0.25, -2.0, 0.0625, 0.0, 1.0)
    Record(step=2, lr_before=0.25, lr=0.375, hypergradient=-2.0, reason='adapted')
    """
    if not math.isfinite(h):
        return Record(step, lr, lr, h, "non-finite sum")
    return _settle(step, lr, lr - hyper_lr * h, h, lr_min, lr_max)


def schedule_log(step: int, lr: float, h: float, hyper_lr: float, lr_min: float, lr_max: float) -> Record:
    """The next rate, on a logarithmic scale; arguments as in schedule_linear, lr and lr_min > 0.

        lr = exp(clip(log lr - hyper_lr h, log lr_min, log lr_max))

    The derivative with respect to log lr is lr h; the rule as published in code drops the factor lr.
    Source: Grillcheese-AI/grilly, optim/hypergradient.py.

    >>> schedule_log(2, 0.25, -4.0, 1.0, 0.125, 0.5)
    Record(step=2, lr_before=0.25, lr=0.5, hypergradient=-4.0, reason='lr_max')
    """
    if not math.isfinite(h):
        return Record(step, lr, lr, h, "non-finite sum")
    target = math.log(lr) - hyper_lr * h
    return _settle(step, lr, math.exp(min(max(target, math.log(lr_min)), math.log(lr_max))), h, lr_min, lr_max)


def keep_rate(step: int, lr: float) -> Record:
    """The record of a step that has no direction to learn from.

    >>> keep_rate(1, 0.25)
    Record(step=1, lr_before=0.25, lr=0.25, hypergradient=nan, reason='no direction')
    """
    return Record(step, lr, lr, math.nan, "no direction")


class Constants(NamedTuple):
    """What stays the same over a run."""

    hyper_lr: float = 1e-7  # >= 0; beta_hyper in the source
    lr_min: float = 1e-6
    lr_max: float = 1.0
    decay_in_hypergradient: bool = False  # h is the derivative with weight decay


class State(NamedTuple):
    """What is carried from one step to the next."""

    step: int  # t, the number of steps taken
    lr: float  # float64
    moments: list[Moments]  # one per tensor
    moved: list[bool]  # whether the tensor was stepped at t-1


def init(thetas: Sequence[Vector], lr: float) -> State:
    """The state before the first step; lr is in [lr_min, lr_max]."""
    return State(0, lr, [adamw.init(theta) for theta in thetas], [False] * len(thetas))


def step(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    schedule: Callable[[int, float, float, float, float, float], Record],
    constants: Constants,
    of_adamw: adamw.Constants,
) -> tuple[list[Vector], State, Record]:
    """One step of HypergradientAdamW: the whole algorithm.

        d     = m_hat / (sqrt(v_hat) + eps)                  of step t-1, rebuilt from the moments
        h     = -sum <g_t, d_{t-1}>                          or the derivative with weight decay
        lr    = clip(lr - hyper_lr h, lr_min, lr_max)
        m     = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        theta = theta (1 - lr weight_decay) - lr m_hat / (sqrt(v_hat) + eps)

    thetas       theta_{t-1}, one array per tensor, any shapes; float32 or float64
    grads        the gradient at theta_{t-1}, shape and dtype of its tensor; None lets the tensor sit this step out
    state        from `init`, or from the step before
    schedule     schedule_linear, the rule shown, or schedule_log
    of_adamw     beta1, beta2, eps and weight_decay

    Returns the tensors, the state and the record of the step; inputs are untouched.
    Raises ValueError if a gradient is missing (not None) or differs from its tensor in shape or dtype.

    >>> import numpy as np
    >>> constants = Constants(0.125, 0.0, 8.0), adamw.Constants(0.5, 0.75, 1.0, 0.25)
    >>> thetas = [np.array([8.0, -1.0])]
    >>> state = init(thetas, 0.5)
    >>> thetas, state, record = step(thetas, [np.array([1.0, 3.0])], state, schedule_linear, *constants)
    >>> thetas, record.reason
    ([array([ 6.75, -1.25])], 'no direction')
    >>> _, state, record = step(thetas, [np.array([2.0, 4.0])], state, schedule_linear, *constants)
    >>> record.hypergradient, state.lr, state.moments[0].exp_avg
    (-4.0, 1.0, array([1.25, 2.75]))
    """
    check_gradients(thetas, grads)
    c, t = constants, state.step + 1
    decay = of_adamw.weight_decay if c.decay_in_hypergradient else None
    h = find_hypergradient(thetas, grads, state.moments, state.moved, state.lr, of_adamw, decay)  # loop 1
    record = keep_rate(t, state.lr) if h is None else schedule(t, state.lr, h, c.hyper_lr, c.lr_min, c.lr_max)
    thetas, moments = adamw.step(thetas, grads, state.moments, record.lr, of_adamw)  # loop 2
    return thetas, State(t, record.lr, moments, [g is not None for g in grads]), record


def find_hypergradient(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    moments: Sequence[Moments],
    moved: Sequence[bool],
    lr: float,
    of_adamw: adamw.Constants,
    weight_decay: float | None = None,
) -> float | None:
    """The derivative of the loss at t for the rate of step t-1: the tensors that moved then and have a gradient tell.

    lr              of step t-1
    weight_decay    of step t-1, to be included; None leaves it out

    Returns None where no tensor tells. Arrays as in step.
    """
    tensors = zip(thetas, grads, moments, moved, strict=True)
    seen = [(theta, g, adamw.direction(m, of_adamw)) for theta, g, m, was in tensors if g is not None and was]
    if not seen:
        return None
    grad_direction = total(block_sums(g, d) for _, g, d in seen)
    if weight_decay is None:
        return -grad_direction
    grad_theta = total(block_sums(g, theta) for theta, g, _ in seen)
    return -decay_grad_direction(grad_direction, grad_theta, lr, weight_decay)


class Rule(NamedTuple):
    """The rule of HypergradientAdamW; see `hypergrad_reference.rule`."""

    hyper_lr: float
    log_scale: bool = False  # schedule_log
    decay_in_hypergradient: bool = False
    base: Base = Base()

    @property
    def traits(self) -> Traits:
        """The moments are kept."""
        return Traits(self.base.keeps, self.base.grad_scale, decays_hypergradient=self.decay_in_hypergradient)

    def init(self, lr: float, beta1: float) -> Rate:
        """The rate before the first step."""
        return Rate(lr)

    def edit(self, learned: Rate, lr: float, beta1: float) -> Rate:
        """The rate that the user has written."""
        return Rate(lr)

    def products(self, step: int, history: History) -> tuple[str, ...]:
        """<g_t, d_{t-1}> of a tensor that moved, and with decay <g_t, theta_t>."""
        if not history.moved:
            return ()
        return ("grad_direction", "grad_theta") if self.decay_in_hypergradient else ("grad_direction",)

    def schedule(self, step: int, learned: Rate, sums: Sums | None, bounds: Bounds) -> tuple[Rate, Record]:
        """The rate of step t."""
        if sums is None:
            return learned, keep_rate(step, learned.lr)
        h = -(sums.decayed_grad_direction if self.decay_in_hypergradient else sums.grad_direction)
        adapt = schedule_log if self.log_scale else schedule_linear
        record = adapt(step, learned.lr, h, self.hyper_lr, *bounds)
        return Rate(record.lr), record

    def scalars(self, options: Options, history: History) -> adamw.Scalars:
        """The scalars of AdamW."""
        return self.base.scalars(options, history.step)
