"""AdamHD: Adam that learns its rate."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hypergrad.adamw_family import AdamWFamily
from hypergrad.hypergradient import name_products, schedule_rates
from hypergrad.optimizer import Plan, Sums
from hypergrad.rates import Rates
from hypergrad.tensors import Tensor
from hypergrad_reference.adamw_loops import Operands, Update
from hypergrad_reference.types import Vector

if TYPE_CHECKING:
    from hypergrad.backend import DeviceChoice


class AdamHD(AdamWFamily):
    """Adam-HD (Baydin et al. 2018), with one rate for all tensors and epsilon as in the paper.

        alpha = alpha + hypergrad_lr <g_t, d_{t-1}>,   theta = theta - alpha d_t,   d = m_hat / (sqrt(v_hat) + eps)

    params          as AdamW takes them; updated in place
    lr              alpha_0, >= 0; the rate has no bounds and may turn negative, as in the paper
    betas, eps      as in AdamW
    weight_decay    L2, coupled: g = grad + weight_decay theta, before everything else
    hypergrad_lr    >= 0; 0 is Adam
    rule            "additive" as above, or "multiplicative", alpha = alpha (1 + hypergrad_lr cos(g_t, d_{t-1}))
    lr_scope        "global", one rate for all groups as in the paper, or "group"
    nonfinite, use_gpu, device    as in AdamW

    Raises what AdamW raises. The authors' code moves the rate from tensor to tensor within a step and adds eps before
    the bias correction: hypergrad_reference.adam_hd has that as step_pytorch.

    >>> import numpy as np
    >>> x = np.array([5.0, -1.0])
    >>> opt = AdamHD([x], lr=0.5, betas=(0.5, 0.75), eps=1.0, hypergrad_lr=0.25, use_gpu=False)
    >>> opt.step(gradients=[np.array([1.0, 3.0])])
    >>> opt.step(gradients=[np.array([-2.0, 4.0])])
    >>> opt.lr_history, opt.last_record.hypergradient
    (array([0.5, 1. ]), -2.0)
    """

    options = ("hypergrad_lr", "rule", "lr_scope", "nonfinite")
    settable: tuple[str, ...] = ("nonfinite", "hypergrad_lr")

    hypergrad_lr: float
    rule: str

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        hypergrad_lr: float = 1e-8,
        *,
        rule: str = "additive",
        lr_scope: str = "global",
        nonfinite: str = "raise",
        use_gpu: bool = True,
        device: "DeviceChoice" = None,
    ) -> None:
        self._take(hypergrad_lr=hypergrad_lr, rule=rule)
        self._products = name_products(self.rule)
        super().__init__(
            params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, amsgrad=False, maximize=False,
            grad_scale=1.0, clear_grad=False, scalar_convention="exact", nonfinite=nonfinite, use_gpu=use_gpu,
            device=device, lr_scope=lr_scope, lr_min=-math.inf, lr_max=math.inf,
        )  # fmt: skip

    def _name_products(self, tensor: Tensor) -> tuple[str, ...]:
        return self._products if tensor.moved else ()

    def _make_operands(self, tensor: Tensor, grad: Vector) -> Operands:
        return super()._make_operands(tensor, grad)._replace(l2=self._options[tensor.group]["weight_decay"])

    def _schedule(self, rates: Rates, sums: Sums) -> Plan:
        movers = [self._find_movers(rates, scope, sums) for scope in range(len(rates.bases))]
        return schedule_rates(self.rule, self._steps + 1, rates, movers, sums, self.hypergrad_lr)

    def _make_update(self, tensor: Tensor, grad: Vector, plan: Plan) -> Update:
        return super()._make_update(tensor, grad, plan)._replace(l2=self._options[tensor.group]["weight_decay"])

    def _get_decay(self, group: int) -> float:
        return 0.0  # the decay is in the gradient

    def __repr__(self) -> str:
        return f"AdamHD(lr={self.current_lr:.6g}, hypergrad_lr={self.hypergrad_lr}, rule={self.rule!r})"
