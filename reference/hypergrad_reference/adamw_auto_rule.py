"""AutoHypergradientAdamW as the optimizers drive it, as one value. `adamw_auto.py` states the rule, with its `step`."""

from typing import NamedTuple

from hypergrad_reference import adamw
from hypergrad_reference.adamw import Base
from hypergrad_reference.adamw_auto import (
    MOMENTUM_RULES,
    NORMALIZERS,
    Constants,
    Learned,
    MomentumRule,
    Normalization,
    Record,
    schedule,
)
from hypergrad_reference.rule import Bounds, History, Options, Sums, Traits


class Rule(NamedTuple):
    """The rule of AutoHypergradientAdamW; see `hypergrad_reference.rule`."""

    constants: Constants
    adapt_momentum: bool = False
    normalization: Normalization = "gradient"  # a key of NORMALIZERS
    momentum_rule: MomentumRule = "published"  # a key of MOMENTUM_RULES
    base: Base = Base()
    decay_in_hypergradient: bool = False

    @property
    def _derives_momentum(self) -> bool:
        return self.adapt_momentum and self.momentum_rule == "derivative"

    @property
    def traits(self) -> Traits:
        """The moments are kept, and for the derivative with respect to beta1 the last gradient."""
        keeps = (*self.base.keeps, "last_grad") if self._derives_momentum else self.base.keeps
        return Traits(
            keeps, self.base.grad_scale, adapts_beta1=self.adapt_momentum,
            decays_hypergradient=self.decay_in_hypergradient, remembers_norm=True,
        )  # fmt: skip

    def init(self, lr: float, beta1: float) -> Learned:
        """The rate and beta1 before the first step."""
        return Learned(lr, beta1)

    def edit(self, learned: Learned, lr: float, beta1: float) -> Learned:
        """The rate and beta1 that the user has written."""
        return learned._replace(lr=lr, beta1=beta1)

    def products(self, step: int, history: History) -> tuple[str, ...]:
        """||g_t||^2, the next step's normalizer; of a tensor that moved what h, hb and their normalizer need."""
        if not history.moved or step - 1 < self.constants.warmup_steps:
            return ("grad_grad",)
        names = ("grad_grad", "grad_direction", *NORMALIZERS[self.normalization][1])
        if self.adapt_momentum:
            names = (*names, *MOMENTUM_RULES[self.momentum_rule][1])
        if self.decay_in_hypergradient:
            names = (*names, "grad_theta")
        return tuple(dict.fromkeys(names))

    def schedule(self, step: int, learned: Learned, sums: Sums | None, bounds: Bounds) -> tuple[Learned, Record]:
        """The rate and beta1 of step t."""
        normalize, _ = NORMALIZERS[self.normalization]
        follow = MOMENTUM_RULES[self.momentum_rule][0] if self.adapt_momentum else None
        constants = self.constants._replace(lr_min=bounds[0], lr_max=bounds[1])
        if self.decay_in_hypergradient and sums is not None:
            sums = sums._replace(grad_direction=sums.decayed_grad_direction)
        return schedule(step, learned, sums, constants, normalize, follow)

    def scalars(self, options: Options, history: History) -> adamw.Scalars:
        """The scalars of AdamW; the derivative is that of a step corrected by the product of the beta1 used."""
        power = history.beta1_power * options.beta1 if self._derives_momentum else None
        return self.base.scalars(options, history.step, power)
