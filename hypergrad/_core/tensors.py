"""From what the user hands over to tensors that a step can work on."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np

from hypergrad._core.checks import show
from hypergrad._core.device_arrays import Span, find_span, flatten_device_array, is_device_array
from hypergrad.errors import ArgumentError, ArrayTypeError
from hypergrad_reference.types import Vector

DTYPES = ("float32", "float64")


class Tensor:
    """One parameter."""

    def __init__(self, owner: object, position: int, group: int) -> None:
        self.owner = owner  # as the user gave it: the array, or an object with .data and .grad
        self.position = position  # among all parameters, None entries left out
        self.group = group
        self.name = f"params[{position}]"
        array = get_array(owner, self.name)
        self.shape = array.shape
        if self.theta.size and find_span(get_array(owner, self.name)) != find_span(self.theta):
            raise ArgumentError(f"{self.name} has a .data that is a new array each time: give an object that keeps it")

    @cached_property
    def theta(self) -> Vector:
        """The user's memory, flat. That of a copy is looked for when it is needed: its owner is complete by then."""
        return self.flatten(get_array(self.owner, self.name))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "theta"}

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
        if isinstance(self.owner, np.ndarray):
            if not self.owner.flags.writeable:
                raise ArgumentError(f"{self.name} has become read-only: x.setflags(write=True) lets it be updated")
            return None
        if is_device_array(self.owner):
            return None
        array = get_array(self.owner, self.name)
        if (array.shape, array.dtype) != (self.shape, self.theta.dtype):
            raise ArgumentError(
                f"{self.name} was {self.theta.dtype}{self.shape} and is now {array.dtype}{array.shape}: "
                "make a new optimizer for a new parameter"
            )
        flat = self.flatten(array)
        return flat if array.size and find_span(flat) != find_span(self.theta) else None


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
            raise ArgumentError(f"params[{number}] has no key 'params': it has {sorted(map(show, group))}")
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


def find_gradients(
    tensors: Sequence[Tensor], gradients: Sequence[Any] | Mapping[int, Any] | None
) -> list[tuple[Tensor, Any]]:
    """The gradient of each tensor that has one, as the user gave it.

    gradients    a list in the order of the parameters, a dict keyed by id(param), or None; where it has none for a
                 tensor, the `.grad` of the parameter counts

    Raises ArgumentError if no gradient is given, not even as a list of None, and no parameter has a `.grad`.
    """
    if isinstance(gradients, Mapping):
        unknown = set(gradients) - {id(tensor.owner) for tensor in tensors}
        if unknown:
            raise ArgumentError(
                f"gradients has {len(unknown)} keys that are the id of no parameter: key it by id(param) of the very "
                "objects given as params"
            )
        given = [gradients.get(id(tensor.owner)) for tensor in tensors]
    elif gradients is None:
        given = [None] * len(tensors)
    else:
        if isinstance(gradients, (np.ndarray, str, Set)) or not isinstance(gradients, Iterable):
            raise ArrayTypeError(f"gradients is {type(gradients).__name__}: give a list, [g] for a single one")
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
    if not found and not gradients and not any(hasattr(tensor.owner, "grad") for tensor in tensors):
        raise ArgumentError(
            "there is no gradient, and no parameter has a .grad: call step(gradients=[...]) with one for each parameter"
        )
    return found


class Gradient(NamedTuple):
    """The gradient of a tensor, to be read by a step."""

    flat: Vector  # in the parameter's dtype: the caller's own memory if that will do, else a copy
    original: Vector | None  # the caller's array where flat is a copy of it


def flatten_gradient(tensor: Tensor, gradient: Any, clear_grad: bool) -> Gradient:
    """The gradient as a flat array. Raises ArgumentError or ArrayTypeError if it does not fit the tensor."""
    theta = tensor.theta
    if type(gradient) is np.ndarray and gradient.dtype is theta.dtype and gradient.shape == tensor.shape:
        flags = gradient.flags
        if flags.c_contiguous and flags.aligned and (flags.writeable or not clear_grad):
            return Gradient(gradient if gradient.ndim == 1 else gradient.reshape(-1), None)
    name = f"the gradient of {tensor.name}"
    scalar = tensor.shape == () and isinstance(gradient, (float, int, np.number)) and not isinstance(gradient, bool)
    array = _make_array(gradient, theta, name) if scalar else get_array(gradient, name)
    if array.shape != tensor.shape:
        raise ArgumentError(f"{name} has shape {array.shape}: the parameter has {tensor.shape}")
    dtype = array.dtype.newbyteorder("=")
    if dtype != theta.dtype and (dtype.name, theta.dtype.name) != ("float64", "float32"):
        raise ArrayTypeError(f"{name} has dtype {array.dtype}, the parameter {theta.dtype}: convert it with .astype")
    if is_device_array(array):
        if array.dtype != theta.dtype:
            raise ArrayTypeError(f"{name} is a pyopencl array of {array.dtype}: convert it with .astype")
        return Gradient(flatten_device_array(array, name), None)
    if clear_grad and (scalar or not array.flags.writeable):
        raise ArgumentError(f"{name} is read-only and clear_grad=True: pass a writable array or clear_grad=False")
    if array.dtype == theta.dtype and array.flags.c_contiguous and array.flags.aligned:
        return Gradient(array.reshape(-1), None)
    with np.errstate(over="ignore"):  # a gradient past the largest float32 becomes inf and meets the policy
        return Gradient(np.array(array, theta.dtype, order="C").reshape(-1), array)


