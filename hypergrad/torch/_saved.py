"""States: what torch saves of an optimizer, taken up in the dtypes that a step works in."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hypergrad.errors import CheckpointError
from hypergrad.torch._dtypes import find_kept_dtype
from hypergrad.torch._entries import check_entries
from hypergrad.torch._items import PER_ELEMENT
from hypergrad.torch._numbers import Numbers, name_learned, read_steps

MADE_LATER = ("velocity", "last_grad", "left")
"""Arrays that a state may lack: they begin with zeros, or are not looked at in the next step."""


def load(
    optimizer: torch.optim.Optimizer,
    read: Callable[[], Numbers],
    of_torch: Callable[[dict[str, Any]], None],
    state_dict: dict[str, Any],
) -> None:
    """Take up a state by torch's own load_state_dict, which casts arrays to the dtype of the parameters; 16 bits less.

    read    the numbers of the optimizer as they are now: torch replaces groups and states

    Raises CheckpointError, with nothing changed, for a state of another rule, scope or model.
    """
    kept: dict[str, Any] = {}

    def look(_: Any, given: dict[str, Any]) -> None:
        check(read(), given)
        kept.update(given)

    before = optimizer.register_load_state_dict_pre_hook(look)
    after = optimizer.register_load_state_dict_post_hook(lambda _: restore(read(), kept), prepend=True)
    try:
        of_torch(state_dict)
    finally:
        before.remove()
        after.remove()


def check(numbers: Numbers, state_dict: dict[str, Any]) -> None:
    """Raise CheckpointError for a state that the rule cannot go on from, before torch takes anything of it."""
    check_entries(state_dict, numbers.plan.nonfinite != "propagate")
    own = numbers.groups[0]
    for group in state_dict["param_groups"]:
        known = [name for name in numbers.plan.form if name in group and not _is_same(group[name], own[name])]
        if known:
            other = ", ".join(f"{name}={group[name]!r} instead of {own[name]!r}" for name in known)
            raise CheckpointError(f"state_dict is of {other}: make the optimizer with the options of the state")
    needed = ["step", *(name for name in numbers.plan.traits.keeps if name not in MADE_LATER)]
    for entry in state_dict["state"].values():
        latest = ("last_lr", "last_beta1") if name_learned("lr") in entry else ()  # of a parameter with its own rate
        missing = [name for name in (*needed, *latest) if name not in entry]
        if entry and missing:
            raise CheckpointError(
                f"state_dict has {sorted(entry)} of a parameter and no {missing}: load a state of the same rule"
            )
    _check_shapes(numbers, state_dict)
    for group in state_dict["param_groups"]:
        if "base_lr" in group and (name_learned("lr") in group) == numbers.has_rate_per_tensor:
            raise CheckpointError(
                f"state_dict is of another lr_scope than {numbers.plan.lr_scope!r}: make the optimizer with the same"
            )


def _is_same(value: Any, own: Any) -> bool:
    return type(value) is type(own) and bool(value == own)


def _check_shapes(numbers: Numbers, state_dict: dict[str, Any]) -> None:
    """Raise CheckpointError unless arrays are as large as their parameters: a kernel would read past their end."""
    saved = [index for group in state_dict["param_groups"] for index in group["params"]]
    params = [param for group in numbers.groups for param in group["params"]]
    for index, param in zip(saved, params, strict=False):  # of another number of parameters torch itself complains
        for name, array in state_dict["state"].get(index, {}).items():
            fits = isinstance(array, Tensor) and array.shape == param.shape and _is_alike(array, param)
            if name in PER_ELEMENT and not fits:
                found = f"{array.dtype}{list(array.shape)}" if isinstance(array, Tensor) else type(array).__name__
                raise CheckpointError(
                    f"state_dict has {name!r} of parameter {index} as {found}, the parameter is "
                    f"{param.dtype}{list(param.shape)}: load a state of the same model"
                )


def _is_alike(array: Tensor, param: Tensor) -> bool:
    """Whether both are of reals, or both of complex numbers, of any precision."""
    return array.is_complex() == param.is_complex() and (array.is_complex() or array.is_floating_point())


def restore(numbers: Numbers, state_dict: dict[str, Any]) -> None:
    """Give arrays that were cast the dtype that is kept of a parameter, and complete states of torch's optimizers."""
    saved = [index for group in state_dict["param_groups"] for index in group["params"]]
    params = [param for group in numbers.groups for param in group["params"]]
    for index, param in zip(saved, params, strict=True):
        state = numbers.states.get(param, {})
        for name, value in state_dict["state"].get(index, {}).items():
            if isinstance(value, Tensor):
                dtype = find_kept_dtype(param) if name in PER_ELEMENT else value.dtype
                if state[name].dtype != dtype:
                    state[name] = value.to(state[name].device, dtype)
        if state and not isinstance(state["step"], Tensor):  # as torch saved it in its early days
            state["step"] = torch.tensor(float(state["step"]), dtype=torch.float32)
    numbers.adopt(numbers.groups)
    for group in numbers.groups:
        for param in group["params"]:
            state = numbers.states.get(param, {})
            if state and numbers.plan.uses_moments:
                state.setdefault("beta1_power", float(group["betas"][0]) ** read_steps(state))
