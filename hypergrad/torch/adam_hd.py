"""AdamHD in torch: Adam that learns its rate."""

from typing import Any, Literal

from hypergrad._core.defaults import DefaultNumber, choose_name
from hypergrad._core.options import check_options
from hypergrad.torch._optimizer import Optimizer
from hypergrad.torch._plan import Plan, read_engine
from hypergrad.torch._reduce import check_reach
from hypergrad_reference.adam_hd import Rule


class AdamHD(Optimizer):
    """Adam-HD (Baydin et al. 2018), with one rate for all tensors and epsilon as in the paper.

        h     = -sum s <g_t, d_{t-1}>,   alpha = alpha - hyper_lr h
        theta = theta - alpha s d_t,     d = m_hat / (sqrt(v_hat) + eps)

    s is group["lr"] / group["base_lr"]: 1, unless a scheduler has written to group["lr"].

    params                 the parameters, as torch.optim.AdamW takes them: any shape; complex
                           numbers count as pairs of reals
    lr                     alpha_0; the learned rate has no bounds and may turn negative, as in the paper. A number in
                           [0, inf), default 0.001
    betas                  the shares that the running means of g and of g^2 keep in a step. Two numbers in [0, 1), in
                           their order, default (0.9, 0.999)
    eps                    is added to the root of the mean of g^2, in units of the gradient. A number in (0, inf),
                           default 1e-08
    weight_decay           L2, coupled: g = grad + weight_decay theta, before everything else. A number in [0, inf),
                           default 0.0
    hyper_lr               the pace at which the rate learns, in units of lr / h, or a pure number where the rule is
                           multiplicative; 0 is Adam. A number in [0, inf), default 1e-08, alias hypergrad_lr
    rule                   "additive" as above, or "multiplicative", alpha = alpha (1 + hyper_lr cos(g_t, d_{t-1})).
                           Default "additive"
    maximize               climb instead of descend. True or False, default False
    lr_scope               "global": one learned rate, with which groups step in the proportion of their "lr"; "group",
                           "tensor": each group, or each parameter, learns its own. Default "global"
    nonfinite              NaN or inf in a gradient or its sums: "raise" NonFiniteError, "skip" the step and count it in
                           `skipped`, or "propagate" it, which saves a pass over the gradients. Default "raise"
    delay                  1: h_t moves the rate of step t+1, another rule, see `hypergrad_reference.delayed`. 0 or 1,
                           default 0
    stochastic_rounding    round bfloat16 parameters up or down at random, right on average, so that no update is lost;
                           None warns if parameters have 16 bits, False does not. True, False or None, default None
    capturable             the host waits for nothing: records and rates stay on the device until they are read, and the
                           step can be captured in a CUDA graph; not with nonfinite="raise". True or False, default
                           False
    engine                 "auto" and "torch": operations of torch; "numpy", "opencl" or "opencl:PART[:INDEX]": the
                           loops of the NumPy classes on CPU tensors, with their bits. Default "auto"
    process_group          ranks that hold other parts of these parameters (FSDP1, ZeRO); DTensors need none. Default
                           None
    broadcast              the numbers of rank 0 count for all: replicas on unlike devices cannot drift apart. True or
                           False, default False

    Raises ArgumentError for an option out of range.

    >>> import torch
    >>> x = torch.nn.Parameter(torch.tensor([5.0, -1.0], dtype=torch.float64))
    >>> opt = AdamHD([x], lr=0.5, betas=(0.5, 0.75), eps=1.0, hyper_lr=0.25)
    >>> for grad in ([1.0, 3.0], [-2.0, 4.0]):
    ...     x.grad = torch.tensor(grad, dtype=torch.float64)
    ...     opt.step()
    >>> opt.learned_lr, opt.last_record.hypergradient
    (1.0, -2.0)
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        hyper_lr: float = DefaultNumber(1e-8),
        *,
        rule: Literal["additive", "multiplicative"] = "additive",
        maximize: bool = False,
        lr_scope: Literal["global", "group", "tensor"] = "global",
        nonfinite: Literal["raise", "skip", "propagate"] = "raise",
        delay: Literal[0, 1] = 0,
        stochastic_rounding: bool | None = None,
        capturable: bool = False,
        engine: str = "auto",
        process_group: Any = None,
        broadcast: bool = False,
        hypergrad_lr: float | None = None,
    ) -> None:
        hyper_lr = choose_name("hyper_lr", hyper_lr, "hypergrad_lr", hypergrad_lr)
        check_options(rule=rule)
        plan = Plan(
            Rule(hyper_lr, rule, delay), lr_scope, nonfinite=nonfinite, reach=check_reach(process_group, broadcast),
            capturable=capturable, engine=read_engine(engine),
            stochastic_rounding=stochastic_rounding, delay=delay,
        )  # fmt: skip
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, plan)
