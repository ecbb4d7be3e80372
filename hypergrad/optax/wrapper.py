"""hypergradient: any transformation of optax, with a rate that descends its own gradient."""

import math
from collections.abc import Callable
from typing import Any, Literal

import optax

from hypergrad._core.checks import Choice
from hypergrad.errors import ArgumentError
from hypergrad.optax._given import (
    check_alike,
    check_inner,
    check_numbers,
    check_steps,
    find_base,
    is_known,
    read_bound,
    read_number,
    read_positive,
)
from hypergrad.optax._learn import Last, Plan, Tree, learn
from hypergrad_reference import adamw_hd, sgd_hd

RULES: dict[str, Callable[[Any], Any]] = {
    "additive": sgd_hd.Rule,
    "multiplicative": lambda hyper_lr: sgd_hd.Rule(hyper_lr, "multiplicative"),
    "log": lambda hyper_lr: adamw_hd.Rule(hyper_lr, log_scale=True),
}
"""By the name of the option."""


def hypergradient(
    inner: Any,
    learning_rate: optax.ScalarOrSchedule,
    hyper_lr: float = 1e-3,
    *,
    rule: Literal["additive", "multiplicative", "log"] = "additive",
    lr_min: float = 0.0,
    lr_max: float = math.inf,
    clip: float | None = None,
    base_lr: float | None = None,
    delay: Literal[0, 1] = 0,
    nonfinite: Literal["propagate", "skip"] = "propagate",
    last_direction: Callable[[Any, Any, Any], Any] | None = None,
) -> optax.GradientTransformationExtraArgs:
    """Step along the directions of `inner` with a rate that descends its own gradient.

        h_t     = -s_{t-1} <g_t, d_{t-1}>                                   the derivative of the loss by alpha
        alpha_t = alpha_{t-1} - hyper_lr h_t                                additive
        alpha_t = alpha_{t-1} (1 - hyper_lr h_t / (s ||g_t|| ||d_{t-1}||))  multiplicative
        alpha_t = exp(log alpha_{t-1} - hyper_lr h_t)                       log
        theta_t = theta_{t-1} - alpha_t s_t d_t,   alpha_0 = base_lr,   s_t = learning_rate(t) / base_lr

    inner             gives d_t, before it is multiplied by a rate and without a minus: optax.identity() for SGD,
                      optax.trace(0.9), optax.scale_by_adam(), or a chain that ends with optax.add_decayed_weights,
                      whose decay is then part of d and of h
    learning_rate     a number, the first rate, or a schedule of optax. The learned alpha scales it
    hyper_lr          the pace at which alpha learns, in units of alpha / h; of "multiplicative" and "log" 1 and 1 / h.
                      A number in [0, inf), default 0.001
    rule              how alpha follows h, as shown. "log" needs lr_min > 0. Default "additive"
    lr_min, lr_max    bounds of alpha. Numbers, -inf and inf among them: with lr_min=-inf the rate may turn negative, as
                      in the paper. Defaults 0 and inf
    clip              the largest |h| that counts, in units of loss / lr; not with "multiplicative", where the cosine
                      is within [-1, 1] as it is. None is no limit. Default None
    base_lr           the unit of the schedule, and the rate that alpha begins with. None is learning_rate, or what a
                      schedule begins with, which must not be 0. Default None
    delay             1: h_t moves the rate of step t+1, see `hypergrad_reference.delayed`; the sums need not be known
                      before the step. Default 0
    nonfinite         NaN or inf in a gradient or in h: "propagate" into the parameters, never into the rate, or "skip"
                      the step and count it in `skipped`. Default "propagate"
    last_direction    from the state of inner, the parameters and the rate that acted to the latest d, where it can be
                      had: lambda state, params, lr: state.trace for optax.trace. None keeps a copy, as large as the
                      parameters. Default None

    Parameters are any pytree, real or complex; sums and rates are float32, or float64 under x64. It belongs at the end
    of a chain: whatever changes its updates is not in h, and gradients that were clipped before it scale h.
    The loss must belong to the gradients that are given; parameters that others change between steps are not in h.
    Returns an optax.GradientTransformationExtraArgs, whose state is a `HypergradientState`.
    Raises ArgumentError for an option out of range, unless jit traces its value, for an inner with a minus, and from
    update for trees that do not belong together; ArrayTypeError for shapes that differ, and for integers, which no rate
    moves.
    Source: Baydin et al. 2018, section 2 and eq. 8; exact for the product with a schedule: derived here.

    >>> import jax.numpy as jnp
    >>> opt = hypergradient(optax.identity(), learning_rate=0.5, hyper_lr=0.25)
    >>> x = jnp.array([5.0, -1.0])
    >>> state = opt.init(x)
    >>> for gradient in ([2.0, 0.0], [1.0, 3.0]):
    ...     updates, state = opt.update(jnp.array(gradient), state, x)
    ...     x = optax.apply_updates(x, updates)
    >>> x, float(state.lr), float(state.hypergradient)
    (Array([ 3., -4.], dtype=float32), 1.0, -2.0)
    """
    check_inner(inner)
    Choice(tuple(RULES))("rule", rule)
    check_numbers(hyper_lr=hyper_lr)
    check_steps(delay, nonfinite)
    read_number("lr_min", lr_min, read_bound)
    read_number("lr_max", lr_max, read_bound)
    if is_known(lr_min) and is_known(lr_max) and not lr_min <= lr_max:
        raise ArgumentError(f"lr_min={lr_min!r}, lr_max={lr_max!r}: give two numbers in this order, or infinities")
    if rule == "log" and is_known(lr_min) and not lr_min > 0:
        raise ArgumentError(f"lr_min={lr_min!r} with rule='log': give a positive one")
    if clip is not None:
        read_number("clip", clip, read_positive)
        if rule == "multiplicative":
            raise ArgumentError(f"clip={clip!r} with rule='multiplicative': leave it out, or give another rule")
    if last_direction is not None and not callable(last_direction):
        raise ArgumentError(f"last_direction={last_direction!r}: give a function of the state, params and lr, or None")
    base = find_base(learning_rate, base_lr, lr_min, lr_max)
    plan = Plan(RULES[rule](hyper_lr), learning_rate, base, lr_min, lr_max, delay, nonfinite, clip)

    def recall(state: Any, params: Tree, lr: Any) -> Last:
        direction = last_direction(state, params, lr)  # type: ignore[misc]
        check_alike("what last_direction returns", direction, params, "params")
        return Last(direction, direction)

    return learn(inner, plan, None if last_direction is None else recall)
