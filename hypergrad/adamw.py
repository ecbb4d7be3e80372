"""AdamW on NumPy arrays."""

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from hypergrad._core.base import form_base
from hypergrad._core.checks import check_options
from hypergrad._core.defaults import AUTO
from hypergrad._core.optimizer import Optimizer
from hypergrad._core.policy import Policy
from hypergrad_reference.adamw import Rule

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice
    from hypergrad._core.files import PathName


class Settings(NamedTuple):
    """The options of AdamW that do not belong to its groups."""

    amsgrad: bool
    maximize: bool
    grad_scale: float
    clear_grad: bool
    scalar_convention: str
    nonfinite: str

    def check(self) -> "Settings":
        """The same as plain Python values."""
        return Settings(**check_options(**self._asdict()))

    def form_policy(self) -> Policy:
        """What the step is told."""
        return Policy("group", 0.0, math.inf, self.nonfinite, self.clear_grad)

    def form_rule(self) -> Rule:
        """The rule with these constants."""
        return Rule(form_base(self.scalar_convention, self.amsgrad, self.maximize, self.grad_scale))


class AdamW(Optimizer):
    """AdamW (Loshchilov and Hutter 2019).

        m     = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        theta = theta (1 - lr weight_decay) - lr m_hat / (sqrt(v_hat) + eps)

    params               arrays, objects with `.data` and `.grad`, or group dicts {"params": [...], "lr": ...}; float32
                         or float64, C-contiguous, updated in place. None entries are passed over. Arrays are those of
                         NumPy, or of pyopencl: these never leave their device, as gradients neither.
    lr                   learning rate, >= 0; may be changed in param_groups between steps
    betas                two numbers in [0, 1)
    eps                  > 0, in units of the gradient
    weight_decay         decoupled, >= 0, per unit of lr
    amsgrad              divide by the running maximum of v
    maximize             climb instead of descend
    grad_scale           multiplies every gradient first
    clear_grad           leave zeros in every gradient
    scalar_convention    "exact": scalars formed in float64, rounded once; "shader": the arithmetic of adamw-update.glsl
    nonfinite            a gradient with NaN or inf: "raise" NonFiniteError, "skip" the step and count it in `skipped`,
                         or "propagate" it, which saves a pass over the gradient
    records_to           a file to which each step appends its record, for `hypergrad explain FILE --follow`; None: none
    device               "auto": OpenCL where a device is found, else NumPy with one warning; "numpy" | "opencl" |
                         "opencl:PART[:INDEX]" | a pyopencl Device or Context: exactly that
    use_gpu              an alias of device: True is "auto", False is "numpy"

    Raises ArgumentError or ArrayTypeError for what cannot be used, DeviceNotFoundError for a device that is not there.

    >>> import numpy as np
    >>> x = np.array([1.0, -2.0])
    >>> opt = AdamW([x], lr=0.5, betas=(0.5, 0.75), eps=1.0, weight_decay=0.25, device="numpy")
    >>> opt.step(gradients=[np.array([1.0, 3.0])])
    >>> x
    array([ 0.625, -2.125])
    """

    options = Settings._fields
    settable: tuple[str, ...] = ("nonfinite", "grad_scale")

    amsgrad: bool
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
        amsgrad: bool = False,
        use_gpu: bool | None = None,
        *,
        maximize: bool = False,
        grad_scale: float = 1.0,
        clear_grad: bool = False,
        scalar_convention: str = "exact",
        nonfinite: str = "raise",
        records_to: "PathName | None" = None,
        device: "DeviceChoice" = AUTO,
    ) -> None:
        super().__init__(
            params, Settings(amsgrad, maximize, grad_scale, clear_grad, scalar_convention, nonfinite),
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}, use_gpu, device, records_to,
        )  # fmt: skip

    def __repr__(self) -> str:
        lr, (beta1, beta2) = self.param_groups[0]["lr"], self.param_groups[0]["betas"]
        decay = self.param_groups[0]["weight_decay"]
        return f"AdamW(lr={lr}, betas=({beta1}, {beta2}), weight_decay={decay}, device={self.device!r})"
