"""SGD-HD and SGDN-HD (Baydin et al. 2018): gradient descent, plain or with momentum, whose rate descends its gradient.

    g_t     = grad_t + wd theta_{t-1}                    weight_decay, L2, coupled
    alpha_t = alpha_{t-1} + beta <g_t, d_{t-1}>          or another schedule
    d_t     = g_t                                                  `Plain`: SGD-HD
    d_t     = v_t,           v_t = mu v_{t-1} + (1 - tau) g_t      `HeavyBall`
    d_t     = g_t + mu v_t,  v_t = mu v_{t-1} + g_t                `Nesterov`: SGDN-HD
    theta_t = theta_{t-1} - alpha_t d_t

The rate stands outside the velocity, so v contains no alpha and -d_t is exactly the derivative of theta_t by alpha_t.
The direction is kept from one step to the next; with heavy-ball momentum it is the velocity.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hypergrad_reference.hypergradient import SCHEDULES, Record, Schedule, check_gradients, inner_products
from hypergrad_reference.rule import Bounds, History, Options, Rate, Sums, Traits
from hypergrad_reference.types import Vector
from hypergrad_reference.weight_decay import add_decay

# The three forms: from the gradient and the velocity to the direction and the velocity after it.


class Plain(NamedTuple):
    """Scalars of gradient descent; each is rounded to the dtype of the arrays where it meets them."""

    lr: float

    def direct(self, g: Vector, velocity: Vector | None) -> tuple[Vector, Vector | None]:
        """The direction, d = g."""
        return g, None


class HeavyBall(NamedTuple):
    """Scalars of heavy-ball momentum."""

    lr: float
    momentum: float  # mu
    undamped: float  # 1 - tau; 1 in the tensor's first step

    def direct(self, g: Vector, velocity: Vector | None) -> tuple[Vector, Vector | None]:
        """The direction, d = v = mu v + (1 - tau) g."""
        real = g.dtype.type
        v = real(self.momentum) * _demand(velocity) + real(self.undamped) * g
        return v, v


class Nesterov(NamedTuple):
    """Scalars of Nesterov momentum."""

    lr: float
    momentum: float  # mu

    def direct(self, g: Vector, velocity: Vector | None) -> tuple[Vector, Vector | None]:
        """The direction, d = g + mu v with v = mu v + g."""
        real = g.dtype.type
        v = real(self.momentum) * _demand(velocity) + g
        return g + real(self.momentum) * v, v


Form = Plain | HeavyBall | Nesterov


def _demand(velocity: Vector | None) -> Vector:
    if velocity is None:
        raise ValueError("velocity is None: start from an init with the momentum")
    return velocity


def move(
    theta: Vector, g: Vector, velocity: Vector | None, form: Form, decoupled_weight_decay: float = 0.0
) -> tuple[Vector, Vector, Vector | None]:
    """Move one tensor.

        theta = theta - lr (d + decoupled_weight_decay theta)

    theta                     any shape; float32 or float64
    g                         the gradient with its coupled decay, shape and dtype of theta
    velocity                  of the tensor's previous step, zeros at first; None for `Plain`
    form                      the scalars of this step, rounded once to the dtype of theta, as is the decay

    Returns the new theta, the direction and the velocity. Inputs are untouched. NaN and inf pass through.

    >>> theta, g, v = np.array([4.0, -1.0]), np.array([1.0, 3.0]), np.array([2.0, -4.0])
    >>> move(theta, g, None, Plain(0.5), decoupled_weight_decay=0.25)
    (array([ 3.   , -2.375]), array([2.  , 2.75]), None)
    >>> move(theta, g, v, HeavyBall(0.5, momentum=0.5, undamped=0.25))
    (array([ 3.375, -0.375]), array([ 1.25, -1.25]), array([ 1.25, -1.25]))
    >>> move(theta, g, v, Nesterov(0.5, momentum=0.5))
    (array([ 3.  , -2.75]), array([2. , 3.5]), array([2., 1.]))
    """
    direction, velocity = form.direct(g, velocity)
    d = add_decay(direction, theta, decoupled_weight_decay)
    return theta - theta.dtype.type(form.lr) * d, d, velocity


class Constants(NamedTuple):
    """What stays the same over a run."""

    momentum: float = 0.0  # mu, in [0, 1); 0 is plain gradient descent
    dampening: float = 0.0  # tau, in [0, 1], of heavy-ball momentum; the first step of a tensor is not dampened
    nesterov: bool = False
    weight_decay: float = 0.0  # L2, coupled: part of the gradient before everything else
    decoupled_weight_decay: float = 0.0  # part of the direction alone: see `hypergrad_reference.weight_decay`


PLAIN = Constants()
"""Gradient descent without momentum or decay."""


def form(lr: float, steps: int, momentum: float, dampening: float, nesterov: bool) -> Form:
    """The scalars of a tensor's next step, of which it has taken `steps`.

    >>> form(0.5, 0, 0.5, 0.75, False), form(0.5, 1, 0.5, 0.75, False), form(0.5, 1, 0.5, 0.0, True)
    (HeavyBall(lr=0.5, momentum=0.5, undamped=1), HeavyBall(lr=0.5, momentum=0.5, undamped=0.25), \
Nesterov(lr=0.5, momentum=0.5))
    """
    if not momentum:
        return Plain(lr)
    if nesterov:
        return Nesterov(lr, momentum)
    return HeavyBall(lr, momentum, 1 - dampening if steps else 1)


class Kept(NamedTuple):
    """What is kept of one tensor; arrays in its shape and dtype."""

    step: int  # number of steps this tensor has taken
    direction: Vector | None  # d_{t-1}; None if the tensor did not move at t-1
    velocity: Vector | None  # v, zeros at first; None without momentum


class State(NamedTuple):
    """What is carried from one step to the next."""

    step: int  # t, the number of steps taken
    lr: float  # alpha_t, float64
    kept: list[Kept]  # one per tensor


def init(thetas: Sequence[Vector], lr: float, constants: Constants = PLAIN) -> State:
    """The state before the first step; lr is alpha_0, finite."""
    if not math.isfinite(lr):
        raise ValueError(f"lr is {lr}: give a finite number")
    zeros = [np.zeros_like(theta) if constants.momentum else None for theta in thetas]
    return State(0, lr, [Kept(0, None, velocity) for velocity in zeros])


def step(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    schedule: Schedule,
    constants: Constants = PLAIN,
) -> tuple[list[Vector], State, Record]:
    """One step of SGD-HD, SGD-HD with heavy-ball momentum, or SGDN-HD.

        alpha_t = alpha_{t-1} + beta <g_t, d_{t-1}>
        theta_t = theta_{t-1} - alpha_t d_t

    thetas       theta_{t-1}, one array per tensor, any shapes; float32 or float64
    grads        the gradient at theta_{t-1}, shape and dtype of its tensor; None lets the tensor sit this step out
    state        from `init`, or from the step before
    schedule     how alpha moves: `schedule_additive` with its hyper_lr is the rule shown, a hyper_lr of 0 plain SGD
    constants    which direction, and weight decay

    Returns the tensors, the state and the record of the step; no tensor shares memory with an input, and what is kept
    of one that sits the step out is handed on as it is. NaN and inf in a gradient pass into its tensor and never into
    the rate.
    Raises ValueError if a gradient is missing (not None), or differs from its tensor in shape or dtype, and for
    constants out of range.
    Source: Baydin et al. 2018, section 2 and Algorithms 4 and 5; heavy ball: the authors' code alone. Their code takes
    a gradient that is None for zeros and adds the L2 term to the caller's gradient in place; for Nesterov it agrees
    since 5 February 2018 (before, it took the inner product of two full directions and moved the rate once per tensor).

    >>> from functools import partial
    >>> from hypergrad_reference.hypergradient import schedule_additive
    >>> def run(constants):
    ...     thetas, schedule = [np.array([5.0, -1.0])], partial(schedule_additive, hyper_lr=0.25)
    ...     state = init(thetas, 0.5, constants)
    ...     thetas, state, _ = step(thetas, [np.array([2.0, 0.0])], state, schedule, constants)
    ...     thetas, state, record = step(thetas, [np.array([1.0, 3.0])], state, schedule, constants)
    ...     return thetas, state.lr, record.hypergradient, state.kept
    >>> run(Constants())
    ([array([ 3., -4.])], 1.0, -2.0, [Kept(step=2, direction=array([1., 3.]), velocity=None)])
    >>> run(Constants(momentum=0.5, dampening=0.75))
    ([array([ 2.75, -1.75])], 1.0, -2.0, [Kept(step=2, direction=array([1.25, 0.75]), velocity=array([1.25, 0.75]))])
    >>> run(Constants(momentum=0.5, nesterov=True))
    ([array([ 1.   , -6.625])], 1.25, -3.0, [Kept(step=2, direction=array([2. , 4.5]), velocity=array([2., 3.]))])
    """
    _check_constants(constants)
    record = schedule(state.step + 1, state.lr, sums(thetas, grads, state.kept, constants))
    thetas, kept = apply(thetas, grads, state.kept, record.applied, constants)
    return thetas, State(record.step, record.lr, kept), record


def _check_constants(c: Constants) -> None:
    if not 0 <= c.momentum < 1:
        raise ValueError(f"momentum is {c.momentum}: give a number in [0, 1)")
    if not 0 <= c.dampening <= 1:
        raise ValueError(f"dampening is {c.dampening}: give a number in [0, 1]")


def sums(
    thetas: Sequence[Vector], grads: Sequence[Vector | None], kept: Sequence[Kept], constants: Constants = PLAIN
) -> Sums | None:
    """The inner products of g_t = grad + weight_decay theta with itself and with the direction kept.

    Raises ValueError if there is not one gradient, or None, for every tensor, in its shape and dtype.
    """
    check_gradients(thetas, grads)
    tensors = zip(thetas, grads, strict=True)
    g = [None if grad is None else add_decay(grad, theta, constants.weight_decay) for theta, grad in tensors]
    return inner_products(g, [k.direction for k in kept])


def apply(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    kept: Sequence[Kept],
    lr: float,
    constants: Constants = PLAIN,
) -> tuple[list[Vector], list[Kept]]:
    """Move every tensor that has a gradient; one without sits the step out, and its direction is dropped."""
    check_gradients(thetas, grads)
    moved = [
        (theta.copy(), k._replace(direction=None)) if grad is None else _apply_one(theta, grad, k, lr, constants)
        for theta, grad, k in zip(thetas, grads, kept, strict=True)
    ]
    return [theta for theta, _ in moved], [k for _, k in moved]


def _apply_one(theta: Vector, grad: Vector, kept: Kept, lr: float, c: Constants) -> tuple[Vector, Kept]:
    scalars = form(lr, kept.step, c.momentum, c.dampening, c.nesterov)
    g = add_decay(grad, theta, c.weight_decay)
    theta, direction, velocity = move(theta, g, kept.velocity, scalars, c.decoupled_weight_decay)
    return theta, Kept(kept.step + 1, direction, velocity)


class Rule(NamedTuple):
    """The rule of SGDHD; see `hypergrad_reference.rule`."""

    hyper_lr: float
    adapt: str = "additive"  # a key of SCHEDULES
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    delay: int = 0  # 1: h_t moves the rate of step t+1, see `hypergrad_reference.delayed`

    @property
    def traits(self) -> Traits:
        """The direction is kept, and the velocity of momentum."""
        return Traits(("direction", "velocity") if self.momentum else ("direction",), couples_decay=True)

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

    def scalars(self, options: Options, history: History) -> Form:
        """The scalars of the form that the constants choose."""
        return form(options.lr, history.step, self.momentum, self.dampening, self.nesterov)
