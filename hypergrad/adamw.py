"""AdamW on NumPy arrays."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hypergrad._core.base import BaseOptions, form_base
from hypergrad._core.defaults import AUTO
from hypergrad._core.describe import describe
from hypergrad._core.optimizer import Optimizer
from hypergrad._core.options import NOT_STOP, Nonfinite, ScalarConvention, freeze
from hypergrad._core.policy import Kind, Policy
from hypergrad_reference.adamw_rule import Rule

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice
    from hypergrad._core.files import PathName


class Options(BaseOptions):
    """The options of AdamW, those of groups excepted."""

    nonfinite: Nonfinite


Settings = freeze(Options)


def form_policy(o: Options) -> Policy:
    """The constants of the step."""
    return Policy("group", 0.0, math.inf, o.nonfinite, o.clear_grad)


def form_rule(o: Options) -> Rule:
    """The rule with these constants."""
    return Rule(form_base(o))


@describe(lr="the rate; may be changed in param_groups between steps", nonfinite=NOT_STOP)
class AdamW(Optimizer, Options):
    """AdamW (Loshchilov and Hutter 2019).

        m     = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        theta = theta (1 - lr weight_decay) - lr m_hat / (sqrt(v_hat) + eps)

    >>> import numpy as np
    >>> x = np.array([1.0, -2.0])
    >>> opt = AdamW([x], lr=0.5, betas=(0.5, 0.75), eps=1.0, weight_decay=0.25, device="numpy")
    >>> opt.step(gradients=[np.array([1.0, 3.0])])
    >>> x
    array([ 0.625, -2.125])
    """

    settable = ("nonfinite", "grad_scale")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        use_gpu: bool | None = None,
        *,
        maximize: bool = False,
        grad_scale: float = 1.0,
        clear_grad: bool = False,
        scalar_convention: ScalarConvention = "exact",
        nonfinite: Nonfinite = "raise",
        records_to: "PathName | None" = None,
        device: "DeviceChoice" = AUTO,
    ) -> None:
        super().__init__(params, locals(), Kind(Settings, form_policy, form_rule))

    def __repr__(self) -> str:
        lr, (beta1, beta2) = self.param_groups[0]["lr"], self.param_groups[0]["betas"]
        decay = self.param_groups[0]["weight_decay"]
        return f"AdamW(lr={lr}, betas=({beta1}, {beta2}), weight_decay={decay}, device={self.device!r})"
