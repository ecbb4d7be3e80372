"""The loops of the NumPy classes on the memory of CPU tensors: NumPy or an OpenCL device, and their bits.

Block sums come back whole, so that totals are the exact ones of `hypergrad_reference.sums`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypergrad._core.backend import Backend, SumsTask, UpdateTask
from hypergrad._core.opening import open_backend
from hypergrad.errors import ArgumentError
from hypergrad.torch._elements import Gradient
from hypergrad.torch._items import SHARDED, Item
from hypergrad.torch._plan import Plan
from hypergrad_reference.loops import Arrays, Batch, Operands, Update
from hypergrad_reference.rule import Averages
from hypergrad_reference.sums import total

Vector = NDArray[Any]


class Sum(NamedTuple):
    """What loop 1 is asked for, of one item."""

    products: tuple[str, ...]
    gradient: Gradient
    scalars: Any  # of its latest step; None if it did not take that
    last_beta1_power: float


class Change(NamedTuple):
    """What loop 2 is asked for, of one item."""

    gradient: Gradient
    scalars: Any
    gamma: float | None
    keeps: tuple[str, ...]


def check_engine(plan: Plan, groups: Sequence[Mapping[str, Any]]) -> None:
    """Raise ArgumentError for options that the loops of the NumPy classes do not know."""
    for holds, name in (
        (plan.capturable, "capturable=True"),
        (plan.reach.process_group is not None, "process_group"),
        (plan.reach.broadcast, "broadcast=True"),
        (plan.traits.couples_decay and any(group["maximize"] for group in groups), "maximize=True"),
    ):
        if holds:
            raise ArgumentError(f"engine={plan.engine!r} with {name}: give engine='torch'")


def flatten(tensor: Tensor, name: str) -> Vector:
    """The memory of a tensor as a flat array. Raises ArgumentError for a tensor that is none, or not contiguous."""
    fit = tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64) and tensor.is_contiguous()
    if not fit or isinstance(tensor, SHARDED):
        raise ArgumentError(
            f"{name} is {tensor.dtype} on {tensor.device}: engine='numpy' and 'opencl' work on contiguous float32 or "
            "float64 tensors of the CPU; make it contiguous, or give engine='torch'"
        )
    array: Vector = tensor.detach().numpy().reshape(-1)
    return array


class ArrayEngine:
    """The two loops, by the backend of the NumPy classes."""

    def __init__(self, engine: str, params: Sequence[Tensor], averages: Averages | None = None) -> None:
        self._averages = averages
        self._backend: Backend = open_backend(
            engine, {f"parameter {i}": flatten(param, f"parameter {i}") for i, param in enumerate(params)}
        )

    @property
    def name(self) -> str:
        """Who runs the loops."""
        return self._backend.name

    def sum(self, items: Sequence[Item], select: Callable[[Item], Sum]) -> list[dict[str, Vector]]:
        """The block sums of each item, by name of the product."""
        self._backend.begin()
        tasks, results = [], [dict[str, Vector]() for _ in items]
        for wanted, batch in _batch(items, select, lambda item, _: tuple(item.state)):
            products, gradient, scalars, power = wanted
            if products:
                operands = Operands(
                    batch.thetas[0], batch.grads[0], gradient.grad_scale, batch.arrays[0],
                    None if self._averages else scalars, power, gradient.l2, self._averages,
                )  # fmt: skip
                tasks.append(SumsTask(batch, products, operands))
        summed = self._backend.inner_products(tasks) if tasks else []
        index = {item.position: number for number, item in enumerate(items)}
        for task, found in zip(tasks, summed, strict=True):  # copies: the next call writes to the same memory
            ends = np.cumsum(task.batch.blocks)[:-1]
            for name, blocks in found.items():
                for position, own in zip(task.batch.positions, np.split(blocks.copy(), ends), strict=True):
                    results[index[position]][name] = own
        return results

    def update(self, items: Sequence[Item], select: Callable[[Item], Change]) -> None:
        """Update the parameters and what is kept of them; a graph that still holds their old values will say so."""
        tasks = []
        for (gradient, scalars, gamma, _), batch in _batch(items, select, lambda _, wanted: wanted.keeps):
            change = Update(
                batch.thetas[0], batch.grads[0], gradient.grad_scale, batch.arrays[0], scalars, gamma, gradient.l2
            )
            tasks.append(UpdateTask(batch, change))
        self._backend.prepare(tasks, False)
        self._backend.update(tasks, False)
        self._backend.fetch()
        torch.autograd.graph.increment_version([item.param for item in items])


Wanted = TypeVar("Wanted", Sum, Change)


def _batch(
    items: Sequence[Item], select: Callable[[Item], Wanted], name_arrays: Callable[[Item, Wanted], Sequence[str]]
) -> list[tuple[Wanted, Batch]]:
    """The items of which the same is asked, with their arrays, in batches of one dtype."""
    alike: dict[Any, tuple[Wanted, list[Item]]] = {}
    for item in items:
        wanted = select(item)
        alike.setdefault((wanted, item.theta.dtype, tuple(item.state), item.theta.numel() > 0), (wanted, []))[1].append(
            item
        )
    return [
        (
            wanted,
            Batch(
                tuple(item.position for item in own),
                [flatten(item.theta, "a parameter") for item in own],
                [flatten(item.grad, "a gradient") for item in own],
                [_gather(item, name_arrays(item, wanted)) for item in own],
            ),
        )
        for wanted, own in alike.values()
    ]


def _gather(item: Item, names: Sequence[str]) -> Arrays:
    return Arrays(**{name: flatten(item.find(name), name) for name in names if name in Arrays._fields})


def as_blocks(value: Any) -> Vector:
    """||g||^2 of a tensor as it is kept: a number, or its block sums."""
    return np.atleast_1d(value.numpy() if isinstance(value, Tensor) else np.float64(value))


def total_left(names: Sequence[str], items: Sequence[Item]) -> list[float]:
    """The totals of the block sums that loop 2 left behind of each item."""
    rows = [flatten(item.find("left"), "left").reshape(len(names), -1) for item in items]
    return [total(blocks[number] for blocks in rows) for number in range(len(names))]
