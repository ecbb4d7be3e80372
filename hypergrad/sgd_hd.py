"""SGDHD: gradient descent, plain or with momentum, that learns its rate."""

import math
from collections.abc import Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from hypergrad._core.checks import check_options
from hypergrad._core.defaults import AUTO, DefaultNumber, choose_name
from hypergrad._core.optimizer import Optimizer
from hypergrad._core.policy import Policy
from hypergrad.errors import ArgumentError
from hypergrad_reference.sgd_hd import Rule

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice
    from hypergrad._core.files import PathName


class Settings(NamedTuple):
    """The options of SGDHD that do not belong to its groups."""

    momentum: float
    dampening: float
    nesterov: bool
    hyper_lr: float
    rule: str
    lr_scope: str
    nonfinite: str

    def check(self) -> "Settings":
        """The same as plain Python values."""
        s = Settings(**check_options(**self._asdict()))
        if s.nesterov and (s.momentum == 0 or s.dampening != 0):
            raise ArgumentError(
                f"nesterov=True with momentum={s.momentum!r}, dampening={s.dampening!r}: give a momentum and no "
                "dampening"
            )
        return s

    def form_policy(self) -> Policy:
        """What the step is told."""
        return Policy(self.lr_scope, -math.inf, math.inf, self.nonfinite)

    def form_rule(self) -> Rule:
        """The rule with these constants."""
        return Rule(self.hyper_lr, self.rule, self.momentum, self.dampening, self.nesterov)


class SGDHD(Optimizer):
    """SGD-HD, SGD-HD with heavy-ball momentum and SGDN-HD (Baydin et al. 2018).

        alpha = alpha + hyper_lr <g_t, d_{t-1}>,   theta = theta - alpha d_t
        d = g | v = momentum v + (1 - dampening) g | g + momentum v

    params          as AdamW takes them; updated in place
    lr              alpha_0, >= 0; the rate has no bounds and may turn negative, as in the paper
    momentum        in [0, 1)
    dampening       in [0, 1], of heavy-ball momentum; the first step is not dampened
    weight_decay    L2, coupled: g = grad + weight_decay theta, before everything else
    nesterov        needs momentum > 0 and dampening 0
    hyper_lr        >= 0; 0 is plain SGD. hypergrad_lr, the source's name, is an alias
    rule            "additive" as above, or "multiplicative", alpha = alpha (1 + hyper_lr cos(g_t, d_{t-1}))
    lr_scope        "global", one rate for all groups as in the paper, or "group"
    nonfinite, records_to, use_gpu, device    as in AdamW

    Raises what AdamW raises. A parameter without a gradient sits the step out (the authors' code takes it for zeros).

    >>> import numpy as np
    >>> x = np.array([5.0, -1.0])
    >>> opt = SGDHD([x], lr=0.5, hyper_lr=0.25, device="numpy")
    >>> opt.step(gradients=[np.array([2.0, 0.0])])
    >>> opt.step(gradients=[np.array([1.0, 3.0])])
    >>> x, opt.current_lr, opt.last_record.hypergradient
    (array([ 3., -4.]), 1.0, -2.0)
    """

    options = Settings._fields
    settable: tuple[str, ...] = ("nonfinite", "hyper_lr")
    aliases = MappingProxyType({"hypergrad_lr": "hyper_lr"})

    momentum: float
    dampening: float
    nesterov: bool
    hyper_lr: float
    hypergrad_lr: float
    rule: str

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
        rule: str = "additive",
        lr_scope: str = "global",
        nonfinite: str = "raise",
        hypergrad_lr: float | None = None,
        use_gpu: bool | None = None,
        records_to: "PathName | None" = None,
        device: "DeviceChoice" = AUTO,
    ) -> None:
        hyper_lr = choose_name("hyper_lr", hyper_lr, "hypergrad_lr", hypergrad_lr)
        settings = Settings(momentum, dampening, nesterov, hyper_lr, rule, lr_scope, nonfinite)
        super().__init__(params, settings, {"lr": lr, "weight_decay": weight_decay}, use_gpu, device, records_to)

    def __repr__(self) -> str:
        return (
            f"SGDHD(lr={self.current_lr:.6g}, momentum={self.momentum}, nesterov={self.nesterov}, "
            f"hyper_lr={self.hyper_lr}, rule={self.rule!r})"
        )
