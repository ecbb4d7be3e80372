"""The two loops over the elements in operations of torch, as they are or compiled."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad.torch._elements import Gradient, Scratch
from hypergrad.torch._items import Batch
from hypergrad.torch._sums import inner_products
from hypergrad.torch._updates import NEAREST, Rounding, update


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
