"""HypergradientAdamW in torch: AdamW that learns its rate from one inner product per step."""

from typing import Any, Literal

from hypergrad._core.checks import check_order
from hypergrad._core.defaults import DefaultNumber, choose_name
from hypergrad._core.options import check_options
from hypergrad.errors import ArgumentError
from hypergrad.torch._optimizer import Optimizer
from hypergrad.torch._plan import Plan, read_engine
from hypergrad.torch._reduce import check_reach
from hypergrad_reference.adamw import Base
from hypergrad_reference.adamw_hd import Rule


class HypergradientAdamW(Optimizer):
    """AdamW whose rate descends its own gradient (Baydin et al. 2018, applied to AdamW).

        h     = -sum s (<g_t, d_{t-1}> + wd <g_t, theta_t>) / (1 - lr wd),   d = m_hat / (sqrt(v_hat) + eps)
        alpha = clip(alpha - hyper_lr h, lr_min, lr_max),   then one step of AdamW with the rate lr = alpha s

    s is group["lr"] / group["base_lr"]: 1, unless a scheduler has written to group["lr"].

    params                    the parameters, as torch.optim.AdamW takes them: any shape; complex
                              numbers count as pairs of reals
    lr                        the first rate, within [lr_min, lr_max]; a tensor of one number is taken as well. A number
                              in [0, inf), default 0.001
    betas                     the shares that the running means of g and of g^2 keep in a step. Two numbers in [0, 1),
                              in their order, default (0.9, 0.999)
    eps                       is added to the root of the mean of g^2, in units of the gradient. A number in (0, inf),
                              default 1e-08
    weight_decay              decoupled, theta (1 - lr weight_decay), in units of 1 / lr. A number in [0, inf), default
                              0.01
    hyper_lr                  the pace at which the rate learns, in units of lr / h; 0 keeps the rate. A number in [0,
                              inf), default 1e-07, alias beta_hyper
    lr_min                    the least learned rate alpha. A number in [0, inf), default 1e-06
    lr_max                    the largest learned rate alpha. A number in [0, inf), default 1.0
    log_scale                 adapt log(alpha) instead of alpha; needs lr_min > 0. True or False, default False
    amsgrad                   divide by the running maximum of the mean of g^2. True or False, default False
    maximize                  climb instead of descend. True or False, default False
    lr_scope                  "global": one learned rate, with which groups step in the proportion of their "lr";
                              "group", "tensor": each group, or each parameter, learns its own. Default "global"
    decay_in_hypergradient    h is the derivative of the next loss with weight decay; False leaves wd out of h. True or
                              False, default True
    nonfinite                 NaN or inf in a gradient or its sums: "raise" NonFiniteError, "skip" the step and count it
                              in `skipped`, or "propagate" it, which saves a pass over the gradients. Default "raise"
    delay                     1: h_t moves the rate of step t+1, another rule, see `hypergrad_reference.delayed`. 0 or
                              1, default 0
    stochastic_rounding       round bfloat16 parameters up or down at random, right on average, so that no update is
                              lost; None warns if parameters have 16 bits, False does not. True, False or None, default
                              None
    capturable                the host waits for nothing: records and rates stay on the device until they are read, and
                              the step can be captured in a CUDA graph; not with nonfinite="raise". True or False,
                              default False
    engine                    "auto" and "torch": operations of torch; "numpy", "opencl" or "opencl:PART[:INDEX]": the
                              loops of the NumPy classes on CPU tensors, with their bits. Default "auto"
    process_group             ranks that hold other parts of these parameters (FSDP1, ZeRO); DTensors need none. Default
                              None
    broadcast                 the numbers of rank 0 count for all: replicas on unlike devices cannot drift apart. True
                              or False, default False

    Raises ArgumentError for an option out of range.

    >>> import torch
    >>> x = torch.nn.Parameter(torch.tensor([4.0], dtype=torch.float64))
    >>> opt = HypergradientAdamW([x], lr=0.5, hyper_lr=0.0625, weight_decay=0.0, eps=1.0)
    >>> for _ in range(2):
    ...     opt.zero_grad()
    ...     (x @ x / 4).backward()
    ...     opt.step()
    >>> opt.learned_lr, opt.last_record.reason
    (0.5763888888888888, 'adapted')
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        hyper_lr: float = DefaultNumber(1e-7),
        lr_min: float = 1e-6,
        lr_max: float = 1.0,
        log_scale: bool = False,
        *,
        amsgrad: bool = False,
        maximize: bool = False,
        lr_scope: Literal["global", "group", "tensor"] = "global",
        decay_in_hypergradient: bool = True,
        nonfinite: Literal["raise", "skip", "propagate"] = "raise",
        delay: Literal[0, 1] = 0,
        stochastic_rounding: bool | None = None,
        capturable: bool = False,
        engine: str = "auto",
        process_group: Any = None,
        broadcast: bool = False,
        beta_hyper: float | None = None,
    ) -> None:
        hyper_lr = choose_name("hyper_lr", hyper_lr, "beta_hyper", beta_hyper)
        check_options(lr_min=lr_min, lr_max=lr_max, log_scale=log_scale)
        check_order("lr_min", lr_min, "lr_max", lr_max)
        if log_scale and not lr_min > 0:
            raise ArgumentError(f"lr_min={lr_min!r} with log_scale=True: give a positive one")
        base = Base(amsgrad=amsgrad)
        rule = Rule(hyper_lr, log_scale, decay_in_hypergradient, base)
        plan = Plan(
            rule,
            lr_scope,
            lr_min,
            lr_max,
            nonfinite,
            reach=check_reach(process_group, broadcast),
            capturable=capturable,
            engine=read_engine(engine),
            stochastic_rounding=stochastic_rounding,
            delay=delay,
        )
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, plan)
