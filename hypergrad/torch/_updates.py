"""Loop 2 in operations of torch: the update after the schedule, as in `hypergrad_reference.loops`."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad.torch._elements import Gradient, Scratch, add_scaled, cast, dot, form_root, widen
from hypergrad.torch._items import Batch
from hypergrad_reference import adamw_free
from hypergrad_reference.adamw import ExactScalars
from hypergrad_reference.sgd_hd import HeavyBall, Nesterov, Plain


class Rounding(NamedTuple):
    """How float32 results become 16-bit parameters."""

    generator: torch.Generator | None = None  # of the random bits; None rounds to the nearest number

    def write(self, theta: Sequence[Tensor], results: Sequence[Tensor]) -> None:
        """Write the results into the parameters."""
        if self.generator is None:
            torch._foreach_copy_(list(theta), list(results))
            return
        for target, result in zip(theta, results, strict=True):
            bits = result.contiguous().view(torch.int32)
            noise = torch.empty_like(bits).random_(0, 1 << 16, generator=self.generator)
            rounded = torch.bitwise_and(bits + noise, -(1 << 16)).view(torch.float32)
            target.copy_(torch.where(result.isfinite(), rounded, result))


NEAREST = Rounding()


def update(
    batch: Batch,
    gradient: Gradient,
    scalars: Any,
    gamma: float | None,
    rounding: Rounding = NEAREST,
    scratch: Scratch | None = None,
) -> list[Tensor] | None:
    """Update the pieces of tensors and what is kept of them, in place.

    scalars    of step t; their type says which update it is
    gamma      memory of grad_ema; None makes grad_ema = g_t

    Returns ||step||^2 of each piece, without dimensions, for a rule with averages.
    """
    g = gradient.form(batch)
    theta = widen(batch.theta)
    left = UPDATES[type(scalars)](theta, g, batch, cast(scalars, theta[0].dtype), scratch)
    if theta is not batch.theta:
        rounding.write(batch.theta, theta)
    if "grad_ema" in batch.arrays:
        if gamma is None:
            torch._foreach_copy_(batch.arrays["grad_ema"], g)
        else:
            torch._foreach_lerp_(batch.arrays["grad_ema"], g, 1 - gamma)
    if "last_grad" in batch.arrays:
        torch._foreach_copy_(batch.arrays["last_grad"], g)
    return left


def _is_plain(arrays: Iterable[Tensor], s: Any) -> bool:
    """Whether torch's fused kernel takes the arrays: on a CPU, in one order of memory, and no number on a device."""
    return not isinstance(s.a, Tensor) and all(x.device.type == "cpu" and x.is_contiguous() for x in arrays)


