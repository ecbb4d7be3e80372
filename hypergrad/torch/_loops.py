"""The two loops over the elements in operations of torch, as they are or compiled."""

import sys
import warnings
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from types import FunctionType
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
    limit: int | None = None  # elements of a batch; None asks the device


def make_loops() -> Loops:
    """The loops as they are, with scratch of their own."""
    scratch = Scratch()
    return Loops(partial(inner_products, scratch=scratch), partial(update, scratch=scratch))


GRAPHS = 64
"""So many kinds of arguments are compiled for; a model that goes through more of them would do little else."""


class Compiled:
    """A function by torch.compile, with a graph of its own for each kind of arguments.

    Past 8 graphs of one function torch goes on without compiling, and says so in its log alone. A copy of the function
    for each kind has one graph, or a few for lengths that differ.
    """

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        self.function, self.options = function, options
        self._known: dict[Hashable, Callable[..., Any]] = {}

    def find(self, kind: Hashable) -> Callable[..., Any] | None:
        """The function for this kind; None past the limit, which is said once."""
        if kind not in self._known and len(self._known) < GRAPHS:
            number = len(self._known)
            code = self.function.__code__.replace(co_name=f"{self.function.__name__}_{number}")
            own = FunctionType(code, self.function.__globals__, code.co_name, self.function.__defaults__)
            self._known[kind] = torch.compile(own, **self.options)
            if number == GRAPHS - 1:
                warnings.warn(
                    f"compile(): this is graph {GRAPHS} of {self.function.__name__}, and the last; steps with other "
                    "parameters go on without one. Have the same parameters in each step, with "
                    "zero_grad(set_to_none=False), or leave compile() out",
                    stacklevel=2,
                )
        return self._known.get(kind)


def compile_loops(options: dict[str, Any], alone: bool) -> Loops:
    """The loops by torch.compile; scalars go in as tensors, so that a new rate is no reason to compile again.

    options    of torch.compile
    alone      each tensor by itself: where each has a rate, those that are alike are others in each step
    """
    sums, change = Compiled(inner_products, options), Compiled(update, options)
    static = options.get("dynamic") is False

    def compiled_sums(
        names: Iterable[str], batch: Batch, gradient: Gradient, scalars: Any, power: Any
    ) -> dict[str, list[Tensor]]:
        names = tuple(names)
        found: dict[str, list[Tensor]] = {name: [] for name in names}
        for part in flatten(batch, alone):
            own = sums.find((names, *classify(part, gradient, scalars, static)))
            if own is None:
                sizes = inner_products(names, part, gradient, scalars, power)
            else:
                sizes = own(names, part, lift_gradient(gradient), lift(scalars), _lift_one(power))
            for name in names:
                found[name] += sizes[name]
        return found

    def compiled_update(
        batch: Batch, gradient: Gradient, scalars: Any, gamma: float | None, rounding: Rounding = NEAREST
    ) -> list[Tensor] | None:
        if rounding.generator is not None:  # random bits of a generator cannot be part of a graph
            return update(batch, gradient, scalars, gamma, rounding)
        left: list[Tensor] = []
        for part in flatten(batch, alone):
            own = change.find((gamma, *classify(part, gradient, scalars, static)))
            if own is None:
                left += update(part, gradient, scalars, gamma) or []
            else:
                left += own(part, lift_gradient(gradient), lift(scalars), gamma) or []
        return left or None

    return Loops(compiled_sums, compiled_update, sys.maxsize)


def classify(batch: Batch, gradient: Gradient, scalars: Any, static: bool) -> tuple[Any, ...]:
    """What makes another graph. The lengths of flat tensors do not, unless shapes are to be static."""
    first = batch.theta[0]
    shapes = tuple((tuple(x.shape), x.stride()) if static or x.dim() != 1 else None for x in batch.theta)
    places = first.device, first.dtype, batch.grad[0].dtype, tuple(batch.arrays), shapes
    return *places, gradient.grad_scale, bool(gradient.l2), type(scalars)


def flatten(batch: Batch, alone: bool) -> list[Batch]:
    """The batch, or a batch of each tensor; a tensor is one row where it and its arrays lie in one order."""
    names = tuple(batch.arrays)
    pieces = [
        tuple(x.view(-1) for x in piece) if all(x.is_contiguous() for x in piece) else piece
        for piece in zip(batch.theta, batch.grad, *(batch.arrays[name] for name in names), strict=True)
    ]
    batches = []
    for part in [[piece] for piece in pieces] if alone else [pieces]:
        theta, grad, *arrays = (list(column) for column in zip(*part, strict=True))
        batches.append(Batch([], theta, grad, dict(zip(names, arrays, strict=True))))
    return batches


def _lift_one(number: Any) -> Tensor:
    return torch.as_tensor(number, dtype=torch.float64)


def lift(scalars: Any) -> Any:
    """Scalars as float64 tensors without dimensions."""
    return None if scalars is None else type(scalars)(*map(_lift_one, scalars))


def lift_gradient(gradient: Gradient) -> Gradient:
    """Coupled decay as a tensor; where there is none, as it is."""
    return gradient._replace(l2=_lift_one(gradient.l2)) if gradient.l2 else gradient
