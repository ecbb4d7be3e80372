"""The parameters, from what the user hands over to tensors that a step can work on."""

from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cached_property
from itertools import pairwise
from operator import attrgetter
from typing import Any, cast

import numpy as np

from hypergrad._core.checks import show
from hypergrad._core.device_arrays import find_span, flatten_device_array, is_device_array
from hypergrad.errors import ArgumentError, ArrayTypeError
from hypergrad_reference.types import Vector

DTYPES = ("float32", "float64")
is_writeable = attrgetter("flags.writeable")


class Tensor:
    """One parameter."""

    def __init__(self, owner: object, position: int, group: int) -> None:
        self.owner = owner  # as the user gave it: the array, or an object with .data and .grad
        self.position = position  # among all parameters, None entries left out
        self.group = group
        self.name = f"params[{position}]"
        array = get_array(owner, self.name)
        self.shape = array.shape
        self._latest: Vector | None = None  # the array that was seen to lie where theta is
        if self.theta.size and find_span(get_array(owner, self.name)) != find_span(self.theta):
            raise ArgumentError(f"{self.name} has a .data that is a new array each time: give an object that keeps it")

    @cached_property
    def theta(self) -> Vector:
        """The user's memory, flat. That of a copy is looked for when it is needed: its owner is complete by then."""
        return self.flatten(get_array(self.owner, self.name))

    def __getstate__(self) -> dict[str, Any]:
        return {**{name: value for name, value in self.__dict__.items() if name != "theta"}, "_latest": None}

    def flatten(self, array: Vector) -> Vector:
        """The memory of the parameter as a flat array. Raises ArgumentError or ArrayTypeError if it cannot serve."""
        if array.dtype.name not in DTYPES or not array.dtype.isnative:
            raise ArrayTypeError(
                f"{self.name} has dtype {array.dtype}: parameters are float32 or float64, convert with .astype"
            )
        if is_device_array(array):
            return flatten_device_array(array, self.name)
        if not (array.flags.c_contiguous and array.flags.writeable and array.flags.aligned):
            raise ArgumentError(
                f"{self.name} is updated in place and must be C-contiguous, writable and aligned: "
                "np.require(x, requirements='CAW') makes such an array"
            )
        return array.reshape(-1)

    def find_moved(self) -> Vector | None:
        """The parameter's memory where `.data` of its owner is now another array; None where it is as it was.

        Raises ArgumentError if it cannot take the place of the old.
        """
        owner = self.owner
        if isinstance(owner, np.ndarray):
            if not owner.flags.writeable:
                raise ArgumentError(f"{self.name} has become read-only: x.setflags(write=True) lets it be updated")
            return None
        if is_device_array(owner):
            return None
        array = get_array(owner, self.name)
        if (array.shape, array.dtype) != (self.shape, self.theta.dtype):
            raise ArgumentError(
                f"{self.name} was {self.theta.dtype}{self.shape} and is now {array.dtype}{array.shape}: "
                "make a new optimizer for a new parameter"
            )
        if array is self._latest and array.flags.carray:
            return None
        flat = self.flatten(array)
        if array.size and find_span(flat) != find_span(self.theta):
            return flat
        self._latest = array
        return None


def get_array(owner: object, name: str) -> Vector:
    """The array of a parameter or gradient: itself, or its `.data`; without what a subclass adds to an array."""
    array = owner if isinstance(owner, np.ndarray) or is_device_array(owner) else getattr(owner, "data", None)
    if isinstance(array, np.ma.MaskedArray):
        raise ArrayTypeError(f"{name} is a masked array: give a plain one, as x.filled(0) returns")
    if hasattr(owner, "todense"):
        raise ArrayTypeError(f"{name} is a sparse {type(owner).__name__}: give a dense array, as x.toarray() returns")
    if isinstance(array, np.ndarray):
        return array if type(array) is np.ndarray else np.asarray(array)
    if not is_device_array(array):
        raise ArrayTypeError(
            f"{name} is {type(owner).__name__}: give a NumPy or pyopencl array, or an object whose .data is one"
        )
    return cast(Vector, array)


def collect_groups(params: Iterable[Any]) -> list[dict[str, Any]]:
    """Parameter groups as dicts with at least "params", a list without None entries."""
    if isinstance(params, (np.ndarray, Mapping)) or not isinstance(params, Iterable):
        single = "[x] for a single one, [group] for a single dict"
        raise ArrayTypeError(f"params is {type(params).__name__}: give a list of arrays or of dicts, {single}")
    _check_order(params, "params")
    entries = [entry for entry in params if entry is not None]
    dicts = [isinstance(entry, Mapping) for entry in entries]
    if any(dicts) and not all(dicts):
        raise ArgumentError("params mixes arrays and group dicts: give all arrays or all dicts")
    groups = [dict(entry) for entry in entries] if any(dicts) else [{"params": entries}]
    for number, group in enumerate(groups):
        if "params" not in group:
            keys = ", ".join(sorted(map(show, group)))
            raise ArgumentError(f"params[{number}] has no key 'params': it has {keys or 'none'}")
        members = group["params"]
        _check_order(members, f"params[{number}]['params']")
        if isinstance(members, np.ndarray) or not isinstance(members, Iterable):
            members = [members]
        group["params"] = [member for member in members if member is not None]
    if not any(group["params"] for group in groups):
        raise ArgumentError("params holds no parameter: give at least one array")
    return groups


def _check_order(members: object, name: str) -> None:
    if isinstance(members, Set):
        raise ArrayTypeError(f"{name} is a set, which has no order for a list of gradients to follow: give a list")


def check_memory(thetas: Mapping[str, Vector]) -> None:
    """Raise ArgumentError if two parameters share memory."""
    spans = sorted((find_span(theta), name) for name, theta in thetas.items() if theta.size)
    for (span, name), (other, neighbour) in pairwise(spans):
        if span.overlaps(other):
            raise ArgumentError(f"{name} and {neighbour} share memory: give each parameter once")


def find_moved(tensors: Sequence[Tensor]) -> dict[Tensor, Vector]:
    """The tensors whose memory was replaced, each with the new. Raises ArgumentError if it cannot take their place."""
    owners = [tensor.owner for tensor in tensors]
    if set(map(type, owners)) == {np.ndarray} and all(map(is_writeable, owners)):
        return {}
    moved = [(tensor, tensor.find_moved()) for tensor in tensors]
    return {tensor: theta for tensor, theta in moved if theta is not None}
