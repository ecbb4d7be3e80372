"""TuningFreeAdamW: AdamW that finds its rate without a tuned value and without a horizon. The answer is an average.

Two polynomial averages of the iterates tell whether the rate is too small. E_j = average_j - theta is kept of each:

    y      = theta + b E2                 the point where gradients are taken; the caller's arrays hold it
    x      = theta + E2                   the answer
    a      = E1 - rho E2                  from the iterate towards its past
    c      = <g, a> / (||g|| ||a||)       > 0: the loss falls from a to theta, a larger rate would have helped
    phi    = min(1, (n + 1) H s / ||a||)  H = 1/(gamma1 + 2) - rho/(gamma2 + 2), s = ||last step||; small where
                                          steps of long ago make up a
    q      = phi c
    lr     = lr exp(u),  u = gain q while the rate climbs, then gain q sqrt(100 / (100 + steps since the peak))
    step   = lr (m_hat / (sqrt(v_hat) + eps) + weight_decay theta),   theta = theta - step
    E_j    = (n + 1) / (n + gamma_j + 2) (E_j + step),   n = n + 1

`adamw_free_schedule.py` has the scalars: the change of the rate, and the climb, guard and restarts that make it safe.
G is `Constants()`; K is its plain relative, with gradients at the iterate. Nothing is proved for Adam. The variants
with less memory traffic are in `adamw_free_variants.py`.

Source: derived here. Averages: Shamir and Zhang 2013, section 4; gradients between iterate and average: Defazio et
al. 2024 (schedule-free).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hypergrad_reference import adamw
from hypergrad_reference.adamw_free_schedule import Constants, G, Learned, Record, schedule
from hypergrad_reference.hypergradient import check_gradients
from hypergrad_reference.rule import Sums
from hypergrad_reference.sums import block_sums, total
from hypergrad_reference.types import Vector

ADAMW_G = adamw.Constants(beta1=0.7, beta2=0.995, weight_decay=0.0)
ADAMW_K = adamw.Constants(beta1=0.9, weight_decay=0.0)


class Kept(NamedTuple):
    """What is kept of one tensor; arrays in its shape and dtype."""

    moments: adamw.Moments
    lag_slow: Vector  # E1, zeros at first
    lag_fast: Vector  # E2, zeros at first


class Scalars(NamedTuple):
    """The scalars of one step in float64; each is rounded to the dtype of the arrays where it meets them."""

    b1: float  # beta1
    c1: float  # 1 - beta1
    b2: float  # beta2
    c2: float  # 1 - beta2
    i2: float  # 1 / (1 - beta2^t)
    a: float  # lr / (1 - beta1^t)
    k: float  # lr weight_decay
    eps: float
    b: float  # interpolation
    rho: float
    keep_slow: float  # (n + 1) / (n + gamma1 + 2)
    keep_fast: float  # (n + 1) / (n + gamma2 + 2)


def keep(clock: float, gamma: float) -> float:
    """1 - w, what E keeps in a step: the newest iterate enters the average with w = (gamma + 1) / (n + gamma + 2).

    >>> keep(0.0, 1.0), keep(1.0, 6.0)
    (0.3333333333333333, 0.2222222222222222)
    """
    return (clock + 1) / (clock + gamma + 2)


def form_scalars(lr: float, clock: float, steps: int, constants: Constants, of_adamw: adamw.Constants) -> Scalars:
    """The scalars of the next step of a tensor that has taken `steps`; clock is n before the step.

    >>> form_scalars(0.5, 1.0, 0, G, adamw.Constants(0.5, 0.75, 0.125, 0.25))[4:]
    (4.0, 1.0, 0.125, 0.125, 0.7, 0.95, 0.5, 0.2222222222222222)
    """
    (beta1, beta2, eps, weight_decay), t, c = of_adamw, steps + 1, constants
    return Scalars(
        beta1, 1 - beta1, beta2, 1 - beta2, 1 / (1 - beta2**t), lr / (1 - beta1**t), lr * weight_decay, eps,
        c.interpolation, c.rho, keep(clock, c.gamma_slow), keep(clock, c.gamma_fast),
    )  # fmt: skip


def round_scalars(scalars: Scalars, like: Vector) -> Scalars:
    """Each scalar as it meets the elements of an array."""
    rounded: list[Any] = [like.dtype.type(scalar) for scalar in scalars]
    return Scalars(*rounded)


def form_lag(slow: Vector, fast: Vector, rho: float) -> Vector:
    """From the iterate towards its past: a = E1 - rho*E2."""
    lag: Vector = slow - fast.dtype.type(rho) * fast
    return lag


def apply(point: Vector, grad: Vector, kept: Kept, scalars: Scalars) -> tuple[Vector, Kept, Vector]:
    """The update of one tensor, every operation rounded to the dtype of the arrays.

        theta = y - b*E2
        m     = b1*m + c1*g,   v = b2*v + (c2*g)*g
        step  = (a*m) / (sqrt(v*i2) + eps) + k*theta
        theta = theta - step
        E1    = keep_slow*(E1 + step),   E2 = keep_fast*(E2 + step)
        y     = theta + b*E2

    Returns the new point y, what is kept, and the step.

    >>> kept = Kept(adamw.init(np.zeros(1)), np.zeros(1), np.zeros(1))
    >>> scalars = Scalars(0.5, 0.5, 0.75, 0.25, 4.0, 1.0, 0.125, 1.0, 0.5, 0.75, 0.5, 0.25)
    >>> apply(np.array([8.0]), np.array([1.0]), kept, scalars)[::2]
    (array([6.90625]), array([1.25]))
    """
    s, (moments, slow, fast) = round_scalars(scalars, point), kept
    theta = point - s.b * fast
    m = s.b1 * moments.exp_avg + s.c1 * grad
    v = s.b2 * moments.exp_avg_sq + (s.c2 * grad) * grad
    step = (s.a * m) / (np.sqrt(v * s.i2) + s.eps) + s.k * theta
    slow, fast = s.keep_slow * (slow + step), s.keep_fast * (fast + step)
    point = (theta - step) + s.b * fast
    return point, Kept(adamw.Moments(moments.step + 1, m, v), slow, fast), step


class State(NamedTuple):
    """What is carried from one step to the next."""

    step: int  # t, the number of steps taken
    learned: Learned
    step_step: float  # s^2 of the last step
    kept: list[Kept]  # one per tensor


def init(points: Sequence[Vector], lr: float = 1e-4) -> State:
    """The state before the first step; lr is where the search for a rate starts, 1e-5 for K."""
    zeros = [Kept(adamw.init(y), np.zeros_like(y), np.zeros_like(y)) for y in points]
    return State(0, Learned(lr, lr_peak=lr), 0.0, zeros)


def step(
    points: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    constants: Constants = G,
    of_adamw: adamw.Constants = ADAMW_G,
) -> tuple[list[Vector], State, Record]:
    """One step of TuningFreeAdamW: the whole algorithm.

    points      y, one array per tensor, any shapes; float32 or float64
    grads       the gradient at y, shape and dtype of its tensor; None lets the tensor and its averages rest
    state       from `init`, or from the step before
    of_adamw    beta1, beta2, eps and weight_decay; ADAMW_G, or ADAMW_K with K

    Returns the new points, the state and the record of the step; inputs are untouched. `average` gives the answer.
    Raises ValueError if a gradient is missing (not None) or differs from its tensor in shape or dtype.

    >>> points, of_adamw = [np.array([8.0, -1.0])], adamw.Constants(0.5, 0.75, 1.0, 0.0)
    >>> points, state, record = step(points, [np.array([1.0, 3.0])], init(points, 0.5), of_adamw=of_adamw)
    >>> record.reason, state.step_step, average(points, state)
    ('no average yet', 0.203125, [array([ 7.78125 , -1.328125])])
    >>> _, state, record = step(points, [np.array([2.0, 4.0])], state, of_adamw=of_adamw)
    >>> record.lr_before, record.lr > 0.5, record.reason
    (0.5, True, 'climbing')
    """
    check_gradients(points, grads)
    t = state.step + 1
    # loop 1, and the scalars between the loops
    sums = find_sums(grads, state.kept, constants)._replace(step_step=state.step_step)
    learned, record = schedule(t, state.learned, sums, constants)
    # loop 2
    points, kept, squares = apply_all(points, grads, state.kept, learned, constants, of_adamw)
    return points, State(t, learned, total(squares), kept), record


def find_sums(grads: Sequence[Vector | None], keeps: Sequence[Kept], constants: Constants) -> Sums:
    """||g||^2, <g, a> and ||a||^2 over the tensors that have a gradient; s^2 is known once the step is taken."""
    tensors = [
        (g, form_lag(kept.lag_slow, kept.lag_fast, constants.rho))
        for g, kept in zip(grads, keeps, strict=True)
        if g is not None
    ]
    return Sums(
        grad_grad=total(block_sums(g, g) for g, _ in tensors),
        grad_lag=total(block_sums(g, a) for g, a in tensors),
        lag_lag=total(block_sums(a, a) for _, a in tensors),
    )


def apply_all(
    points: Sequence[Vector],
    grads: Sequence[Vector | None],
    keeps: Sequence[Kept],
    learned: Learned,
    constants: Constants,
    of_adamw: adamw.Constants,
) -> tuple[list[Vector], list[Kept], list[Vector]]:
    """The update of every tensor that has a gradient, and the block sums of ||step||^2."""
    moved, after, squares = [], [], []
    for point, g, kept in zip(points, grads, keeps, strict=True):
        if g is None:
            moved.append(point.copy())
            after.append(kept)
            continue
        scalars = form_scalars(learned.lr, learned.clock, kept.moments.step, constants, of_adamw)
        point, kept, change = apply(point, g, kept, scalars)
        moved.append(point)
        after.append(kept)
        squares.append(block_sums(change, change))
    return moved, after, squares


def average(points: Sequence[Vector], state: State, constants: Constants = G) -> list[Vector]:
    """The answer: x = theta + E2 = y + (1 - b) E2."""
    return [
        y + y.dtype.type(1 - constants.interpolation) * kept.lag_fast
        for y, kept in zip(points, state.kept, strict=True)
    ]


def iterate(points: Sequence[Vector], state: State, constants: Constants = G) -> list[Vector]:
    """The iterate: theta = y - b E2."""
    return [
        y - y.dtype.type(constants.interpolation) * kept.lag_fast for y, kept in zip(points, state.kept, strict=True)
    ]
