"""What moves the rate of TuningFreeAdamW, and the clock of its averages: scalars alone, in float64.

The rule and its symbols stand in `adamw_free.py`. Here are the parts that decide: how far the rate moves with the
cosine, and the climb, the guard and the two restarts that make it safe.
"""

import math
from typing import NamedTuple

from hypergrad_reference.rule import Sums

SMOOTHING = 0.1  # share of the newest value in a running mean
FADE = 100  # steps after the peak in which the gain falls by sqrt(2)
FIRST_CLIMB = 6  # the step from which the climb rule holds
FIRST_STALE = 12  # the step from which that is looked at
ARMED = 30  # norms that are seen before the target can have moved
DENSE = 100  # value of the clock n up to which the lazy form looks at every step
Z_MAX, Z_DRIFT = 3.0, 1.5  # of the running sum of deviations


class Constants(NamedTuple):
    """What stays the same over a run; the defaults are G, the rule of TuningFreeAdamW."""

    interpolation: float = 0.7  # b, in [0, 1]: 0 takes gradients at the iterate
    gamma_slow: float = 1.0  # exponent of the average behind E1
    gamma_fast: float = 6.0  # of the average behind E2, the answer
    rho: float = 0.95
    gain: float = 0.3
    climb: float = 0.15  # largest change of log lr by the climb rule; 0: no such rule
    guard: float = 0.03  # of the largest gradient norm: below it the rate has a ceiling; 0: no guard
    stale: float = 1 / 3  # phi below it: averages no longer describe the present; 0: never
    moved: float = 20.0  # sum of deviations above it: the target has moved; inf: never
    lr_min: float = 1e-12
    lr_max: float = 1e6
    delay: bool = False  # the sums are those of the step before; see adamw_free_variants
    every: int = 1  # steps from look to look, once n is 100: the lazy form

    @property
    def straight(self) -> float:
        """H: the norm of a in units of (n + 1) ||step||, where all steps are equal."""
        return 1 / (self.gamma_slow + 2) - self.rho / (self.gamma_fast + 2)


G = Constants()
K = Constants(interpolation=0.0, gamma_fast=8.0, rho=0.8, gain=0.2, climb=0.0, stale=0.0, moved=math.inf)
VARIANTS = {"G": G, "K": K}
"""By the name of the option."""


class Target(NamedTuple):
    """Whether the target has moved: a one-sided running sum of deviations of log ||g||; scalars in float64."""

    seen: int = 0  # k, norms since the last restart
    unit: float = 1.0  # the first of them: logarithms are of ratios, which do not feel the scale of the loss
    mean: float = 0.0
    variance: float = 0.0
    excess: float = 0.0  # S


class Learned(NamedTuple):
    """What the schedule carries from one step to the next; scalars in float64."""

    lr: float
    clock: float = 0.0  # n of the latest step, which the averages count by
    next_clock: float = 0.0  # n of the step to come
    look: bool = True  # whether a and c were formed at the latest step
    gap: int = 0  # steps from the look before to the latest step
    lr_peak: float = 0.0  # the largest rate of this climb
    peak_step: int = 0  # the step at which the climb ended; 0 while it goes on
    q_mean: float = 0.0  # running mean of q, and its maximum
    q_peak: float = 0.0
    norm_mean: float = 0.0  # running mean of ||g||, and its maximum
    norm_peak: float = 0.0
    target: Target = Target()


class Record(NamedTuple):
    """Why the rate moved, or did not; scalars in float64, nan where a quantity was not formed."""

    step: int  # the step of the optimizer that this record belongs to, from 1
    lr_before: float
    lr: float
    hypergradient: float  # -<g, a> / lr_before: of the loss, with respect to the rate of the steps that make up a
    reason: str  # "climbing", "annealing", "guard", "restart: target moved", or why the rate stayed
    cosine: float  # c
    reach: float  # phi
    log_change: float  # u
    grad_norm: float
    clock: float  # n of the step to come
    excess: float  # S, which restarts the climb above 20


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


def watch_target(target: Target, norm: float, moved: float = G.moved) -> tuple[Target, bool]:
    """Look for a rise of the gradient norm that lasts.

        z = clip((log ||g|| - mean) / deviation, -3, 3),   S = max(0, S + z - 1.5), once 30 norms were seen
        mean and variance run with weight 2 / (k + 2)

    Returns the new state, and whether S is above `moved`; a norm of 0 is passed over.

    >>> target, moved = watch_target(Target(), 2.0)
    >>> watch_target(target, 2.0)
    (Target(seen=2, unit=2.0, mean=0.0, variance=0.0, excess=0.0), False)
    """
    if not norm > 0:
        return target, False
    k, unit, mean, variance, excess = target if target.seen else Target(unit=norm)
    x = math.log(norm / unit)
    if k >= ARMED and variance > 0:
        excess = max(0.0, excess + _clip((x - mean) / math.sqrt(variance), -Z_MAX, Z_MAX) - Z_DRIFT)
    weight, change = 2 / (k + 2), x - mean
    variance = (1 - weight) * (variance + weight * change * change)
    return Target(k + 1, unit, mean + weight * change, variance, excess), excess > moved


def looks(step: int, clock: float, every: int) -> bool:
    """Whether a and c are formed at a step, counted from 1: at all until n = 100, then at each multiple of `every`.

    >>> looks(3, 2.0, 8), looks(101, 100.0, 8), looks(104, 103.0, 8)
    (True, False, True)
    """
    return clock < DENSE or step % every == 0


