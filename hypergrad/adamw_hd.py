"""HypergradientAdamW: AdamW that learns its rate from one inner product a step."""

from collections.abc import Iterable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from hypergrad._core.base import form_base
from hypergrad._core.checks import check_options, check_order
from hypergrad._core.defaults import AUTO, DefaultNumber, choose_name
from hypergrad._core.optimizer import Optimizer
from hypergrad._core.policy import Policy
from hypergrad.errors import ArgumentError
from hypergrad_reference.adamw_hd import Rule

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice
    from hypergrad._core.files import PathName


class Settings(NamedTuple):
    """The options of HypergradientAdamW that do not belong to its groups."""

    hyper_lr: float
    lr_min: float
    lr_max: float
    log_scale: bool
    amsgrad: bool
    lr_scope: str
    decay_in_hypergradient: bool
    maximize: bool
    grad_scale: float
    clear_grad: bool
    scalar_convention: str
    nonfinite: str

    def check(self) -> "Settings":
        """The same as plain Python values."""
        s = Settings(**check_options(**self._asdict()))
        check_order("lr_min", s.lr_min, "lr_max", s.lr_max)
        if s.log_scale and not s.lr_min > 0:
            raise ArgumentError(f"lr_min={s.lr_min!r} with log_scale=True: give a positive one")
        return s

    def form_policy(self) -> Policy:
        """What the step is told."""
        return Policy(self.lr_scope, self.lr_min, self.lr_max, self.nonfinite, self.clear_grad)

    def form_rule(self) -> Rule:
        """The rule with these constants."""
        base = form_base(self.scalar_convention, self.amsgrad, self.maximize, self.grad_scale)
        return Rule(self.hyper_lr, self.log_scale, self.decay_in_hypergradient, base)


class HypergradientAdamW(Optimizer):
    """AdamW whose rate descends its own gradient (Baydin et al. 2018, applied to AdamW).

        h  = -sum <g_t, d_{t-1}>,   d = m_hat / (sqrt(v_hat) + eps)
        lr = clip(lr - hyper_lr h, lr_min, lr_max),   then one step of AdamW with it

    lr                        the first rate, within [lr_min, lr_max]
    hyper_lr                  >= 0, in units of lr / h; 0 is AdamW. beta_hyper, the source's name, is an alias
    lr_min, lr_max            bounds of the rate; where groups share it, lr_max bounds the rate of each group, too
    log_scale                 adapt log(lr) instead of lr; needs lr_min > 0
    lr_scope                  "global": one rate, groups step with it in the proportion of their "lr" to the first lr;
                              "group": each group adapts its own rate from its own gradients
    decay_in_hypergradient    h is the derivative with weight decay (4 bytes more a float32 parameter)

    The other arguments, and what is raised, are those of AdamW.

    >>> import numpy as np
    >>> x = np.array([4.0])
    >>> opt = HypergradientAdamW([x], lr=0.5, hyper_lr=0.0625, weight_decay=0.0, eps=1.0, device="numpy")
    >>> for _ in range(2):
    ...     opt.step(gradients=[x / 2])
    >>> opt.lr_history
    array([0.5       , 0.57638889])
    >>> opt
    HypergradientAdamW(lr=0.576389, hyper_lr=0.0625, lr_range=[1e-06, 1.0])
    """

    options = Settings._fields
    settable: tuple[str, ...] = ("nonfinite", "grad_scale", "hyper_lr")
    aliases = MappingProxyType({"beta_hyper": "hyper_lr"})

    hyper_lr: float
    beta_hyper: float
    log_scale: bool
    amsgrad: bool
    decay_in_hypergradient: bool
    maximize: bool
    grad_scale: float
    scalar_convention: str

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        hyper_lr: float = DefaultNumber(1e-7),
        lr_min: float = 1e-6,
        lr_max: float = 1.0,
        log_scale: bool = False,
        use_gpu: bool | None = None,
        *,
        amsgrad: bool = False,
        lr_scope: str = "global",
        decay_in_hypergradient: bool = False,
        maximize: bool = False,
        grad_scale: float = 1.0,
        clear_grad: bool = False,
        scalar_convention: str = "exact",
        nonfinite: str = "raise",
        beta_hyper: float | None = None,
        records_to: "PathName | None" = None,
        device: "DeviceChoice" = AUTO,
    ) -> None:
        hyper_lr = choose_name("hyper_lr", hyper_lr, "beta_hyper", beta_hyper)
        settings = Settings(
            hyper_lr, lr_min, lr_max, log_scale, amsgrad, lr_scope, decay_in_hypergradient, maximize, grad_scale,
            clear_grad, scalar_convention, nonfinite,
        )  # fmt: skip
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, settings, defaults, use_gpu, device, records_to)

    def __repr__(self) -> str:
        return (
            f"HypergradientAdamW(lr={self.current_lr:.6f}, hyper_lr={self.hyper_lr}, "
            f"lr_range=[{self.lr_min}, {self.lr_max}])"
        )
