"""The loops of the NumPy classes on the memory of CPU tensors: NumPy or an OpenCL device, and their bits.

Block sums come back whole, so that totals are the exact ones of `hypergrad_reference.sums`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from operator import is_
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
from hypergrad_reference.sums import BLOCK, total

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


Wanted = TypeVar("Wanted", Sum, tuple[Change, Sum | None])


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
    fit = tensor.device.type == "cpu" and tensor.dtype in (torch.float32, torch.float64)
    if not (fit and tensor.is_contiguous() and not tensor.is_neg()) or isinstance(tensor, SHARDED):
        raise ArgumentError(
            f"{name} is {tensor.dtype} on {tensor.device}: engine='numpy' and 'opencl' work on contiguous float32 or "
            "float64 tensors of the CPU; make it contiguous, or give engine='torch'"
        )
    array: Vector = tensor.detach().numpy().reshape(-1)
    return array


def _flatten_gradient(item: Item) -> Vector:
    if item.grad.dtype != item.theta.dtype:
        raise ArgumentError(
            f"the gradient of parameter {item.position} is {item.grad.dtype} and the parameter {item.theta.dtype}: "
            "give p.grad = p.grad.to(p.dtype), or engine='torch'"
        )
    return flatten(item.grad, "a gradient")


Place = tuple[int, int, torch.dtype, bool]
"""By what it is seen that the memory of a tensor is still the same."""


class Flat(NamedTuple):
    """A tensor with its gradient and what is kept of it as flat arrays, and where they were."""

    item: Item
    names: tuple[str, ...]  # of the arrays
    places: list[Place]  # of the gradient last
    theta: Vector
    grad: Vector
    arrays: Arrays


class ArrayEngine:
    """The two loops, by the backend of the NumPy classes.

    Flat arrays and batches are made once, and kept while the memory of the tensors stays: then the backend, too, goes
    on with what it has prepared.
    """

    def __init__(self, engine: str, params: Sequence[Tensor], averages: Averages | None = None) -> None:
        self._averages = averages
        self._flat: dict[int, Flat] = {}  # by position
        self._batches: dict[str, dict[tuple[int, ...], Batch]] = {}  # of the latest pass of each loop, by positions
        self._backend: Backend = open_backend(
            engine, {f"parameter {i}": flatten(param, f"parameter {i}") for i, param in enumerate(params)}
        )

    @property
    def name(self) -> str:
        """Who runs the loops."""
        return self._backend.name

    def sum(self, items: Sequence[Item], select: Callable[[Item], Sum]) -> dict[int, dict[str, Vector]]:
        """For the index of an item and the name of a product, its block sums."""
        self._backend.begin()
        tasks = [
            SumsTask(batch, wanted.products, self._form_operands(wanted, batch))
            for wanted, batch in self._form_batches("sum", items, select, lambda item, _: tuple(item.state))
            if wanted.products
        ]
        return _sort(items, tasks, self._backend.inner_products(tasks) if tasks else [])

    def update(
        self, items: Sequence[Item], select: Callable[[Item], tuple[Change, Sum | None]]
    ) -> dict[int, dict[str, Vector]]:
        """Update the parameters and what is kept of them; a graph that still holds their old values will say so.

        Returns the block sums that are asked for beside a change, formed in the same pass.
        """
        tasks = []
        for ((gradient, scalars, gamma, _), wanted), batch in self._form_batches(
            "update", items, select, lambda _, selected: selected[0].keeps
        ):
            change = Update(
                batch.thetas[0], batch.grads[0], gradient.grad_scale, batch.arrays[0], scalars, gamma, gradient.l2
            )
            summed = (wanted.products, self._form_operands(wanted, batch)) if wanted and wanted.products else ()
            tasks.append(UpdateTask(batch, change, *summed))
        self._backend.prepare(tasks, False)
        found = self._backend.update(tasks, False)
        self._backend.fetch()
        torch.autograd.graph.increment_version([item.param for item in items])
        return _sort(items, tasks, found)

    def _form_operands(self, wanted: Sum, batch: Batch) -> Operands:
        _, gradient, scalars, power = wanted
        return Operands(
            batch.thetas[0], batch.grads[0], gradient.grad_scale, batch.arrays[0],
            None if self._averages else scalars, power, gradient.l2, self._averages,
        )  # fmt: skip

    def _form_batches(
        self,
        loop: str,
        items: Sequence[Item],
        select: Callable[[Item], Wanted],
        name: Callable[[Item, Wanted], Sequence[str]],
    ) -> list[tuple[Wanted, Batch]]:
        """The items of which the same is asked, with the arrays that are named, in batches of one dtype."""
        alike: dict[Any, tuple[Wanted, list[Item]]] = {}
        for item in items:
            wanted = select(item)
            kind = wanted, item.theta.dtype, tuple(item.state), item.theta.numel() > 0
            alike.setdefault(kind, (wanted, []))[1].append(item)
        before, batches = self._batches.get(loop, {}), []
        for wanted, own in alike.values():
            named = frozenset(name(own[0], wanted))
            names = tuple(field for field in Arrays._fields if field in named)
            flats = [self._flatten(item, names) for item in own]
            batch = Batch(
                tuple(item.position for item in own),
                [flat.theta for flat in flats],
                [flat.grad for flat in flats],
                [flat.arrays for flat in flats],
            )
            batches.append((wanted, _keep_lists(batch, before.get(batch.positions))))
        self._batches[loop] = {batch.positions: batch for _, batch in batches}
        return batches

    def _flatten(self, item: Item, names: tuple[str, ...]) -> Flat:
        """The arrays of a tensor; those of the step before where their memory is the same."""
        known = self._flat.get(item.position)
        if known is not None and known.names != names:
            known = None
        if known is not None and known.item is item:
            return known
        kept = [item.find(name) for name in names]
        places = [_locate(tensor) for tensor in (item.theta, *kept, item.grad)]
        if known is None or known.places[:-1] != places[:-1]:
            theta, grad = flatten(item.theta, "a parameter"), _flatten_gradient(item)
            arrays = Arrays(**{name: flatten(array, name) for name, array in zip(names, kept, strict=True)})
            self._check_left(item, arrays)
            flat = Flat(item, names, places, theta, grad, arrays)
        elif known.places[-1] != places[-1]:
            flat = known._replace(item=item, places=places, grad=_flatten_gradient(item))
        else:
            flat = known._replace(item=item)
        self._flat[item.position] = flat
        return flat

    def _check_left(self, item: Item, arrays: Arrays) -> None:
        """Raise ArgumentError for block sums in another number than the loops write, which would go past their end."""
        if arrays.left is not None and self._averages is not None:
            count = len(self._averages.left) * -(-item.theta.numel() // BLOCK)
            if arrays.left.size != count:
                raise ArgumentError(
                    f"'left' of parameter {item.position} has {arrays.left.size} numbers, {count} are written to it: "
                    "del opt.state[p]['left'], and the step makes it"
                )


def _locate(tensor: Tensor) -> Place:
    return tensor.data_ptr(), tensor.numel(), tensor.dtype, tensor.is_contiguous() and not tensor.is_neg()


def _keep_lists(batch: Batch, before: Batch | None) -> Batch:
    """The batch of the step before, or with its lists, where these hold the same arrays."""
    if before is None or not (_are_same(batch.thetas, before.thetas) and _are_same(batch.arrays, before.arrays)):
        return batch
    return before if _are_same(batch.grads, before.grads) else before._replace(grads=batch.grads)


def _are_same(arrays: Iterable[object], others: Iterable[object]) -> bool:
    return all(map(is_, arrays, others))


def _sort(
    items: Sequence[Item], tasks: Sequence[SumsTask | UpdateTask], sums: Sequence[Mapping[str, Vector]]
) -> dict[int, dict[str, Vector]]:
    """The block sums of batches by item, copied: the next call writes to the same memory."""
    results: dict[int, dict[str, Vector]] = {}
    index = {item.position: number for number, item in enumerate(items)}
    for task, found in zip(tasks, sums, strict=True):
        bounds = list(pairwise(accumulate(task.batch.blocks, initial=0)))
        for name, blocks in found.items():
            kept = blocks.copy()
            for position, (start, stop) in zip(task.batch.positions, bounds, strict=True):
                results.setdefault(index[position], {})[name] = kept[start:stop]
    return results


def as_blocks(value: Any) -> Vector:
    """||g||^2 of a tensor as it is kept: a number, or its block sums."""
    return np.atleast_1d(value.numpy() if isinstance(value, Tensor) else np.float64(value))


def total_left(names: Sequence[str], items: Sequence[Item]) -> list[float]:
    """The totals of the block sums that loop 2 left behind of each item."""
    rows = [flatten(item.find("left"), "left").reshape(len(names), -1) for item in items]
    return [total(blocks[number] for blocks in rows) for number in range(len(names))]
