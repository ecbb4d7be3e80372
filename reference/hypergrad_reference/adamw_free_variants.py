"""TuningFreeAdamW with less memory traffic: other rules than the exact one, named as such.

    delayed    c is measured while step t is applied, and moves the rate of step t+1: one pass over the arrays
    lazy       a, c and the average behind E1 at every `every`-th step only, E2 at every step

A float32 parameter costs the exact form 12 bytes in loop 1 and 44 in loop 2, the delayed one 44 in all, the delayed and
lazy one 36 between two looks (AdamW: 28). The rates of the delayed form are those that the exact schedule gives one
step later.

The lazy form keeps the average behind E1 itself, which does not move between two looks, and not its distance from the
iterate, which does. Up to rounding both forms are the same rule while every step is looked at, as until n = 100.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from hypergrad_reference import adamw
from hypergrad_reference.adamw_free import (
    ADAMW_G,
    Scalars,
    State,
    apply_all,
    form_lag,
    form_scalars,
    keep,
    round_scalars,
)
from hypergrad_reference.adamw_free_schedule import Constants, G, Learned, Record, Sums, schedule
from hypergrad_reference.hypergradient import check_gradients
from hypergrad_reference.sums import block_sums, total
from hypergrad_reference.types import Vector

DENSE = 100
"""The clock n up to which every step is looked at."""


def step_delayed(
    points: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: State,
    constants: Constants = G,
    of_adamw: adamw.Constants = ADAMW_G,
) -> tuple[list[Vector], State, Record]:
    """One step of the delayed form, from `adamw_free.init`; arguments and results as in `adamw_free.step`.

    The record tells the rate of this step, lr_before, and that of the next, lr.

    >>> from hypergrad_reference.adamw_free import init
    >>> points, of_adamw = [np.array([8.0, -1.0])], adamw.Constants(0.5, 0.75, 1.0, 0.0)
    >>> points, state, _ = step_delayed(points, [np.array([1.0, 3.0])], init(points, 0.5), of_adamw=of_adamw)
    >>> _, state, record = step_delayed(points, [np.array([2.0, 4.0])], state, of_adamw=of_adamw)
    >>> record.lr_before, record.lr > 0.5, record.lr == state.learned.lr
    (0.5, True, True)
    """
    check_gradients(points, grads)
    t = state.step + 1
    tensors = [(g, form_lag(kept, constants.rho)) for g, kept in zip(grads, state.kept, strict=True) if g is not None]
    # the one loop; what it sums is of the arrays as they were before the step
    points, kept, squares = apply_all(points, grads, state, state.learned.lr, constants, of_adamw)
    sums = Sums(
        total(block_sums(g, g) for g, _ in tensors),
        total(block_sums(g, a) for g, a in tensors),
        total(block_sums(a, a) for _, a in tensors),
        state.step_step,
    )
    learned, record = schedule(t, state.learned, sums, constants)
    return points, State(t, learned, total(squares), kept), record


class LazyKept(NamedTuple):
    """What the lazy form keeps of one tensor; arrays in its shape and dtype."""

    moments: adamw.Moments
    average_slow: Vector  # the average behind E1, the tensor at first
    lag_fast: Vector  # E2, zeros at first


class LazyState(NamedTuple):
    """What the lazy form carries from one step to the next."""

    step: int  # t, the number of steps taken
    learned: Learned
    step_step: float  # s^2 of the last step
    kept: list[LazyKept]  # one per tensor
    since: int = 0  # steps since the last look


def init_lazy(points: Sequence[Vector], lr: float = 1e-4) -> LazyState:
    """The state before the first step."""
    kept = [LazyKept(adamw.init(y), y.copy(), np.zeros_like(y)) for y in points]
    return LazyState(0, Learned(lr, lr_peak=lr), 0.0, kept)


def is_look(step: int, clock: float, every: int) -> bool:
    """Whether a and c are formed at a step, counted from 1: at all until n = 100, then at each multiple of `every`.

    >>> is_look(3, 2.0, 8), is_look(101, 100.0, 8), is_look(104, 103.0, 8)
    (True, False, True)
    """
    return clock < DENSE or step % every == 0


def keep_since(clock: float, gamma: float, since: int) -> float:
    """What a distance from the iterate keeps in the latest `since` steps, of which n = clock is the last.

    >>> keep_since(4.0, 1.0, 1) == keep(4.0, 1.0), keep_since(4.0, 1.0, 2) == keep(4.0, 1.0) * keep(3.0, 1.0)
    (True, True)
    """
    return math.prod(keep(max(clock - i, 0.0), gamma) for i in range(since))


def form_lazy_lag(point: Vector, kept: LazyKept, scalars: Scalars) -> Vector:
    """From the iterate towards its past: a = (average - theta) - rho*E2, with theta = y - b*E2."""
    s = round_scalars(scalars, point)
    theta = point - s.b * kept.lag_fast
    lag: Vector = (kept.average_slow - theta) - s.rho * kept.lag_fast
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
    constants: Constants = G,
    of_adamw: adamw.Constants = ADAMW_G,
    every: int = 8,
    delay: bool = False,
) -> tuple[list[Vector], LazyState, Record]:
    """One step of the lazy form, exact or delayed.

        at a look         u = gain since q: since is the number of steps since the last look
        between looks     the rate stays; ||g|| is known and feeds guard and restart

    state    from `init_lazy`, or from the step before
    every    steps from look to look, once n is 100
    delay    c moves the rate of the next step instead of this

    Other arguments and results as in `adamw_free.step`.

    >>> points, of_adamw = [np.array([8.0, -1.0])], adamw.Constants(0.5, 0.75, 1.0, 0.0)
    >>> points, state, _ = step_lazy(points, [np.array([1.0, 3.0])], init_lazy(points, 0.5), of_adamw=of_adamw)
    >>> points, state.kept[0].average_slow, state.since
    ([array([ 7.771875 , -1.3421875])], array([ 7.83333333, -1.25      ]), 0)
    """
    check_gradients(points, grads)
    t, since, clock = state.step + 1, state.since + 1, state.learned.clock
    look = is_look(t, clock, every)
    lags = []
    for y, g, kept in zip(points, grads, state.kept, strict=True):
        if g is not None and look:
            scalars = form_scalars(0.0, clock, kept.moments.step, constants, of_adamw)
            lags.append((g, form_lazy_lag(y, kept, scalars)))
    sums = Sums(total(block_sums(g, g) for g in grads if g is not None), step_step=state.step_step)
    if look:
        sums = sums._replace(
            grad_lag=total(block_sums(g, a) for g, a in lags), lag_lag=total(block_sums(a, a) for _, a in lags)
        )
    learned, record = schedule(t, state.learned, sums, constants, since)
    lr = state.learned.lr if delay else learned.lr
    moved, after, squares = [], [], []
    for y, g, kept in zip(points, grads, state.kept, strict=True):
        if g is None:
            moved.append(y.copy())
            after.append(kept)
            continue
        scalars = form_scalars(lr, clock, kept.moments.step, constants, of_adamw)
        scalars = scalars._replace(keep_slow=keep_since(clock, constants.gamma_slow, since))
        y, kept, change = apply_lazy(y, g, kept, scalars, look)
        moved.append(y)
        after.append(kept)
        squares.append(block_sums(change, change))
    return moved, LazyState(t, learned, total(squares), after, 0 if look else since), record
