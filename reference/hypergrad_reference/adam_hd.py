"""Adam-HD (Baydin et al. 2018): Adam whose rate descends its gradient. The paper and the authors' two programs differ.

                    epsilon                                             rate
    `step`          paper: d = m_hat / (sqrt(v_hat) + eps)              one for all tensors
    `step_lua`      authors' Lua code: eps before the correction        one for all tensors
    `step_pytorch`  authors' PyTorch code: eps before the correction    moves within a step, from tensor to tensor

Before the correction means d = (sqrt(1 - beta2^t) / (1 - beta1^t)) m / (sqrt(v) + eps), which is the paper's d with
eps / sqrt(1 - beta2^t) for eps: 31.6 times as large at t = 1. So all three are the loops of AdamW without decay and
differ in scalars alone. The direction is rebuilt from the moments, not stored; t is a tensor's own count of steps.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from hypergrad_reference import adamw
from hypergrad_reference.adamw import ExactScalars, Moments
from hypergrad_reference.hypergradient import (
    SCHEDULES,
    Record,
    Schedule,
    check_gradients,
    inner_products,
    schedule_additive,
)
from hypergrad_reference.rule import Bounds, History, Options, Rate, Sums, Traits
from hypergrad_reference.types import Vector
from hypergrad_reference.weight_decay import add_decay


class Constants(NamedTuple):
    """What stays the same over a run."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8  # > 0, in units of the gradient
    weight_decay: float = 0.0  # L2, coupled: part of the gradient before everything else


class Kept(NamedTuple):
    """What is kept of one tensor."""

    moments: Moments
    moved: bool  # whether the tensor was stepped at t-1


class State(NamedTuple):
    """What is carried from one step to the next."""

    step: int  # t, the number of steps taken
    lr: float  # alpha_t, float64
    kept: list[Kept]  # one per tensor


PAPER = Constants()
"""The paper's constants, without weight decay."""


def init(thetas: Sequence[Vector], lr: float) -> State:
    """The state before the first step; lr is alpha_0, finite."""
    if not math.isfinite(lr):
        raise ValueError(f"lr is {lr}: give a finite number")
    return State(0, lr, [Kept(adamw.init(theta), moved=False) for theta in thetas])


Scalars = Callable[[int, float, Constants], ExactScalars]


def scalars(step: int, lr: float, c: Constants) -> ExactScalars:
    """The scalars of a tensor's step of that number, from 1, with epsilon as in the paper.

    >>> scalars(1, 0.5, Constants(0.5, 0.75, 0.125))
    ExactScalars(b1=0.5, c1=0.5, b2=0.75, c2=0.25, i1=2.0, i2=4.0, a=1.0, k=1.0, eps=0.125)
    """
    return adamw.exact_scalars(lr, c.beta1, c.beta2, c.eps, 0.0, c.beta1**step, c.beta2**step)


def scalars_authors(step: int, lr: float, c: Constants) -> ExactScalars:
    """The same with epsilon added before the bias correction, as in the authors' code.

        sqrt(v) + eps = sqrt(1 - beta2^t) (sqrt(v_hat) + eps / sqrt(1 - beta2^t))

    >>> scalars_authors(1, 0.5, Constants(0.5, 0.75, 0.125))
    ExactScalars(b1=0.5, c1=0.5, b2=0.75, c2=0.25, i1=2.0, i2=4.0, a=1.0, k=1.0, eps=0.25)
    """
    return scalars(step, lr, c._replace(eps=c.eps / math.sqrt(1 - c.beta2**step)))


def direction(moments: Moments, c: Constants, form: Scalars) -> Vector:
    """The direction of the step that led to these moments; it does not depend on the rate of that step.

    form    `scalars` or `scalars_authors`
    """
    return adamw.direction_exact(moments, form(moments.step, 0.0, c))


def update(
    theta: Vector, grad: Vector, moments: Moments, lr: float, c: Constants, form: Scalars
) -> tuple[Vector, Moments]:
    """Move one tensor by Adam with the rate lr; arguments as in `hypergrad_reference.adamw.apply_exact`.

    form    `scalars` or `scalars_authors`
    """
    return adamw.apply_exact(theta, add_decay(grad, theta, c.weight_decay), moments, form(moments.step + 1, lr, c))


