"""HypergradientAdamW: AdamW that learns its rate from one inner product per step."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hypergrad._core.base import BaseOptions, form_base
from hypergrad._core.checks import check_order
from hypergrad._core.defaults import AUTO, DefaultNumber
from hypergrad._core.describe import describe
from hypergrad._core.optimizer import Optimizer
from hypergrad._core.options import DelayedNonfinite, LrScope, ScalarConvention, freeze
from hypergrad._core.policy import Kind, Policy
from hypergrad.errors import ArgumentError
from hypergrad_reference.adamw_hd import Rule

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice
    from hypergrad._core.files import PathName


class Options(BaseOptions):
    """The options of HypergradientAdamW, those of groups excepted."""

    hyper_lr: float
    lr_min: float
    lr_max: float
    log_scale: bool
    lr_scope: LrScope
    decay_in_hypergradient: bool
    nonfinite: DelayedNonfinite
    delay: int


Settings = freeze(Options)


def form_policy(o: Options) -> Policy:
    """The constants of the step. Raises ArgumentError for bounds that hold no rate."""
    check_order("lr_min", o.lr_min, "lr_max", o.lr_max)
    return Policy(o.lr_scope, o.lr_min, o.lr_max, o.nonfinite, o.clear_grad, delay=o.delay)


def form_rule(o: Options) -> Rule:
    """The rule with these constants. Raises ArgumentError for a scale that does not reach lr_min."""
    if o.log_scale and not o.lr_min > 0:
        raise ArgumentError(f"lr_min={o.lr_min!r} with log_scale=True: give a positive one")
    return Rule(o.hyper_lr, o.log_scale, o.decay_in_hypergradient, form_base(o))


@describe(
    lr="the first rate, within [lr_min, lr_max]; may be changed in param_groups between steps",
)
class HypergradientAdamW(Optimizer, Options):
    """AdamW whose rate descends its own gradient (Baydin et al. 2018, applied to AdamW).

        h  = -sum <g_t, d_{t-1}>,   d = m_hat / (sqrt(v_hat) + eps)
        lr = clip(lr - hyper_lr h, lr_min, lr_max),   then one step of AdamW with it

    >>> import numpy as np
    >>> x = np.array([4.0])
    >>> opt = HypergradientAdamW([x], lr=0.5, hyper_lr=0.0625, weight_decay=0.0, eps=1.0, device="numpy")
    >>> for _ in range(2):
    ...     opt.step(gradients=[x / 2])
    >>> opt.lr_history
    array([0.5       , 0.57638889])
    >>> opt
    HypergradientAdamW(lr=0.576389, beta_hyper=0.0625, lr_range=[1e-06, 1.0])
    """

    settable = ("nonfinite", "grad_scale", "hyper_lr")
    aliases = MappingProxyType({"beta_hyper": "hyper_lr"})
    beta_hyper: float

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        hyper_lr: float = DefaultNumber(1e-7),
        lr_min: float = 1e-6,
        lr_max: float = 1.0,
        log_scale: bool = False,
        use_gpu: bool | None = None,
        *,
        amsgrad: bool = False,
        lr_scope: LrScope = "global",
        decay_in_hypergradient: bool = False,
        maximize: bool = False,
        grad_scale: float = 1.0,
        clear_grad: bool = False,
        scalar_convention: ScalarConvention = "exact",
        nonfinite: DelayedNonfinite = "raise",
        delay: int = 0,
        beta_hyper: float | None = None,
        records_to: "PathName | None" = None,
        device: "DeviceChoice" = AUTO,
    ) -> None:
        super().__init__(params, locals(), Kind(Settings, form_policy, form_rule))

    def __repr__(self) -> str:
        return (
            f"HypergradientAdamW(lr={self.current_lr:.6f}, beta_hyper={self.hyper_lr}, "
            f"lr_range=[{self.lr_min}, {self.lr_max}])"
        )
