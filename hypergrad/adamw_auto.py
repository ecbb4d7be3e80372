"""AutoHypergradientAdamW: AdamW that learns its rate, and beta1 if wanted, at a pace that tunes itself."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypergrad._core.base import form_base
from hypergrad._core.checks import check_options, check_order
from hypergrad._core.defaults import AUTO
from hypergrad._core.optimizer import Optimizer
from hypergrad._core.policy import Policy
from hypergrad.errors import ArgumentError
from hypergrad_reference.adamw_auto import Constants, Rule
from hypergrad_reference.surprise import Watch

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice
    from hypergrad._core.files import PathName


class Settings(NamedTuple):
    """The options of AutoHypergradientAdamW that do not belong to its groups."""

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
    amsgrad: bool
    lr_scope: str
    normalization: str
    momentum_rule: str
    maximize: bool
    grad_scale: float
    clear_grad: bool
    scalar_convention: str
    nonfinite: str

    def check(self) -> "Settings":
        """The same as plain Python values."""
        s = Settings(**check_options(**self._asdict()))
        check_order("lr_min", s.lr_min, "lr_max", s.lr_max)
        check_order("beta_min", s.beta_min, "beta_max", s.beta_max)
        if s.momentum_rule == "derivative" and s.scalar_convention != "exact":
            raise ArgumentError("momentum_rule='derivative' is defined for scalar_convention='exact' only")
        if s.adapt_momentum and s.momentum_rule == "derivative" and not s.beta_min > 0:
            raise ArgumentError(f"momentum_rule='derivative' needs beta_min={s.beta_min!r} above 0")
        return s

    def form_policy(self) -> Policy:
        """What the step is told."""
        watch = Watch(self.surprise_gamma, self.surprise_alpha, self.trauma_threshold, self.warmup_steps)
        return Policy(
            self.lr_scope, self.lr_min, self.lr_max, self.nonfinite, self.clear_grad,
            watch if self.track_surprise else None,
        )  # fmt: skip

    def form_rule(self) -> Rule:
        """The rule with these constants."""
        constants = Constants(
            self.hyper_lr, self.hyper_lr_beta, self.lr_min, self.lr_max, self.beta_min, self.beta_max, self.warmup_steps
        )
        base = form_base(self.scalar_convention, self.amsgrad, self.maximize, self.grad_scale)
        return Rule(constants, self.adapt_momentum, self.normalization, self.momentum_rule, base)


class AutoHypergradientAdamW(Optimizer):
    """AdamW whose rate follows a normalised hypergradient through AdaGrad.

        h  = clip(-<g_t, d_{t-1}> / ||g_{t-1}||^2, -1, 1),   G = 0.99 G + 0.01 h^2
        lr = lr - hyper_lr h / (sqrt(G) + 1e-12),   by at most a tenth of lr, within [lr_min, lr_max]

    hyper_lr            >= 0, step of the rate, in units of lr
    hyper_lr_beta       >= 0, step of beta1
    lr_min, lr_max      bounds of the rate; where groups share it, lr_max bounds the rate of each group, too
    adapt_momentum      adapt beta1 too, within [beta_min, beta_max]
    track_surprise      form the surprise signal for the model to read (12 bytes more a float32 parameter)
    surprise_gamma      in [0, 1], memory of the gradient's running mean
    surprise_alpha      in [0, 1], share of the newest surprise in the accumulated one
    trauma_threshold    > 0, accumulated surprise at which the gain is largest
    warmup_steps        steps before anything adapts
    lr_scope            "global" or "group", as in HypergradientAdamW
    normalization       what <g_t, d_{t-1}> is divided by: "gradient" ||g_{t-1}||^2, "direction" ||d_{t-1}||^2, or
                        "cosine" ||g_t|| ||d_{t-1}||, which does not depend on the scale of the loss
    momentum_rule       what moves beta1: "published" <g_t, m_{t-1}>, or "derivative", the derivative of the next loss

    The other arguments, and what is raised, are those of AdamW.

    >>> opt = AutoHypergradientAdamW([np.array([4.0])], device="numpy")
    >>> opt
    AutoHypergradientAdamW(lr=0.001000, beta1=0.9000, hyper_lr=0.01, lr_range=[1e-06, 1.0], adapt_momentum=False, \
track_surprise=False)
    """

    options = Settings._fields
    settable: tuple[str, ...] = ("nonfinite", "grad_scale", "hyper_lr", "hyper_lr_beta")

    hyper_lr: float
    hyper_lr_beta: float
    adapt_momentum: bool
    track_surprise: bool
    surprise_gamma: float
    surprise_alpha: float
    trauma_threshold: float
    beta_min: float
    beta_max: float
    warmup_steps: int
    amsgrad: bool
    normalization: str
    momentum_rule: str
    maximize: bool
    grad_scale: float
    scalar_convention: str

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
        lr_scope: str = "global",
        normalization: str = "gradient",
        momentum_rule: str = "published",
        maximize: bool = False,
        grad_scale: float = 1.0,
        clear_grad: bool = False,
        scalar_convention: str = "exact",
        nonfinite: str = "raise",
        records_to: "PathName | None" = None,
        device: "DeviceChoice" = AUTO,
    ) -> None:
        settings = Settings(
            hyper_lr, hyper_lr_beta, lr_min, lr_max, adapt_momentum, track_surprise, surprise_gamma, surprise_alpha,
            trauma_threshold, beta_min, beta_max, warmup_steps, amsgrad, lr_scope, normalization, momentum_rule,
            maximize, grad_scale, clear_grad, scalar_convention, nonfinite,
        )  # fmt: skip
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, settings, defaults, use_gpu, device, records_to)

    @property
    def beta1_history(self) -> NDArray[np.float64]:
        """beta1 at first and after every adaptation; of the first group under lr_scope="group"."""
        return self.beta1_histories[0]

    @property
    def beta1_histories(self) -> list[NDArray[np.float64]]:
        """beta1 of each group, or the one that all share, at first and after every adaptation."""
        return [series["beta1"].read() for series in self._state.series]

    @property
    def surprise_history(self) -> NDArray[np.float64]:
        """S of every step that was tracked."""
        return self._state.seen.surprise.read()

    @property
    def s_bar_history(self) -> NDArray[np.float64]:
        """S_bar of every step that was tracked."""
        return self._state.seen.accumulated.read()

    @property
    def current_surprise(self) -> float:
        """S, how far the latest gradient was from its expectation, in [0, 1]; 0 before tracking starts."""
        return self._state.seen.state.surprise

    @property
    def accumulated_surprise(self) -> float:
        """S_bar, the running mean of S, in [0, 1]; 0 before tracking starts."""
        return self._state.seen.state.accumulated

    @property
    def current_surprise_gain(self) -> float:
        """S_bar exp(-S_bar / trauma_threshold), for x * (1 + scale * gain); 0 before tracking starts."""
        return self._state.seen.state.gain

    def __repr__(self) -> str:
        return (
            f"AutoHypergradientAdamW(lr={self.current_lr:.6f}, beta1={self._state.learned[0].beta1:.4f}, "
            f"hyper_lr={self.hyper_lr}, lr_range=[{self.lr_min}, {self.lr_max}], "
            f"adapt_momentum={self.adapt_momentum}, track_surprise={self.track_surprise})"
        )
