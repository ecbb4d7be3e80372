"""AdamHD: Adam that learns its rate."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hypergrad._core.baydin import MEANINGS, BaydinOptions, form_policy
from hypergrad._core.defaults import AUTO, DefaultNumber
from hypergrad._core.describe import describe
from hypergrad._core.optimizer import Optimizer
from hypergrad._core.options import DelayedNonfinite, LrScope, RateRule, freeze
from hypergrad._core.policy import Kind
from hypergrad_reference.adam_hd import Rule

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice
    from hypergrad._core.files import PathName


class Options(BaydinOptions):
    """The options of AdamHD, those of groups excepted."""


Settings = freeze(Options)


def form_rule(o: Options) -> Rule:
    """The rule with these constants."""
    return Rule(o.hyper_lr, o.rule, o.delay)


@describe(**MEANINGS)
class AdamHD(Optimizer, Options):
    """Adam-HD (Baydin et al. 2018), with one rate for all tensors and epsilon as in the paper.

        alpha = alpha + hyper_lr <g_t, d_{t-1}>,   theta = theta - alpha d_t,   d = m_hat / (sqrt(v_hat) + eps)

    The authors' code moves the rate from tensor to tensor within a step and adds eps before
    the bias correction: `hypergrad_reference.adam_hd.step_pytorch` is that.

    >>> import numpy as np
    >>> x = np.array([5.0, -1.0])
    >>> opt = AdamHD([x], lr=0.5, betas=(0.5, 0.75), eps=1.0, hyper_lr=0.25, device="numpy")
    >>> opt.step(gradients=[np.array([1.0, 3.0])])
    >>> opt.step(gradients=[np.array([-2.0, 4.0])])
    >>> opt.lr_history, opt.last_record.hypergradient
    (array([0.5, 1. ]), -2.0)
    """

    settable = ("nonfinite", "hyper_lr")
    aliases = MappingProxyType({"hypergrad_lr": "hyper_lr"})
    hypergrad_lr: float

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        hyper_lr: float = DefaultNumber(1e-8),
        *,
        rule: RateRule = "additive",
        lr_scope: LrScope = "global",
        nonfinite: DelayedNonfinite = "raise",
        delay: int = 0,
        hypergrad_lr: float | None = None,
        use_gpu: bool | None = None,
        records_to: "PathName | None" = None,
        device: "DeviceChoice" = AUTO,
    ) -> None:
        super().__init__(params, locals(), Kind(Settings, form_policy, form_rule))

    def __repr__(self) -> str:
        return f"AdamHD(lr={self.current_lr:.6g}, hyper_lr={self.hyper_lr}, rule={self.rule!r})"
