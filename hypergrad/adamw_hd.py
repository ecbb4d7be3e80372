"""HypergradientAdamW: AdamW that learns its rate from one inner product a step."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hypergrad.adamw_family import AdamWFamily
from hypergrad.checks import check_rate_bounds
from hypergrad.errors import ArgumentError
from hypergrad.optimizer import Plan, Sums, make_plan
from hypergrad.rates import Rates
from hypergrad.tensors import Tensor
from hypergrad_reference import adamw_hd
from hypergrad_reference.adamw_hd import DecayedTerm, Record
from hypergrad_reference.sums import weighted_total

if TYPE_CHECKING:
    from hypergrad.backend import DeviceChoice


class HypergradientAdamW(AdamWFamily):
    """AdamW whose rate descends its own gradient (Baydin et al. 2018, applied to AdamW).

        h  = sum <g_t, d_{t-1}>,   d = m_hat / (sqrt(v_hat) + eps)
        lr = clip(lr + beta_hyper h, lr_min, lr_max),   then one step of AdamW with it

    lr                        the first rate, within [lr_min, lr_max]
    beta_hyper                >= 0, in units of lr / h; 0 is AdamW
    lr_min, lr_max            bounds of the rate
    log_scale                 adapt log(lr) instead of lr; needs lr_min > 0
    lr_scope                  "global": one rate, groups step with it in the proportion of their "lr" to the first lr;
                              "group": each group adapts its own rate from its own gradients
    decay_in_hypergradient    h is the derivative with weight decay (4 bytes more a float32 parameter)

    The other arguments, and what is raised, are those of AdamW.

    >>> import numpy as np
    >>> x = np.array([4.0])
    >>> opt = HypergradientAdamW([x], lr=0.5, beta_hyper=0.0625, weight_decay=0.0, eps=1.0, use_gpu=False)
    >>> for _ in range(2):
    ...     opt.step(gradients=[x / 2])
    >>> opt.lr_history
    array([0.5       , 0.57638889])
    >>> opt
    HypergradientAdamW(lr=0.576389, beta_hyper=0.0625, lr_range=[1e-06, 1.0])
    """

    options = (
        "beta_hyper", "lr_min", "lr_max", "log_scale", "amsgrad", "lr_scope", "decay_in_hypergradient", "maximize",
        "grad_scale", "clear_grad", "scalar_convention", "nonfinite",
    )  # fmt: skip
    settable: tuple[str, ...] = (*AdamWFamily.settable, "beta_hyper")

    beta_hyper: float
    log_scale: bool
    decay_in_hypergradient: bool

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        beta_hyper: float = 1e-7,
        lr_min: float = 1e-6,
        lr_max: float = 1.0,
        log_scale: bool = False,
        use_gpu: bool = True,
        *,
        amsgrad: bool = False,
        lr_scope: str = "global",
        decay_in_hypergradient: bool = False,
        maximize: bool = False,
        grad_scale: float = 1.0,
        clear_grad: bool = False,
        scalar_convention: str = "exact",
        nonfinite: str = "raise",
        device: "DeviceChoice" = None,
    ) -> None:
        self._take(
            beta_hyper=beta_hyper, log_scale=log_scale, decay_in_hypergradient=decay_in_hypergradient,
            lr_min=lr_min, lr_max=lr_max,
        )  # fmt: skip
        if self.log_scale and not self.lr_min > 0:
            raise ArgumentError(f"lr_min={self.lr_min!r} with log_scale=True: give a positive one")
        check_rate_bounds(lr, self.lr_min, self.lr_max)
        super().__init__(
            params, lr=lr, lr_min=self.lr_min, lr_max=self.lr_max, lr_scope=lr_scope, betas=betas, eps=eps,
            weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize, grad_scale=grad_scale,
            clear_grad=clear_grad, scalar_convention=scalar_convention, nonfinite=nonfinite, use_gpu=use_gpu,
            device=device,
        )  # fmt: skip

    def _name_products(self, tensor: Tensor) -> tuple[str, ...]:
        if not tensor.moved:
            return ()
        return ("grad_direction", "grad_theta") if self.decay_in_hypergradient else ("grad_direction",)

    def _schedule(self, rates: Rates, sums: Sums) -> Plan:
        step = self._steps + 1
        adapt = adamw_hd.schedule_log if self.log_scale else adamw_hd.schedule_linear
        records: list[Record] = []
        for scope, lr in enumerate(rates.bases):
            terms = [
                (rates.ratios[tensor.group], tensor, sums[tensor.position])
                for tensor in self._find_movers(rates, scope, sums)
            ]
            if not terms:
                records.append(adamw_hd.keep_rate(step, lr))
                continue
            if self.decay_in_hypergradient:
                h = adamw_hd.total_decayed(
                    DecayedTerm(
                        ratio,
                        tensor.numbers["lr"],
                        tensor.numbers["weight_decay"],
                        s["grad_direction"],
                        s["grad_theta"],
                    )
                    for ratio, tensor, s in terms
                )
            else:
                h = weighted_total((ratio, s["grad_direction"]) for ratio, _, s in terms)
            records.append(adapt(step, lr, h, self.beta_hyper, *self._bound_rate(rates, scope)))
        plan = make_plan(rates, records)
        if self.decay_in_hypergradient:
            self._check_decay(plan)
        return plan

    def _check_decay(self, plan: Plan) -> None:
        """Raise ArgumentError for a rate after which nothing is left of theta to take the derivative of."""
        for number, (rate, options) in enumerate(zip(plan.group_rates, self._options, strict=True)):
            if rate * options["weight_decay"] == 1:
                raise ArgumentError(
                    f"{self._name_group(number)}weight_decay={options['weight_decay']!r} times lr={rate!r} is 1, where "
                    "decay_in_hypergradient=True has no derivative: write another weight_decay to the group"
                )

    def __repr__(self) -> str:
        return (
            f"HypergradientAdamW(lr={self.current_lr:.6f}, beta_hyper={self.beta_hyper}, "
            f"lr_range=[{self.lr_min}, {self.lr_max}])"
        )
