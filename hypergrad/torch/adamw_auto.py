"""AutoHypergradientAdamW in torch: AdamW that learns its rate, and beta1 if wanted, at a pace that tunes itself."""

from typing import Any, Literal

from hypergrad._core.checks import check_order
from hypergrad._core.options import check_options
from hypergrad.errors import ArgumentError
from hypergrad.torch._optimizer import Optimizer
from hypergrad.torch._plan import Plan, read_engine
from hypergrad.torch._reduce import check_reach
from hypergrad_reference.adamw import Base
from hypergrad_reference.adamw_auto import Constants
from hypergrad_reference.adamw_auto_rule import Rule
from hypergrad_reference.surprise import State, Watch


class AutoHypergradientAdamW(Optimizer):
    """AdamW whose rate follows a normalised hypergradient through AdaGrad.

        h     = clip(-<g_t, d_{t-1}> / ||g_{t-1}||^2, -1, 1),   G = 0.99 G + 0.01 h^2
        alpha = alpha - hyper_lr h / (sqrt(G) + 1e-12),   by at most a tenth of alpha, within [lr_min, lr_max]

    The rate of a group is alpha group["lr"] / group["base_lr"]; <g_t, d_{t-1}> is summed with these factors.

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
    hyper_lr                  the pace at which the rate learns, in units of lr; 0 keeps the rate. A number in [0, inf),
                              default 0.01
    hyper_lr_beta             the pace at which beta1 learns, a pure number; 0 keeps it. A number in [0, inf), default
                              1.0
    lr_min                    the least learned rate alpha. A number in [0, inf), default 1e-06
    lr_max                    the largest learned rate alpha. A number in [0, inf), default 1.0
    adapt_momentum            adapt beta1 too, from group["betas"][0] and within [beta_min, beta_max]. True or False,
                              default False
    track_surprise            follow how far gradients are from their running mean; see `surprise`. True or False,
                              default False
    surprise_gamma            memory of the gradient's running mean. A number in [0, 1], default 0.9
    surprise_alpha            share of the newest surprise in the accumulated one. A number in [0, 1], default 0.1
    trauma_threshold          accumulated surprise at which the gain is largest. A number in (0, inf), default 0.5
    beta_min                  the least learned beta1. A number in [0, 1), default 0.5
    beta_max                  the largest learned beta1. A number in [0, 1), default 0.9995
    warmup_steps              steps before anything adapts. A whole number >= 0, default 10
    amsgrad                   divide by the running maximum of the mean of g^2. True or False, default False
    maximize                  climb instead of descend. True or False, default False
    lr_scope                  "global": one learned rate, with which groups step in the proportion of their "lr";
                              "group", "tensor": each group, or each parameter, learns its own. Default "global"
    normalization             what <g_t, d_{t-1}> is divided by: "gradient" ||g_{t-1}||^2, "direction" ||d_{t-1}||^2, or
                              "cosine" ||g_t|| ||d_{t-1}||, which does not depend on the scale of the loss. Default
                              "gradient"
    momentum_rule             what moves beta1: "published" <g_t, m_{t-1}>, or "derivative", that of the next loss.
                              Default "published"
    decay_in_hypergradient    the numerator of h is the derivative with weight decay. True or False, default True
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
    >>> opt = AutoHypergradientAdamW([torch.nn.Parameter(torch.ones(3))], normalization="cosine")
    >>> opt.learned_lr, opt.last_record
    (0.001, None)
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        hyper_lr: float = 0.01,
        hyper_lr_beta: float = 1.0,
        lr_min: float = 1e-6,
        lr_max: float = 1.0,
        adapt_momentum: bool = False,
        track_surprise: bool = False,
        surprise_gamma: float = 0.9,
        surprise_alpha: float = 0.1,
        trauma_threshold: float = 0.5,
        beta_min: float = 0.5,
        beta_max: float = 0.9995,
        warmup_steps: int = 10,
        *,
        amsgrad: bool = False,
        maximize: bool = False,
        lr_scope: Literal["global", "group", "tensor"] = "global",
        normalization: Literal["gradient", "direction", "cosine"] = "gradient",
        momentum_rule: Literal["published", "derivative"] = "published",
        decay_in_hypergradient: bool = True,
        nonfinite: Literal["raise", "skip", "propagate"] = "raise",
        delay: Literal[0, 1] = 0,
        stochastic_rounding: bool | None = None,
        capturable: bool = False,
        engine: str = "auto",
        process_group: Any = None,
        broadcast: bool = False,
    ) -> None:
        check_order("lr_min", lr_min, "lr_max", lr_max)
        check_order("beta_min", beta_min, "beta_max", beta_max)
        check_options(
            adapt_momentum=adapt_momentum, track_surprise=track_surprise, normalization=normalization,
            momentum_rule=momentum_rule,
        )  # fmt: skip
        if adapt_momentum and momentum_rule == "derivative" and not beta_min > 0:
            raise ArgumentError(f"momentum_rule='derivative' needs beta_min={beta_min!r} above 0")
        numbers = Constants(hyper_lr, hyper_lr_beta, lr_min, lr_max, beta_min, beta_max, warmup_steps)
        constants = Constants(**check_options(**numbers._asdict()))
        watched = check_options(
            surprise_gamma=surprise_gamma, surprise_alpha=surprise_alpha, trauma_threshold=trauma_threshold
        )
        gamma, alpha, threshold = watched.values()
        watch = Watch(gamma, alpha, threshold, constants.warmup_steps)
        base = Base(amsgrad=amsgrad)
        rule = Rule(constants, adapt_momentum, normalization, momentum_rule, base, decay_in_hypergradient)
        plan = Plan(
            rule, lr_scope, lr_min, lr_max, nonfinite, watch if track_surprise else None,
            check_reach(process_group, broadcast), capturable=capturable, engine=read_engine(engine),
            stochastic_rounding=stochastic_rounding, delay=delay,
        )  # fmt: skip
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, plan)

    @property
    def surprise(self) -> State:
        """How far gradients are from their running mean; zeros without track_surprise."""
        group = self.param_groups[0]
        known: dict[str, Any] = {name: group[f"surprise_{name}"] for name in State._fields if self._plan.watch}
        return State(**known)
