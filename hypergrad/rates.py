"""One adapted rate for all parameter groups, or one for each."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from hypergrad.errors import ArgumentError


class Rates(NamedTuple):
    """Which base rate a group steps with, and in what proportion.

    Scope "global": one base rate lr; group g steps with rho_g lr. Scope "group": each group has a base rate, rho_g = 1.
    """

    bases: tuple[float, ...]  # of each scope
    scopes: tuple[int, ...]  # of each group
    ratios: tuple[float, ...]  # rho of each group
    shared: bool  # scope "global"

    def of_groups(self) -> list[float]:
        """The rate of each group."""
        return [ratio * self.bases[scope] for scope, ratio in zip(self.scopes, self.ratios, strict=True)]

    def members(self, scope: int) -> list[int]:
        """The groups that share a base rate."""
        return [group for group, other in enumerate(self.scopes) if other == scope]


def open_rates(lr_scope: str, lr: float, groups: Sequence[Mapping[str, Any]]) -> Rates:
    """Rates of groups as constructed, lr being the optimizer's own."""
    if lr_scope not in SCOPES:
        raise ArgumentError(f"lr_scope={lr_scope!r}: give one of {sorted(SCOPES)}")
    return SCOPES[lr_scope](lr, groups)


def _open_global(lr: float, groups: Sequence[Mapping[str, Any]]) -> Rates:
    return Rates((lr,), (0,) * len(groups), tuple(_divide(group["lr"], lr) for group in groups), True)


def _open_group(lr: float, groups: Sequence[Mapping[str, Any]]) -> Rates:
    return Rates(tuple(float(group["lr"]) for group in groups), tuple(range(len(groups))), (1.0,) * len(groups), False)


SCOPES: dict[str, Callable[[float, Sequence[Mapping[str, Any]]], Rates]] = {
    "global": _open_global,
    "group": _open_group,
}


def _divide(lr: float, base: float) -> float:
    if lr == base:
        return 1.0
    if base == 0:
        raise ArgumentError(f"lr={lr!r} of a group has no proportion to a base rate of 0: start from a positive lr")
    return lr / base


def take_written(rates: Rates, groups: Sequence[Mapping[str, Any]]) -> Rates:
    """Rates after the user has written to the "lr" of groups: a new rho_g under "global", a new base under "group"."""
    bases, ratios = list(rates.bases), list(rates.ratios)
    for number, (group, shown) in enumerate(zip(groups, rates.of_groups(), strict=True)):
        if group["lr"] == shown:
            continue
        if rates.shared:
            ratios[number] = _divide(float(group["lr"]), bases[0])
        else:
            bases[number] = float(group["lr"])
    return rates._replace(bases=tuple(bases), ratios=tuple(ratios))
