"""A number of ours against what is accepted of it, and a law: the number with its limits and their reason."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple


class Check(NamedTuple):
    """One number of ours against what is accepted.

    published    None where the paper gives a shape or an order, and no number
    """

    what: str
    published: float | None
    ours: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """Whether ours is accepted; NaN never is, nor what fell without bound."""
        return -math.inf < self.ours and self.low <= self.ours <= self.high


def near(what: str, published: float, ours: float, *, rel: float = 0.0, abs: float = 0.0) -> Check:
    """Accept published (1 +- rel) +- abs.

    >>> near("count", 566.0, 567.0, abs=1).holds
    True
    >>> near("count", 566.0, 568.0, abs=1).holds
    False
    """
    slack = rel * math.fabs(published) + abs
    return Check(what, float(published), float(ours), float(published - slack), float(published + slack))


def between(what: str, low: float, ours: float, high: float, published: float | None = None) -> Check:
    """Accept low <= ours <= high."""
    return Check(what, None if published is None else float(published), float(ours), float(low), float(high))


def at_most(what: str, ours: float, high: float, published: float | None = None) -> Check:
    """Accept ours <= high: an error, or a count where fewer is better."""
    return between(what, -math.inf, ours, high, published)


def at_least(what: str, ours: float, low: float, published: float | None = None) -> Check:
    """Accept low <= ours."""
    return between(what, low, ours, math.inf, published)


def true(what: str, ours: bool) -> Check:
    """Accept True: an order or a shape, which counts as 1."""
    return Check(what, None, float(ours), 1.0, 1.0)


class Law(NamedTuple):
    """What holds on every run: a number that a run gives, what is accepted of it, and why."""

    what: str  # it says; {} are the arguments of `measure`, or the name of a part
    measure: Callable[..., Any]
    low: float
    high: float
    reason: str  # of the limits

    def judge(self, *case: Any) -> Check:
        """The law in one case."""
        return self.accept_one(self.measure(*case), *case)

    def judge_worst(self, cases: Iterable[Sequence[Any]]) -> Check:
        """The law in the case that comes nearest to a limit, or is past it by most; NaN is past all."""
        checks = [self.judge(*case) for case in cases]
        return max(checks, key=lambda c: math.inf if math.isnan(c.ours) else max(c.ours - c.high, c.low - c.ours))

    def judge_parts(self, *case: Any) -> list[Check]:
        """Where the measure gives several numbers, by name."""
        return self.accept(self.measure(*case))

    def accept_one(self, number: float, *case: Any) -> Check:
        """The law in a number that was measured elsewhere."""
        return Check(self.what.format(*case), None, float(number), self.low, self.high)

    def accept(self, parts: Mapping[str, float]) -> list[Check]:
        """The law in numbers that were measured elsewhere, by name."""
        return [self.accept_one(number, name) for name, number in parts.items()]


def law(
    what: str, *, low: float = -math.inf, high: float = math.inf, reason: str
) -> Callable[[Callable[..., Any]], Law]:
    """Make a law of the function that measures it; a function that tells whether it holds gives 1 or 0.

    >>> @law("sum of the first {} odd numbers less its square", low=0.0, high=0.0, reason="whole numbers")
    ... def difference(n):
    ...     return sum(range(1, 2 * n, 2)) - n**2
    >>> difference.judge(3).holds, difference.judge_worst([(1,), (5,)]).what
    (True, 'sum of the first 1 odd numbers less its square')
    """
    return lambda measure: Law(what, measure, low, high, reason)
