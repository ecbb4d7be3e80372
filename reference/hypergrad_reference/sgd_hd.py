"""SGD-HD and SGDN-HD (Baydin et al. 2018): gradient descent, plain or with momentum, whose rate descends its gradient.

    g_t     = grad_t + wd theta_{t-1}                    weight_decay, L2, coupled
    alpha_t = alpha_{t-1} + beta <g_t, d_{t-1}>          or another schedule
    d_t     = g_t                                        `step_sgd`
    d_t     = v_t,           v_t = mu v_{t-1} + (1 - tau) g_t      `step_heavy_ball`
    d_t     = g_t + mu v_t,  v_t = mu v_{t-1} + g_t      `step_nesterov`
    theta_t = theta_{t-1} - alpha_t d_t

The rate stands outside the velocity, so v contains no alpha and -d_t is exactly the derivative of theta_t by alpha_t.
The direction is kept from one step to the next; with heavy-ball momentum it is the velocity.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from hypergrad_reference.hypergradient import Record, Schedule, Sums, check_gradients, inner_products
from hypergrad_reference.types import Vector
from hypergrad_reference.weight_decay import add_decay


class Kept(NamedTuple):
    """What is kept of one tensor; arrays in its shape and dtype."""

    step: int  # number of steps this tensor has taken
    direction: Vector | None  # d_{t-1}; None if the tensor did not move at t-1
    velocity: Vector | None  # v, zeros at first; None without momentum


class State(NamedTuple):
    """What is carried from one step to the next."""

    step: int  # t, the number of steps taken
    lr: float  # alpha_t, float64
    kept: list[Kept]  # one a tensor


Update = Callable[[Vector, Vector, Kept, float], tuple[Vector, Kept]]
"""Loop over the elements of one tensor, constants bound: (theta, grad, kept, lr) to the new theta and kept."""


def init(thetas: Sequence[Vector], lr: float) -> State:
    """The state before the first step of `step_sgd`; lr is alpha_0, finite."""
    if not math.isfinite(lr):
        raise ValueError(f"lr is {lr}: give a finite number")
    return State(0, lr, [Kept(0, None, None) for _ in thetas])


def init_momentum(thetas: Sequence[Vector], lr: float) -> State:
    """The state before the first step of `step_heavy_ball` or `step_nesterov`; lr is alpha_0, finite."""
    return init(thetas, lr)._replace(kept=[Kept(0, None, np.zeros_like(theta)) for theta in thetas])


def update_sgd(
    theta: Vector, grad: Vector, kept: Kept, lr: float, weight_decay: float = 0.0, decoupled_weight_decay: float = 0.0
) -> tuple[Vector, Kept]:
    """Move one tensor by gradient descent.

        d     = (grad + weight_decay theta) + decoupled_weight_decay theta
        theta = theta - lr d

    theta                     any shape; float32 or float64
    grad                      shape and dtype of theta
    kept                      after the tensor's previous step
    lr                        of this step; rounded once to the dtype of theta, as are the decays
    weight_decay              L2, coupled: part of the gradient that the hypergradient is made of
    decoupled_weight_decay    part of the direction alone

    Returns the new theta and what is kept; inputs are untouched. NaN and inf pass through.

    >>> kept = Kept(0, None, None)
    >>> update_sgd(np.array([4.0, -1.0]), np.array([1.0, 3.0]), kept, 0.5, weight_decay=0.25)
    (array([ 3.   , -2.375]), Kept(step=1, direction=array([2.  , 2.75]), velocity=None))
    """
    g = add_decay(grad, theta, weight_decay)
    d = add_decay(g, theta, decoupled_weight_decay)
    return theta - theta.dtype.type(lr) * d, Kept(kept.step + 1, d, None)


def update_heavy_ball(
    theta: Vector,
    grad: Vector,
    kept: Kept,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float = 0.0,
    decoupled_weight_decay: float = 0.0,
) -> tuple[Vector, Kept]:
    """Move one tensor by heavy-ball momentum; arguments as in update_sgd and step_heavy_ball.

        v     = momentum v + (1 - dampening) g,   without dampening in the tensor's first step
        theta = theta - lr v

    >>> kept = Kept(1, None, np.array([2.0, -4.0]))
    >>> update_heavy_ball(np.array([4.0, -1.0]), np.array([1.0, 3.0]), kept, 0.5, momentum=0.5, dampening=0.75)
    (array([ 3.375, -0.375]), Kept(step=2, direction=array([ 1.25, -1.25]), velocity=array([ 1.25, -1.25])))
    """
    real = theta.dtype.type
    g = add_decay(grad, theta, weight_decay)
    v = real(momentum) * _velocity(kept) + real(1 - dampening if kept.step else 1) * g
    d = add_decay(v, theta, decoupled_weight_decay)
    return theta - real(lr) * d, Kept(kept.step + 1, d, v)


def update_nesterov(
    theta: Vector,
    grad: Vector,
    kept: Kept,
    lr: float,
    momentum: float,
    weight_decay: float = 0.0,
    decoupled_weight_decay: float = 0.0,
) -> tuple[Vector, Kept]:
    """Move one tensor by Nesterov momentum; arguments as in update_sgd and step_nesterov.

        v     = momentum v + g
        theta = theta - lr (g + momentum v)

    >>> kept = Kept(1, None, np.array([2.0, -4.0]))
    >>> update_nesterov(np.array([4.0, -1.0]), np.array([1.0, 3.0]), kept, 0.5, momentum=0.5)
    (array([ 3.  , -2.75]), Kept(step=2, direction=array([2. , 3.5]), velocity=array([2., 1.])))
    """
    real = theta.dtype.type
    g = add_decay(grad, theta, weight_decay)
    v = real(momentum) * _velocity(kept) + g
    d = add_decay(g + real(momentum) * v, theta, decoupled_weight_decay)
    return theta - real(lr) * d, Kept(kept.step + 1, d, v)


class Move(NamedTuple):
    """What the update of one tensor is made of, for a caller that has tensors of its own to go over."""

    rule: str  # a key of RULES
    theta: Vector
    grad: Vector
    kept: Kept
    lr: float
    momentum: float = 0.0
    dampening: float = 0.0  # heavy ball only
    weight_decay: float = 0.0


def _move_sgd(m: Move) -> tuple[Vector, Kept]:
    return update_sgd(m.theta, m.grad, m.kept, m.lr, m.weight_decay)


def _move_heavy_ball(m: Move) -> tuple[Vector, Kept]:
    return update_heavy_ball(m.theta, m.grad, m.kept, m.lr, m.momentum, m.dampening, m.weight_decay)


def _move_nesterov(m: Move) -> tuple[Vector, Kept]:
    return update_nesterov(m.theta, m.grad, m.kept, m.lr, m.momentum, m.weight_decay)


RULES: dict[str, Callable[[Move], tuple[Vector, Kept]]] = {
    "sgd": _move_sgd,
    "heavy_ball": _move_heavy_ball,
    "nesterov": _move_nesterov,
}
"""The update of each method, by name."""


def move(m: Move) -> tuple[Vector, Kept]:
    """Move one tensor by the method it names; returns the new theta and what is kept, inputs are untouched.

    >>> move(Move("nesterov", np.array([4.0]), np.array([1.0]), Kept(1, None, np.array([2.0])), 0.5, momentum=0.5))
    (array([3.]), Kept(step=2, direction=array([2.]), velocity=array([2.])))
    """
    return RULES[m.rule](m)


def _velocity(kept: Kept) -> Vector:
    if kept.velocity is None:
        raise ValueError("velocity is None: start from init_momentum")
    return kept.velocity


def sums(
    thetas: Sequence[Vector], grads: Sequence[Vector | None], kept: Sequence[Kept], weight_decay: float = 0.0
) -> Sums | None:
    """The inner products of g_t = grad + weight_decay theta with itself and with the direction kept.

    Raises ValueError if there is not one gradient, or None, for every tensor, in its shape and dtype.
    """
    check_gradients(thetas, grads)
    tensors = zip(thetas, grads, strict=True)
    g = [None if grad is None else add_decay(grad, theta, weight_decay) for theta, grad in tensors]
    return inner_products(g, [k.direction for k in kept])


def apply(
    thetas: Sequence[Vector], grads: Sequence[Vector | None], kept: Sequence[Kept], lr: float, update: Update
) -> tuple[list[Vector], list[Kept]]:
    """Move every tensor that has a gradient; one without sits the step out, and its direction is dropped."""
    check_gradients(thetas, grads)
    moved = [
        (theta.copy(), k._replace(direction=None)) if grad is None else update(theta, grad, k, lr)
        for theta, grad, k in zip(thetas, grads, kept, strict=True)
    ]
    return [theta for theta, _ in moved], [k for _, k in moved]


def _step(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    schedule: Schedule,
    weight_decay: float,
    update: Update,
) -> tuple[list[Vector], State, Record]:
    record = schedule(state.step + 1, state.lr, sums(thetas, grads, state.kept, weight_decay))
    thetas, kept = apply(thetas, grads, state.kept, record.applied, update)
    return thetas, State(record.step, record.lr, kept), record


def step_sgd(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    schedule: Schedule,
    weight_decay: float = 0.0,
    decoupled_weight_decay: float = 0.0,
) -> tuple[list[Vector], State, Record]:
    """One step of SGD-HD.

        alpha_t = alpha_{t-1} + beta <g_t, g_{t-1}>
        theta_t = theta_{t-1} - alpha_t g_t

    thetas          theta_{t-1}, one array a tensor, any shapes; float32 or float64
    grads           the gradient at theta_{t-1}, shape and dtype of its tensor; None lets the tensor sit this step out
    state           from `init`, or from the step before
    schedule        how alpha moves: `schedule_additive` with its hyper_lr is the rule shown, a hyper_lr of 0 plain SGD
    weight_decay    L2, coupled, as in the authors' code; decoupled_weight_decay: see `hypergrad_reference.weight_decay`

    Returns the tensors, the state and the record of the step; no tensor shares memory with an input, and what is kept
    of one that sits the step out is handed on as it is. NaN and inf in a gradient pass into its tensor and never into
    the rate.
    Raises ValueError if a gradient is missing (not None), or differs from its tensor in shape or dtype.
    Source: Baydin et al. 2018, section 2 and Algorithm 4. The authors' code takes a gradient that is None for zeros
    and adds the L2 term to the caller's gradient in place.

    >>> from hypergrad_reference.hypergradient import schedule_additive
    >>> schedule = partial(schedule_additive, hyper_lr=0.25)
    >>> thetas, state = [np.array([5.0, -1.0])], init([np.zeros(2)], 0.5)
    >>> thetas, state, _ = step_sgd(thetas, [np.array([2.0, 0.0])], state, schedule)
    >>> thetas, state, record = step_sgd(thetas, [np.array([1.0, 3.0])], state, schedule)
    >>> thetas, state.step, state.lr, state.kept[0].direction, record.hypergradient
    ([array([ 3., -4.])], 2, 1.0, array([1., 3.]), -2.0)
    """
    update = partial(update_sgd, weight_decay=weight_decay, decoupled_weight_decay=decoupled_weight_decay)
    return _step(thetas, grads, state, schedule, weight_decay, update)


def step_heavy_ball(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    schedule: Schedule,
    momentum: float,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    decoupled_weight_decay: float = 0.0,
) -> tuple[list[Vector], State, Record]:
    """One step of SGD-HD with heavy-ball momentum; arguments as in step_sgd, state from `init_momentum`.

        alpha_t = alpha_{t-1} + beta <g_t, v_{t-1}>
        v_t     = mu v_{t-1} + (1 - tau) g_t,   v_1 = g_1
        theta_t = theta_{t-1} - alpha_t v_t

    momentum     mu, in [0, 1)
    dampening    tau, in [0, 1]

    Raises ValueError for a momentum or a dampening outside its range.
    Source: the authors' code (SGDHD without nesterov); the paper does not have it.

    >>> from hypergrad_reference.hypergradient import schedule_additive
    >>> schedule = partial(schedule_additive, hyper_lr=0.25)
    >>> thetas, state = [np.array([5.0, -1.0])], init_momentum([np.zeros(2)], 0.5)
    >>> thetas, state, _ = step_heavy_ball(thetas, [np.array([2.0, 0.0])], state, schedule, 0.5, 0.75)
    >>> thetas, state, record = step_heavy_ball(thetas, [np.array([1.0, 3.0])], state, schedule, 0.5, 0.75)
    >>> thetas, state.lr, state.kept[0].velocity
    ([array([ 2.75, -1.75])], 1.0, array([1.25, 0.75]))
    """
    _check_momentum(momentum)
    if not 0 <= dampening <= 1:
        raise ValueError(f"dampening is {dampening}: give a number in [0, 1]")
    update = partial(
        update_heavy_ball,
        momentum=momentum,
        dampening=dampening,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
    )
    return _step(thetas, grads, state, schedule, weight_decay, update)


def step_nesterov(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    schedule: Schedule,
    momentum: float,
    weight_decay: float = 0.0,
    decoupled_weight_decay: float = 0.0,
) -> tuple[list[Vector], State, Record]:
    """One step of SGDN-HD; arguments as in step_sgd, state from `init_momentum`.

        alpha_t = alpha_{t-1} + beta <g_t, g_{t-1} + mu v_{t-1}>
        v_t     = mu v_{t-1} + g_t,   v_0 = 0
        theta_t = theta_{t-1} - alpha_t (g_t + mu v_t)

    momentum    mu, in [0, 1)

    Raises ValueError for a momentum outside its range.
    Source: Baydin et al. 2018, Algorithm 5. The authors' code agrees since 5 February 2018; before, it took the
    inner product of two full directions and moved the rate once a tensor.

    >>> from hypergrad_reference.hypergradient import schedule_additive
    >>> schedule = partial(schedule_additive, hyper_lr=0.25)
    >>> thetas, state = [np.array([5.0, -1.0])], init_momentum([np.zeros(2)], 0.5)
    >>> thetas, state, _ = step_nesterov(thetas, [np.array([2.0, 0.0])], state, schedule, 0.5)
    >>> thetas, state, record = step_nesterov(thetas, [np.array([1.0, 3.0])], state, schedule, 0.5)
    >>> thetas, state.lr, state.kept[0].direction, state.kept[0].velocity
    ([array([ 1.   , -6.625])], 1.25, array([2. , 4.5]), array([2., 3.]))
    """
    _check_momentum(momentum)
    update = partial(
        update_nesterov,
        momentum=momentum,
        weight_decay=weight_decay,
        decoupled_weight_decay=decoupled_weight_decay,
    )
    return _step(thetas, grads, state, schedule, weight_decay, update)


def _check_momentum(momentum: float) -> None:
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}: give a number in [0, 1)")
