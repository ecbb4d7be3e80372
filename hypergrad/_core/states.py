"""What a state must be to fit an optimizer. All of it is looked at before any of it is taken up."""

import reprlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from hypergrad.errors import ArgumentError, CheckpointError

SCHEMA = 4
ENTRIES = ("schema", "kind", "options", "steps", "skipped", "schedule", "histories", "groups", "tensors")
TENSOR_ENTRIES = ("shape", "dtype", "group", "step", "moved", "numbers", "arrays")
LARGEST = sys.float_info.max
MOST_STEPS = (1 << 63) - 1


class Range(NamedTuple):
    """The numbers that an entry may be. NaN and infinity are in no range."""

    low: float = -LARGEST
    high: float = LARGEST
    optional: bool = False  # may also be None


class HistoryFit(NamedTuple):
    """The array that a history must be."""

    numbers: Range
    first: int  # entries before the first step; each step adds one at the most


class ArrayFit(NamedTuple):
    """The array that the rule keeps for a tensor."""

    length: int
    low: float = -LARGEST
    required: bool = True


class Progress(NamedTuple):
    """How far a tensor has come."""

    step: int  # steps that it has taken
    moved: bool  # whether it took the latest
    steps: int  # steps that the optimizer has taken


class TensorFit(NamedTuple):
    """What the state of one tensor must be; its numbers and arrays depend on its progress."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    group: int
    list_numbers: Callable[[Progress], Mapping[str, Range]]
    list_arrays: Callable[[Progress], Mapping[str, ArrayFit]]


CheckGroups = Callable[[Sequence[Mapping[str, Any]], Mapping[str, float]], object]
"""From the groups of a state and its schedule. Raises ArgumentError for an option of a group that is out of range."""


class Fit(NamedTuple):
    """What a state must be to fit an optimizer."""

    kind: str
    options: Mapping[str, Any]
    schedule: Mapping[str, Range]
    histories: Mapping[str, HistoryFit]
    groups: int
    group_options: Mapping[str, int]  # for each, how many numbers it is a list of; 0: it is a number
    check_groups: CheckGroups
    tensors: Sequence[TensorFit]
    finite: bool  # whether arrays hold finite numbers only


def check_state(state: Any, fit: Fit) -> None:
    """Raise CheckpointError, which names the entry, unless the state fits."""
    _check_names("state", state, dict.fromkeys(ENTRIES, True))
    _check_same("state['schema']", state["schema"], SCHEMA, "this version's")
    _check_same("state['kind']", state["kind"], fit.kind, "the optimizer's")
    _check_options(state["options"], fit.options)
    _check_groups(state["groups"], fit)
    _check_whole("state['steps']", state["steps"], MOST_STEPS)
    _check_whole("state['skipped']", state["skipped"], MOST_STEPS)
    _check_numbers("state['schedule']", state["schedule"], fit.schedule)
    _check_group_options(state["groups"], state["schedule"], fit.check_groups)
    _check_histories(state["histories"], fit.histories, state["steps"])
    _check_length("state['tensors']", state["tensors"], len(fit.tensors))
    for position, (entry, tensor) in enumerate(zip(state["tensors"], fit.tensors, strict=True)):
        _check_tensor(position, entry, tensor, state["steps"], fit.finite)


def _show(value: Any) -> str:
    try:
        return reprlib.repr(value)
    except Exception:  # Python writes no integer of more than 4300 digits, and a stranger may do anything
        return f"a {type(value).__name__}"


def _refuse(where: str, value: Any, wanted: str) -> NoReturn:
    raise CheckpointError(f"{where} is {_show(value)}, not {wanted}: give what state_dict returned")


def _check_same(where: str, value: Any, wanted: Any, whose: str) -> None:
    if type(value) is not type(wanted) or value != wanted:
        raise CheckpointError(f"{where} is {_show(value)}, {whose} is {wanted!r}: make them alike")


def _check_names(where: str, entries: Any, names: Mapping[str, bool]) -> None:
    """Raise unless entries are a dict that has these names; those that are False may be missing."""
    if not isinstance(entries, Mapping):
        _refuse(where, entries, "a dict")
    missing = [name for name, required in names.items() if required and name not in entries]
    if missing:
        raise CheckpointError(f"{where} has no {missing}: give what state_dict returned")
    unknown = [name for name in entries if name not in names]
    if unknown:
        raise CheckpointError(f"{where} has unknown entries {_show(unknown)}: give what state_dict returned")


def _check_length(where: str, entries: Any, length: int) -> None:
    if not isinstance(entries, (list, tuple)):
        _refuse(where, entries, "a list")
    if len(entries) != length:
        raise CheckpointError(f"{where} has {len(entries)} entries, the optimizer {length}: give the same parameters")


def _check_whole(where: str, value: Any, most: int) -> None:
    if _is_flag(value) or not isinstance(value, (int, np.integer)) or not 0 <= value <= most:
        _refuse(where, value, f"a whole number from 0 to {most}")


def _check_number(where: str, value: Any, numbers: Range) -> None:
    if value is None and numbers.optional:
        return
    kinds = (int, float, np.integer, np.floating)
    if _is_flag(value) or not isinstance(value, kinds) or not numbers.low <= value <= numbers.high:
        low, high = (None if abs(bound) == LARGEST else f"{bound:g}" for bound in numbers[:2])
        within = f" from {low} to {high}" if low and high else f" of at least {low}" if low else ""
        _refuse(where, value, f"a finite number{within}")


def _check_numbers(where: str, entries: Any, ranges: Mapping[str, Range]) -> None:
    _check_names(where, entries, dict.fromkeys(ranges, True))
    for name, numbers in ranges.items():
        _check_number(f"{where}[{name!r}]", entries[name], numbers)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _check_options(options: Any, own: Mapping[str, Any]) -> None:
    _check_names("state['options']", options, dict.fromkeys(own, True))
    for name, value in options.items():
        if not isinstance(value, (bool, int, float, str)):
            _refuse(f"state['options'][{name!r}]", value, "a number or a string")
    other = [
        name for name, value in own.items() if (_is_flag(options[name]), options[name]) != (_is_flag(value), value)
    ]
    if other:
        differences = ", ".join(f"{name}={_show(options[name])} instead of {own[name]!r}" for name in other)
        raise CheckpointError(
            f"the state is of other options: {differences}; make the optimizer with those of the state"
        )


def _check_histories(histories: Any, fits: Mapping[str, HistoryFit], steps: int) -> None:
    _check_names("state['histories']", histories, dict.fromkeys(fits, True))
    for name, (numbers, first) in fits.items():
        where, history = f"state['histories'][{name!r}]", histories[name]
        most = first + steps
        if not isinstance(history, np.ndarray) or history.ndim != 1 or not first <= history.size <= most:
            _refuse(where, history, f"an array of {first} to {most} numbers")
        _check_array(where, history, np.dtype(np.float64), history.size)
        _check_values(where, history, numbers)


def _check_groups(groups: Any, fit: Fit) -> None:
    _check_length("state['groups']", groups, fit.groups)
    for number, group in enumerate(groups):
        where = f"state['groups'][{number}]"
        _check_names(where, group, dict.fromkeys(fit.group_options, True))
        for name, length in fit.group_options.items():
            place, value = f"{where}[{name!r}]", group[name]
            if not length:
                _check_number(place, value, Range())
                continue
            _check_length(place, value, length)
            for index, member in enumerate(value):
                _check_number(f"{place}[{index}]", member, Range())


def _check_group_options(groups: Any, schedule: Any, check_groups: CheckGroups) -> None:
    try:
        check_groups(groups, schedule)
    except ArgumentError as error:
        raise CheckpointError(f"state['groups']: {error}") from error


def _check_tensor(position: int, entry: Any, fit: TensorFit, steps: int, finite: bool) -> None:
    where = f"state['tensors'][{position}]"
    _check_names(where, entry, dict.fromkeys(TENSOR_ENTRIES, True))
    owner = f"that of params[{position}]"
    _check_same(f"{where}['dtype']", entry["dtype"], fit.dtype.name, owner)
    _check_same(f"{where}['group']", entry["group"], fit.group, owner)
    _check_length(f"{where}['shape']", entry["shape"], len(fit.shape))
    for axis, (given, length) in enumerate(zip(entry["shape"], fit.shape, strict=True)):
        _check_same(f"{where}['shape'][{axis}]", given, length, owner)
    _check_whole(f"{where}['step']", entry["step"], steps)
    if not _is_flag(entry["moved"]) or (entry["moved"] and not entry["step"]):
        _refuse(f"{where}['moved']", entry["moved"], f"whether it took the latest step, of its {entry['step']} steps")
    progress = Progress(entry["step"], entry["moved"], steps)
    _check_numbers(f"{where}['numbers']", entry["numbers"], fit.list_numbers(progress))
    arrays = fit.list_arrays(progress)
    _check_names(f"{where}['arrays']", entry["arrays"], {name: kept.required for name, kept in arrays.items()})
    for name, array in entry["arrays"].items():
        place, kept = f"{where}['arrays'][{name!r}]", arrays[name]
        _check_array(place, array, fit.dtype, kept.length)
        if finite:
            _check_values(place, array, Range(kept.low))


def _check_array(where: str, array: Any, dtype: np.dtype[Any], length: int) -> None:
    """Raise unless it is a plain array: kernels get the address of a copy, and how long it is."""
    wanted = f"a contiguous numpy.ndarray of {length} {dtype}"
    if type(array) is not np.ndarray:
        _refuse(where, array, wanted)
    if array.dtype != dtype or array.shape != (length,) or not array.flags.c_contiguous:
        given = f"an array of {array.dtype.str}{list(array.shape)}, strides {array.strides}"
        raise CheckpointError(f"{where} is {given}, not {wanted}: give what state_dict returned")


def _check_values(where: str, array: np.ndarray[Any, Any], numbers: Range) -> None:
    good = np.isfinite(array)
    for bound, compare in ((numbers.low, np.greater_equal), (numbers.high, np.less_equal)):
        if abs(bound) < LARGEST:
            good &= compare(array, bound)
    if not good.all():
        first = int(np.argmin(good))
        _check_number(f"{where}[{first}]", float(array[first]), numbers)
