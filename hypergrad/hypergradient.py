"""What SGDHD and AdamHD share: the rules of Baydin et al. 2018 for a rate, over tensors and groups."""

from collections.abc import Callable, Sequence

from hypergrad.optimizer import Plan, make_plan
from hypergrad.optimizer import Sums as BlockSums
from hypergrad.rates import Rates
from hypergrad.tensors import Tensor
from hypergrad_reference import hypergradient
from hypergrad_reference.hypergradient import Record
from hypergrad_reference.sums import weighted_total

RULES: dict[str, tuple[Callable[..., Record], tuple[str, ...]]] = {
    "additive": (hypergradient.schedule_additive, ("grad_direction",)),
    "multiplicative": (
        hypergradient.schedule_multiplicative,
        ("grad_direction", "grad_grad", "direction_direction"),
    ),
}
"""By the name of the option: the schedule, and the inner products it needs."""


def name_products(rule: str) -> tuple[str, ...]:
    """The inner products that a rule needs."""
    return RULES[rule][1]


def schedule_rates(
    rule: str,
    step: int,
    rates: Rates,
    movers: Sequence[Sequence[Tensor]],
    sums: BlockSums,
    hypergrad_lr: float,
) -> Plan:
    """The next base rate of each scope.

    movers    for each scope the tensors that moved at t-1 and have a gradient at t
    """
    schedule, names = RULES[rule]
    records = []
    for base, tensors in zip(rates.bases, movers, strict=True):

        def add(name: str, power: int, tensors: Sequence[Tensor] = tensors) -> float:
            if name not in names:
                return 0.0
            return weighted_total((rates.ratios[t.group] ** power, sums[t.position][name]) for t in tensors)

        totals = hypergradient.Sums(add("grad_direction", 1), add("grad_grad", 0), add("direction_direction", 2))
        records.append(schedule(step, base, totals if tensors else None, hyper_lr=hypergrad_lr))
    return make_plan(rates, records)