def schedule(step: int, learned: Learned, sums: Sums | None, constants: Constants = G) -> tuple[Learned, Record]:
    """The rate and the clock of a step, and the clock of the next.

        q          as above; q_mean follows it by a tenth of the difference, q_peak is the largest q_mean of the climb
        climb      from the 6th step on: w = 0.15 clip(q / q_peak, -1, 1), which counts instead of u if it is larger
        guard      lr <= lr_peak sqrt(norm_mean / (0.03 norm_peak)); a norm of 0 is passed over
        peak       the climb ends where lr < lr_peak / 2
        restart    of the averages, if phi < 1/3: n = 0.9 n
        restart    of the climb, if the target moved: n = 0.05 n
        lazy       the gain counts once for each step since the look before

    step         number of the step that is being taken, from 1
    sums         grad_grad, grad_lag, lag_lag and step_step, of this step or, delayed, of the step before; None if there
                 was none. Without <g, a> the rate stays, and the norm alone is looked at

    Returns the new state and the record. The rate is finite, within [lr_min, lr_max].

    >>> sums = Sums(grad_grad=4.0, grad_lag=0.5, lag_lag=0.25, step_step=1.0)
    >>> learned, record = schedule(2, Learned(0.5, next_clock=1.0), sums)
    >>> record.cosine, record.reach, record.log_change, record.hypergradient, record.reason
    (0.5, 0.8583333333333333, 0.12874999999999998, -1.0, 'climbing')
    >>> learned.lr == 0.5 * math.exp(record.log_change), learned.clock, learned.next_clock, learned.q_mean
    (True, 1.0, 2.0, 0.042916666666666665)
    """
    c, n = constants, learned.next_clock
    after = learned._replace(
        clock=n, next_clock=n + 1, look=looks(step, n, c.every), gap=1 if learned.look else learned.gap + 1
    )
    if sums is None:
        return after, _stay(step, after, "no average yet")
    formed = not math.isnan(sums.lag_lag)
    needed = (sums.grad_grad, sums.grad_lag, sums.lag_lag) if formed else (sums.grad_grad,)
    if not all(map(math.isfinite, (*needed, sums.step_step))):
        return after, _stay(step, after, "non-finite sum")
    norm = math.sqrt(sums.grad_grad)
    norm_mean = learned.norm_mean + (SMOOTHING * (norm - learned.norm_mean) if norm > 0 else 0.0)
    norm_peak = max(learned.norm_peak, norm_mean)
    after = after._replace(norm_mean=norm_mean, norm_peak=norm_peak)
    cosine = phi = u = math.nan
    reason = "between two looks" if learned.clock or learned.next_clock else "no average yet"
    if formed and reason != "no average yet":
        seen = learned if c.delay else after
        cosine, phi = _find_cosine(sums, seen.clock, c)
        after, u, reason = _move(step, after, phi * cosine, c, seen.gap)
        if phi < c.stale and step >= FIRST_STALE:
            after = after._replace(next_clock=after.next_clock * 0.9)
    if c.moved < math.inf:
        target, moved = watch_target(after.target, norm, c.moved)
        after = after._replace(target=target)
        if moved:
            reason = "restart: target moved"
            after = Learned(
                after.lr, after.clock, after.next_clock * 0.05, after.look, after.gap, after.lr,
                norm_mean=norm_mean, norm_peak=norm_peak, target=target._replace(seen=0, excess=0.0),
            )  # fmt: skip
    h = math.nan if math.isnan(cosine) else -sums.grad_lag / learned.lr
    record = Record(step, learned.lr, after.lr, h, reason, cosine, phi, u, norm, after.next_clock, after.target.excess)
    return after, record


def _stay(step: int, after: Learned, reason: str) -> Record:
    nan = math.nan
    return Record(step, after.lr, after.lr, nan, reason, nan, nan, nan, nan, after.next_clock, after.target.excess)


def _find_cosine(sums: Sums, clock: float, constants: Constants) -> tuple[float, float]:
    """The cosine of g and a, and phi; 0 and 1 where one of them is 0."""
    norm, lag = math.sqrt(sums.grad_grad), math.sqrt(sums.lag_lag)
    if not norm * lag > 0:
        return 0.0, 1.0
    phi = min(1.0, (clock + 1) * constants.straight * math.sqrt(sums.step_step) / lag)
    return _clip(sums.grad_lag / (norm * lag), -1.0, 1.0), phi


def _move(step: int, learned: Learned, q: float, constants: Constants, gap: int) -> tuple[Learned, float, str]:
    """The rate after a step with q, the change of its logarithm, and why."""
    c, climbing = constants, learned.peak_step == 0
    q_mean = learned.q_mean + SMOOTHING * (q - learned.q_mean)
    q_peak = max(learned.q_peak, q_mean) if climbing else learned.q_peak
    u, reason = c.gain * gap * q, "climbing"
    if not climbing:
        u, reason = u * math.sqrt(FADE / (FADE + step - learned.peak_step)), "annealing"
    elif step >= FIRST_CLIMB and q_peak > 0:
        w = c.climb * _clip(q / q_peak, -1.0, 1.0)
        u = w if abs(w) > abs(u) else u
    lr_peak, gone = max(learned.lr_peak, learned.lr), c.guard * learned.norm_peak
    if learned.norm_mean < gone:
        ceiling = max(c.lr_min, lr_peak * math.sqrt(learned.norm_mean / gone))
        if u > (rise := math.log(ceiling / learned.lr)):
            u, reason = rise, "guard"
    lr = _clip(learned.lr * math.exp(u), c.lr_min, c.lr_max)
    lr_peak = max(lr_peak, lr)
    peak_step = step if climbing and lr < lr_peak / 2 else learned.peak_step
    return learned._replace(lr=lr, lr_peak=lr_peak, peak_step=peak_step, q_mean=q_mean, q_peak=q_peak), u, reason