def _run_fused(x: list[Tensor], g: list[Tensor], batch: Batch, s: Any, lr: float, weight_decay: float) -> None:
    """M, v, and x = x (1 - lr weight_decay) - lr m / (sqrt(u) + eps / sqrt(i2)), by torch's own kernel in one pass.

    It divides by 1 - beta^step, which is 1 after endless steps. Our own corrections come in by

        a m / (sqrt(u i2) + eps) = a / sqrt(i2) m / (sqrt(u) + eps / sqrt(i2))
    """
    m, v, u = (batch.arrays.get(name, []) for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"))
    torch._fused_adamw_(
        x, g, m, v, u, [torch.tensor(math.inf)] * len(x), lr=lr, beta1=s.b1, beta2=s.b2, weight_decay=weight_decay,
        eps=s.eps / math.sqrt(s.i2), amsgrad=bool(u), maximize=False,
    )  # fmt: skip


def _update_moments(g: list[Tensor], batch: Batch, s: Any) -> list[Tensor]:
    """M = b1 m + c1 g, v = b2 v + c2 g^2. Returns m."""
    m, v = batch.arrays["exp_avg"], batch.arrays["exp_avg_sq"]
    if isinstance(s.b1, Tensor):
        torch._foreach_mul_(m, s.b1)
        add_scaled(m, g, s.c1)
    else:
        torch._foreach_lerp_(m, g, s.c1)
    torch._foreach_mul_(v, s.b2)
    if isinstance(s.c2, Tensor):
        add_scaled(v, list(torch._foreach_mul(g, g)), s.c2)
    else:
        torch._foreach_addcmul_(v, g, g, s.c2)
    return m


def _update_adamw(theta: list[Tensor], g: list[Tensor], batch: Batch, s: ExactScalars, scratch: Scratch | None) -> None:
    if _is_plain((*theta, *g, *(x for arrays in batch.arrays.values() for x in arrays)), s):
        lr = s.a / math.sqrt(s.i2)
        _run_fused(theta, g, batch, s, lr, (1 - s.k) / lr if lr else 0.0)
        return
    m, v = _update_moments(g, batch, s), batch.arrays["exp_avg_sq"]
    if "max_exp_avg_sq" in batch.arrays:
        torch._foreach_maximum_(batch.arrays["max_exp_avg_sq"], v)
    root = form_root(batch, s)
    if isinstance(s.a, Tensor):
        torch._foreach_mul_(theta, s.k)
        add_scaled(theta, list(torch._foreach_div(m, root)), -s.a)
        return
    if s.k != 1:
        torch._foreach_mul_(theta, s.k)
    torch._foreach_addcdiv_(theta, m, root, -s.a)


def _update_free(
    theta: list[Tensor], g: list[Tensor], batch: Batch, s: adamw_free.Scalars, scratch: Scratch | None
) -> list[Tensor]:
    """`hypergrad_reference.adamw_free.apply`, or where the average behind E1 is kept `apply_lazy`."""
    fast, looks = batch.arrays["lag_fast"], isinstance(s.keep_slow, Tensor) or s.keep_slow != 1
    if isinstance(s.b, Tensor) or s.b:
        add_scaled(theta, fast, -s.b)  # from y to the iterate
    step = _form_step(g, batch, s, scratch)
    if isinstance(s.k, Tensor) or s.k:
        add_scaled(step, theta, s.k)
    torch._foreach_sub_(theta, step)
    if "average_slow" not in batch.arrays:
        _keep(batch.arrays["lag_slow"], step, s.keep_slow)
    elif looks:
        _lerp(batch.arrays["average_slow"], theta, 1 - s.keep_slow)
    _keep(fast, step, s.keep_fast)
    if isinstance(s.b, Tensor) or s.b:
        add_scaled(theta, fast, s.b)
    return dot(step, step, None)


def _form_step(g: list[Tensor], batch: Batch, s: adamw_free.Scalars, scratch: Scratch | None) -> list[Tensor]:
    """M and v, and a m / (sqrt(v i2) + eps)."""
    lent = scratch.lend(0, g) if scratch else None
    if lent is not None and _is_plain((*g, *batch.arrays["exp_avg"], *batch.arrays["exp_avg_sq"]), s):
        torch._foreach_zero_(lent)
        _run_fused(lent, g, batch, s, -s.a / math.sqrt(s.i2), 0.0)
        return lent
    step = list(torch._foreach_mul(_update_moments(g, batch, s), s.a))
    torch._foreach_div_(step, form_root(batch, s))
    return step


def _keep(lag: list[Tensor], step: list[Tensor], share: float | Tensor) -> None:
    """E = share (E + step)."""
    torch._foreach_add_(lag, step)
    torch._foreach_mul_(lag, share)


def _lerp(x: list[Tensor], target: list[Tensor], weight: float | Tensor) -> None:
    """X = x + weight (target - x)."""
    if isinstance(weight, Tensor):
        add_scaled(x, list(torch._foreach_sub(target, x)), weight)
    else:
        torch._foreach_lerp_(x, target, weight)


def _update_plain(theta: list[Tensor], g: list[Tensor], batch: Batch, s: Plain, scratch: Scratch | None) -> None:
    torch._foreach_copy_(batch.arrays["direction"], g)
    add_scaled(theta, g, -s.lr)


def _update_heavy_ball(
    theta: list[Tensor], g: list[Tensor], batch: Batch, s: HeavyBall, scratch: Scratch | None
) -> None:
    v = batch.arrays["velocity"]
    torch._foreach_mul_(v, s.momentum)
    add_scaled(v, g, s.undamped)
    torch._foreach_copy_(batch.arrays["direction"], v)
    add_scaled(theta, v, -s.lr)


def _update_nesterov(theta: list[Tensor], g: list[Tensor], batch: Batch, s: Nesterov, scratch: Scratch | None) -> None:
    v, d = batch.arrays["velocity"], batch.arrays["direction"]
    torch._foreach_mul_(v, s.momentum)
    torch._foreach_add_(v, g)
    torch._foreach_copy_(d, g)
    add_scaled(d, v, s.momentum)
    add_scaled(theta, d, -s.lr)


UPDATES: dict[type[Any], Callable[..., list[Tensor] | None]] = {
    ExactScalars: _update_adamw,
    Plain: _update_plain,
    HeavyBall: _update_heavy_ball,
    Nesterov: _update_nesterov,
    adamw_free.Scalars: _update_free,
}
"""The update that a type of scalars belongs to."""
