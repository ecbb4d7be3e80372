"""What the entries of a saved state may be, so that what loads can be stepped."""

import math
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy as np
from torch import Tensor

from hypergrad._core.checks import check_flag
from hypergrad._core.options import check_options
from hypergrad._core.saved import ANY, FRACTION, POSITIVE
from hypergrad._core.saved import LEARNED as LEARNED_RANGES
from hypergrad._core.states import Range
from hypergrad.errors import ArgumentError, CheckpointError
from hypergrad.torch._plan import OPTIONS_OF_GROUPS, RATE, read_one
from hypergrad_reference.loops import Arrays

AT_LEAST_0 = Range(0.0)
RANGES = {
    **dict.fromkeys(("base_lr", "effective_lr", "last_lr", "last_ratio", "learned_lr", "left_grad_lag"), ANY),
    **dict.fromkeys(("beta1_power", "last_beta1_power", "last_beta1", "last_beta2", "learned_beta1"), FRACTION),
    **dict.fromkeys(("last_weight_decay", "left_step_step", "left_grad_grad", "left_lag_lag", "grad_sq"), AT_LEAST_0),
    **dict.fromkeys(("surprise_surprise", "surprise_accumulated", "surprise_gain"), AT_LEAST_0),
    "last_eps": POSITIVE,
    "surprise_grad_sq_ema": AT_LEAST_0._replace(optional=True),
    **{f"learned_{name}": numbers for name, numbers in LEARNED_RANGES.items()},
}
"""Of numbers of groups and parameters. What is learned and not named is at least 0."""

WHOLE = ("steps", "skipped", "step")


def check_entries(state_dict: Any, finite: bool) -> None:
    """Raise CheckpointError, which names the entry, for one that no step could go on from.

    finite    numbers that are NaN or infinite are refused too
    """
    if not isinstance(state_dict, Mapping) or not {"state", "param_groups"} <= state_dict.keys():
        _refuse("state_dict", state_dict, "a dict with 'state' and 'param_groups'")
    states, groups = state_dict["state"], state_dict["param_groups"]
    if not isinstance(states, Mapping):
        _refuse("state_dict['state']", states, "a dict")
    if not isinstance(groups, Sequence) or not all(isinstance(group, Mapping) for group in groups):
        _refuse("state_dict['param_groups']", groups, "a list of dicts")
    for number, group in enumerate(groups):
        where = f"state_dict['param_groups'][{number}]"
        params = group.get("params")
        if not isinstance(params, (list, tuple)) or not all(type(entry) in (int, str) for entry in params):
            _refuse(f"{where}['params']", params, "a list of the numbers of parameters")
        if len(set(params)) < len(params):
            _refuse(f"{where}['params']", params, "a list that has each parameter once")
        _check_options(where, group)
        _check_numbers(where, group, finite)
    for index, entry in states.items():
        where = f"state_dict['state'][{index!r}]"
        if not isinstance(entry, Mapping):
            _refuse(where, entry, "a dict")
        _check_numbers(where, entry, finite)
        moved = read_one(entry.get("moved", False))
        if not isinstance(moved, (int, float)) or moved not in (0, 1):
            _refuse(f"{where}['moved']", entry["moved"], "True or False")


def _check_options(where: str, group: Mapping[str, Any]) -> None:
    try:
        check_options(**{name: group[name] for name in OPTIONS_OF_GROUPS if name in group})
        if "lr" in group:
            RATE("lr", read_one(group["lr"]))
        if "capturable" in group:
            check_flag("capturable", group["capturable"])
    except ArgumentError as error:
        raise CheckpointError(f"{where}: {error}") from error


def _check_numbers(where: str, entries: Mapping[str, Any], finite: bool) -> None:
    for name, value in entries.items():
        if name in Arrays._fields:  # whose one element may be on another process
            continue
        number = read_one(value)
        if name in WHOLE:
            if not _is_number(number) or not float(number).is_integer() or number < 0:
                _refuse(f"{where}[{name!r}]", value, "a whole number from 0 on")
        elif name == "grad_sq" and isinstance(number, Tensor):  # its blocks
            if not number.is_floating_point():
                _refuse(f"{where}['grad_sq']", value, "one of floating point numbers")
        elif name in RANGES or str(name).startswith("learned_"):
            low, high, optional = RANGES.get(name, AT_LEAST_0)
            if number is None and optional:
                continue
            if not _is_number(number) or (not low <= number <= high and (finite or math.isfinite(number))):
                _refuse(f"{where}[{name!r}]", value, f"a number from {low:.3g} to {high:.3g}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _refuse(where: str, value: Any, wanted: str) -> NoReturn:
    shown = f"a tensor of {value.numel()} elements" if isinstance(value, Tensor) else reprlib.repr(value)
    raise CheckpointError(f"{where} is {shown}, not {wanted}: give what state_dict returned")
