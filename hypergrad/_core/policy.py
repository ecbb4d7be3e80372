"""The options of an optimizer that do not belong to its groups, and those of them that the step itself is given."""

from collections.abc import Callable
from typing import Any, NamedTuple

from hypergrad.errors import ArgumentError
from hypergrad_reference.rule import Rule, Traits
from hypergrad_reference.surprise import Watch


class Policy(NamedTuple):
    """The options that the step itself is given, whatever the rule."""

    lr_scope: str  # "global": all groups share one learned rate; "group": each has its own
    lr_min: float  # bounds of the rate of a group
    lr_max: float
    nonfinite: str  # what to do about numbers that are not finite
    clear_grad: bool = False  # leave zeros in every gradient
    watch: Watch | None = None  # how surprise is followed, if it is
    delay: int = 0  # 1: a step learns for the one after it, and forms its sums while it writes
    looks_ahead: bool = True  # whether a step that would not be finite is found before anything is written


class Kind(NamedTuple):
    """What an optimizer class tells the step of its options. The functions see all options that are not of groups.

    Both functions raise ArgumentError for options that are at odds.
    """

    settings: Callable[..., Any]  # the options as an immutable tuple, from `options.freeze`
    form_policy: Callable[[Any], Policy]
    form_rule: Callable[[Any], Rule[Any]]


class Plan(NamedTuple):
    """A rule, and what else the step is given."""

    rule: Rule[Any]
    traits: Traits  # of the rule
    policy: Policy


def form_plan(kind: Kind, settings: Any) -> Plan:
    """The plan of an optimizer with these options. Raises ArgumentError for options that are at odds."""
    policy, rule = kind.form_policy(settings), kind.form_rule(settings)
    if policy.nonfinite == "stop" and not policy.delay:
        raise ArgumentError(
            "nonfinite='stop' needs a rule whose one pass looks while it writes, as those with delay=1 that learn from "
            "inner products: give 'raise', which changes nothing"
        )
    return Plan(rule, rule.traits, policy._replace(looks_ahead=policy.nonfinite in ("raise", "skip")))
