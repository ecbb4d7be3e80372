"""TuningFreeAdamW with less memory traffic: other rules than the exact one, named as such.

    delayed    c of step t moves the rate of step t+1: what it is made of is summed in the pass that applies step t
    lazy       a, c and the average behind E1 at every `every`-th step only, E2 at every step; all until n = 100

A float32 parameter costs the exact form 12 bytes in loop 1 and 44 in loop 2, the delayed one 44 in all, the delayed and
lazy one 36 between two looks (AdamW: 28).

The lazy form keeps the average behind E1 itself, which does not move between two looks, and not its distance from the
iterate, which does. Up to rounding both forms are the same rule while every step is looked at.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hypergrad_reference import adamw
from hypergrad_reference.adamw_free import (
    ADAMW_G,
    Kept,
    Scalars,
    apply_all,
    find_sums,
    form_scalars,
    keep,
    round_scalars,
)
from hypergrad_reference.adamw_free_schedule import Constants, G, Learned, Record, looks, schedule
from hypergrad_reference.hypergradient import check_gradients
from hypergrad_reference.rule import Sums
from hypergrad_reference.sums import block_sums, total
from hypergrad_reference.types import Vector

G_DELAYED = G._replace(delay=True)
G_LAZY = G._replace(every=8)


class DelayedState(NamedTuple):
    """What the delayed form carries from one step to the next."""

    step: int  # t, the number of steps taken
    learned: Learned
    sums: Sums | None  # of step t; None before the first
    kept: list[Kept]  # one per tensor


def init_delayed(points: Sequence[Vector], lr: float = 1e-4) -> DelayedState:
    """The state before the first step."""
    zeros = [Kept(adamw.init(y), np.zeros_like(y), np.zeros_like(y)) for y in points]
    return DelayedState(0, Learned(lr, lr_peak=lr), None, zeros)


def step_delayed(
    points: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: DelayedState,
    constants: Constants = G_DELAYED,
    of_adamw: adamw.Constants = ADAMW_G,
) -> tuple[list[Vector], DelayedState, Record]:
    """One step of the delayed form, with one loop over the arrays.

    state    from `init_delayed`, or from the step before

    Other arguments and results as in `adamw_free.step`.

    >>> points, of_adamw = [np.array([8.0, -1.0])], adamw.Constants(0.5, 0.75, 1.0, 0.0)
    >>> state, grads = init_delayed(points, 0.5), ([1.0, 3.0], [2.0, 4.0], [1.0, 1.0])
    >>> for g in grads:
    ...     points, state, record = step_delayed(points, [np.array(g)], state, of_adamw=of_adamw)
    ...     record.reason, record.lr > record.lr_before
    ('no average yet', False)
    ('climbing', False)
    ('climbing', True)
    """
    check_gradients(points, grads)
    t = state.step + 1
    learned, record = schedule(t, state.learned, state.sums, constants)
    # one loop: what is summed is as step t-1 left it
    sums = find_sums(grads, state.kept, constants)
    points, kept, squares = apply_all(points, grads, state.kept, learned, constants, of_adamw)
    return points, DelayedState(t, learned, sums._replace(step_step=total(squares)), kept), record


class LazyKept(NamedTuple):
    """What the lazy form keeps of one tensor; arrays in its shape and dtype."""

    moments: adamw.Moments
    average_slow: Vector  # the average behind E1, the tensor at first
    lag_fast: Vector  # E2, zeros at first


class LazyState(NamedTuple):
    """What the lazy form carries from one step to the next."""

    step: int  # t, the number of steps taken
    learned: Learned
    sums: Sums | None  # of step t; None before the first. Not delayed, step_step alone counts
    kept: list[LazyKept]  # one per tensor


def init_lazy(points: Sequence[Vector], lr: float = 1e-4) -> LazyState:
    """The state before the first step."""
    kept = [LazyKept(adamw.init(y), y.copy(), np.zeros_like(y)) for y in points]
    return LazyState(0, Learned(lr, lr_peak=lr), None, kept)


def keep_since(clock: float, gamma: float, gap: int) -> float:
    """What a distance from the iterate keeps in the latest `gap` steps, of which n = clock is the last.

    >>> keep_since(4.0, 1.0, 1) == keep(4.0, 1.0), keep_since(4.0, 1.0, 2) == keep(4.0, 1.0) * keep(3.0, 1.0)
    (True, True)
    """
    return math.prod(keep(max(clock - i, 0.0), gamma) for i in range(gap))


def form_lazy_lag(point: Vector, average: Vector, fast: Vector, b: float, rho: float) -> Vector:
    """From the iterate towards its past: a = (average - theta) - rho*E2, with theta = y - b*E2."""
    real = point.dtype.type
    theta = point - real(b) * fast
    lag: Vector = (average - theta) - real(rho) * fast
    return lag


def apply_lazy(
    point: Vector, grad: Vector, kept: LazyKept, scalars: Scalars, look: bool
) -> tuple[Vector, LazyKept, Vector]:
    """The update of one tensor, every operation rounded to the dtype of the arrays.

        theta, m, v, step, E2, y    as in `adamw_free.apply`
        average = average + w*(theta - average)    at a look, w = 1 - keep_slow formed in float64

    Returns the new point y, what is kept, and the step.
    """
    s, (moments, average, fast) = round_scalars(scalars, point), kept
    theta = point - s.b * fast
    m = s.b1 * moments.exp_avg + s.c1 * grad
    v = s.b2 * moments.exp_avg_sq + (s.c2 * grad) * grad
    step = (s.a * m) / (np.sqrt(v * s.i2) + s.eps) + s.k * theta
    theta = theta - step
    if look:
        average = average + point.dtype.type(1 - scalars.keep_slow) * (theta - average)
    fast = s.keep_fast * (fast + step)
    return theta + s.b * fast, LazyKept(adamw.Moments(moments.step + 1, m, v), average, fast), step


def step_lazy(
    points: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: LazyState,
    constants: Constants = G_LAZY,
    of_adamw: adamw.Constants = ADAMW_G,
) -> tuple[list[Vector], LazyState, Record]:
    """One step of the lazy form, and with constants.delay of the lazy and delayed one.

        at a look         u = gain gap q: gap is the number of steps since the look before
        between looks     the rate stays; ||g|| is known and feeds guard and restart

    state    from `init_lazy`, or from the step before

    Other arguments and results as in `adamw_free.step`.

    >>> points, of_adamw = [np.array([8.0, -1.0])], adamw.Constants(0.5, 0.75, 1.0, 0.0)
    >>> points, state, _ = step_lazy(points, [np.array([1.0, 3.0])], init_lazy(points, 0.5), of_adamw=of_adamw)
    >>> points, state.kept[0].average_slow, state.learned.gap
    ([array([ 7.771875 , -1.3421875])], array([ 7.83333333, -1.25      ]), 1)
    """
    check_gradients(points, grads)
    t, c, last = state.step + 1, constants, state.sums
    tensors = [(y, g, kept) for y, g, kept in zip(points, grads, state.kept, strict=True) if g is not None]
    sums = Sums(grad_grad=total(block_sums(g, g) for _, g, _ in tensors))
    if looks(t, state.learned.next_clock, c.every):
        lags = [(g, form_lazy_lag(y, k.average_slow, k.lag_fast, c.interpolation, c.rho)) for y, g, k in tensors]
        grad_lag, lag_lag = (total(block_sums(x, a) for x, a in pairs) for pairs in (lags, [(a, a) for _, a in lags]))
        sums = sums._replace(grad_lag=grad_lag, lag_lag=lag_lag)
    told = last if c.delay else sums._replace(step_step=0.0 if last is None else last.step_step)
    learned, record = schedule(t, state.learned, told, c)
    moved, after, squares = [], [], []
    for y, g, kept in zip(points, grads, state.kept, strict=True):
        if g is None:
            moved.append(y.copy())
            after.append(kept)
            continue
        scalars = form_scalars(learned.lr, learned.clock, kept.moments.step, c, of_adamw)
        scalars = scalars._replace(keep_slow=keep_since(learned.clock, c.gamma_slow, learned.gap))
        y, kept, change = apply_lazy(y, g, kept, scalars, learned.look)
        moved.append(y)
        after.append(kept)
        squares.append(block_sums(change, change))
    return moved, LazyState(t, learned, sums._replace(step_step=total(squares)), after), record
