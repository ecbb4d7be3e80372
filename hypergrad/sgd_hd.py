"""SGDHD: gradient descent, plain or with momentum, that learns its rate."""

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hypergrad.errors import ArgumentError
from hypergrad.hypergradient import name_products, schedule_rates
from hypergrad.optimizer import Optimizer, Plan, Sums
from hypergrad.rates import Rates
from hypergrad.states import ArrayFit, Progress
from hypergrad.tensors import Tensor
from hypergrad_reference.adamw_loops import Operands
from hypergrad_reference.sgd_hd import Kept, Move
from hypergrad_reference.types import Vector

if TYPE_CHECKING:
    from hypergrad.backend import DeviceChoice


class SGDHD(Optimizer):
    """SGD-HD, SGD-HD with heavy-ball momentum and SGDN-HD (Baydin et al. 2018).

        alpha = alpha + hypergrad_lr <g_t, d_{t-1}>,   theta = theta - alpha d_t
        d = g | v = momentum v + (1 - dampening) g | g + momentum v

    params          as AdamW takes them; updated in place
    lr              alpha_0, >= 0; the rate has no bounds and may turn negative, as in the paper
    momentum        in [0, 1)
    dampening       in [0, 1], of heavy-ball momentum; the first step is not dampened
    weight_decay    L2, coupled: g = grad + weight_decay theta, before everything else
    nesterov        needs momentum > 0 and dampening 0
    hypergrad_lr    >= 0; 0 is plain SGD
    rule            "additive" as above, or "multiplicative", alpha = alpha (1 + hypergrad_lr cos(g_t, d_{t-1}))
    lr_scope        "global", one rate for all groups as in the paper, or "group"
    nonfinite, use_gpu, device    as in AdamW

    Raises what AdamW raises. A parameter without a gradient sits the step out (the authors' code takes it for zeros).

    >>> x = np.array([5.0, -1.0])
    >>> opt = SGDHD([x], lr=0.5, hypergrad_lr=0.25, use_gpu=False)
    >>> opt.step(gradients=[np.array([2.0, 0.0])])
    >>> opt.step(gradients=[np.array([1.0, 3.0])])
    >>> x, opt.current_lr, opt.last_record.hypergradient
    (array([ 3., -4.]), 1.0, -2.0)
    """

    group_options = ("lr", "weight_decay")
    options = ("momentum", "dampening", "nesterov", "hypergrad_lr", "rule", "lr_scope", "nonfinite")
    settable: tuple[str, ...] = ("nonfinite", "hypergrad_lr")

    momentum: float
    dampening: float
    nesterov: bool
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
        hypergrad_lr: float = 1e-6,
        *,
        rule: str = "additive",
        lr_scope: str = "global",
        nonfinite: str = "raise",
        use_gpu: bool = True,
        device: "DeviceChoice" = None,
    ) -> None:
        self._take(
            momentum=momentum, dampening=dampening, nesterov=nesterov, hypergrad_lr=hypergrad_lr, rule=rule
        )  # fmt: skip
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ArgumentError(
                f"nesterov=True with momentum={momentum!r}, dampening={dampening!r}: give a momentum and no dampening"
            )
        self._products = name_products(self.rule)
        self._method = "nesterov" if self.nesterov else "heavy_ball" if self.momentum else "sgd"
        super().__init__(
            params, {"lr": lr, "weight_decay": weight_decay},
            lr_scope=lr_scope, lr_min=-math.inf, lr_max=math.inf, nonfinite=nonfinite, use_gpu=use_gpu, device=device,
        )  # fmt: skip

    def _open_tensor(self, tensor: Tensor) -> None:
        tensor.arrays["direction"] = np.zeros(tensor.theta.size, tensor.theta.dtype)
        if self._method != "sgd":
            tensor.arrays["velocity"] = np.zeros(tensor.theta.size, tensor.theta.dtype)

    def _name_products(self, tensor: Tensor) -> tuple[str, ...]:
        return self._products if tensor.moved else ()

    def _make_operands(self, tensor: Tensor, grad: Vector) -> Operands:
        decay = self._options[tensor.group]["weight_decay"]
        return Operands(tensor.theta, grad, 1.0, l2=decay, direction=tensor.arrays["direction"])

    def _schedule(self, rates: Rates, sums: Sums) -> Plan:
        movers = [self._find_movers(rates, scope, sums) for scope in range(len(rates.bases))]
        return schedule_rates(self.rule, self._steps + 1, rates, movers, sums, self.hypergrad_lr)

    def _make_update(self, tensor: Tensor, grad: Vector, plan: Plan) -> Move:
        kept = Kept(tensor.step, tensor.arrays["direction"], tensor.arrays.get("velocity"))
        lr = plan.group_rates[tensor.group]
        decay = self._options[tensor.group]["weight_decay"]
        return Move(self._method, tensor.theta, grad, kept, lr, self.momentum, self.dampening, decay)

    def _keep(self, tensor: Tensor, update: Move, sums: Mapping[str, Vector], plan: Plan) -> None:
        """The direction and the velocity are kept where they were written."""

    def _list_arrays(self, tensor: Tensor, progress: Progress) -> dict[str, ArrayFit]:
        return dict.fromkeys(tensor.arrays, ArrayFit(tensor.theta.size))

    def __repr__(self) -> str:
        return (
            f"SGDHD(lr={self.current_lr:.6g}, momentum={self.momentum}, nesterov={self.nesterov}, "
            f"hypergrad_lr={self.hypergrad_lr}, rule={self.rule!r})"
        )
