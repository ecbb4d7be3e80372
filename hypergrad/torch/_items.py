"""The tensors that take part in a step, and the batches in which the loops go through them."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad.errors import ArgumentError, ArrayTypeError, SparseGradientError
from hypergrad.torch._dtypes import find_kept_dtype
from hypergrad_reference.loops import Arrays

SHARDED: tuple[Any, ...] = ()
"""The type of tensors that are divided over a mesh of processes."""
if torch.distributed.is_available():
    from torch.distributed.tensor import DTensor

    SHARDED = (DTensor,)

PER_ELEMENT = frozenset(Arrays._fields) - {"left"}
"""What is kept of a parameter in its own shape."""

OF_EVERY_GROUP = ("lr", "base_lr", "weight_decay", "capturable")
"""What a step reads of every group."""

LIMITS = {"cpu": 1 << 20}
"""Elements of a batch by type of device: on a CPU, 4 MiB of float32, the arrays of a loop stay in the last cache."""
LIMIT = 1 << 22
"""Elements of a batch elsewhere: 16 MiB of float32, of which a loop holds no more than four at a time."""


class Item(NamedTuple):
    """A tensor with a gradient. Arrays are the part of this process, complex numbers as pairs of reals."""

    param: Tensor  # as it stands in its group
    theta: Tensor
    grad: Tensor
    state: dict[str, Any]
    group: int
    position: int  # among all parameters of the optimizer
    moved: bool  # whether it took the latest step of the optimizer

    def find(self, name: str) -> Tensor:
        """An array of the state."""
        return localize(self.state[name])


def localize(tensor: Tensor) -> Tensor:
    """The part of this process, complex numbers as pairs of reals."""
    if isinstance(tensor, SHARDED):
        tensor = tensor.to_local()
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def collect(groups: Sequence[dict[str, Any]], states: dict[Tensor, dict[str, Any]]) -> list[Item]:
    """The tensors that have a gradient, in order; the state of one that is new is empty.

    Raises ArgumentError for a group that lacks a number, SparseGradientError for a sparse gradient, and ArrayTypeError
    where a step would end in the middle, or read past the end of an array: for parameters that were replaced, or that
    cannot be written to.
    """
    items, position = [], -1
    for number, group in enumerate(groups):
        for name in OF_EVERY_GROUP:
            if name not in group:
                raise ArgumentError(f"group {number} has no {name!r}: put it back; add_param_group takes up more")
        for param in group["params"]:
            position += 1
            if param.grad is None:
                continue
            if param.grad.is_sparse:
                raise SparseGradientError(
                    f"the gradient of parameter {position} is sparse: give dense ones, as nn.Embedding(sparse=False)"
                )
            state = states[param]
            grad = localize(_lay_alike(param.grad, param))
            item = Item(param, localize(param), grad, state, number, position, state.get("moved", False))
            _check_theta(item)
            _check_arrays(item)
            items.append(item)
    return items


def _check_theta(item: Item) -> None:
    param, theta = item.param, item.theta
    if item.grad.shape != theta.shape:
        raise ArrayTypeError(
            f"parameter {item.position} has shape {list(param.shape)} and its gradient {list(param.grad.shape)}: "
            "call backward again"
        )
    if not theta.is_contiguous() and any(s == 0 and n > 1 for s, n in zip(theta.stride(), theta.shape, strict=True)):
        raise ArrayTypeError(
            f"parameter {item.position} has elements in the same memory, as expand makes them: give its clone()"
        )
    if theta.is_inference() and not torch.is_inference_mode_enabled():
        raise ArrayTypeError(
            f"parameter {item.position} was made in torch.inference_mode: make it outside, as its clone() is"
        )


def _check_arrays(item: Item) -> None:
    shape, dtype = item.param.shape, find_kept_dtype(item.param)
    for name, array in item.state.items():
        if name in PER_ELEMENT and (array.shape != shape or array.dtype != dtype):
            remedy = (
                "opt.load_state_dict(opt.state_dict()) makes them alike" if array.shape == shape
                else "make a new optimizer for parameters of another shape"
            )  # fmt: skip
            raise ArrayTypeError(
                f"{name!r} of parameter {item.position} is {array.dtype}{list(array.shape)}, the parameter is now "
                f"{item.param.dtype}{list(shape)}: {remedy}"
            )


def _lay_alike(grad: Tensor, param: Tensor) -> Tensor:
    """A gradient in the layout of its parameter on the mesh."""
    if isinstance(grad, SHARDED) and isinstance(param, SHARDED) and grad.placements != param.placements:
        return grad.redistribute(param.device_mesh, param.placements)
    return grad


class Batch(NamedTuple):
    """Pieces of tensors that differ in their numbers alone: the same device, dtypes and scalars."""

    owners: list[int]  # of each piece, the index of its item
    theta: list[Tensor]
    grad: list[Tensor]
    arrays: dict[str, list[Tensor]]


def form_batches(
    items: Sequence[Item],
    select: Callable[[Item], Hashable],
    names: Callable[[Any], Iterable[str]],
    limit: int | None = None,
) -> Iterator[tuple[Any, Batch]]:
    """Batches of at most `limit` elements, each with the key that its items share; large tensors are cut.

    select    the key of an item; None passes it over
    names     of a key, the arrays of the state that the loop reads or writes
    limit     None is that of the device
    """
    alike: dict[tuple[Any, torch.device, torch.dtype, torch.dtype], list[int]] = {}
    for index, item in enumerate(items):
        key = select(item)
        if key is not None and item.theta.numel():
            alike.setdefault((key, item.theta.device, item.theta.dtype, item.grad.dtype), []).append(index)
    for (key, device, _, _), indices in alike.items():
        wanted, most = tuple(names(key)), limit or LIMITS.get(device.type, LIMIT)
        batch, room = _open(wanted), most
        for index in indices:
            for theta, grad, *arrays in _cut(items[index], wanted, most):
                if theta.numel() > room and batch.owners:
                    yield key, batch
                    batch, room = _open(wanted), most
                batch.owners.append(index)
                batch.theta.append(theta)
                batch.grad.append(grad)
                for name, array in zip(wanted, arrays, strict=True):
                    batch.arrays[name].append(array)
                room -= theta.numel()
        yield key, batch


def _open(names: Iterable[str]) -> Batch:
    return Batch([], [], [], {name: [] for name in names})


def _cut(item: Item, names: Sequence[str], limit: int) -> Iterator[tuple[Tensor, ...]]:
    """The arrays of an item in pieces of at most `limit` elements; whole where they do not lie in one order."""
    arrays = (item.theta, item.grad, *(item.find(name) for name in names))
    if item.theta.numel() <= limit or not all(array.is_contiguous() for array in arrays):
        yield arrays
        return
    yield from zip(*(torch.split(array.view(-1), limit) for array in arrays), strict=True)
