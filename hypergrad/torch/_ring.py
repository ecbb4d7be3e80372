"""Records of steps in which the host waits for nothing: a ring on the device, which is read when someone asks."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad._core.array_schedules import REASONS

RECORDS = 1000
"""How many records the ring on the device holds."""
COLUMNS = 5
"""step, lr_before, lr, hypergradient, and the code of the reason."""


class Record(NamedTuple):
    """Why a rate moved, or did not; its fields are those of `hypergrad_reference.rule.Record`."""

    step: int
    lr_before: float
    lr: float
    hypergradient: float
    reason: str


def to_device(home: dict[str, Any], names: Sequence[str], device: torch.device) -> None:
    """Turn numbers into tensors on the device; those that are there stay."""
    for name in names:
        if not (isinstance(home[name], Tensor) and home[name].device == device):
            home[name] = torch.as_tensor(home[name], dtype=torch.float64).to(device)


def read_records(ring: Tensor, steps: int, shared: bool) -> list[Any]:
    """The records of the latest steps, read from the device."""
    numbers = ring.tolist()
    found = []
    for step in range(max(0, steps - RECORDS), steps):
        records = tuple(Record(int(r[0]), r[1], r[2], r[3], REASONS[int(r[4])]) for r in numbers[step % RECORDS])
        found.append(records[0] if shared else records)
    return found
