"""SGDHD in torch: gradient descent, plain or with momentum, that learns its rate."""

from typing import Any, Literal

from hypergrad._core.defaults import DefaultNumber, choose_name
from hypergrad._core.options import check_options
from hypergrad.errors import ArgumentError
from hypergrad.torch._optimizer import Optimizer
from hypergrad.torch._plan import Plan, read_engine
from hypergrad.torch._reduce import check_reach
from hypergrad_reference.sgd_hd import Rule


class SGDHD(Optimizer):
    """SGD-HD and SGDN-HD (Baydin et al. 2018): gradient descent whose rate descends its gradient.

        h     = -sum s <g_t, d_{t-1}>,   alpha = alpha - hyper_lr h
        theta = theta - alpha s d_t,     d = g, or with momentum v = momentum v + (1 - dampening) g

    s is group["lr"] / group["base_lr"]: 1, unless a scheduler has written to group["lr"].

    lr                     alpha_0, >= 0; the learned rate has no bounds and may turn negative, as in the paper
    momentum, dampening    in [0, 1) and [0, 1]; the first step of a parameter is not dampened. OneCycleLR and CyclicLR
                           change group["momentum"]
    nesterov               d = g + momentum v with v = momentum v + g
    weight_decay           L2, coupled: g = grad + weight_decay theta, before everything else
    hyper_lr               >= 0; 0 is SGD. hypergrad_lr is an alias
    rule                   "additive" as above, or "multiplicative", alpha = alpha (1 + hyper_lr cos(g_t, d_{t-1}))

    The other arguments are those of HypergradientAdamW. Raises ArgumentError for an option out of range.

    >>> import torch
    >>> x = torch.nn.Parameter(torch.tensor([5.0, -1.0], dtype=torch.float64))
    >>> opt = SGDHD([x], lr=0.5, hyper_lr=0.25)
    >>> for grad in ([2.0, 0.0], [1.0, 3.0]):
    ...     x.grad = torch.tensor(grad, dtype=torch.float64)
    ...     opt.step()
    >>> x.tolist(), opt.learned_lr, opt.last_record.hypergradient
    ([3.0, -4.0], 1.0, -2.0)
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        hyper_lr: float = DefaultNumber(1e-6),
        *,
        rule: Literal["additive", "multiplicative"] = "additive",
        maximize: bool = False,
        lr_scope: Literal["global", "group", "tensor"] = "global",
        nonfinite: Literal["raise", "skip", "propagate"] = "raise",
        stochastic_rounding: bool | None = None,
        capturable: bool = False,
        engine: str = "auto",
        process_group: Any = None,
        broadcast: bool = False,
        hypergrad_lr: float | None = None,
    ) -> None:
        hyper_lr = choose_name("hyper_lr", hyper_lr, "hypergrad_lr", hypergrad_lr)
        check_options(momentum=momentum, dampening=dampening, nesterov=nesterov, rule=rule)
        if nesterov and (momentum == 0 or dampening != 0):
            raise ArgumentError(
                f"nesterov=True with momentum={momentum!r}, dampening={dampening!r}: give a momentum and no dampening"
            )
        plan = Plan(
            Rule(hyper_lr, rule, momentum, dampening, nesterov), lr_scope, nonfinite=nonfinite,
            reach=check_reach(process_group, broadcast), maximize=maximize,
            capturable=capturable, engine=read_engine(engine),
            stochastic_rounding=stochastic_rounding,
        )  # fmt: skip
        self.nesterov = nesterov
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}, plan)
