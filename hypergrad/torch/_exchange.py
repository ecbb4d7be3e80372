"""States of the NumPy classes, taken over by those of torch and given back."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from hypergrad._core.saved import list_numbers, read_numbers
from hypergrad.errors import CheckpointError
from hypergrad.torch._items import Item, localize
from hypergrad.torch._numbers import LEARNED, Numbers, read_steps
from hypergrad_reference import surprise
from hypergrad_reference.sums import BLOCK, total

State = Mapping[str, Any]


def check(kind: str, numbers: Numbers, state: State) -> list[torch.Tensor]:
    """The parameters, in order. Raises CheckpointError if the state is of another class, scope or model."""
    if state["kind"] != kind:
        raise CheckpointError(f"state['kind'] is {state['kind']!r}: load it into that class, not {kind}")
    scopes = sum(name.startswith("lr") and name[2:].isdigit() for name in state["schedule"])
    if numbers.has_rate_per_tensor or scopes != (1 if numbers.shares_rate else len(numbers.groups)):
        raise CheckpointError(f"state has {scopes} learned rates: make the optimizer with the same lr_scope and groups")
    params = [param for group in numbers.groups for param in group["params"]]
    shapes = [tuple(entry["shape"]) for entry in state["tensors"]]
    if shapes != [tuple(param.shape) for param in params]:
        raise CheckpointError(f"state is of tensors with the shapes {shapes}: make the optimizer for the same ones")
    own, options = numbers.groups[0], state["options"]
    other = [f"{n}={options[n]!r} instead of {own[n]!r}" for n in numbers.plan.form if options[n] != own[n]]
    if other:
        raise CheckpointError(f"state is of {', '.join(other)}: make the optimizer with the options of the state")
    return params


def take(kind: str, numbers: Numbers, state: State) -> None:
    """Go on from `state_dict()` of the NumPy class of the same name. group["lr"] is set so that its rate goes on."""
    params, schedule = check(kind, numbers, state), state["schedule"]
    for position, (param, entry) in enumerate(zip(params, state["tensors"], strict=True)):
        group = numbers.find_param(position)[1]
        own = numbers.states[param]
        own.clear()
        if not entry["step"]:
            continue
        numbers.open(param, group)
        own["step"].fill_(float(entry["step"]))
        own["moved"] = bool(entry["moved"])
        for name, array in entry["arrays"].items():
            if name == "left":
                if numbers.plan.engine != "torch":
                    own[name] = torch.from_numpy(np.array(array))
            elif name == "grad_grad":
                own["grad_sq"] = torch.from_numpy(np.array(array)) if numbers.plan.engine != "torch" else total([array])
            else:
                own[name] = torch.from_numpy(np.array(array)).view(param.shape).to(param.device)
        if numbers.plan.left:
            own["beta1_power"] = state["groups"][entry["group"]]["betas"][0] ** entry["step"]
        elif entry["numbers"]:
            last = entry["numbers"]
            changes = numbers.plan.traits.adapts_beta1
            own["beta1_power"] = last["beta1_power"] if changes else last["b1"] ** entry["step"]
            if numbers.plan.derives_beta1:
                own["last_beta1_power"] = last["last_beta1_power"]
            if entry["moved"]:
                used = {
                    "lr": last["lr"],
                    "weight_decay": last["weight_decay"],
                    "beta1": last["b1"],
                    "beta2": last["b2"],
                }
                group.update({f"last_{name}": value for name, value in {**used, "eps": last["eps"]}.items()})
    for number, group in enumerate(numbers.groups):
        scope = numbers.find_scope(number, 0)
        ratio = schedule[f"ratio{number}"]
        group["lr"] = group["base_lr"] * ratio
        group["last_ratio"] = ratio
        group["steps"], group["skipped"] = state["steps"], state["skipped"]
        group.update({name: value for name, value in state["groups"][number].items() if name != "lr"})
        learned = read_numbers(numbers.start(group, group["base_lr"]), schedule, scope)
        if "beta1" in learned._fields:
            learned = learned._replace(beta1=state["groups"][number]["betas"][0])
        group.update(list_numbers(learned, LEARNED))
        group.update(_read_left(numbers.plan.left, state))
        group["effective_lr"] = schedule[f"lr{scope}"] * ratio
        if numbers.plan.traits.keeps[0] == "direction":
            group["last_lr"] = group["effective_lr"]
        if numbers.plan.watch is not None:
            group.update({f"surprise_{name}": schedule[name] for name in surprise.State._fields})


def give(kind: str, numbers: Numbers, like: State) -> dict[str, Any]:
    """The state for the NumPy class of the same name.

    like    `state_dict()` of such an optimizer, new and for the same parameters: its options stay, its numbers do not
    """
    params, first = check(kind, numbers, like), numbers.groups[0]
    result: dict[str, Any] = {**like, "steps": first["steps"], "skipped": int(first["skipped"])}
    result["schedule"] = dict(like["schedule"])
    result["groups"] = [dict(group) for group in like["groups"]]
    for number, group in enumerate(numbers.groups):
        scope, learned = numbers.find_scope(number, 0), numbers.load(numbers.find_scope(number, 0))
        result["schedule"][f"ratio{number}"] = float(group["lr"]) / group["base_lr"]
        for name, value in list_numbers(learned):
            if f"{name}{scope}" in result["schedule"]:
                result["schedule"][f"{name}{scope}"] = value
        for name in set(result["groups"][number]) - {"lr"}:
            result["groups"][number][name] = list(group[name]) if name == "betas" else group[name]
        if numbers.plan.traits.adapts_beta1:
            result["groups"][number]["betas"][0] = learned.beta1
        result["groups"][number]["lr"] = learned.lr * result["schedule"][f"ratio{number}"]
        if numbers.plan.watch is not None:
            result["schedule"].update({name: group[f"surprise_{name}"] for name in surprise.State._fields})
    result["tensors"] = [
        _give_tensor(numbers, position, param, entry)
        for position, (param, entry) in enumerate(zip(params, like["tensors"], strict=True))
    ]
    if numbers.plan.engine == "torch":
        _write_left(numbers.plan.left, first, result["tensors"])
    return result


def _read_left(names: Sequence[str], state: State) -> dict[str, float]:
    """The totals of what loop 2 of the latest step left behind."""
    rows = [
        np.asarray(entry["arrays"]["left"]).reshape(len(names), -1) for entry in state["tensors"] if entry["moved"]
    ] if names else []  # fmt: skip
    return {f"left_{name}": total(blocks[number] for blocks in rows) for number, name in enumerate(names)}


def _write_left(names: Sequence[str], group: Mapping[str, Any], tensors: Sequence[dict[str, Any]]) -> None:
    """The same as block sums: all of them in the first block of the first tensor that moved."""
    totals = np.array([[group[f"left_{name}"]] for name in names])
    for entry in tensors if names else ():
        size = math.prod(entry["shape"])
        if entry["step"]:
            rows = np.zeros((len(names), -(-size // BLOCK)), entry["dtype"])
            if entry["moved"] and size:
                rows[:, :1] = totals
                totals = np.zeros_like(totals)
            entry["arrays"]["left"] = rows.reshape(-1)


def _give_tensor(numbers: Numbers, position: int, param: torch.Tensor, entry: State) -> dict[str, Any]:
    own = numbers.states.get(param, {})
    if not read_steps(own):
        return dict(entry)
    group = numbers.find_param(position)[1]
    number = next(index for index, one in enumerate(numbers.groups) if one is group)
    arrays = {
        name: localize(own[name]).detach().cpu().numpy().reshape(-1).copy()
        for name in (*numbers.plan.traits.keeps, "grad_ema")
        if name in own
    }
    if "grad_sq" in own:
        arrays["grad_grad"] = _as_blocks(own["grad_sq"], param)
    last: dict[str, Any] = {}
    if numbers.plan.rebuilds_direction:
        item = Item(param, localize(param), localize(param), own, number, position, True)
        scalars, before = numbers.recall(item)
        last = {**scalars._asdict(), "lr": group["last_lr"], "weight_decay": group["last_weight_decay"]}  # type: ignore[attr-defined]
        last |= {"last_beta1_power": before, "beta1_power": own["beta1_power"]}
    return {**entry, "step": read_steps(own), "moved": own["moved"], "numbers": last, "arrays": arrays}


def _as_blocks(norm: Any, param: torch.Tensor) -> Any:
    """||g||^2 as block sums: those that were kept, or all of it in the first block."""
    if isinstance(norm, torch.Tensor):
        return norm.numpy().copy()
    blocks = np.zeros(-(-param.numel() // BLOCK), param.detach().cpu().numpy().dtype)
    blocks[:1] = norm
    return blocks
