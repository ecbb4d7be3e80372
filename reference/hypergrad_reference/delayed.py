"""The rules with delay 1, at the price of the optimizer below: h_t moves the rate of step t+1, not that of step t.

    exact      lr_t = S(lr_{t-1}, h_t), then a step with lr_t         two passes over the arrays: h_t before the step
    delay 1    a step with lr_t, then lr_{t+1} = S(lr_t, h_t)         one pass: h_t is summed while the step is taken

h_t is the same derivative of the loss at t for the rate of step t-1, formed of g_t and of what step t-1 left behind.
So every rule here is another rule than its exact form, with the same sums, the same schedule and the same update. How
far their rates are apart is proven in `hypergrad_reference.delay_bounds`.

A state holds the rate of the step to come: nothing is pending, a saved state goes on as it is, and a rate that is
written between two steps is what the next one takes. In a record lr_before is the rate that step t was taken with, lr
that of step t+1. A tensor that sits out contributes to no sum, at that step as a gradient, at the next as a direction.

Source: derived here.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from hypergrad_reference import adam_hd, adamw, adamw_auto, adamw_hd, sgd_hd, surprise
from hypergrad_reference.adamw_auto import MOMENTUM_RULES, NORMALIZERS, MomentumRule, Normalization
from hypergrad_reference.hypergradient import Record, Schedule, check_gradients
from hypergrad_reference.types import Vector


def step_sgd_hd(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: sgd_hd.State,
    schedule: Schedule,
    constants: sgd_hd.Constants = sgd_hd.PLAIN,
) -> tuple[list[Vector], sgd_hd.State, Record]:
    """One step of SGD-HD with delay 1; arguments, results and errors as in `sgd_hd.step`.

        theta_t     = theta_{t-1} - alpha_t d_t
        alpha_{t+1} = alpha_t + beta <g_t, d_{t-1}>

    state    its lr is alpha_t

    >>> import numpy as np
    >>> from functools import partial
    >>> from hypergrad_reference.hypergradient import schedule_additive
    >>> thetas, schedule = [np.array([5.0, -1.0])], partial(schedule_additive, hyper_lr=0.25)
    >>> state = sgd_hd.init(thetas, 0.5)
    >>> thetas, state, _ = step_sgd_hd(thetas, [np.array([2.0, 0.0])], state, schedule)
    >>> thetas, state, record = step_sgd_hd(thetas, [np.array([1.0, 3.0])], state, schedule)
    >>> thetas, state.lr, record.hypergradient, record.applied
    ([array([ 3.5, -2.5])], 1.0, -2.0, 0.5)
    """
    sums = sgd_hd.sums(thetas, grads, state.kept, constants)
    thetas, kept = sgd_hd.apply(thetas, grads, state.kept, state.lr, constants)
    record = schedule(state.step + 1, state.lr, sums)._replace(applied=state.lr)
    return thetas, sgd_hd.State(record.step, record.lr, kept), record


def step_adam_hd(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: adam_hd.State,
    schedule: Schedule,
    constants: adam_hd.Constants = adam_hd.PAPER,
) -> tuple[list[Vector], adam_hd.State, Record]:
    """One step of Adam-HD with delay 1; arguments, results and errors as in `adam_hd.step`.

        theta_t     = theta_{t-1} - alpha_t m_hat_t / (sqrt(v_hat_t) + eps)
        alpha_{t+1} = alpha_t + beta <g_t, d_{t-1}>

    state    its lr is alpha_t

    >>> import numpy as np
    >>> from functools import partial
    >>> from hypergrad_reference.hypergradient import schedule_additive
    >>> constants, schedule = adam_hd.Constants(0.5, 0.75, 1.0), partial(schedule_additive, hyper_lr=0.25)
    >>> thetas, state = [np.array([5.0, -1.0])], adam_hd.init([np.zeros(2)], 0.5)
    >>> thetas, state, _ = step_adam_hd(thetas, [np.array([1.0, 3.0])], state, schedule, constants)
    >>> _, state, record = step_adam_hd(thetas, [np.array([-2.0, 4.0])], state, schedule, constants)
    >>> record.applied, state.lr, record.hypergradient, state.kept[0].moments.exp_avg
    (0.5, 1.0, -2.0, array([-0.75,  2.75]))
    """
    sums = adam_hd.sums(thetas, grads, state.kept, constants)
    thetas, kept = adam_hd.apply(thetas, grads, state.kept, state.lr, constants)
    record = schedule(state.step + 1, state.lr, sums)._replace(applied=state.lr)
    return thetas, adam_hd.State(record.step, record.lr, kept), record


class AdamWState(NamedTuple):
    """What HypergradientAdamW with delay 1 carries from one step to the next."""

    last_lr: float  # of the step before, by which a derivative with weight decay is divided; not used before the first
    own: adamw_hd.State  # its lr is that of the step to come


def step_adamw_hd(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: AdamWState,
    schedule: Callable[[int, float, float, float, float, float], adamw_hd.Record],
    constants: adamw_hd.Constants,
    of_adamw: adamw.Constants,
) -> tuple[list[Vector], AdamWState, adamw_hd.Record]:
    """One step of HypergradientAdamW with delay 1; arguments, results and errors as in `adamw_hd.step`.

        theta_t  = theta_{t-1} (1 - lr_t weight_decay) - lr_t d_t,   d_t = m_hat_t / (sqrt(v_hat_t) + eps)
        h_t      = -sum <g_t, d_{t-1}>                               or the derivative with weight decay
        lr_{t+1} = clip(lr_t - hyper_lr h_t, lr_min, lr_max)         schedule_linear; or schedule_log

    state    at first AdamWState(lr, adamw_hd.init(thetas, lr))

    >>> import numpy as np
    >>> constants = adamw_hd.Constants(0.125, 0.0, 8.0), adamw.Constants(0.5, 0.75, 1.0, 0.25)
    >>> thetas = [np.array([8.0, -1.0])]
    >>> state = AdamWState(0.5, adamw_hd.init(thetas, 0.5))
    >>> thetas, state, _ = step_adamw_hd(
    ...     thetas, [np.array([1.0, 3.0])], state, adamw_hd.schedule_linear, *constants)
    >>> _, state, record = step_adamw_hd(
    ...     thetas, [np.array([2.0, 4.0])], state, adamw_hd.schedule_linear, *constants)
    >>> record
    Record(step=2, lr_before=0.5, lr=1.0, hypergradient=-4.0, reason='adapted')
    """
    check_gradients(thetas, grads)
    (last_lr, own), c, t = state, constants, state.own.step + 1
    decay = of_adamw.weight_decay if c.decay_in_hypergradient else None
    h = adamw_hd.find_hypergradient(thetas, grads, own.moments, own.moved, last_lr, of_adamw, decay)
    thetas, moments = adamw.step(thetas, grads, own.moments, own.lr, of_adamw)
    record = adamw_hd.keep_rate(t, own.lr) if h is None else schedule(t, own.lr, h, c.hyper_lr, c.lr_min, c.lr_max)
    after = adamw_hd.State(t, record.lr, moments, [g is not None for g in grads])
    return thetas, AdamWState(own.lr, after), record


class AutoState(NamedTuple):
    """What AutoHypergradientAdamW with delay 1 carries from one step to the next."""

    last_lr: float  # of the step before; not used before the first
    own: adamw_auto.State  # its learned rate and beta1 are those of the step to come


def step_adamw_auto(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    state: AutoState,
    constants: adamw_auto.Constants,
    of_adamw: adamw.Constants,
    normalization: Normalization = "gradient",
    momentum_rule: MomentumRule | None = None,
    watch: surprise.Watch | None = None,
    decay_in_hypergradient: bool = False,
) -> tuple[list[Vector], AutoState, adamw_auto.Record]:
    """One step of AutoHypergradientAdamW with delay 1; arguments, results and errors as in `adamw_auto.step`.

        theta_t  = theta_{t-1} (1 - lr_t weight_decay) - lr_t d_t,   d_t from m_t = beta1_t m_{t-1} + (1 - beta1_t) g_t
        h_t      = clip(-<g_t, d_{t-1}> / normalizer, -1, 1),        G_t = 0.99 G_{t-1} + 0.01 h_t^2
        lr_{t+1} = lr_t - hyper_lr h_t / (sqrt(G_t) + 1e-12), by at most a tenth of lr_t, then within [lr_min, lr_max]
        beta1_{t+1} in the same way, if it adapts

    state    at first AutoState(lr, adamw_auto.init(thetas, lr, beta1))

    The surprise moves no rate, and is what it is in the exact form: that of the gradients of step t.

    >>> import numpy as np
    >>> constants, of_adamw = adamw_auto.Constants(0.03125, warmup_steps=1), adamw.Constants(0.5, 0.75, 1.0, 0.25)
    >>> thetas = [np.array([8.0, -1.0])]
    >>> state = AutoState(0.5, adamw_auto.init(thetas, 0.5, 0.5))
    >>> thetas, state, _ = step_adamw_auto(thetas, [np.array([1.0, 3.0])], state, constants, of_adamw)
    >>> _, state, record = step_adamw_auto(thetas, [np.array([2.0, 4.0])], state, constants, of_adamw)
    >>> record.lr_before, record.normalized, record.lr == state.own.learned.lr, state.own.kept[0].moments.exp_avg
    (0.5, -0.4, True, array([1.25, 2.75]))
    """
    check_gradients(thetas, grads)
    (last_lr, own), t = state, state.own.step + 1
    decay = of_adamw.weight_decay if decay_in_hypergradient else None
    sums = adamw_auto.find_sums(thetas, grads, own.kept, last_lr, momentum_rule, decay)
    watch = watch if watch is not None and own.step >= watch.warmup_steps else None
    seen = adamw_auto.observe(grads, own, watch)
    thetas, kept = adamw_auto.apply(thetas, grads, own.kept, own.learned, of_adamw, momentum_rule, watch)
    normalize, _ = NORMALIZERS[normalization]
    follow = None if momentum_rule is None else MOMENTUM_RULES[momentum_rule][0]
    learned, record = adamw_auto.schedule(t, own.learned, sums, constants, normalize, follow)
    return thetas, AutoState(own.learned.lr, adamw_auto.State(t, learned, seen, kept)), record