def _make_array(number: Any, theta: Vector, name: str) -> Vector:
    """A number as the gradient of a parameter without dimensions; Python's own take its dtype."""
    if isinstance(number, np.number):
        return np.asarray(number)
    try:
        return np.array(float(number))
    except OverflowError as error:
        raise ArgumentError(f"{name}={show(number)}: give a number that a float can hold") from error


class Places:
    """The memory that a step writes to, to be compared with that of gradients.

    arrays    by name, no two of them in the same memory
    """

    def __init__(self, arrays: Mapping[str, Vector]) -> None:
        self._arrays = {name: array for name, array in arrays.items() if array.size}
        owners = [_find_owner(array) for array in self._arrays.values() if isinstance(array, np.ndarray)]
        self.owners = {id(owner) for owner in owners if owner is not None}
        self.owned = all(owner is not None for owner in owners)  # by arrays that NumPy allocated

    def find(self, span: Span) -> str | None:
        """The name of an array that has a byte in common with a span."""
        before = bisect_left(self._places, (span.space, span.end), key=lambda place: place[0][:2])
        if before and self._places[before - 1][0].overlaps(span):
            return self._places[before - 1][1]
        return None

    @cached_property
    def _places(self) -> list[tuple[Span, str]]:
        return sorted((find_span(array), name) for name, array in self._arrays.items())


def separate(
    active: Sequence[tuple[Tensor, Gradient]], places: Places, clear_grad: bool
) -> list[tuple[Tensor, Gradient]]:
    """The same gradients, with copies of those whose memory the step would write to before they are read.

    places        what the step writes to
    clear_grad    the step also leaves zeros in the gradients

    Raises ArgumentError if these zeros would be written into one of the places.
    """
    separated = list(active)
    suspects = _find_suspects(active, places, clear_grad)
    spans = (
        [find_span(gradient.flat) for _, gradient in active if gradient.flat.size] if suspects and clear_grad else []
    )
    for index in suspects:
        tensor, (flat, _) = active[index]
        span = find_span(flat)
        met = places.find(span)
        if met is not None and clear_grad:
            raise ArgumentError(
                f"the gradient of {tensor.name} shares memory with {met}, where clear_grad=True would leave zeros: "
                "give a copy, or clear_grad=False"
            )
        if met is not None or sum(span.overlaps(other) for other in spans) > 1:
            separated[index] = (tensor, Gradient(flat.copy(), flat))
    return separated


class Given(NamedTuple):
    """The gradients of a step: the next step need not look at them again if it is given the very same arrays."""

    pairs: Sequence[tuple[Tensor, Any]]  # as the user gave them; empty where a gradient had to be copied
    layouts: Sequence[tuple[Any, ...]]
    places: Places | None  # what they were compared with
    tensors: Sequence[Tensor]
    gradients: Sequence[Gradient]

    def serves(self, pairs: Sequence[tuple[Tensor, Any]], places: Places) -> bool:
        """Whether a step that writes to these places is given the same."""
        return (
            places is self.places
            and len(pairs) == len(self.pairs)
            and all(t is tensor and g is grad for (t, g), (tensor, grad) in zip(pairs, self.pairs, strict=True))
            and _list_layouts(pairs) == self.layouts
        )


NOTHING = Given((), (), None, (), ())


def keep_given(
    pairs: Sequence[tuple[Tensor, Any]], separated: Sequence[tuple[Tensor, Gradient]], places: Places, clear_grad: bool
) -> Given:
    """The gradients of a step; what a step with clear_grad may write to is looked at each time."""
    tensors, gradients = [tensor for tensor, _ in separated], [gradient for _, gradient in separated]
    plain = all(type(given) is np.ndarray for _, given in pairs)
    if clear_grad or not plain or any(gradient.original is not None for gradient in gradients):
        return Given((), (), None, tensors, gradients)
    return Given(pairs, _list_layouts(pairs), places, tensors, gradients)


def _list_layouts(pairs: Sequence[tuple[Tensor, Any]]) -> list[tuple[Any, ...]]:
    """What NumPy lets a user change of an array in place, besides its numbers."""
    return [(grad.shape, grad.strides, grad.dtype) for _, grad in pairs]


def _find_suspects(active: Sequence[tuple[Tensor, Gradient]], places: Places, clear_grad: bool) -> list[int]:
    """Which gradients may share memory: those whose memory has the owner of another's, or an owner unknown to NumPy."""
    taken = set(places.owners)
    suspects = []
    for index, (_, (flat, original)) in enumerate(active):
        if original is not None or not flat.size:
            continue
        owner = _find_owner(flat)
        if owner is None or id(owner) in taken or not places.owned:
            suspects.append(index)
        elif clear_grad:
            taken.add(id(owner))
    return suspects


def _find_owner(array: Any) -> Any:
    """The array that owns the memory of an array; None if it is not one of NumPy's."""
    while isinstance(array, np.ndarray):
        if array.base is None:
            return array if array.flags.owndata else None
        array = array.base
    return None
