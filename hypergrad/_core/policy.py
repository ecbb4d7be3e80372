"""The options of an optimizer that do not belong to its groups, and what of them the step itself is told."""

from typing import Any, NamedTuple, Protocol, Self

from hypergrad_reference.rule import Rule
from hypergrad_reference.surprise import Watch


class Policy(NamedTuple):
    """What of the options the step itself is told, whatever the rule."""

    lr_scope: str  # "global": all groups share one learned rate; "group": each has its own
    lr_min: float  # bounds of the rate of a group
    lr_max: float
    nonfinite: str  # what to do about numbers that are not finite
    clear_grad: bool = False  # leave zeros in every gradient
    watch: Watch | None = None  # how surprise is followed, if it is


class Settings(Protocol):
    """The options of an optimizer that do not belong to its groups: a NamedTuple, with the names of the constructor."""

    def check(self) -> Self:
        """The same as plain Python values. Raises ArgumentError for what is out of range."""
        ...

    def form_policy(self) -> Policy:
        """What the step is told."""
        ...

    def form_rule(self) -> Rule[Any]:
        """The rule with these constants."""
        ...

    def _asdict(self) -> dict[str, Any]: ...
