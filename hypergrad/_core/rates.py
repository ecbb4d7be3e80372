"""One adapted rate for all parameter groups, or one for each."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from hypergrad.errors import ArgumentError

LARGEST_RATIO = 1e100
"""The largest ratio of a group's rate to the base rate: its square is a number, too."""


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

    def bound(self, scope: int, lr_min: float, lr_max: float) -> tuple[float, float]:
        """The bounds of a base rate: lr_min is its own, and no group steps with more than lr_max.

        A group that steps with less than the base rate may so come below lr_min. Where both bounds cannot be kept,
        lr_max is.

        >>> Rates((0.5,), (0, 0, 0), (1.0, 4.0, 0.0), True).bound(0, 0.125, 2.0)
        (0.125, 0.5)
        """
        largest = max(1.0, *(self.ratios[group] for group in self.members(scope)))
        high = lr_max / largest
        while high * largest > lr_max:  # a quotient that was rounded the wrong way
            high = math.nextafter(high, 0.0)
        return min(lr_min, high), high


def open_rates(lr_scope: str, lr: float, rates: Sequence[float]) -> Rates:
    """Rates of groups as constructed.

    lr_scope    "global" or "group"
    lr          the optimizer's own, the base rate of all under "global"
    rates       of each group
    """
    if lr_scope == "global":
        return _share(Rates((lr,), (0,) * len(rates), (1.0,) * len(rates), True), lr, rates)
    return Rates(tuple(rates), tuple(range(len(rates))), (1.0,) * len(rates), False)


def apply_edits(rates: Rates, written: Sequence[float]) -> Rates:
    """Rates after the user has written to the "lr" of groups: what stands there is what they step with.

    Under "group" it is the new base. Under "global" a rate written to the first group is the new base, and the ratios
    follow, so that a single group's rate is always the base rate. A first group of 0 stands still beside others.

    >>> apply_edits(Rates((0.5,), (0, 0), (1.0, 0.5), True), [0.25, 0.25])
    Rates(bases=(0.25,), scopes=(0, 0), ratios=(1.0, 1.0), shared=True)
    """
    shown = rates.of_groups()
    if list(written) == shown:
        return rates
    if not rates.shared:
        return rates._replace(bases=tuple(written))
    base = rates.bases[0]
    if written[0] != shown[0] and (written[0] or not any(written)):
        base = written[0]
    return _share(rates, base, written)


def extend_rates(rates: Rates, rate: float) -> Rates:
    """Rates with one more group."""
    if rates.shared:
        more = rates._replace(scopes=(*rates.scopes, 0), ratios=(*rates.ratios, 1.0))
        return _share(more, rates.bases[0], [*rates.of_groups(), rate])
    return rates._replace(
        bases=(*rates.bases, rate), scopes=(*rates.scopes, len(rates.scopes)), ratios=(*rates.ratios, 1.0)
    )


def _share(rates: Rates, base: float, written: Sequence[float]) -> Rates:
    """One base rate, and ratios that give each group its own; a base of 0 gives way to the first rate that is not."""
    base = base or next((rate for rate in written if rate), 0.0)
    if not base:
        return rates._replace(bases=(0.0,))
    ratios = tuple(
        ratio if rate == ratio * base else rate / base for ratio, rate in zip(rates.ratios, written, strict=True)
    )
    for number, (ratio, rate) in enumerate(zip(ratios, written, strict=True)):
        if abs(ratio) > LARGEST_RATIO:
            raise ArgumentError(
                f"lr={rate!r} of group {number} is too far from the base rate {base!r}: bring them closer"
            )
    return rates._replace(bases=(base,), ratios=ratios)
