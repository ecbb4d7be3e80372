"""Parameter groups: dicts that the user reads and writes, and what a step takes from them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from operator import is_
from typing import Any, NamedTuple

import numpy as np

from hypergrad._core.checks import Number, bound_rate
from hypergrad._core.options import OPTIONS
from hypergrad._core.policy import Policy
from hypergrad._core.tensors import Tensor
from hypergrad.errors import ArgumentError
from hypergrad_reference.rule import Traits

Group = dict[str, Any]


class GroupOptions(NamedTuple):
    """The options of a group as plain Python numbers; those that its optimizer does not have are not used."""

    lr: float
    weight_decay: float
    betas: tuple[float, float] = (0.0, 0.0)
    eps: float = 1.0


def complete_group(number: int, group: Group, defaults: Mapping[str, Any]) -> None:
    """Fill in what a new group leaves out. Raises ArgumentError for keys that no group has."""
    unknown = set(group) - {"params", *defaults}
    if unknown:
        raise ArgumentError(
            f"params[{number}] has unknown keys {sorted(map(str, unknown))}: known are {tuple(defaults)}"
        )
    for name, value in defaults.items():
        group.setdefault(name, value)


def _read_group(where: str, group: Mapping[str, Any], names: Iterable[str]) -> GroupOptions:
    """The options of a group as they are now. Raises ArgumentError for one that is out of range; lr has no bounds here.

    where    what a message puts before the name of an option
    """
    if group.keys() - {"params"} != set(names):
        wanted = ", ".join(names)
        keys = sorted(map(str, group))
        raise ArgumentError(f"{where}the keys of the group are {keys}: give params, {wanted}, and no other")
    options = {name: OPTIONS[name].check(where + name, group[name]) for name in names if name != "lr"}
    return GroupOptions(lr=Number(-math.inf)(f"{where}lr", group["lr"]), **options)


def read_groups(
    groups: Sequence[Mapping[str, Any]],
    names: Iterable[str],
    tensors: Sequence[Tensor],
    policy: Policy,
    traits: Traits,
    known: Sequence[float],
) -> list[GroupOptions]:
    """The options of groups as they are now. Raises ArgumentError for what is out of range, or at odds with the others.

    names    of the options that each group has
    known    the rates that the first groups step with already; one that still stands there was not written by the
             user, and may lie below lr_min, see Rates.bound
    """
    where = [name_group(number, len(groups)) for number in range(len(groups))]
    options = [_read_group(place, group, names) for place, group in zip(where, groups, strict=True)]
    alone = policy.lr_scope == "group" or not any(one.lr for one in options)
    for number, (place, one) in enumerate(zip(where, options, strict=True)):
        if number < len(known) and one.lr == known[number]:
            continue
        if one.lr or alone:  # a group that shares the base rate may stand still
            bound_rate(policy.lr_min, policy.lr_max)(f"{place}lr", one.lr)
        _check_not_lost(place, one.lr, [tensor for tensor in tensors if tensor.group == number])
    for dtype, number in {(tensor.theta.dtype, tensor.group) for tensor in tensors}:
        _check_eps(where[number], options[number].eps, dtype)
    beta1s = [one.betas[0] for one in options]
    if "last_grad" in traits.keeps and 0 in beta1s:
        raise ArgumentError(f"{where[beta1s.index(0)]}momentum_rule='derivative' needs beta1=0.0 above 0")
    if traits.adapts_beta1 and policy.lr_scope == "global" and len(set(beta1s)) > 1:
        raise ArgumentError(
            f"adapt_momentum=True adapts one beta1, the groups have {beta1s}: make them equal, or lr_scope='group'"
        )
    return options


def _check_not_lost(where: str, rate: float, tensors: Iterable[Tensor]) -> None:
    """Raise ArgumentError for a rate that one of the tensors could not tell from 0."""
    for tensor in tensors:
        if rate and tensor.theta.dtype.itemsize == 4 and abs(rate) <= 2.0**-150:
            raise ArgumentError(f"{where}lr={rate!r} is 0 in {tensor.theta.dtype}: give 0, or more")


def _check_eps(where: str, eps: float, dtype: "np.dtype[Any]") -> None:
    """Raise ArgumentError for an eps by which nothing could be divided, or after which nothing would move."""
    with np.errstate(over="ignore"):
        rounded = float(dtype.type(eps))
    if rounded == 0 or math.isinf(rounded):
        raise ArgumentError(f"{where}eps={eps!r} is {rounded:g} in {dtype}: give {'less' if rounded else 'more'}")


def is_as_shown(group: Mapping[str, Any], shown: GroupOptions) -> bool:
    """Whether the options of a group are the very objects that were written there: then the user has not edited it."""
    lr, weight_decay, betas, eps = shown
    if len(group) == 3:  # params, lr and weight_decay are all there is
        return group.get("lr") is lr and group.get("weight_decay") is weight_decay
    return (
        len(group) == 5
        and group.get("lr") is lr
        and group.get("weight_decay") is weight_decay
        and group.get("betas") is betas
        and group.get("eps") is eps
    )


def show_options(
    groups: Sequence[Group], names: Sequence[str], options: Sequence[GroupOptions], rates: Sequence[float],
    beta1s: Sequence[float] | None,
) -> list[GroupOptions]:  # fmt: skip
    """Write the options as they are now to where the user reads them, and return them.

    names          of the options that each group has
    options        of each group; its rate and, where beta1 is learned, its beta1 are those of the next two
    """
    shown = []
    for number, (group, own, rate) in enumerate(zip(groups, options, rates, strict=True)):
        betas = own.betas if beta1s is None else (beta1s[number], own.betas[1])
        now = GroupOptions(rate, own.weight_decay, betas, own.eps)
        for name in names:
            group[name] = getattr(now, name)
        shown.append(now)
    return shown


def name_group(number: int, count: int) -> str:
    """What an error message puts before the name of an option of a group."""
    return "" if count == 1 else f"param_groups[{number}]: "


def check_members(groups: Sequence[Any], members: Sequence[Sequence[object]]) -> None:
    """Raise ArgumentError if the groups do not hold the parameters that they were made with, in their order."""
    for number, own in enumerate(members):
        group = groups[number] if number < len(groups) else None
        params = group.get("params") if isinstance(group, dict) else None
        if not isinstance(params, list) or len(params) != len(own) or not all(map(is_, params, own)):
            break
    else:
        if len(groups) == len(members):
            return
        number = len(members)
    raise ArgumentError(
        f"param_groups[{number}] does not hold the parameters that it was made with: put them back. "
        "add_param_group takes up more; a gradient of None lets a parameter rest; a .data may become another array "
        "of its shape; anything else takes a new optimizer"
    )
