"""The sums over the groups on tensors, for steps in which the host waits for nothing."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad_reference.rule import Sums, decay_grad_direction


class Term(NamedTuple):
    """What the tensors of a group contribute to the sums; see `hypergrad_reference.rule.Term`."""

    ratio: Any
    lr: Any
    weight_decay: Any
    values: Mapping[str, Any]
    norm: Tensor


def total(terms: Sequence[Term]) -> Sums:
    """`hypergrad_reference.rule.total_over_groups` on tensors."""

    def add(name: str, power: int) -> Any:
        if name not in terms[0].values:
            return math.nan
        return torch.stack([term.ratio**power * term.values[name] for term in terms]).sum()

    norm: Any = torch.stack([term.norm for term in terms]).sum()
    decayed: Any = math.nan
    if "grad_theta" in terms[0].values:
        parts = [
            term.ratio
            * decay_grad_direction(
                term.values["grad_direction"],
                term.values["grad_theta"],
                term.lr,
                term.weight_decay,
            )
            for term in terms
        ]
        decayed = torch.stack(parts).sum()
    slope: Any = math.nan
    if "grad_beta1_derivative" in terms[0].values:
        slope = torch.stack([term.lr * term.values["grad_beta1_derivative"] for term in terms]).sum()
    return Sums(
        grad_direction=add("grad_direction", 1), grad_grad=add("grad_grad", 0),
        direction_direction=add("direction_direction", 2), grad_exp_avg=add("grad_exp_avg", 0),
        decayed_grad_direction=decayed, lr_grad_beta1_derivative=slope,
        last_grad_grad=norm,
    )  # fmt: skip


def add_rows(table: Tensor, rows: Sequence[int]) -> Tensor:
    """The sum of rows, which are in order; neighbours are added at once."""
    runs: list[list[int]] = []
    for row in rows:
        if runs and row == runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([row, row + 1])
    sums = [table[first:end].sum(0) for first, end in runs]
    return sums[0] if len(sums) == 1 else torch.stack(sums).sum(0)
