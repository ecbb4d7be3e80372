"""What an optimizer is given beside the options of its groups, and the scalars that its steps are made of."""

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad._core.checks import Number
from hypergrad._core.options import check_options
from hypergrad.errors import ArgumentError
from hypergrad.torch._elements import Gradient
from hypergrad.torch._reduce import Reach
from hypergrad_reference import adamw_free
from hypergrad_reference.adamw import ExactScalars
from hypergrad_reference.loops import INNER_PRODUCTS
from hypergrad_reference.rule import History, Options, Rule, Scalars, Traits
from hypergrad_reference.surprise import Watch


class Plan(NamedTuple):
    """A rule, and what else the step is given."""

    rule: Rule[Any]
    lr_scope: str = "global"  # "global" | "group" | "tensor": who shares a learned rate
    lr_min: float = -math.inf  # bounds of the learned rate
    lr_max: float = math.inf
    nonfinite: str = "raise"
    watch: Watch | None = None  # how surprise is followed, if it is
    reach: Reach = Reach()
    stochastic_rounding: bool | None = None  # of bfloat16 parameters; None warns of 16 bits
    capturable: bool = False  # the host waits for nothing
    delay: int = 0  # 1: h_t moves the rate of step t+1, see `hypergrad_reference.delayed`
    engine: str = "torch"  # who runs the loops: "torch" | "numpy" | "opencl..."
    form: tuple[str, ...] = ()  # options of groups that a state must have as this optimizer has them

    def __deepcopy__(self, memo: dict[int, Any]) -> "Plan":
        """A plan never changes, and a process group cannot be copied."""
        return self

    @property
    def traits(self) -> Traits:
        """Those of the rule."""
        return self.rule.traits

    def adapt(self, momentum: float | None) -> "Plan":
        """The plan for a group with this momentum, which schedulers change; None where a rule has none."""
        if momentum is None or not hasattr(self.rule, "momentum"):
            return self
        return self._replace(rule=self.rule._replace(momentum=momentum))  # type: ignore[attr-defined]

    @property
    def uses_moments(self) -> bool:
        """Whether the update has the moments of AdamW, and its bias corrections."""
        return "exp_avg" in self.traits.keeps

    @property
    def rebuilds_direction(self) -> bool:
        """Whether the inner products need the direction of the latest step, rebuilt from the moments."""
        return self.uses_moments and self.traits.averages is None

    @property
    def left(self) -> tuple[str, ...]:
        """The sums that loop 2 leaves behind for the next step."""
        return () if self.traits.averages is None else self.traits.averages.left

    def choose_keeps(self, keeps: tuple[str, ...]) -> tuple[str, ...]:
        """The arrays that are kept of a tensor. Block sums are left behind by the loops of the NumPy classes alone."""
        return keeps if self.engine != "torch" else tuple(name for name in keeps if name != "left")

    @property
    def derives_beta1(self) -> bool:
        """Whether beta1 follows its derivative."""
        return "last_grad" in self.traits.keeps

    def form_gradient(self, present: "Present") -> Gradient:
        """How gradients of a group become g."""
        scale = -self.traits.grad_scale if present.maximize else self.traits.grad_scale
        return Gradient(scale, present.weight_decay if self.traits.couples_decay else 0.0)

    def is_watching(self, steps: int) -> bool:
        """Whether surprise is followed in the step after so many."""
        return self.watch is not None and steps >= self.watch.warmup_steps

    def name_products(
        self, steps: int, moved: bool, observed: bool, known: bool = False, looking: bool = True
    ) -> tuple[str, ...]:
        """The inner products that are formed of a tensor: for the rule, for surprise, and for the policy.

        moved, known    whether it took the latest step, and any at all
        looking         whether a rule with averages looks at them in this step
        """
        names = self.rule.products(steps + 1, History(0, int(known), moved=moved))
        if not looking:
            names = tuple(name for name in names if name == "grad_grad")
        watching = self.is_watching(steps)
        if watching and observed:
            names = (*names, "deviation_deviation")
        if (watching or self.nonfinite != "propagate") and "grad_grad" not in names:
            names = ("grad_grad", *names)  # one NaN or inf in the gradient shows in its norm
        return names

    def name_columns(self, steps: int, looking: bool = True) -> tuple[str, ...]:
        """All inner products that may be formed in a step."""
        moved = self.name_products(steps, True, True, True, looking)
        new = self.name_products(steps, False, False, False, looking)
        return tuple(dict.fromkeys((*moved, *new)))

    def name_operands(self, products: Iterable[str]) -> tuple[str, ...]:
        """The arrays of a tensor's state that inner products are formed of."""
        keeps, factors = self.traits.keeps, {factor for name in products for factor in INNER_PRODUCTS[name]}
        names: list[str] = []
        if factors & {"direction", "beta1_derivative"} and self.uses_moments:
            names += ["exp_avg", "max_exp_avg_sq" if "max_exp_avg_sq" in keeps else "exp_avg_sq"]
        elif "direction" in factors:
            names += ["direction"]
        for factor, array in (("exp_avg", "exp_avg"), ("deviation", "grad_ema"), ("beta1_derivative", "last_grad")):
            if factor in factors:
                names.append(array)
        if "lag" in factors:
            names += ["lag_fast", "average_slow" if "average_slow" in keeps else "lag_slow"]
        return tuple(dict.fromkeys(names))

    def form_scalars(self, options: Options, steps: int, power_before: float, power: float) -> Scalars:
        """What loop 2 needs at the next step of a tensor that has taken `steps`.

        power_before, power    product of the beta1 of its steps, without the next and with it
        """
        scalars = self.rule.scalars(options, History(0, steps, beta1_power=power_before))
        if isinstance(scalars, ExactScalars) and not self.traits.adapts_beta1:
            return scalars._replace(i1=1 / (1 - power), a=options.lr / (1 - power))
        if isinstance(scalars, adamw_free.Scalars):
            return scalars._replace(a=options.lr / (1 - power))
        return scalars

    def bound(self, present: Sequence["Present"]) -> tuple[float, float]:
        """The bounds of the learned rate. With averages, decay takes no more than half of a parameter in a step."""
        if self.traits.averages is None:
            return self.lr_min, self.lr_max
        limits = [0.5 / (now.weight_decay * max(1.0, now.ratio)) for now in present if now.weight_decay]
        return self.lr_min, min([self.lr_max, *limits])

    def check_decay(self, where: str, lr: float, weight_decay: float) -> None:
        """Raise ArgumentError where nothing would be left of theta to take the derivative of."""
        if self.traits.decays_hypergradient and lr * weight_decay == 1:
            raise ArgumentError(
                f"{where}weight_decay={weight_decay!r} times the rate {lr!r} is 1, where decay_in_hypergradient=True "
                "has no derivative: write another weight_decay to the group"
            )


