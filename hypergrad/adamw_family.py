"""What AdamW, HypergradientAdamW, AutoHypergradientAdamW and AdamHD share: moments, conventions, one update."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hypergrad.errors import ArgumentError
from hypergrad.optimizer import Optimizer, Plan
from hypergrad.states import ArrayFit, Progress, Range
from hypergrad.tensors import Tensor
from hypergrad_reference import adamw
from hypergrad_reference.adamw import ExactScalars, Moments, Scalars, ShaderScalars
from hypergrad_reference.adamw_loops import Operands, Update
from hypergrad_reference.types import Vector

if TYPE_CHECKING:
    from hypergrad.backend import DeviceChoice

FORM_SCALARS: dict[str, Callable[..., Scalars]] = {"exact": adamw.exact_scalars, "shader": adamw.shader_scalars}
FRACTION, POSITIVE = Range(0.0, 1.0), Range(5e-324)
NUMBERS = {
    **dict.fromkeys(("b1", "c1", "b2", "c2", "beta1", "beta2", "beta1_t", "beta2_t"), FRACTION),
    **dict.fromkeys(("last_beta1_power", "beta1_power"), FRACTION),
    **dict.fromkeys(("i1", "i2"), Range(1.0)),
    **dict.fromkeys(("eps", "epsilon"), POSITIVE),
    "weight_decay": Range(0.0),
}
"""What the numbers kept of a tensor may be, where that is not any finite number."""
SCALARS: dict[str, type[ExactScalars] | type[ShaderScalars]] = {"exact": ExactScalars, "shader": ShaderScalars}


class AdamWFamily(Optimizer):
    """AdamW with a schedule between its two loops. What differs between the optimizers is the schedule alone."""

    group_options = ("lr", "betas", "eps", "weight_decay")
    settable: tuple[str, ...] = ("nonfinite", "grad_scale")

    amsgrad: bool
    maximize: bool
    grad_scale: float
    scalar_convention: str

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        amsgrad: bool,
        maximize: bool,
        grad_scale: float,
        clear_grad: bool,
        scalar_convention: str,
        nonfinite: str,
        use_gpu: bool,
        device: "DeviceChoice",
        lr_scope: str = "group",
        lr_min: float = 0.0,
        lr_max: float = math.inf,
    ) -> None:
        self._take(
            amsgrad=amsgrad, maximize=maximize, grad_scale=grad_scale, scalar_convention=scalar_convention
        )  # fmt: skip
        if self.scalar_convention == "shader" and self.amsgrad:
            raise ArgumentError("amsgrad=True: the shader has no amsgrad, use scalar_convention='exact'")
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay},
            lr_scope=lr_scope, lr_min=lr_min, lr_max=lr_max, nonfinite=nonfinite, use_gpu=use_gpu, device=device,
            clear_grad=clear_grad,
        )  # fmt: skip

    def _check_group(self, number: int, group: Mapping[str, Any], dtypes: set[Any]) -> dict[str, Any]:
        checked = super()._check_group(number, group, dtypes)
        eps = checked["eps"]
        for dtype in dtypes:
            if dtype.type(eps) == 0:
                raise ArgumentError(f"{self._name_group(number)}eps={eps!r} is 0 in {dtype}: give more")
        return checked

    def _open_tensor(self, tensor: Tensor) -> None:
        for name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if self.amsgrad else ("exp_avg", "exp_avg_sq"):
            tensor.arrays[name] = np.zeros(tensor.theta.size, tensor.theta.dtype)

    def _get_moments(self, tensor: Tensor) -> Moments:
        kept = tensor.arrays
        return Moments(tensor.step, kept["exp_avg"], kept["exp_avg_sq"], kept.get("max_exp_avg_sq"))

    def _get_scalars(self, tensor: Tensor) -> Scalars | None:
        """The scalars of a tensor's step at t-1; None if it sat that step out."""
        if not tensor.moved:
            return None
        if tensor.scalars is None:  # a state was loaded
            kind = SCALARS[self.scalar_convention]
            tensor.scalars = kind(*(tensor.numbers[name] for name in kind._fields))
        scalars: Scalars = tensor.scalars
        return scalars

    @property
    def _signed_scale(self) -> float:
        return -self.grad_scale if self.maximize else self.grad_scale

    def _make_operands(self, tensor: Tensor, grad: Vector) -> Operands:
        kept = tensor.arrays
        return Operands(
            tensor.theta, grad, self._signed_scale, self._get_moments(tensor), self._get_scalars(tensor),
            kept.get("grad_ema"), kept.get("last_grad"), tensor.numbers.get("last_beta1_power", 1.0),
        )  # fmt: skip

    def _get_beta1(self, plan: Plan, group: int) -> float:
        return float(self._options[group]["betas"][0])

    def _get_decay(self, group: int) -> float:
        """The decoupled weight decay of a group."""
        return float(self._options[group]["weight_decay"])

    def _raise_beta1(self, tensor: Tensor, beta1: float) -> float:
        """What the bias correction takes for beta1 to the power of the tensor's step."""
        return beta1 ** (tensor.step + 1)

    def _form_scalars(self, tensor: Tensor, lr: float, beta1: float) -> Scalars:
        group = self._options[tensor.group]
        beta2 = group["betas"][1]
        return FORM_SCALARS[self.scalar_convention](
            lr, beta1, beta2, group["eps"], self._get_decay(tensor.group),
            self._raise_beta1(tensor, beta1), beta2 ** (tensor.step + 1),
        )  # fmt: skip

    def _make_scalars(self, tensor: Tensor, plan: Plan) -> Scalars:
        """The scalars of a tensor's step; tensors with the same history share them, and the numbers kept of them."""
        last_beta1_power = tensor.numbers.get("beta1_power", 1.0)
        key = (tensor.group, tensor.step, last_beta1_power)
        scalars: Scalars | None = plan.memo.get(key)
        if scalars is None:
            lr, beta1 = plan.group_rates[tensor.group], self._get_beta1(plan, tensor.group)
            scalars = plan.memo[key] = self._form_scalars(tensor, lr, beta1)
            plan.memo[id(scalars)] = {
                **scalars._asdict(),
                "lr": lr,
                "weight_decay": self._get_decay(tensor.group),
                "last_beta1_power": last_beta1_power,
                "beta1_power": last_beta1_power * beta1,
            }
        return scalars

    def _make_update(self, tensor: Tensor, grad: Vector, plan: Plan) -> Update:
        scalars = self._make_scalars(tensor, plan)
        return Update(tensor.theta, grad, self._signed_scale, self._get_moments(tensor), scalars)

    def _keep(self, tensor: Tensor, update: Update, sums: Mapping[str, Vector], plan: Plan) -> None:
        tensor.scalars, tensor.numbers = update.scalars, plan.memo[id(update.scalars)]
        if update.grad_ema is not None:
            tensor.arrays["grad_ema"] = update.grad_ema
        if update.last_grad is not None:
            tensor.arrays["last_grad"] = update.last_grad

    # Saving.

    def _list_numbers(self, progress: Progress) -> dict[str, Range]:
        names = (*SCALARS[self.scalar_convention]._fields, "lr", "weight_decay", "last_beta1_power", "beta1_power")
        return {name: NUMBERS.get(name, Range()) for name in names} if progress.step else {}

    def _list_arrays(self, tensor: Tensor, progress: Progress) -> dict[str, ArrayFit]:
        squares = ("exp_avg_sq", "max_exp_avg_sq") if self.amsgrad else ("exp_avg_sq",)
        length = tensor.theta.size
        return {"exp_avg": ArrayFit(length), **{name: ArrayFit(length, 0.0) for name in squares}}