def _check(thetas: Sequence[Vector], grads: Sequence[Vector | None], c: Constants) -> None:
    check_gradients(thetas, grads)
    for name, beta in (("beta1", c.beta1), ("beta2", c.beta2)):
        if not 0 <= beta < 1:
            raise ValueError(f"{name} is {beta}: give a number in [0, 1)")
    if not c.eps > 0:
        raise ValueError(f"eps is {c.eps}: give a number > 0")


def _step(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    schedule: Schedule,
    c: Constants,
    form: Scalars,
) -> tuple[list[Vector], State, Record]:
    record = schedule(state.step + 1, state.lr, sums(thetas, grads, state.kept, c, form))
    thetas, kept = apply(thetas, grads, state.kept, record.applied, c, form)
    return thetas, State(record.step, record.lr, kept), record


def sums(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    kept: Sequence[Kept],
    c: Constants = PAPER,
    form: Scalars = scalars,
) -> Sums | None:
    """The inner products of g_t = grad + weight_decay theta with itself and with the direction of step t-1.

    Raises ValueError as step does.
    """
    _check(thetas, grads, c)
    return inner_products(
        [None if g is None else add_decay(g, theta, c.weight_decay) for theta, g in zip(thetas, grads, strict=True)],
        [direction(own.moments, c, form) if own.moved else None for own in kept],
    )


def apply(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    kept: Sequence[Kept],
    lr: float,
    c: Constants = PAPER,
    form: Scalars = scalars,
) -> tuple[list[Vector], list[Kept]]:
    """Move every tensor that has a gradient; one without sits the step out."""
    _check(thetas, grads, c)
    updated = [
        (theta.copy(), own.moments) if grad is None else update(theta, grad, own.moments, lr, c, form)
        for theta, grad, own in zip(thetas, grads, kept, strict=True)
    ]
    after = [Kept(moments, grad is not None) for (_, moments), grad in zip(updated, grads, strict=True)]
    return [theta for theta, _ in updated], after


def step(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    schedule: Schedule,
    constants: Constants = PAPER,
) -> tuple[list[Vector], State, Record]:
    """One step of Adam-HD as in the paper.

        alpha_t = alpha_{t-1} + beta <g_t, d_{t-1}>
        m_t     = beta1 m_{t-1} + (1 - beta1) g_t,    m_hat = m_t / (1 - beta1^t)
        v_t     = beta2 v_{t-1} + (1 - beta2) g_t^2,  v_hat = v_t / (1 - beta2^t)
        theta_t = theta_{t-1} - alpha_t d_t,          d_t = m_hat / (sqrt(v_hat) + eps)

    thetas       theta_{t-1}, one array per tensor, any shapes; float32 or float64
    grads        the gradient at theta_{t-1}, shape and dtype of its tensor; None lets the tensor sit this step out
    state        from `init`, or from the step before
    schedule     how alpha moves: `schedule_additive` with its hyper_lr is the rule shown, a hyper_lr of 0 plain Adam
    constants    beta1, beta2, eps and the coupled weight decay, g_t = grad + weight_decay theta_{t-1}

    Returns the tensors, the state and the record of the step; no tensor of the result shares memory with an input.
    NaN and inf in a gradient pass into its tensor and never into the rate.
    Raises ValueError if a gradient is missing (not None) or differs from its tensor in shape or dtype, or for constants
    out of range.
    Source: Baydin et al. 2018, section 2 and Algorithm 4.

    >>> import numpy as np
    >>> from functools import partial
    >>> constants, schedule = Constants(0.5, 0.75, 1.0), partial(schedule_additive, hyper_lr=0.25)
    >>> thetas, state = [np.array([5.0, -1.0])], init([np.zeros(2)], 0.5)
    >>> thetas, state, _ = step(thetas, [np.array([1.0, 3.0])], state, schedule, constants)
    >>> thetas, state.lr
    ([array([ 4.75 , -1.375])], 0.5)
    >>> _, state, record = step(thetas, [np.array([-2.0, 4.0])], state, schedule, constants)
    >>> state.lr, record.hypergradient, state.kept[0].moments.exp_avg, state.kept[0].moments.exp_avg_sq
    (1.0, -2.0, array([-0.75,  2.75]), array([1.1875, 5.6875]))
    """
    return _step(thetas, grads, state, schedule, constants, scalars)


