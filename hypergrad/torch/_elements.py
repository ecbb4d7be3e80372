"""Operations on lists of arrays that both loops over the elements use, and how a gradient becomes g."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad.torch._dtypes import find_work_dtype
from hypergrad.torch._items import LIMITS, Batch


class Gradient(NamedTuple):
    """How the gradient of a tensor becomes g: g = grad_scale * grad + l2 * theta."""

    grad_scale: float = 1.0  # 1 or -1
    l2: float | Tensor = 0.0  # a number in a compiled loop's hands is a tensor

    def form(self, batch: Batch) -> list[Tensor]:
        """G of each piece in the dtype of the work; the gradient itself where nothing is to be done."""
        dtype = find_work_dtype(batch.theta[0].dtype)
        g = batch.grad if batch.grad[0].dtype == dtype else [grad.to(dtype) for grad in batch.grad]
        if self.grad_scale != 1:
            g = list(torch._foreach_mul(g, self.grad_scale))
        if isinstance(self.l2, Tensor) or self.l2:
            g = add(g, widen(batch.theta), self.l2 if not isinstance(self.l2, Tensor) else self.l2.to(dtype), None)
        return g


def widen(arrays: list[Tensor]) -> list[Tensor]:
    """The arrays in the dtype of the work."""
    dtype = find_work_dtype(arrays[0].dtype)
    return arrays if arrays[0].dtype == dtype else [array.to(dtype) for array in arrays]


def form_root(batch: Batch, s: Any) -> list[Tensor]:
    """sqrt(u i2) + eps, with u = v, or its running maximum where that is kept."""
    u = batch.arrays.get("max_exp_avg_sq") or batch.arrays["exp_avg_sq"]
    root = list(torch._foreach_mul(u, s.i2))
    torch._foreach_sqrt_(root)
    # A tensor without dimensions is added without a look at it where each array has its own.
    torch._foreach_add_(root, [s.eps] * len(root) if isinstance(s.eps, Tensor) else s.eps)
    return root


def add_scaled(x: list[Tensor], y: list[Tensor], scale: float | Tensor) -> None:
    """X = x + scale y."""
    if isinstance(scale, Tensor):
        torch._foreach_add_(x, torch._foreach_mul(y, scale))
    else:
        torch._foreach_add_(x, y, alpha=scale)


def add(x: list[Tensor], y: list[Tensor], scale: float | Tensor, out: list[Tensor] | None) -> list[Tensor]:
    """X + scale y, in `out` if there is one."""
    if isinstance(scale, Tensor):
        return list(torch._foreach_add(x, torch._foreach_mul(y, scale)))
    if out is not None:
        return [torch.add(a, b, alpha=scale, out=target) for a, b, target in zip(x, y, out, strict=True)]
    return list(torch._foreach_add(x, y, alpha=scale))


def cast(scalars: Any, dtype: torch.dtype) -> Any:
    """Scalars whose tensors are of this dtype: a tensor without dimensions would widen parameters that have none."""
    return type(scalars)(*(s.to(dtype) if isinstance(s, Tensor) else s for s in scalars))


LENDS = 1024
"""So many kinds of lends are remembered."""


class Scratch:
    """Memory of a CPU for results that live no longer than a batch.

    Memory that is given back to the system costs a page fault for every 4 KiB when it is asked for again: more time
    than the arithmetic. Other devices keep such memory themselves.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[int, torch.dtype], Tensor] = {}
        self._lent: dict[tuple[int, torch.dtype, tuple[torch.Size, ...]], list[Tensor]] = {}

    def lend(self, number: int, like: Sequence[Tensor]) -> list[Tensor] | None:
        """Arrays like those given, with whatever stands in them; None for another device, or more than a batch.

        number    lends with different numbers do not overlap
        """
        if like[0].device.type != "cpu":
            return None
        key = number, like[0].dtype, tuple([x.shape for x in like])
        if key not in self._lent:
            sizes = [x.numel() for x in like]
            if sum(sizes) > LIMITS["cpu"]:
                return None
            kept = self._kept.get(key[:2])
            if kept is None:
                kept = self._kept[key[:2]] = torch.empty(LIMITS["cpu"], dtype=like[0].dtype)
            if len(self._lent) == LENDS:  # where each step has other gradients, they would be more and more
                self._lent.clear()
            parts = kept[: sum(sizes)].split(sizes)
            self._lent[key] = [part.view(x.shape) for part, x in zip(parts, like, strict=True)]
        return self._lent[key]


def form(name: str, *operands: list[Tensor], out: list[Tensor] | None) -> list[Tensor]:
    """The results of an operation of torch, in `out` if there is one."""
    if out is None:
        return list(getattr(torch, f"_foreach_{name}")(*operands))
    operation = getattr(torch, name)
    return [operation(*pieces, out=target) for *pieces, target in zip(*operands, out, strict=True)]


def dot(x: list[Tensor], y: list[Tensor], scratch: Scratch | None) -> list[Tensor]:
    if x[0] is y[0]:  # torch 2.6 compiles `is` of lists as a comparison of their numbers
        return list(torch._foreach_pow(torch._foreach_norm(x), 2.0))
    return [product.sum() for product in form("mul", x, y, out=scratch.lend(1, x) if scratch else None)]
