"""States: what torch saves of an optimizer, taken up without a change of dtype."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hypergrad.errors import CheckpointError
from hypergrad.torch._numbers import Numbers, name_learned, read_steps

MADE_LATER = ("velocity", "last_grad", "left")
"""Arrays that a state may lack: they begin with zeros, or are not looked at in the next step."""


def load(
    optimizer: torch.optim.Optimizer,
    read: Callable[[], Numbers],
    of_torch: Callable[[dict[str, Any]], None],
    state_dict: dict[str, Any],
) -> None:
    """Take up a state by torch's own load_state_dict, which casts arrays to the dtype of the parameters, and uncast.

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
    """Raise CheckpointError for a state that the rule cannot go on from."""
    own = numbers.groups[0]
    for group in state_dict["param_groups"]:
        known = [name for name in numbers.plan.form if name in group and group[name] != own[name]]
        if known:
            other = ", ".join(f"{name}={group[name]!r} instead of {own[name]!r}" for name in known)
            raise CheckpointError(f"state_dict is of {other}: make the optimizer with the options of the state")
    needed = [name for name in numbers.plan.traits.keeps if name not in MADE_LATER]
    for entry in state_dict["state"].values():
        missing = [name for name in needed if name not in entry]
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


def _check_shapes(numbers: Numbers, state_dict: dict[str, Any]) -> None:
    """Raise CheckpointError unless arrays are as large as their parameters: a kernel would read past their end."""
    saved = [index for group in state_dict["param_groups"] for index in group["params"]]
    params = [param for group in numbers.groups for param in group["params"]]
    arrays = {*numbers.plan.traits.keeps, "grad_ema"} - {"left"}
    for index, param in zip(saved, params, strict=False):  # of another number of parameters torch itself complains
        for name, array in state_dict["state"].get(index, {}).items():
            fits = isinstance(array, Tensor) and array.shape == param.shape and array.is_floating_point()
            if name in arrays and not fits:
                found = f"{array.dtype}{list(array.shape)}" if isinstance(array, Tensor) else type(array).__name__
                raise CheckpointError(
                    f"state_dict has {name!r} of parameter {index} as {found}, the parameter is "
                    f"{param.dtype}{list(param.shape)}: load a state of the same model"
                )


def restore(numbers: Numbers, state_dict: dict[str, Any]) -> None:
    """Put back the arrays whose dtype was cast, and complete what a state of torch's own optimizers lacks."""
    saved = [index for group in state_dict["param_groups"] for index in group["params"]]
    params = [param for group in numbers.groups for param in group["params"]]
    for index, param in zip(saved, params, strict=True):
        state = numbers.states.get(param, {})
        for name, value in state_dict["state"].get(index, {}).items():
            if isinstance(value, Tensor) and value.dtype != state[name].dtype:
                state[name] = value.to(state[name].device)
        if state and not isinstance(state["step"], Tensor):  # as torch saved it in its early days
            state["step"] = torch.tensor(float(state["step"]), dtype=torch.float32)
    numbers.adopt(numbers.groups)
    for group in numbers.groups:
        for param in group["params"]:
            state = numbers.states.get(param, {})
            if state and numbers.plan.uses_moments:
                state.setdefault("beta1_power", float(group["betas"][0]) ** read_steps(state))
