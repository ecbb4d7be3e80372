"""The two loops over the elements in operations of torch: inner products before the schedule, the update after.

Both follow `hypergrad_reference.loops`, equation by equation. Sums are formed in the dtype of the work, float32 for
16-bit parameters, and differ from those of the reference by rounding.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad.torch._items import LIMITS, Batch
from hypergrad_reference import adamw_free
from hypergrad_reference.adamw import ExactScalars, beta1_derivative_scalars
from hypergrad_reference.loops import INNER_PRODUCTS
from hypergrad_reference.sgd_hd import HeavyBall, Nesterov, Plain

HALF = (torch.float16, torch.bfloat16)


def find_work_dtype(dtype: torch.dtype) -> torch.dtype:
    """The dtype of the arithmetic and of all that is kept of a tensor: float32 for 16 bits, else its own."""
    return torch.float32 if dtype in HALF else dtype


class Gradient(NamedTuple):
    """How the gradient of a tensor becomes g: g = grad_scale * grad + l2 * theta."""

    grad_scale: float = 1.0  # 1 or -1
    l2: float = 0.0

    def form(self, batch: Batch) -> list[Tensor]:
        """G of each piece in the dtype of the work; the gradient itself where nothing is to be done."""
        dtype = find_work_dtype(batch.theta[0].dtype)
        g = batch.grad if batch.grad[0].dtype == dtype else [grad.to(dtype) for grad in batch.grad]
        if self.grad_scale != 1:
            g = list(torch._foreach_mul(g, self.grad_scale))
        if self.l2:
            g = list(torch._foreach_add(g, widen(batch.theta), alpha=self.l2))
        return g


def widen(arrays: list[Tensor]) -> list[Tensor]:
    """The arrays in the dtype of the work."""
    dtype = find_work_dtype(arrays[0].dtype)
    return arrays if arrays[0].dtype == dtype else [array.to(dtype) for array in arrays]


def _root(batch: Batch, s: Any) -> list[Tensor]:
    """sqrt(u i2) + eps, with u = v, or its running maximum where that is kept."""
    u = batch.arrays.get("max_exp_avg_sq") or batch.arrays["exp_avg_sq"]
    root = list(torch._foreach_mul(u, s.i2))
    torch._foreach_sqrt_(root)
    torch._foreach_add_(root, s.eps)
    return root


def _add_scaled(x: list[Tensor], y: list[Tensor], scale: float | Tensor) -> None:
    """X = x + scale y."""
    if isinstance(scale, Tensor):
        torch._foreach_add_(x, torch._foreach_mul(y, scale))
    else:
        torch._foreach_add_(x, y, alpha=scale)


def _add(x: list[Tensor], y: list[Tensor], scale: float | Tensor, out: list[Tensor] | None) -> list[Tensor]:
    """X + scale y, in `out` if there is one."""
    if isinstance(scale, Tensor):
        return list(torch._foreach_add(x, torch._foreach_mul(y, scale)))
    if out is not None:
        return [torch.add(a, b, alpha=scale, out=target) for a, b, target in zip(x, y, out, strict=True)]
    return list(torch._foreach_add(x, y, alpha=scale))


def cast(scalars: Any, dtype: torch.dtype) -> Any:
    """Scalars whose tensors are of this dtype: a tensor without dimensions would widen parameters that have none."""
    return type(scalars)(*(s.to(dtype) if isinstance(s, Tensor) else s for s in scalars))


class Lag(NamedTuple):
    """What the way from the iterate towards its past is formed with; see `hypergrad_reference.adamw_free`."""

    b: float  # interpolation
    rho: float

    def form(self, batch: Batch, scratch: "Scratch | None") -> list[Tensor]:
        """A = E1 - rho E2; of the lazy form, with E1 = average - theta and theta = y - b E2."""
        fast = batch.arrays["lag_fast"]
        lent = scratch.lend(0, fast) if scratch else None
        if "average_slow" not in batch.arrays:
            return _add(batch.arrays["lag_slow"], fast, -self.rho, lent)
        lag = _form("sub", batch.arrays["average_slow"], widen(batch.theta), out=lent)
        _add_scaled(lag, fast, self.b - self.rho)
        return lag


class Scratch:
    """Memory of a CPU for results that live no longer than a batch.

    Memory that is given back to the system costs a page fault for every 4 KiB when it is asked for again: more time
    than the arithmetic. Other devices keep such memory themselves.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, torch.dtype], Tensor] = {}

    def lend(self, number: int, like: Sequence[Tensor]) -> list[Tensor] | None:
        """Arrays like those given, with whatever stands in them; None for another device, or more than a batch.

        number    lends with different numbers do not overlap
        """
        sizes = [x.numel() for x in like]
        if like[0].device.type != "cpu" or sum(sizes) > LIMITS["cpu"]:
            return None
        kept = self._kept.get((number, like[0].dtype))
        if kept is None or kept.numel() < sum(sizes):
            kept = self._kept[number, like[0].dtype] = torch.empty(sum(sizes), dtype=like[0].dtype)
        return [part.view(x.shape) for part, x in zip(kept[: sum(sizes)].split(sizes), like, strict=True)]


