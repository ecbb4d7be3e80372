"""States that earlier versions saved, in the words of this one."""

import math
from collections.abc import Mapping
from typing import Any

from hypergrad._core.states import SCHEMA

OLD_NAMES = 3
"""The schema before this one."""

NAMES = {"beta_hyper": "hyper_lr", "hypergrad_lr": "hyper_lr"}
"""What schema 3 called an option, and what it is called now."""

VALUES = {"momentum_rule": {"seed": "published"}}
"""By option, what schema 3 called a value, and what it is called now."""

FIRST = (
    "step", "lr_before", "lr", "hypergradient", "reason", "applied", "beta1_before", "beta1", "normalizer",
    "normalized", "beta1_hypergradient", "beta1_normalized",
)  # fmt: skip
"""The order of the fields of a record, those excepted that are last anyway."""


def upgrade(state: Any) -> Any:
    """A state of schema 3 in the words of this version; any other as it is, whatever it is."""
    if not isinstance(state, Mapping):
        return state
    schema, options = state.get("schema"), state.get("options")
    if not isinstance(schema, int) or schema != OLD_NAMES or not isinstance(options, Mapping):
        return state
    renamed = {NAMES.get(name, name): _rename(name, value) for name, value in options.items()}
    new = {"delay": 0} if "hyper_lr" in renamed else {}  # every rule that learns a rate has got this option
    return {**state, "schema": SCHEMA, "options": {**new, **renamed}}


def _rename(name: Any, value: Any) -> Any:
    return VALUES.get(name, {}).get(value, value) if isinstance(value, str) else value


def upgrade_record(kind: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of schema 2 or 3, with the fields of today and in their order.

    A step that was skipped had no lr_before and no hypergradient, as had one of AdamW no lr_before; h of
    HypergradientAdamW was minus the derivative, and what AutoHypergradientAdamW called hypergradients was divided.

    >>> old = {"step": 2, "lr_before": 0.5, "lr": 0.75, "hypergradient": 4.0, "reason": "adapted"}
    >>> upgrade_record("HypergradientAdamW", old)
    {'step': 2, 'lr_before': 0.5, 'lr': 0.75, 'hypergradient': -4.0, 'reason': 'adapted'}
    """
    r = {"lr_before": record.get("lr"), "hypergradient": math.nan, **record}
    if kind == "HypergradientAdamW":
        r["hypergradient"] = -r["hypergradient"]
    if "grad_direction" in r:
        r["normalized"], r["hypergradient"] = r["hypergradient"], -r.pop("grad_direction")
        r["beta1_normalized"], r["beta1_hypergradient"] = r["beta1_hypergradient"], r.pop("beta1_numerator")
    return {name: r.pop(name) for name in FIRST if name in r} | r
