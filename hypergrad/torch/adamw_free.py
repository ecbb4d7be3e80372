"""TuningFreeAdamW in torch: AdamW that needs no learning rate, and whose answer is an average."""

from collections.abc import Mapping
from typing import Any, Literal

from hypergrad._core.checks import show
from hypergrad._core.defaults import DefaultNumber
from hypergrad._core.options import OPTIONS
from hypergrad.adamw_free import BETAS, STARTS
from hypergrad.errors import ArgumentError
from hypergrad.torch._averaging import AveragingOptimizer
from hypergrad.torch._plan import Plan, read_engine
from hypergrad.torch._reduce import check_reach
from hypergrad_reference.adamw_free_rule import Rule
from hypergrad_reference.adamw_free_schedule import VARIANTS, G


class TuningFreeAdamW(AveragingOptimizer):
    """AdamW without a learning rate and without a horizon. The weights to use are the averages.

        c     = <g, a> / (||g|| ||a||),   a the way from the iterate back to its average
        alpha = alpha exp(0.3 phi c),     more while it climbs, less later: `hypergrad_reference.adamw_free`

    While training the parameters hold the points where gradients are to be taken, between the iterate and its average.
    The loss there says little. `averages`, `averaged_weights`, `averaged_state_dict` and `use_averages` give the
    answer.

    The rate of a group is alpha group["lr"] / group["base_lr"]. Without a scheduler that is alpha. A scheduler may
    write to group["lr"], and is not needed: the rate anneals by itself.

    params                 the parameters, as torch.optim.AdamW takes them: any shape; complex numbers count as pairs of
                           reals. A group has no "lr"
    betas                  the shares that the running means of g and of g^2 keep in a step; (0.9, 0.999) with
                           variant="K". Two numbers in [0, 1), in their order, default (0.7, 0.995)
    eps                    is added to the root of the mean of g^2, in units of the gradient. A number in (0, inf),
                           default 1e-08
    weight_decay           decoupled, theta (1 - lr weight_decay), in units of 1 / lr; lr weight_decay stays below 1/2.
                           A number in [0, inf), default 0.0
    lr_start               where the search for a rate starts; 1e-5 with variant="K". A tenth or ten times as much
                           changes little. A number in (0, inf), default 0.0001
    delay                  1: the cosine of a step moves the rate of the next, in one pass over the arrays instead of
                           two. 0 or 1, default 0
    every                  8: look at the averages at every eighth step only, once they have 100 steps. A whole number
                           >= 1, default 1
    variant                "G", or "K": gradients at the iterate; it fits wrong labels less. Default "G"
    maximize               climb instead of descend. True or False, default False
    nonfinite              NaN or inf in a gradient or its sums: "raise" NonFiniteError, "skip" the step and count it in
                           `skipped`, or "propagate" it. Default "raise"
    stochastic_rounding    round bfloat16 parameters up or down at random, right on average, so that no update is lost;
                           None warns if parameters have 16 bits, False does not. True, False or None, default None
    capturable             is refused: the rate is decided on the host. With delay=1 and nonfinite="propagate" no step
                           waits for a sum of its own. False, default False
    engine                 "auto" and "torch": operations of torch; "numpy", "opencl" or "opencl:PART[:INDEX]": the
                           loops of the NumPy class on CPU tensors, with their bits. Default "auto"
    process_group          ranks that hold other parts of these parameters (FSDP1, ZeRO); DTensors need none. Default
                           None
    broadcast              the numbers of rank 0 count for all: replicas on unlike devices cannot drift apart. True or
                           False, default False
    lr                     is not taken: there is none to tune. What the rate is stands in learned_lr and lr_histories

    Raises ArgumentError for an option out of range.

    >>> import torch
    >>> x = torch.nn.Parameter(torch.tensor([4.0, -2.0]))
    >>> opt = TuningFreeAdamW([x])
    >>> for _ in range(500):
    ...     opt.zero_grad()
    ...     (x @ x / 2).backward()
    ...     opt.step()
    >>> bool(opt.averages()[0].abs().max() < 1e-3)
    True
    >>> with opt.averaged_weights():
    ...     bool(torch.equal(x, opt.averages()[0]))
    True
    """

    def __init__(
        self,
        params: Any,
        *,
        betas: tuple[float, float] = BETAS,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        lr_start: float = DefaultNumber(1e-4),
        delay: Literal[0, 1] = 0,
        every: int = 1,
        variant: Literal["G", "K"] = "G",
        maximize: bool = False,
        nonfinite: Literal["raise", "skip", "propagate"] = "raise",
        stochastic_rounding: bool | None = None,
        capturable: bool = False,
        engine: str = "auto",
        process_group: Any = None,
        broadcast: bool = False,
        lr: None = None,
    ) -> None:
        _refuse_rate("", lr)
        form: dict[str, Any] = {"variant": variant, "delay": delay, "every": every}
        form = {name: OPTIONS[name].check(name, value) for name, value in form.items()}
        own_betas, start = STARTS[form["variant"]]
        if not isinstance(lr_start, DefaultNumber):
            start = OPTIONS["lr_start"].check("lr_start", lr_start)
        constants = VARIANTS[form["variant"]]._replace(delay=bool(form["delay"]), every=form["every"])
        plan = Plan(
            Rule(constants), "global", G.lr_min, G.lr_max, nonfinite,
            reach=check_reach(process_group, broadcast), capturable=capturable, engine=read_engine(engine),
            stochastic_rounding=stochastic_rounding, form=tuple(form),
        )  # fmt: skip
        betas = own_betas if betas is BETAS else betas
        defaults = {"lr": start, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, {**defaults, **form}, plan)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take up more parameters, at any time, with averages of their own; a group has no "lr" of its own."""
        if isinstance(param_group, Mapping):
            _refuse_rate("param_group: ", param_group.get("lr"))
        super().add_param_group(param_group)


def _refuse_rate(where: str, lr: object) -> None:
    if lr is not None:
        raise ArgumentError(
            f"{where}lr={show(lr)}: TuningFreeAdamW finds its rate itself, leave lr out; lr_start says where the "
            "search starts, and torch.optim.AdamW takes a rate"
        )
