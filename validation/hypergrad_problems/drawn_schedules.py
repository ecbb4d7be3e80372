"""Schedules on arrays, of whatever namespace, beside those of the reference, on drawn inputs."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hypergrad_reference import adam_hd, adamw_auto, adamw_auto_rule, adamw_hd, sgd_hd
from hypergrad_reference.rule import Bounds, Rate, Sums

BOUNDS = (1e-6, 0.5)

RULES: dict[str, Any] = {
    "additive": sgd_hd.Rule(1e-3),
    "multiplicative": adam_hd.Rule(0.02, "multiplicative"),
    "linear": adamw_hd.Rule(1e-3),
    "linear-decay": adamw_hd.Rule(1e-3, decay_in_hypergradient=True),
    "log": adamw_hd.Rule(0.5, log_scale=True),
    "auto": adamw_auto_rule.Rule(adamw_auto.Constants()),
    "auto-decay": adamw_auto_rule.Rule(adamw_auto.Constants(), decay_in_hypergradient=True),
    "auto-direction": adamw_auto_rule.Rule(adamw_auto.Constants(), normalization="direction"),
    "auto-cosine-momentum": adamw_auto_rule.Rule(adamw_auto.Constants(hyper_lr_beta=0.01), True, "cosine"),
    "auto-derivative": adamw_auto_rule.Rule(adamw_auto.Constants(hyper_lr_beta=0.01), True, "gradient", "derivative"),
}

ULPS = {"log": 32, "multiplicative": 4} | {name: 4 for name in RULES if name.startswith("auto")}
"""Units in the last place by which a result may differ, where there is more than + - * / and clips.

A root of a vector library may be off by one; of a rule with two or three of them the largest seen is 2. exp amplifies
what log is off by up to |log 1e-6| = 14 times.
"""


class Drawn(NamedTuple):
    """Arguments of a schedule; every number is an array of one length."""

    rule: Any
    step: NDArray[np.int64]
    learned: Any
    sums: Any
    bounds: Bounds


def draw_inputs(name: str, count: int) -> Drawn:
    """Inputs of the rule of that name in RULES, always the same."""
    rng = np.random.default_rng(0)
    columns = {field: _draw_numbers(rng, count) for field in Sums._fields}
    for field in ("grad_grad", "direction_direction", "last_grad_grad"):
        columns[field] = np.abs(columns[field])
    rates = np.exp(rng.uniform(math.log(1e-6), math.log(0.5), size=count))
    has_bounds = name not in ("additive", "multiplicative")
    learned: Any = Rate(rates if has_bounds else np.where(rng.uniform(size=count) < 0.1, 0.0, rates))  # type: ignore[arg-type]
    if name.startswith("auto"):
        accumulators = rng.uniform(0, 1, (2, count))
        learned = adamw_auto.Learned(rates, rng.uniform(0.5, 0.9995, count), *accumulators)  # type: ignore[arg-type]
    bounds = BOUNDS if has_bounds else (-math.inf, math.inf)
    return Drawn(RULES[name], rng.integers(1, 30, size=count), learned, Sums(**columns), bounds)  # type: ignore[arg-type]


def _draw_numbers(rng: Generator, count: int) -> NDArray[np.float64]:
    """Numbers of many sizes and both signs, zeros and numbers that are not finite among them."""
    numbers = rng.normal(size=count) * 10.0 ** rng.uniform(-8, 4, size=count)
    special = rng.choice([0.0, np.nan, np.inf, -np.inf, 1e-12], size=count)
    return np.where(rng.uniform(size=count) < 0.03, special, numbers)


def find_differences(name: str, drawn: Drawn, learned: Any, reasons: list[str]) -> list[str]:
    """Where what was learned from the inputs, and the reasons, are not those of the reference.

    learned    a tuple of the rule's kind, of arrays
    """
    differences = []
    off = ULPS.get(name, 0) * 2.0**-52
    for i, step in enumerate(drawn.step.tolist()):
        before, sums = (type(given)(*(float(column[i]) for column in given)) for given in (drawn.learned, drawn.sums))
        wanted, record = drawn.rule.schedule(step, before, sums, drawn.bounds)
        found = [float(column[i]) for column in learned]
        close = all(
            one == exact or abs(one - exact) <= off * abs(exact) for one, exact in zip(found, wanted, strict=True)
        )
        if not close or reasons[i] != record.reason:
            differences.append(f"{i}: {found}, {reasons[i]}; wanted {tuple(wanted)}, {record.reason}")
    return differences
