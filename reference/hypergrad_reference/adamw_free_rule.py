"""TuningFreeAdamW as the optimizers drive it: the exact, the delayed and the lazy form as one value.

The rule is stated in `adamw_free.py` and `adamw_free_variants.py`, each form with a complete `step`.
"""

import math
from typing import NamedTuple

from hypergrad_reference import adamw
from hypergrad_reference.adamw_free import Scalars, form_scalars
from hypergrad_reference.adamw_free_schedule import Constants, G, Learned, Record, schedule
from hypergrad_reference.adamw_free_variants import keep_since
from hypergrad_reference.loops import LEFT_BEHIND
from hypergrad_reference.rule import Averages, Bounds, History, Options, Sums, Traits


class Rule(NamedTuple):
    """The rule of TuningFreeAdamW; see `hypergrad_reference.rule`."""

    constants: Constants = G
    grad_scale: float = 1.0  # of every gradient; negative to climb

    @property
    def traits(self) -> Traits:
        """Moments, two averages in one form or another, and the block sums that loop 2 leaves behind."""
        c = self.constants
        keeps = ("exp_avg", "exp_avg_sq", "lag_fast", "average_slow" if c.every > 1 else "lag_slow", "left")
        left = LEFT_BEHIND if c.delay else LEFT_BEHIND[:1]
        return Traits(keeps, self.grad_scale, averages=Averages(c.interpolation, c.rho, left, c.every))

    def init(self, lr: float, beta1: float) -> Learned:
        """The rate at which the search starts."""
        return Learned(lr, lr_peak=lr)

    def edit(self, learned: Learned, lr: float, beta1: float) -> Learned:
        """The rate that the user has written; the search goes on from there."""
        return learned if lr == learned.lr else learned._replace(lr=lr, lr_peak=lr)

    def products(self, step: int, history: History) -> tuple[str, ...]:
        """No products if they come from the step before; else ||g||^2, and what is made of a, once that is not 0.

        The lazy form has no use for the latter between two looks.
        """
        if self.constants.delay:
            return ()
        return ("grad_grad", "grad_lag", "lag_lag") if history.step else ("grad_grad",)

    def schedule(self, step: int, learned: Learned, sums: Sums | None, bounds: Bounds) -> tuple[Learned, Record]:
        """The rate and the clock of step t."""
        if self.constants.delay and sums is not None and not learned.look:  # what is there was left by a look before
            sums = sums._replace(grad_lag=math.nan, lag_lag=math.nan)
        return schedule(step, learned, sums, self.constants._replace(lr_min=bounds[0], lr_max=bounds[1]))

    def scalars(self, options: Options, history: History) -> Scalars:
        """What loop 2 needs; keep_slow is 1 between two looks."""
        c, learned = self.constants, options.learned
        of_adamw = adamw.Constants(options.beta1, options.beta2, options.eps, options.weight_decay)
        scalars = form_scalars(options.lr, learned.clock, history.step, c, of_adamw)
        if c.every == 1:
            return scalars
        kept = keep_since(learned.clock, c.gamma_slow, learned.gap) if learned.look else 1.0
        return scalars._replace(keep_slow=kept)
