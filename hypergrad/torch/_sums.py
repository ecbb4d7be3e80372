"""Loop 1 in operations of torch: the inner products before the schedule.

It follows `hypergrad_reference.loops`. Sums are formed in the dtype of the work, float32 for 16-bit parameters, and
differ from those of the reference by rounding.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad.torch._dtypes import find_work_dtype
from hypergrad.torch._elements import (
    Gradient,
    Scratch,
    add,
    add_scaled,
    cast,
    dot,
    form,
    form_root,
    widen,
)
from hypergrad.torch._items import Batch
from hypergrad_reference.adamw import ExactScalars
from hypergrad_reference.adamw_beta1 import beta1_derivative_scalars
from hypergrad_reference.loops import INNER_PRODUCTS


class Lag(NamedTuple):
    """What the way from the iterate towards its past is formed with; see `hypergrad_reference.adamw_free`."""

    b: float  # interpolation
    rho: float

    def form(self, batch: Batch, scratch: "Scratch | None") -> list[Tensor]:
        """A = E1 - rho E2; of the lazy form, with E1 = average - theta and theta = y - b E2."""
        fast = batch.arrays["lag_fast"]
        lent = scratch.lend(0, fast) if scratch else None
        if "average_slow" not in batch.arrays:
            return add(batch.arrays["lag_slow"], fast, -self.rho, lent)
        lag = form("sub", batch.arrays["average_slow"], widen(batch.theta), out=lent)
        add_scaled(lag, fast, self.b - self.rho)
        return lag


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
        found[name], scale = dot(factors[left], factors[right], scratch), scales[left] * scales[right]
        if scale != 1:
            torch._foreach_mul_(found[name], scale)
    return found


def _rebuild_direction(batch: Batch, s: ExactScalars, scratch: Scratch | None) -> tuple[list[Tensor], float]:
    """The direction m i1 / (sqrt(u i2) + eps) as m / (sqrt(u) + eps / sqrt(i2)), and its factor i1 / sqrt(i2)."""
    m, u = batch.arrays["exp_avg"], batch.arrays.get("max_exp_avg_sq") or batch.arrays["exp_avg_sq"]
    if isinstance(s.i2, Tensor):
        d = list(torch._foreach_mul(m, s.i1))
        torch._foreach_div_(d, form_root(batch, s))
        return d, 1.0
    factor = 1 / math.sqrt(s.i2)
    lent = scratch.lend(0, u) if scratch else None
    root = form("sqrt", u, out=lent)
    torch._foreach_add_(root, s.eps * factor)
    return form("div", m, root, out=lent), s.i1 * factor


def _derive_by_beta1(batch: Batch, s: ExactScalars, last_beta1_power: float) -> list[Tensor]:
    """[(m - g) p + m q] / (sqrt(u i2) + eps), see `hypergrad_reference.adamw_beta1.direction_beta1_derivative`."""
    if isinstance(last_beta1_power, Tensor):
        last_beta1_power = last_beta1_power.to(find_work_dtype(batch.theta[0].dtype))
    p, q = beta1_derivative_scalars(s.b1, last_beta1_power)
    m = batch.arrays["exp_avg"]
    slope = list(torch._foreach_mul(m, p + q))
    add_scaled(slope, batch.arrays["last_grad"], -p)
    torch._foreach_div_(slope, form_root(batch, s))
    return slope
