"""The schedules of the reference on float64 tensors, for steps in which the host waits for nothing.

Line by line those of `hypergrad_reference`, with `torch.where` for `if`; the tests hold them to the reference on drawn
inputs, bit for bit where only + - * / and clips are used. The root of torch on a CPU is that of a vector library, which
rounds one number in a hundred to the other side, as are exp and log.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad_reference import adam_hd, adamw_auto, adamw_hd, sgd_hd
from hypergrad_reference.adamw_auto import DECAY, EPS, LARGEST_CHANGE, LEAST_GRAD_SQ
from hypergrad_reference.rule import Bounds, Sums

REASONS = (
    "adapted", "limited", "lr_min", "lr_max", "no direction", "warmup", "non-finite sum", "small normalizer",
    "zero norm", "zero rate", "non-finite rate", "not finite: skipped",
)  # fmt: skip
"""What the code of a reason says."""
CODES = {reason: float(code) for code, reason in enumerate(REASONS)}


class Outcome(NamedTuple):
    """What a schedule gives; float64 tensors of one shape."""

    learned: Any  # the kind of tuple that the rule learns
    hypergradient: Tensor
    code: Tensor  # of the reason


def _choose(cases: list[tuple[Tensor, str]], otherwise: Tensor) -> Tensor:
    """The code of the first case that holds."""
    code = otherwise
    for holds, reason in reversed(cases):
        code = torch.where(holds, CODES[reason], code)
    return code


def _clip(value: Tensor, low: Any, high: Any) -> Tensor:
    """min(max(value, low), high)."""
    low, high = (torch.as_tensor(bound, dtype=value.dtype, device=value.device) for bound in (low, high))
    return torch.minimum(torch.maximum(value, low), high)


def _bound(target: Tensor, bounds: Bounds, reached: str = "adapted") -> tuple[Tensor, Tensor]:
    low, high = bounds
    code = _choose([(target <= low, "lr_min"), (target >= high, "lr_max")], torch.full_like(target, CODES[reached]))
    return _clip(target, low, high), code


def schedule_adamw_hd(rule: adamw_hd.Rule, step: Tensor, learned: Any, sums: Sums, bounds: Bounds) -> Outcome:
    """`adamw_hd.schedule_linear` and `schedule_log`."""
    lr: Tensor = learned.lr
    h = -torch.as_tensor(sums.decayed_grad_direction if rule.decay_in_hypergradient else sums.grad_direction)
    if rule.log_scale:
        low, high = map(math.log, bounds)
        target = torch.exp(_clip(torch.log(lr) - rule.hyper_lr * h, low, high))
    else:
        target = lr - rule.hyper_lr * h
    after, code = _bound(target, bounds)
    finite = torch.isfinite(h)
    code = _choose([(~finite, "non-finite sum")], code)
    return Outcome(learned._replace(lr=torch.where(finite, after, lr)), h, code)


def schedule_hd(rule: Any, step: Tensor, learned: Any, sums: Sums, bounds: Bounds) -> Outcome:
    """`hypergradient.schedule_additive` and `schedule_multiplicative`."""
    lr: Tensor = learned.lr
    h = -torch.as_tensor(sums.grad_direction)
    if rule.adapt == "additive":
        after, stays = lr - rule.hyper_lr * h, [(~torch.isfinite(h), "non-finite sum")]
    else:
        norm = torch.sqrt(torch.as_tensor(sums.grad_grad)) * torch.sqrt(torch.as_tensor(sums.direction_direction))
        after = lr * (1 - rule.hyper_lr * _clip(h / norm, -1.0, 1.0))
        finite = torch.isfinite(h) & torch.isfinite(norm)
        stays = [(~finite, "non-finite sum"), (norm == 0, "zero norm"), (lr == 0, "zero rate")]
    stays.append((~torch.isfinite(after), "non-finite rate"))
    code = _choose(stays, torch.full_like(lr, CODES["adapted"]))
    return Outcome(learned._replace(lr=torch.where(code == CODES["adapted"], after, lr)), h, code)


def schedule_adamw_auto(rule: adamw_auto.Rule, step: Tensor, learned: Any, sums: Sums, bounds: Bounds) -> Outcome:
    """`adamw_auto.schedule`."""
    c, lr = rule.constants, learned.lr
    direction = torch.as_tensor(sums.decayed_grad_direction if rule.decay_in_hypergradient else sums.grad_direction)
    normalizer = _normalize(rule.normalization, sums)
    numerator = torch.zeros_like(lr)
    if rule.adapt_momentum:
        numerator = torch.as_tensor(adamw_auto.MOMENTUM_RULES[rule.momentum_rule][0](sums))
    finite = torch.isfinite(direction) & torch.isfinite(normalizer) & torch.isfinite(numerator)
    h = _clip(-direction / normalizer, -1.0, 1.0)
    accumulator = DECAY * learned.lr_accumulator + (1 - DECAY) * (h * h)
    target = lr - c.hyper_lr * h / (torch.sqrt(accumulator) + EPS)
    limited = _clip(target, lr - LARGEST_CHANGE * lr, lr + LARGEST_CHANGE * lr)
    after = _clip(limited, *bounds)
    moved = learned._replace(lr=after, lr_accumulator=accumulator)
    if rule.adapt_momentum:
        hb = _clip(numerator / normalizer, -1.0, 1.0)
        of_beta1 = DECAY * learned.beta1_accumulator + (1 - DECAY) * (hb * hb)
        beta1 = _clip(learned.beta1 - c.hyper_lr_beta * hb / (torch.sqrt(of_beta1) + EPS), c.beta_min, c.beta_max)
        moved = moved._replace(beta1=beta1, beta1_accumulator=of_beta1)
    within = torch.where(limited == target, CODES["adapted"], CODES["limited"])
    code = _choose([(after > limited, "lr_min"), (after < limited, "lr_max")], within)
    stays = [(step - 1 < c.warmup_steps, "warmup"), (~finite, "non-finite sum"), (normalizer <= 0, "small normalizer")]
    code = _choose(stays, code)
    adapts = code <= CODES["lr_max"]
    chosen = [torch.where(adapts, new, old) for new, old in zip(moved, learned, strict=True)]
    return Outcome(type(learned)(*chosen), torch.where(adapts, -direction, math.nan), code)


def _normalize(name: str, sums: Sums) -> Tensor:
    """`adamw_auto.NORMALIZERS`."""
    if name == "gradient":
        norm = torch.as_tensor(sums.last_grad_grad)
        return torch.where(norm <= LEAST_GRAD_SQ, 0.0, norm)
    directions = torch.as_tensor(sums.direction_direction)
    return directions if name == "direction" else torch.sqrt(torch.as_tensor(sums.grad_grad)) * torch.sqrt(directions)


SCHEDULES: dict[type[Any], Callable[..., Outcome]] = {
    adamw_hd.Rule: schedule_adamw_hd,
    adamw_auto.Rule: schedule_adamw_auto,
    sgd_hd.Rule: schedule_hd,
    adam_hd.Rule: schedule_hd,
}
"""The schedule of a rule, by its type."""
