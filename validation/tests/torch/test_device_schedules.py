"""Schedules on tensors against those of the reference, on 100 000 drawn inputs."""

import math

import numpy as np
import pytest
import torch

from hypergrad.torch._device_schedules import REASONS, SCHEDULES
from hypergrad_reference import adam_hd, adamw_auto, adamw_hd, sgd_hd
from hypergrad_reference.rule import Rate, Sums

COUNT = 100_000
BOUNDS = (1e-6, 0.5)

RULES = {
    "additive": sgd_hd.Rule(1e-3),
    "multiplicative": adam_hd.Rule(0.02, "multiplicative"),
    "linear": adamw_hd.Rule(1e-3),
    "linear-decay": adamw_hd.Rule(1e-3, decay_in_hypergradient=True),
    "log": adamw_hd.Rule(0.5, log_scale=True),
    "auto": adamw_auto.Rule(adamw_auto.Constants()),
    "auto-decay": adamw_auto.Rule(adamw_auto.Constants(), decay_in_hypergradient=True),
    "auto-direction": adamw_auto.Rule(adamw_auto.Constants(), normalization="direction"),
    "auto-cosine-momentum": adamw_auto.Rule(adamw_auto.Constants(hyper_lr_beta=0.01), True, "cosine"),
    "auto-derivative": adamw_auto.Rule(adamw_auto.Constants(hyper_lr_beta=0.01), True, "gradient", "derivative"),
}

# Units in the last place by which a result may differ, where there is more than + - * / and clips. A root of torch on a
# CPU may be off by one; of a rule with two or three of them the largest seen is 2. exp amplifies what log is off by up
# to |log 1e-6| = 14 times.
ULPS = {"log": 32, "multiplicative": 4} | {name: 4 for name in RULES if name.startswith("auto")}


def draw(rng):
    """Numbers of many sizes and both signs, zeros and numbers that are not finite among them."""
    numbers = rng.normal(size=COUNT) * 10.0 ** rng.uniform(-8, 4, size=COUNT)
    special = rng.choice([0.0, np.nan, np.inf, -np.inf, 1e-12], size=COUNT)
    return np.where(rng.uniform(size=COUNT) < 0.03, special, numbers)


@pytest.mark.parametrize("name", RULES)
def test_a_schedule_on_tensors_gives_the_numbers_of_the_reference(name):
    rule = RULES[name]
    rng = np.random.default_rng(0)
    columns = {field: draw(rng) for field in Sums._fields}
    for field in ("grad_grad", "direction_direction", "last_grad_grad"):
        columns[field] = np.abs(columns[field])
    rates = np.exp(rng.uniform(math.log(1e-6), math.log(0.5), size=COUNT))
    if name in ("additive", "multiplicative"):
        rates = np.where(rng.uniform(size=COUNT) < 0.1, 0.0, rates)
    learned = Rate(rates)
    if name.startswith("auto"):
        learned = adamw_auto.Learned(
            rates, rng.uniform(0.5, 0.9995, COUNT), rng.uniform(0, 1, COUNT), rng.uniform(0, 1, COUNT)
        )
    steps = rng.integers(1, 30, size=COUNT)
    with np.errstate(all="ignore"):
        outcome = SCHEDULES[type(rule)](
            rule, torch.from_numpy(steps), type(learned)(*map(torch.from_numpy, learned)),
            Sums(**{field: torch.from_numpy(column) for field, column in columns.items()}), BOUNDS,
        )  # fmt: skip
    reasons = set()
    for i in range(COUNT):
        sums = Sums(**{field: float(column[i]) for field, column in columns.items()})
        mine = type(learned)(*(float(column[i]) for column in learned))
        wanted, record = rule.schedule(int(steps[i]), mine, sums, BOUNDS)
        assert REASONS[int(outcome.code[i])] == record.reason
        reasons.add(record.reason)
        found = [float(column[i]) for column in outcome.learned]
        off = ULPS.get(name, 0) * 2.0**-52
        assert all(
            mine == exact or abs(mine - exact) <= off * abs(exact) for mine, exact in zip(found, wanted, strict=True)
        )
    assert len(reasons) >= 2