def step_lua(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    schedule: Schedule,
    constants: Constants = PAPER,
) -> tuple[list[Vector], State, Record]:
    """One step of Adam-HD as in the authors' Lua code: `step` with epsilon before the bias correction.

    Source: GitHub gbaydin/optim, adamhd, which has the additive rule; there the whole model is one vector.
    """
    return _step(thetas, grads, state, schedule, constants, scalars_authors)


def step_pytorch(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    hyper_lr: float,
    constants: Constants = PAPER,
) -> tuple[list[Vector], State, list[Record]]:
    """One step of Adam-HD as in the authors' PyTorch code: the rate moves from tensor to tensor.

        tensor p steps with  alpha_{t-1} + beta sum_{q <= p} <g_t^(q), d_{t-1}^(q)>
        alpha_t           =  alpha_{t-1} + beta sum_{all q}  <g_t^(q), d_{t-1}^(q)>

    hyper_lr    beta of the additive rule; other arguments as in step

    Epsilon stands before the bias correction. The tensors follow the order of the list: another order is another run.
    A tensor contributes as soon as it has moments, even where it sat out t-1 and did not move.
    Returns the tensors, the state and one record for each tensor that has a gradient, in order.
    Source: GitHub gbaydin/hypergradient-descent, AdamHD.
    """
    _check(thetas, grads, constants)
    lr = state.lr
    moved: list[Vector] = []
    kept: list[Kept] = []
    records: list[Record] = []
    for theta, grad, (moments, _) in zip(thetas, grads, state.kept, strict=True):
        if grad is None:
            moved.append(theta.copy())
        else:
            g = add_decay(grad, theta, constants.weight_decay)
            d = direction(moments, constants, scalars_authors) if moments.step else None
            records.append(schedule_additive(state.step + 1, lr, inner_products([g], [d]), hyper_lr))
            lr = records[-1].lr
            theta, moments = update(theta, grad, moments, lr, constants, scalars_authors)
            moved.append(theta)
        kept.append(Kept(moments, grad is not None))
    return moved, State(state.step + 1, lr, kept), records


class Rule(NamedTuple):
    """The rule of AdamHD; see `hypergrad_reference.rule`."""

    hyper_lr: float
    adapt: str = "additive"  # a key of SCHEDULES
    delay: int = 0  # 1: h_t moves the rate of step t+1, see `hypergrad_reference.delayed`

    @property
    def traits(self) -> Traits:
        """The moments are kept, and decay is part of the gradient."""
        return Traits(adamw.Base().keeps, couples_decay=True)

    def init(self, lr: float, beta1: float) -> Rate:
        """The rate before the first step."""
        return Rate(lr)

    def edit(self, learned: Rate, lr: float, beta1: float) -> Rate:
        """The rate that the user has written."""
        return Rate(lr)

    def products(self, step: int, history: History) -> tuple[str, ...]:
        """What the schedule needs of a tensor that moved."""
        return SCHEDULES[self.adapt].products if history.moved else ()

    def schedule(self, step: int, learned: Rate, sums: Sums | None, bounds: Bounds) -> tuple[Rate, Record]:
        """The rate of step t, additive or multiplicative."""
        record = SCHEDULES[self.adapt].schedule(step, learned.lr, sums, hyper_lr=self.hyper_lr)
        return Rate(record.lr), record._replace(applied=learned.lr) if self.delay else record

    def scalars(self, options: Options, history: History) -> adamw.Scalars:
        """The scalars of Adam."""
        return adamw.Base().scalars(options, history.step)