def read_engine(engine: str) -> str:
    """Who runs the loops. "auto" is torch: what is faster depends on how its threads wait, see docs/explanation."""
    if engine not in ("auto", "torch", "numpy") and not str(engine).startswith("opencl"):
        raise ArgumentError(f"engine={engine!r}: give 'auto', 'torch', 'numpy', 'opencl' or 'opencl:PART[:INDEX]'")
    return "torch" if engine == "auto" else engine


def extend_power(power: float, steps: int, last_beta1: float, beta1: float) -> float:
    """The product of the beta1 of a tensor's steps and of the next one, for its bias correction.

    As long as beta1 stays the same it is its power, as in the NumPy classes, and not a product with its rounding.

    >>> extend_power(0.9**2, 2, 0.9, 0.9) == 0.9**3, extend_power(0.9**2, 2, 0.9, 0.5) == 0.9**2 * 0.5
    (True, True)
    """
    if not steps:
        return beta1
    return beta1 ** (steps + 1) if beta1 == last_beta1 and power == last_beta1**steps else power * beta1


class Present(NamedTuple):
    """What a group steps with, read from it at the beginning of a step."""

    ratio: Any  # group["lr"] in units of its base rate
    weight_decay: float
    beta1: float = 0.0
    beta2: float = 0.0
    eps: float = 1.0
    momentum: float | None = None  # of rules that have one
    maximize: bool = False

    def form_options(self, lr: float, beta1: float, coupled: bool) -> Options:
        """The options of a step. Coupled decay is part of the gradient, not of the update."""
        return Options(lr, beta1, self.beta2, self.eps, 0.0 if coupled else self.weight_decay)


OPTIONS_OF_GROUPS = ("betas", "eps", "weight_decay", "momentum", "maximize")
"""Those that are looked at in every step, beside lr."""

RATE = Number(-math.inf)
"""What a scheduler may make of lr."""


def read_one(value: Any) -> Any:
    """The number in a tensor of one element; anything else as it is."""
    return value.item() if isinstance(value, Tensor) and value.numel() == 1 else value


def _check_group(options: tuple[tuple[str, Any], ...]) -> None:
    try:
        _check(options)
    except TypeError:  # a list, as in betas=[0.9, 0.999], cannot be remembered
        check_options(**dict(options))


@lru_cache(maxsize=256)
def _check(options: tuple[tuple[str, Any], ...]) -> None:
    check_options(**dict(options))


def check_eps(number: int, group: Mapping[str, Any]) -> None:
    """Raise ArgumentError for an eps by which nothing could be divided, or after which nothing would move."""
    eps = float(group.get("eps", 1.0))
    if ORDINARY[0] < eps < ORDINARY[1] or all(param.dtype == torch.float64 for param in group["params"]):
        return
    rounded = float(torch.tensor(eps, dtype=torch.float32))  # in which 16 bits are computed, too
    if rounded == 0 or math.isinf(rounded):
        remedy = "less" if rounded else "more"
        raise ArgumentError(f"eps={eps!r} of group {number} is {rounded:g} in float32: give {remedy}")


ORDINARY = (1e-37, 1e38)
"""An eps between these is a number in float32."""


def read_group(number: int, group: Mapping[str, Any]) -> Present:
    """What a group steps with now. Raises ArgumentError for an option out of range."""
    rate, base = group["lr"], group["base_lr"]
    _check_group(tuple((name, group[name]) for name in OPTIONS_OF_GROUPS if name in group))
    check_eps(number, group)
    if not (group["capturable"] and isinstance(rate, Tensor)):  # to look at it, the host would have to wait
        rate = RATE(f"lr of group {number}", read_one(rate))
    beta1, beta2 = map(float, group.get("betas", (0.0, 0.0)))
    momentum = float(group["momentum"]) if "momentum" in group else None
    ratio, weight_decay = rate / base if base else 0.0, float(group["weight_decay"])
    eps, maximize = float(group.get("eps", 1.0)), bool(group.get("maximize", False))
    return Present(ratio, weight_decay, beta1, beta2, eps, momentum, maximize)
