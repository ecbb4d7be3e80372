"""From what the user hands over to tensors that a step can work on."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, cast

import numpy as np

from hypergrad.device_arrays import find_span, flatten_device_array, is_device_array
from hypergrad.errors import ArgumentError, ArrayTypeError
from hypergrad_reference.types import Vector

DTYPES = ("float32", "float64")


class Tensor:
    """One parameter and what is kept for it. Arrays are flat."""

    def __init__(self, owner: object, position: int, group: int) -> None:
        self.owner = owner  # as the user gave it: the array, or an object with .data and .grad
        self.position = position  # among all parameters, None entries left out
        self.group = group
        self.name = f"params[{position}]"
        self.shape = get_array(owner, self.name).shape
        self.step = 0  # number of steps it has taken
        self.moved = False  # whether it took the latest step of the optimizer
        self.arrays: dict[str, Vector] = {}  # what the rule keeps, elementwise or block sums
        self.numbers: dict[str, float] = {}
        self.scalars: Any = None  # of the latest step, where the rule has the tensors of one history share them

    @cached_property
    def theta(self) -> Vector:
        """The user's memory, flat. That of a copy is looked for when it is needed: its owner is complete by then."""
        return self._view(get_array(self.owner, self.name))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "theta"}

    def _view(self, array: Vector) -> Vector:
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

    def refresh(self) -> None:
        """Take up the parameter's memory anew where `.data` of its owner is now another array."""
        if isinstance(self.owner, np.ndarray) or is_device_array(self.owner):
            return  # an array stays where it is
        array = get_array(self.owner, self.name)
        if array.size == self.theta.size and (not array.size or find_span(array) == find_span(self.theta)):
            return
        if (array.shape, array.dtype) != (self.shape, self.theta.dtype):
            raise ArgumentError(
                f"{self.name} was {self.theta.dtype}{self.shape} and is now {array.dtype}{array.shape}: "
                "make a new optimizer for a new parameter"
            )
        self.theta = self._view(array)


def get_array(owner: object, name: str) -> Vector:
    """The array of a parameter or gradient: itself, or its `.data`."""
    array = owner if isinstance(owner, np.ndarray) or is_device_array(owner) else getattr(owner, "data", None)
    if not isinstance(array, np.ndarray) and not is_device_array(array):
        raise ArrayTypeError(
            f"{name} is {type(owner).__name__}: give a NumPy or pyopencl array, or an object whose .data is one"
        )
    return cast(Vector, array)


def collect_groups(params: Iterable[Any]) -> list[dict[str, Any]]:
    """Parameter groups as dicts with at least "params", a list without None entries."""
    if isinstance(params, np.ndarray) or not isinstance(params, Iterable):
        raise ArrayTypeError(f"params is {type(params).__name__}: give a list of arrays, [x] for a single one")
    entries = [entry for entry in params if entry is not None]
    dicts = [isinstance(entry, Mapping) for entry in entries]
    if any(dicts) and not all(dicts):
        raise ArgumentError("params mixes arrays and group dicts: give all arrays or all dicts")
    groups = [dict(entry) for entry in entries] if any(dicts) else [{"params": entries}]
    for number, group in enumerate(groups):
        if "params" not in group:
            raise ArgumentError(f"params[{number}] has no key 'params': it has {sorted(group)}")
        members = group["params"]
        if isinstance(members, np.ndarray) or not isinstance(members, Iterable):
            members = [members]
        group["params"] = [member for member in members if member is not None]
    if not any(group["params"] for group in groups):
        raise ArgumentError("params holds no parameter: give at least one array")
    return groups


def check_memory(tensors: Sequence[Tensor]) -> None:
    """Raise ArgumentError if two parameters share memory."""
    spans = sorted((*find_span(tensor.theta), tensor.name) for tensor in tensors if tensor.theta.size)
    for (_, end, name), (start, _, other) in pairwise(spans):
        if start < end:
            raise ArgumentError(f"{name} and {other} share memory: give each parameter once")


def find_gradients(
    tensors: Sequence[Tensor], gradients: Sequence[Any] | Mapping[int, Any] | None
) -> list[tuple[Tensor, Any]]:
    """The gradient of each tensor that has one, as the user gave it.

    gradients    a list in the order of the parameters, a dict keyed by id(param), or None; where it has none for a
                 tensor, the `.grad` of the parameter counts
    """
    if gradients is None:
        given: list[Any] = [None] * len(tensors)
    elif isinstance(gradients, Mapping):
        unknown = set(gradients) - {id(tensor.owner) for tensor in tensors}
        if unknown:
            raise ArgumentError(
                f"gradients has {len(unknown)} keys that are the id of no parameter: key it by id(param) of the very "
                "objects given as params"
            )
        given = [gradients.get(id(tensor.owner)) for tensor in tensors]
    else:
        given = list(gradients)
        if len(given) != len(tensors):
            raise ArgumentError(
                f"gradients has {len(given)} entries for {len(tensors)} parameters: give one each, None for none"
            )
    found = []
    for tensor, gradient in zip(tensors, given, strict=True):
        if gradient is None:
            gradient = getattr(tensor.owner, "grad", None)
        if gradient is not None:
            found.append((tensor, gradient))
    return found


def flatten_gradient(tensor: Tensor, gradient: Any, clear_grad: bool) -> Vector:
    """The gradient as a flat array of the parameter's dtype: its own memory if that will do, else a copy."""
    theta = tensor.theta
    if type(gradient) is np.ndarray and gradient.dtype is theta.dtype and gradient.shape == tensor.shape:
        flags = gradient.flags
        if flags.c_contiguous and flags.aligned and (flags.writeable or not clear_grad):
            return gradient if gradient.ndim == 1 else gradient.reshape(-1)
    name = f"the gradient of {tensor.name}"
    array = get_array(gradient, name)
    if array.shape != tensor.shape:
        raise ArgumentError(f"{name} has shape {array.shape}: the parameter has {tensor.shape}")
    if array.dtype != tensor.theta.dtype and (array.dtype.name, tensor.theta.dtype.name) != ("float64", "float32"):
        raise ArrayTypeError(
            f"{name} has dtype {array.dtype}, the parameter {tensor.theta.dtype}: convert it with .astype"
        )
    if is_device_array(array):
        if array.dtype != tensor.theta.dtype:
            raise ArrayTypeError(f"{name} is a pyopencl array of {array.dtype}: convert it with .astype")
        return flatten_device_array(array, name)
    if clear_grad and not array.flags.writeable:
        raise ArgumentError(f"{name} is read-only and clear_grad=True: pass a writable array or clear_grad=False")
    if array.dtype == tensor.theta.dtype and array.flags.c_contiguous and array.flags.aligned:
        return array.reshape(-1)
    with np.errstate(over="ignore"):  # a gradient past the largest float32 becomes inf and meets the policy
        return np.require(array, tensor.theta.dtype, ["C", "A"]).reshape(-1)
