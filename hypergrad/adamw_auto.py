"""AutoHypergradientAdamW: AdamW that learns its rate, and beta1 if wanted, at a pace that tunes itself."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypergrad._core.base import BaseOptions, form_base
from hypergrad._core.checks import check_order
from hypergrad._core.defaults import AUTO
from hypergrad._core.describe import describe
from hypergrad._core.optimizer import Optimizer
from hypergrad._core.options import DelayedNonfinite, LrScope, ScalarConvention, freeze
from hypergrad._core.policy import Kind, Policy
from hypergrad.errors import ArgumentError
from hypergrad_reference.adamw_auto import Constants, MomentumRule, Normalization
from hypergrad_reference.adamw_auto_rule import Rule
from hypergrad_reference.surprise import Watch

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice
    from hypergrad._core.files import PathName


class Options(BaseOptions):
    """The options of AutoHypergradientAdamW, those of groups excepted."""

    hyper_lr: float
    hyper_lr_beta: float
    lr_min: float
    lr_max: float
    adapt_momentum: bool
    track_surprise: bool
    surprise_gamma: float
    surprise_alpha: float
    trauma_threshold: float
    beta_min: float
    beta_max: float
    warmup_steps: int
    lr_scope: LrScope
    normalization: Normalization
    momentum_rule: MomentumRule
    nonfinite: DelayedNonfinite
    delay: int


Settings = freeze(Options)


def form_policy(o: Options) -> Policy:
    """The constants of the step. Raises ArgumentError for bounds that hold no rate."""
    check_order("lr_min", o.lr_min, "lr_max", o.lr_max)
    watch = Watch(o.surprise_gamma, o.surprise_alpha, o.trauma_threshold, o.warmup_steps)
    watching = watch if o.track_surprise else None
    return Policy(o.lr_scope, o.lr_min, o.lr_max, o.nonfinite, o.clear_grad, watching, o.delay)


def form_rule(o: Options) -> Rule:
    """The rule with these constants. Raises ArgumentError for what the derivative with respect to beta1 excludes."""
    check_order("beta_min", o.beta_min, "beta_max", o.beta_max)
    if o.momentum_rule == "derivative" and o.scalar_convention != "exact":
        raise ArgumentError("momentum_rule='derivative' is defined for scalar_convention='exact' only")
    if o.adapt_momentum and o.momentum_rule == "derivative" and not o.beta_min > 0:
        raise ArgumentError(f"momentum_rule='derivative' needs beta_min={o.beta_min!r} above 0")
    constants = Constants(o.hyper_lr, o.hyper_lr_beta, o.lr_min, o.lr_max, o.beta_min, o.beta_max, o.warmup_steps)
    return Rule(constants, o.adapt_momentum, o.normalization, o.momentum_rule, form_base(o))


@describe(
    lr="the first rate, within [lr_min, lr_max]; may be changed in param_groups between steps",
    hyper_lr="the pace at which the rate learns, in units of lr; 0 keeps the rate",
)
class AutoHypergradientAdamW(Optimizer, Options):
    """AdamW whose rate follows a normalised hypergradient through AdaGrad.

        h  = clip(-<g_t, d_{t-1}> / ||g_{t-1}||^2, -1, 1),   G = 0.99 G + 0.01 h^2
        lr = lr - hyper_lr h / (sqrt(G) + 1e-12),   by at most a tenth of lr, within [lr_min, lr_max]

    g_t is the gradient of step t, d_{t-1} the direction in which AdamW moved in the step before, G a running mean.

    >>> x = np.array([4.0])
    >>> opt = AutoHypergradientAdamW([x], device="numpy")
    >>> for _ in range(12):
    ...     opt.step(gradients=[x])
    >>> f"{opt.current_lr:.6f}", opt.last_record.reason
    ('0.001210', 'limited')
    >>> opt
    AutoHypergradientAdamW(lr=0.001210, beta1=0.9000, hyper_lr=0.01, lr_range=[1e-06, 1.0], adapt_momentum=False, \
track_surprise=False)
    """

    settable = ("nonfinite", "grad_scale", "hyper_lr", "hyper_lr_beta")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        hyper_lr: float = 0.01,
        hyper_lr_beta: float = 1.0,
        lr_min: float = 1e-6,
        lr_max: float = 1.0,
        adapt_momentum: bool = False,
        track_surprise: bool = False,
        surprise_gamma: float = 0.9,
        surprise_alpha: float = 0.1,
        trauma_threshold: float = 0.5,
        beta_min: float = 0.5,
        beta_max: float = 0.9995,
        warmup_steps: int = 10,
        use_gpu: bool | None = None,
        *,
        amsgrad: bool = False,
        lr_scope: LrScope = "global",
        normalization: Normalization = "gradient",
        momentum_rule: MomentumRule = "published",
        maximize: bool = False,
        grad_scale: float = 1.0,
        clear_grad: bool = False,
        scalar_convention: ScalarConvention = "exact",
        nonfinite: DelayedNonfinite = "raise",
        delay: int = 0,
        records_to: "PathName | None" = None,
        device: "DeviceChoice" = AUTO,
    ) -> None:
        super().__init__(params, locals(), Kind(Settings, form_policy, form_rule))

    @property
    def beta1_history(self) -> NDArray[np.float64]:
        """beta1 at first and after every adaptation; of the first group under lr_scope="group"."""
        return self.beta1_histories[0]

    @property
    def beta1_histories(self) -> list[NDArray[np.float64]]:
        """beta1 of each group, or the one that all share, at first and after every adaptation."""
        return [series["beta1"].read() for series in self._run.state.series]

    @property
    def surprise_history(self) -> NDArray[np.float64]:
        """S of every step that was tracked."""
        return self._run.state.seen.surprise.read()

    @property
    def s_bar_history(self) -> NDArray[np.float64]:
        """S_bar of every step that was tracked."""
        return self._run.state.seen.accumulated.read()

    @property
    def current_surprise(self) -> float:
        """S, how far the latest gradient was from its expectation, in [0, 1]; 0 before tracking starts."""
        return self._run.state.seen.state.surprise

    @property
    def accumulated_surprise(self) -> float:
        """S_bar, the running mean of S, in [0, 1]; 0 before tracking starts."""
        return self._run.state.seen.state.accumulated

    @property
    def current_surprise_gain(self) -> float:
        """S_bar exp(-S_bar / trauma_threshold), for x * (1 + scale * gain); 0 before tracking starts."""
        return self._run.state.seen.state.gain

    def __repr__(self) -> str:
        return (
            f"AutoHypergradientAdamW(lr={self.current_lr:.6f}, beta1={self._run.state.learned[0].beta1:.4f}, "
            f"hyper_lr={self.hyper_lr}, lr_range=[{self.lr_min}, {self.lr_max}], "
            f"adapt_momentum={self.adapt_momentum}, track_surprise={self.track_surprise})"
        )