def _form(name: str, *operands: list[Tensor], out: list[Tensor] | None) -> list[Tensor]:
    """The results of an operation of torch, in `out` if there is one."""
    if out is None:
        return list(getattr(torch, f"_foreach_{name}")(*operands))
    operation = getattr(torch, name)
    return [operation(*pieces, out=target) for *pieces, target in zip(*operands, out, strict=True)]


# Loop 1.


def inner_products(
    names: Iterable[str], batch: Batch, gradient: Gradient, scalars: Any, last_beta1_power: float = 1.0,
    scratch: Scratch | None = None,
) -> dict[str, list[Tensor]]:  # fmt: skip
    """The inner products asked for, of each piece, without dimensions; see `hypergrad_reference.loops`.

    names       keys of INNER_PRODUCTS
    scalars     of step t-1, from which the direction is rebuilt; of a rule with averages a Lag
    """
    names = tuple(names)
    if scalars is not None:
        scalars = cast(scalars, find_work_dtype(batch.theta[0].dtype))
    needed = {factor for name in names for factor in INNER_PRODUCTS[name]}
    g = gradient.form(batch)
    factors = {"grad": g, "theta": widen(batch.theta) if "theta" in needed else [], **batch.arrays}
    scales = dict.fromkeys(needed, 1.0)
    if "direction" in needed and "direction" not in factors:
        factors["direction"], scales["direction"] = _rebuild_direction(batch, scalars, scratch)
    if "deviation" in needed:
        factors["deviation"] = list(torch._foreach_sub(g, batch.arrays["grad_ema"]))
    if "lag" in needed:
        factors["lag"] = scalars.form(batch, scratch)
    if "beta1_derivative" in needed:
        factors["beta1_derivative"] = _derive_by_beta1(batch, scalars, last_beta1_power)
    found = {}
    for name in names:
        left, right = INNER_PRODUCTS[name]
        found[name], scale = _dot(factors[left], factors[right], scratch), scales[left] * scales[right]
        if scale != 1:
            torch._foreach_mul_(found[name], scale)
    return found


def _dot(x: list[Tensor], y: list[Tensor], scratch: Scratch | None) -> list[Tensor]:
    if x is y:
        return list(torch._foreach_pow(torch._foreach_norm(x), 2.0))
    return [product.sum() for product in _form("mul", x, y, out=scratch.lend(1, x) if scratch else None)]


def _rebuild_direction(batch: Batch, s: ExactScalars, scratch: Scratch | None) -> tuple[list[Tensor], float]:
    """The direction m i1 / (sqrt(u i2) + eps) as m / (sqrt(u) + eps / sqrt(i2)), and its factor i1 / sqrt(i2)."""
    m, u = batch.arrays["exp_avg"], batch.arrays.get("max_exp_avg_sq") or batch.arrays["exp_avg_sq"]
    if isinstance(s.i2, Tensor):  # eps is a number: a tensor without dimensions is not added without a look at it
        d = list(torch._foreach_mul(m, s.i1))
        torch._foreach_div_(d, _root(batch, s))
        return d, 1.0
    factor = 1 / math.sqrt(s.i2)
    lent = scratch.lend(0, u) if scratch else None
    root = _form("sqrt", u, out=lent)
    torch._foreach_add_(root, s.eps * factor)
    return _form("div", m, root, out=lent), s.i1 * factor


def _derive_by_beta1(batch: Batch, s: ExactScalars, last_beta1_power: float) -> list[Tensor]:
    """[(m - g) p + m q] / (sqrt(u i2) + eps), see `hypergrad_reference.adamw.direction_beta1_derivative`."""
    p, q = beta1_derivative_scalars(s.b1, last_beta1_power)
    m = batch.arrays["exp_avg"]
    slope = list(torch._foreach_mul(m, p + q))
    _add_scaled(slope, batch.arrays["last_grad"], -p)
    torch._foreach_div_(slope, _root(batch, s))
    return slope


# Loop 2.


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
        _add_scaled(m, g, s.c1)
    else:
        torch._foreach_lerp_(m, g, s.c1)
    torch._foreach_mul_(v, s.b2)
    if isinstance(s.c2, Tensor):
        _add_scaled(v, list(torch._foreach_mul(g, g)), s.c2)
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
    root = _root(batch, s)
    if isinstance(s.a, Tensor):
        torch._foreach_mul_(theta, s.k)
        _add_scaled(theta, list(torch._foreach_div(m, root)), -s.a)
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
        _add_scaled(theta, fast, -s.b)  # from y to the iterate
    step = _form_step(g, batch, s, scratch)
    if isinstance(s.k, Tensor) or s.k:
        _add_scaled(step, theta, s.k)
    torch._foreach_sub_(theta, step)
    if "average_slow" not in batch.arrays:
        _keep(batch.arrays["lag_slow"], step, s.keep_slow)
    elif looks:
        _lerp(batch.arrays["average_slow"], theta, 1 - s.keep_slow)
    _keep(fast, step, s.keep_fast)
    if isinstance(s.b, Tensor) or s.b:
        _add_scaled(theta, fast, s.b)
    return _dot(step, step, None)


