"""SGDHD: gradient descent, plain or with momentum, that learns its rate."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from hypergrad._core.baydin import MEANINGS, BaydinOptions, form_policy
from hypergrad._core.defaults import AUTO, DefaultNumber
from hypergrad._core.describe import describe
from hypergrad._core.optimizer import Optimizer
from hypergrad._core.options import DelayedNonfinite, LrScope, RateRule, freeze
from hypergrad._core.policy import Kind
from hypergrad.errors import ArgumentError
from hypergrad_reference.sgd_hd import Rule

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice
    from hypergrad._core.files import PathName


class Options(BaydinOptions):
    """The options of SGDHD, those of groups excepted."""

    momentum: float
    dampening: float
    nesterov: bool


Settings = freeze(Options)


def form_rule(o: Options) -> Rule:
    """The rule with these constants. Raises ArgumentError for what is no form of Nesterov's momentum."""
    if o.nesterov and (o.momentum == 0 or o.dampening != 0):
        raise ArgumentError(
            f"nesterov=True with momentum={o.momentum!r}, dampening={o.dampening!r}: give a momentum and no dampening"
        )
    return Rule(o.hyper_lr, o.rule, o.momentum, o.dampening, o.nesterov, o.delay)


@describe(**MEANINGS)
class SGDHD(Optimizer, Options):
    """SGD-HD, SGD-HD with heavy-ball momentum and SGDN-HD (Baydin et al. 2018).

        alpha = alpha + hyper_lr <g_t, d_{t-1}>,   theta = theta - alpha d_t
        d = g | v = momentum v + (1 - dampening) g | g + momentum v

    A parameter without a gradient sits the step out (the authors' code takes it for zeros).

    >>> import numpy as np
    >>> x = np.array([5.0, -1.0])
    >>> opt = SGDHD([x], lr=0.5, hyper_lr=0.25, device="numpy")
    >>> opt.step(gradients=[np.array([2.0, 0.0])])
    >>> opt.step(gradients=[np.array([1.0, 3.0])])
    >>> x, opt.current_lr, opt.last_record.hypergradient
    (array([ 3., -4.]), 1.0, -2.0)
    """

    settable = ("nonfinite", "hyper_lr")
    aliases = MappingProxyType({"hypergrad_lr": "hyper_lr"})
    hypergrad_lr: float

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        hyper_lr: float = DefaultNumber(1e-6),
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
        return (
            f"SGDHD(lr={self.current_lr:.6g}, momentum={self.momentum}, nesterov={self.nesterov}, "
            f"hyper_lr={self.hyper_lr}, rule={self.rule!r})"
        )
