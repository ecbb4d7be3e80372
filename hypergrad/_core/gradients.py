"""The gradients of a step: from what the user gives to flat arrays that no write of the step reaches too early."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence, Set
from functools import cached_property
from operator import attrgetter, is_
from typing import Any, NamedTuple

import numpy as np

from hypergrad._core.backend import Backend
from hypergrad._core.checks import show
from hypergrad._core.device_arrays import Span, find_span, flatten_device_array, is_device_array
from hypergrad._core.tensors import Tensor, get_array
from hypergrad.errors import ArgumentError, ArrayTypeError
from hypergrad_reference.loops import Arrays
from hypergrad_reference.types import Vector

get_layout = attrgetter("shape", "strides", "dtype")
"""What NumPy lets a user change of an array in place, besides its numbers."""


def list_gradients(tensors: Sequence[Tensor], gradients: Sequence[Any] | Mapping[int, Any] | None) -> list[Any]:
    """The gradient of each tensor as the user gave it, None where it has none; nothing where none has one.

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
    found = False
    for index, gradient in enumerate(given):
        if gradient is None:
            gradient = given[index] = getattr(tensors[index].owner, "grad", None)
        found = found or gradient is not None
    if not found and not gradients and not any(hasattr(tensor.owner, "grad") for tensor in tensors):
        raise ArgumentError(
            "there is no gradient, and no parameter has a .grad: call step(gradients=[...]) with one for each parameter"
        )
    return given if found else []


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
    kept      what of them belongs to the optimizer
    """

    def __init__(self, arrays: Mapping[str, Vector], kept: Sequence[Arrays] = ()) -> None:
        self.kept = kept
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


def separate(active: Sequence[tuple[Tensor, Gradient]], places: Places, clear_grad: bool) -> list[Gradient]:
    """The same gradients, with copies of those whose memory the step would write to before they are read.

    places        what the step writes to
    clear_grad    the step also leaves zeros in the gradients

    Raises ArgumentError if these zeros would be written into one of the places.
    """
    separated = [gradient for _, gradient in active]
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
            separated[index] = Gradient(flat.copy(), flat)
    return separated


class Given(NamedTuple):
    """The gradients of a step. The next step need not look at them again if it is given the very same arrays."""

    given: Sequence[Any]  # of each tensor as the user gave it; empty where they are to be looked at each time
    present: Sequence[Any]  # those that are not None
    layouts: Sequence[tuple[Any, ...]]  # of these
    places: Places | None  # what they were compared with
    tensors: Sequence[Tensor]  # that have a gradient
    gradients: Sequence[Gradient]

    def serves(self, given: Sequence[Any], places: Places) -> bool:
        """Whether a step that writes to these places is given the same."""
        return (
            places is self.places
            and len(given) == len(self.given)
            and all(map(is_, given, self.given))
            and list(map(get_layout, self.present)) == self.layouts
        )


NOTHING = Given((), (), (), None, (), ())


def look_at(
    tensors: Sequence[Tensor],
    given: Sequence[Any],
    places: Places,
    clear_grad: bool,
    backend: Backend,
) -> Given:
    """Look at the gradients of a step, one for each tensor or None.

    Raises ArgumentError or ArrayTypeError for one that does not fit its tensor, or cannot be cleared.
    """
    found = [(tensor, gradient) for tensor, gradient in zip(tensors, given, strict=True) if gradient is not None]
    flat = [(tensor, flatten_gradient(tensor, gradient, clear_grad)) for tensor, gradient in found]
    for tensor, gradient in flat:
        if not isinstance(gradient.flat, np.ndarray):
            backend.check_device_array(gradient.flat, f"the gradient of {tensor.name}")
    gradients = separate(flat, places, clear_grad)
    return keep_given(given, [tensor for tensor, _ in found], gradients, places, clear_grad)


def keep_given(
    given: Sequence[Any], tensors: Sequence[Tensor], gradients: Sequence[Gradient], places: Places, clear_grad: bool
) -> Given:
    """The gradients of a step; those that are not plain arrays, or had to be copied, are to be looked at each time."""
    present = [gradient for gradient in given if gradient is not None]
    plain = all(type(gradient) is np.ndarray for gradient in present)
    if clear_grad or not plain or any(gradient.original is not None for gradient in gradients):
        return Given((), (), (), None, tensors, gradients)
    return Given(given, present, list(map(get_layout, present)), places, tensors, gradients)


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