def _form_step(g: list[Tensor], batch: Batch, s: adamw_free.Scalars, scratch: Scratch | None) -> list[Tensor]:
    """M and v, and a m / (sqrt(v i2) + eps)."""
    lent = scratch.lend(0, g) if scratch else None
    if lent is not None and _is_plain((*g, *batch.arrays["exp_avg"], *batch.arrays["exp_avg_sq"]), s):
        torch._foreach_zero_(lent)
        _run_fused(lent, g, batch, s, -s.a / math.sqrt(s.i2), 0.0)
        return lent
    step = list(torch._foreach_mul(_update_moments(g, batch, s), s.a))
    torch._foreach_div_(step, _root(batch, s))
    return step


def _keep(lag: list[Tensor], step: list[Tensor], share: float | Tensor) -> None:
    """E = share (E + step)."""
    torch._foreach_add_(lag, step)
    torch._foreach_mul_(lag, share)


def _lerp(x: list[Tensor], target: list[Tensor], weight: float | Tensor) -> None:
    """X = x + weight (target - x)."""
    if isinstance(weight, Tensor):
        _add_scaled(x, list(torch._foreach_sub(target, x)), weight)
    else:
        torch._foreach_lerp_(x, target, weight)


def _update_plain(theta: list[Tensor], g: list[Tensor], batch: Batch, s: Plain, scratch: Scratch | None) -> None:
    torch._foreach_copy_(batch.arrays["direction"], g)
    _add_scaled(theta, g, -s.lr)


def _update_heavy_ball(
    theta: list[Tensor], g: list[Tensor], batch: Batch, s: HeavyBall, scratch: Scratch | None
) -> None:
    v = batch.arrays["velocity"]
    torch._foreach_mul_(v, s.momentum)
    torch._foreach_add_(v, g, alpha=s.undamped)
    torch._foreach_copy_(batch.arrays["direction"], v)
    _add_scaled(theta, v, -s.lr)


def _update_nesterov(theta: list[Tensor], g: list[Tensor], batch: Batch, s: Nesterov, scratch: Scratch | None) -> None:
    v, d = batch.arrays["velocity"], batch.arrays["direction"]
    torch._foreach_mul_(v, s.momentum)
    torch._foreach_add_(v, g)
    torch._foreach_copy_(d, g)
    torch._foreach_add_(d, v, alpha=s.momentum)
    _add_scaled(theta, d, -s.lr)


UPDATES: dict[type[Any], Callable[..., list[Tensor] | None]] = {
    ExactScalars: _update_adamw,
    Plain: _update_plain,
    HeavyBall: _update_heavy_ball,
    Nesterov: _update_nesterov,
    adamw_free.Scalars: _update_free,
}
"""The update that a type of scalars belongs to."""


# Compiled.


class Loops(NamedTuple):
    """The two loops, as they are or compiled."""

    inner_products: Callable[..., dict[str, list[Tensor]]]
    update: Callable[..., list[Tensor] | None]


def make_loops() -> Loops:
    """The loops as they are, with scratch of their own."""
    scratch = Scratch()
    return Loops(partial(inner_products, scratch=scratch), partial(update, scratch=scratch))


def compile_loops(**options: Any) -> Loops:
    """The loops by torch.compile; scalars go in as tensors, so that a new rate is no reason to compile again."""
    sums, change = torch.compile(inner_products, **options), torch.compile(update, **options)

    def compiled_sums(
        names: Iterable[str], batch: Batch, gradient: Gradient, scalars: Any, power: Any
    ) -> dict[str, list[Tensor]]:
        found: dict[str, list[Tensor]] = sums(names, batch, gradient, lift(scalars), power)
        return found

    def compiled_update(
        batch: Batch, gradient: Gradient, scalars: Any, gamma: float | None, rounding: Rounding = NEAREST
    ) -> list[Tensor] | None:
        if rounding.generator is not None:  # random bits of a generator cannot be part of a graph
            return update(batch, gradient, scalars, gamma, rounding)
        left: list[Tensor] | None = change(batch, gradient, lift(scalars), gamma)
        return left

    return Loops(compiled_sums, compiled_update)


def lift(scalars: Any) -> Any:
    """Scalars as float64 tensors without dimensions."""
    return None if scalars is None else type(scalars)(*(torch.as_tensor(s, dtype=torch.float64) for s in scalars))
