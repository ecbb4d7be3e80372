"""The schedules of the reference on arrays, for steps in which the host waits for nothing.

Line by line those of `hypergrad_reference`, with `where` for `if`. xp is the namespace of the arrays: torch, or
jax.numpy. The tests hold both to the reference on drawn inputs, bit for bit where only + - * / and clips are used; a
root, exp and log of a vector library may round to the other side.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from hypergrad_reference import adam_hd, adamw_auto, adamw_auto_rule, adamw_hd, sgd_hd
from hypergrad_reference.adamw_auto import DECAY, EPS, LARGEST_CHANGE, LEAST_GRAD_SQ
from hypergrad_reference.rule import Bounds

REASONS = (
    "adapted", "limited", "lr_min", "lr_max", "no direction", "warmup", "non-finite sum", "small normalizer",
    "zero norm", "zero rate", "non-finite rate", "not finite: skipped",
)  # fmt: skip
"""What the code of a reason says."""
CODES = {reason: float(code) for code, reason in enumerate(REASONS)}


Array: TypeAlias = Any
"""An array of the namespace."""


class Outcome(NamedTuple):
    """What a schedule gives; arrays of one shape."""

    learned: Any  # the kind of tuple that the rule learns
    hypergradient: Array
    code: Array  # of the reason


def _choose(xp: Any, cases: list[tuple[Array, str]], otherwise: Array) -> Array:
    """The code of the first case that holds."""
    code = otherwise
    for holds, reason in reversed(cases):
        code = xp.where(holds, CODES[reason], code)
    return code


def _bound(xp: Any, target: Array, bounds: Bounds) -> tuple[Array, Array]:
    low, high = bounds
    code = xp.full_like(target, CODES["adapted"])
    code = _choose(xp, [(target <= low, "lr_min"), (target >= high, "lr_max")], code)
    return xp.clip(target, low, high), code


def _log(xp: Any, bound: Any) -> Any:
    return math.log(bound) if isinstance(bound, float) else xp.log(bound)


def schedule_adamw_hd(xp: Any, rule: adamw_hd.Rule, step: Array, learned: Any, sums: Any, bounds: Bounds) -> Outcome:
    """`adamw_hd.schedule_linear` and `schedule_log`."""
    lr = learned.lr
    h = -(sums.decayed_grad_direction if rule.decay_in_hypergradient else sums.grad_direction)
    if rule.log_scale:
        low, high = (_log(xp, bound) for bound in bounds)
        target = xp.exp(xp.clip(xp.log(lr) - rule.hyper_lr * h, low, high))
    else:
        target = lr - rule.hyper_lr * h
    after, code = _bound(xp, target, bounds)
    finite = xp.isfinite(h)
    code = _choose(xp, [(~finite, "non-finite sum")], code)
    return Outcome(learned._replace(lr=xp.where(finite, after, lr)), h, code)


def schedule_hd(xp: Any, rule: Any, step: Array, learned: Any, sums: Any, bounds: Bounds) -> Outcome:
    """`hypergradient.schedule_additive` and `schedule_multiplicative`, which have no bounds, held within some."""
    lr, h = learned.lr, -sums.grad_direction
    if rule.adapt == "additive":
        after, stays = lr - rule.hyper_lr * h, [(~xp.isfinite(h), "non-finite sum")]
    else:
        norm = xp.sqrt(sums.grad_grad) * xp.sqrt(sums.direction_direction)
        after = lr * (1 - rule.hyper_lr * xp.clip(h / norm, -1.0, 1.0))
        finite = xp.isfinite(h) & xp.isfinite(norm)
        stays = [(~finite, "non-finite sum"), (norm == 0, "zero norm"), (lr == 0, "zero rate")]
    stays.append((~xp.isfinite(after), "non-finite rate"))
    bounded, code = _bound(xp, after, bounds)
    code = _choose(xp, stays, code)
    return Outcome(learned._replace(lr=xp.where(code <= CODES["lr_max"], bounded, lr)), h, code)


def schedule_adamw_auto(
    xp: Any, rule: adamw_auto_rule.Rule, step: Array, learned: Any, sums: Any, bounds: Bounds
) -> Outcome:
    """`adamw_auto.schedule`."""
    c, lr = rule.constants, learned.lr
    direction = sums.decayed_grad_direction if rule.decay_in_hypergradient else sums.grad_direction
    normalizer = _normalize(xp, rule.normalization, sums)
    numerator = adamw_auto.MOMENTUM_RULES[rule.momentum_rule][0](sums) if rule.adapt_momentum else xp.zeros_like(lr)
    finite = xp.isfinite(direction) & xp.isfinite(normalizer) & xp.isfinite(numerator)
    h = xp.clip(-direction / normalizer, -1.0, 1.0)
    accumulator = DECAY * learned.lr_accumulator + (1 - DECAY) * (h * h)
    target = lr - c.hyper_lr * h / (xp.sqrt(accumulator) + EPS)
    limited = xp.clip(target, lr - LARGEST_CHANGE * lr, lr + LARGEST_CHANGE * lr)
    after = xp.clip(limited, *bounds)
    moved = learned._replace(lr=after, lr_accumulator=accumulator)
    if rule.adapt_momentum:
        hb = xp.clip(numerator / normalizer, -1.0, 1.0)
        of_beta1 = DECAY * learned.beta1_accumulator + (1 - DECAY) * (hb * hb)
        beta1 = learned.beta1 - c.hyper_lr_beta * hb / (xp.sqrt(of_beta1) + EPS)
        moved = moved._replace(beta1=xp.clip(beta1, c.beta_min, c.beta_max), beta1_accumulator=of_beta1)
    code = xp.where(limited == target, CODES["adapted"], CODES["limited"])
    code = _choose(xp, [(after > limited, "lr_min"), (after < limited, "lr_max")], code)
    stays = [(step - 1 < c.warmup_steps, "warmup"), (~finite, "non-finite sum"), (normalizer <= 0, "small normalizer")]
    code = _choose(xp, stays, code)
    adapts = code <= CODES["lr_max"]
    chosen = [xp.where(adapts, new, old) for new, old in zip(moved, learned, strict=True)]
    return Outcome(type(learned)(*chosen), xp.where(adapts, -direction, math.nan), code)


def _normalize(xp: Any, name: str, sums: Any) -> Array:
    """`adamw_auto.NORMALIZERS`."""
    if name == "gradient":
        return xp.where(sums.last_grad_grad <= LEAST_GRAD_SQ, 0.0, sums.last_grad_grad)
    directions = sums.direction_direction
    return directions if name == "direction" else xp.sqrt(sums.grad_grad) * xp.sqrt(directions)


SCHEDULES: dict[type[Any], Callable[..., Outcome]] = {
    adamw_hd.Rule: schedule_adamw_hd,
    adamw_auto_rule.Rule: schedule_adamw_auto,
    sgd_hd.Rule: schedule_hd,
    adam_hd.Rule: schedule_hd,
}
"""The schedule of a rule, by its type."""
