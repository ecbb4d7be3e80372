"""Who runs the two loops over the elements: NumPy or an OpenCL device."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from hypergrad._core.device_arrays import is_device_array
from hypergrad.errors import ArgumentError
from hypergrad_reference.loops import (
    STOPPED,
    Batch,
    Operands,
    Passed,
    Update,
    inner_products,
    update,
    update_and_sum,
)
from hypergrad_reference.types import Vector

if TYPE_CHECKING:
    import pyopencl

    Device = str | pyopencl.Device | pyopencl.Context
    DeviceChoice = Device | None


class SumsTask(NamedTuple):
    """Tensors whose inner products are wanted."""

    batch: Batch
    products: tuple[str, ...]
    operands: Operands  # of the first tensor; those of the others differ in their arrays alone


class UpdateTask(NamedTuple):
    """Tensors that are to be updated, in place; with delay 1, the inner products that are formed in the same pass."""

    batch: Batch
    update: Update  # of the first tensor; those of the others differ in their arrays alone
    products: tuple[str, ...] = ()  # with STOPPED last: an element that would not be finite stays
    operands: Operands | None = None  # of the products


class Backend(Protocol):
    """The two loops."""

    name: str

    def check_device_array(self, array: Vector, name: str) -> None:
        """Raise ArgumentError if the loops cannot reach a pyopencl array."""
        ...

    def check_parameters(self, parameters: Mapping[str, Vector]) -> None:
        """Raise DeviceNotFoundError or ArgumentError, by name, for parameters that the loops cannot work on."""
        ...

    def begin(self) -> None:
        """A step begins; the host may have changed parameters and gradients."""
        ...

    def fetch(self) -> None:
        """Bring to the host what is kept of the tensors, which it may change before the next step."""
        ...

    def forget(self) -> None:
        """What the host has counts from now on, whatever was written and not brought back."""
        ...

    def inner_products(self, work: Sequence[SumsTask]) -> list[dict[str, Vector]]:
        """Block sums of the products asked for, of the tensors of each batch one after another; nothing is written.

        The next call may write to the same memory.
        """
        ...

    def prepare(self, work: Sequence[UpdateTask], clear_grad: bool) -> None:
        """Do now whatever could fail in `update` of the same work: compile, allocate. Nothing is written."""
        ...

    def update(self, work: Sequence[UpdateTask], clear_grad: bool) -> list[dict[str, Vector]]:
        """Write theta and the arrays of each tensor, and zeros to its gradient if clear_grad.

        Returns block sums of the products asked for, as inner_products does.
        """
        ...


class NumPyBackend:
    """The reference itself, its results copied into the arrays."""

    name = "numpy"

    def check_device_array(self, array: Vector, name: str) -> None:
        """NumPy reaches none."""
        raise ArgumentError(f"{name} is a pyopencl array and NumPy does the work: give its .get(), or another device=")

    def check_parameters(self, parameters: Mapping[str, Vector]) -> None:
        """NumPy works on its own arrays."""
        for name, array in parameters.items():
            if is_device_array(array):
                self.check_device_array(array, name)

    def begin(self) -> None:
        """Nothing to do: everything is on the host."""

    fetch = forget = begin

    def inner_products(self, work: Sequence[SumsTask]) -> list[dict[str, Vector]]:
        """Block sums by the reference."""
        with np.errstate(all="ignore"):  # what is not finite is judged by the optimizer's policy, not by a warning
            return [
                _join([inner_products(products, o._replace(**own)) for own in batch.list_own()])
                for batch, products, o in work
            ]

    def prepare(self, work: Sequence[UpdateTask], clear_grad: bool) -> None:
        """Nothing to prepare."""

    def update(self, work: Sequence[UpdateTask], clear_grad: bool) -> list[dict[str, Vector]]:
        """Compute by the reference, then copy."""
        with np.errstate(all="ignore"):
            return [_join([_update(task, own, clear_grad) for own in task.batch.list_own()]) for task in work]


def _join(tensors: Sequence[dict[str, Vector]]) -> dict[str, Vector]:
    if len(tensors) == 1:
        return tensors[0]
    return {name: np.concatenate([blocks[name] for blocks in tensors]) for name in tensors[0]}


def _update(task: UpdateTask, own: dict[str, Any], clear_grad: bool) -> dict[str, Vector]:
    u, stop = task.update._replace(**own), STOPPED in task.products
    if task.operands is None:
        passed = Passed(*update(u), {})
    else:
        o = task.operands._replace(**own)
        passed = update_and_sum(task.products[: len(task.products) - stop], o, u, stop)
    u.theta[...] = passed.theta
    for target, result in zip(u.arrays, passed.arrays, strict=True):
        if target is not None:
            target[...] = result
    if clear_grad:
        u.grad[...] = 0 if passed.stays is None else np.where(passed.stays, u.grad, 0)
    return passed.blocks
