"""AdamHD: Adam that learns its rate."""

import math
from collections.abc import Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from hypergrad._core.checks import check_options
from hypergrad._core.defaults import AUTO, DefaultNumber, choose_name
from hypergrad._core.optimizer import Optimizer
from hypergrad._core.policy import Policy
from hypergrad_reference.adam_hd import Rule

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice
    from hypergrad._core.files import PathName


class Settings(NamedTuple):
    """The options of AdamHD that do not belong to its groups."""

    hyper_lr: float
    rule: str
    lr_scope: str
    nonfinite: str

    def check(self) -> "Settings":
        """The same as plain Python values."""
        return Settings(**check_options(**self._asdict()))

    def form_policy(self) -> Policy:
        """What the step is told."""
        return Policy(self.lr_scope, -math.inf, math.inf, self.nonfinite)

    def form_rule(self) -> Rule:
        """The rule with these constants."""
        return Rule(self.hyper_lr, self.rule)


class AdamHD(Optimizer):
    """Adam-HD (Baydin et al. 2018), with one rate for all tensors and epsilon as in the paper.

        alpha = alpha + hyper_lr <g_t, d_{t-1}>,   theta = theta - alpha d_t,   d = m_hat / (sqrt(v_hat) + eps)

    params          as AdamW takes them; updated in place
    lr              alpha_0, >= 0; the rate has no bounds and may turn negative, as in the paper
    betas, eps      as in AdamW
    weight_decay    L2, coupled: g = grad + weight_decay theta, before everything else
    hyper_lr        >= 0; 0 is Adam. hypergrad_lr, the source's name, is an alias
    rule            "additive" as above, or "multiplicative", alpha = alpha (1 + hyper_lr cos(g_t, d_{t-1}))
    lr_scope        "global", one rate for all groups as in the paper, or "group"
    nonfinite, records_to, use_gpu, device    as in AdamW

    Raises what AdamW raises. The authors' code moves the rate from tensor to tensor within a step and adds eps before
    the bias correction: hypergrad_reference.adam_hd has that as step_pytorch.

    >>> import numpy as np
    >>> x = np.array([5.0, -1.0])
    >>> opt = AdamHD([x], lr=0.5, betas=(0.5, 0.75), eps=1.0, hyper_lr=0.25, device="numpy")
    >>> opt.step(gradients=[np.array([1.0, 3.0])])
    >>> opt.step(gradients=[np.array([-2.0, 4.0])])
    >>> opt.lr_history, opt.last_record.hypergradient
    (array([0.5, 1. ]), -2.0)
    """

    options = Settings._fields
    settable: tuple[str, ...] = ("nonfinite", "hyper_lr")
    aliases = MappingProxyType({"hypergrad_lr": "hyper_lr"})

    hyper_lr: float
    hypergrad_lr: float
    rule: str

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        hyper_lr: float = DefaultNumber(1e-8),
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
        settings = Settings(hyper_lr, rule, lr_scope, nonfinite)
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, settings, defaults, use_gpu, device, records_to)

    def __repr__(self) -> str:
        return f"AdamHD(lr={self.current_lr:.6g}, hyper_lr={self.hyper_lr}, rule={self.rule!r})"
