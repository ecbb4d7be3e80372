"""What the optimizers that adapt their own rate have in common: bounds, scopes, histories."""

import math
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hypergrad.errors import ArgumentError
from hypergrad.optimizer import AdamWFamily, Plan, Sums, check_range
from hypergrad.rates import Rates, open_rates, take_written
from hypergrad.tensors import Tensor


class AdaptiveAdamW(AdamWFamily):
    """AdamW with a base rate a scope, kept within [lr_min, lr_max]."""

    def __init__(
        self, params: Iterable[Any], *, lr: float, lr_min: float, lr_max: float, lr_scope: str, **options: Any
    ) -> None:
        check_range("lr_min", lr_min, 0, math.inf, open_high=True)
        check_range("lr_max", lr_max, 0, math.inf, open_high=True)
        if lr_min > lr_max:
            raise ArgumentError(f"lr_min={lr_min!r} is above lr_max={lr_max!r}: exchange them")
        check_range("lr", lr, lr_min, lr_max)
        self.lr_min, self.lr_max, self.lr_scope = lr_min, lr_max, lr_scope
        super().__init__(params, lr=lr, **options)
        self._rates = open_rates(lr_scope, float(lr), self.param_groups)
        for base in self._rates.bases:
            check_range("lr", base, lr_min, lr_max)
        self.lr_histories = [array("d", [base]) for base in self._rates.bases]

    @property
    def current_lr(self) -> float:
        """The base rate; of the first group under lr_scope="group"."""
        return self._rates.bases[0]

    @property
    def lr_history(self) -> "array[float]":
        """The base rate at first and after every adaptation; of the first group under lr_scope="group"."""
        return self.lr_histories[0]

    def _read_rates(self) -> Rates:
        """The rates, with what the user has written to param_groups taken up."""
        rates = take_written(self._rates, self.param_groups)
        for base in rates.bases:
            check_range("lr", base, self.lr_min, self.lr_max)
        return rates

    def _find_movers(self, rates: Rates, scope: int, sums: Sums) -> list[Tensor]:
        """The tensors of a scope that moved at t-1 and have a gradient at t: only they tell how the rate did."""
        members = set(rates.members(scope))
        return [t for t in self._tensors if t.group in members and t.position in sums and t.scalars is not None]

    def _plan(self, rates: Rates, records: Sequence[Any]) -> Plan:
        beta1s = [float(group["betas"][0]) for group in self.param_groups]
        return Plan(rates.of_groups(), beta1s, records[0] if rates.shared else tuple(records), (rates, tuple(records)))

    def _settle(self, plan: Plan) -> None:
        self._rates, records = plan.state[:2]
        self._show_rates()
        for history, record in zip(self.lr_histories, records, strict=True):
            if math.isfinite(record.hypergradient):
                history.append(record.lr)

    def _show_rates(self) -> None:
        self.defaults["lr"] = self._rates.bases[0]
        for group, rate in zip(self.param_groups, self._rates.of_groups(), strict=True):
            group["lr"] = rate

    def _histories(self) -> dict[str, "array[float]"]:
        return {f"lr{scope}": history for scope, history in enumerate(self.lr_histories)}

    def _dump_schedule(self) -> dict[str, float | None]:
        bases: dict[str, float | None] = {f"lr{scope}": base for scope, base in enumerate(self._rates.bases)}
        return bases | {f"ratio{group}": ratio for group, ratio in enumerate(self._rates.ratios)}

    def _load_schedule(self, scalars: Mapping[str, Any]) -> None:
        self._rates = self._rates._replace(
            bases=tuple(scalars[f"lr{scope}"] for scope in range(len(self._rates.bases))),
            ratios=tuple(scalars[f"ratio{group}"] for group in range(len(self._rates.ratios))),
        )
        self._show_rates()
