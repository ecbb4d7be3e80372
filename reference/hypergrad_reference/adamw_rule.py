"""AdamW as the optimizers drive it: a rule that learns nothing, as one value. `adamw.py` states it, with its `step`."""

import math
from typing import NamedTuple

from hypergrad_reference.adamw import Base, Scalars
from hypergrad_reference.rule import Bounds, History, Options, Rate, Sums, Traits


class Record(NamedTuple):
    """A step of AdamW, which learns nothing; its fields are those of `hypergrad_reference.rule.Record`."""

    step: int
    lr_before: float
    lr: float
    hypergradient: float = math.nan
    reason: str = "fixed rate"


class Rule(NamedTuple):
    """The rule of the optimizer AdamW, which learns nothing; see `hypergrad_reference.rule`."""

    base: Base = Base()

    @property
    def traits(self) -> Traits:
        """The moments are kept."""
        return Traits(self.base.keeps, self.base.grad_scale)

    def init(self, lr: float, beta1: float) -> Rate:
        """The rate."""
        return Rate(lr)

    def edit(self, learned: Rate, lr: float, beta1: float) -> Rate:
        """The rate that the user has written."""
        return Rate(lr)

    def products(self, step: int, history: History) -> tuple[str, ...]:
        """No inner products."""
        return ()

    def schedule(self, step: int, learned: Rate, sums: Sums | None, bounds: Bounds) -> tuple[Rate, Record]:
        """The same rate."""
        return learned, Record(step, learned.lr, learned.lr)

    def scalars(self, options: Options, history: History) -> Scalars:
        """The scalars of AdamW."""
        return self.base.scalars(options, history.step)
