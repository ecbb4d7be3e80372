"""What loop 2 of a rule with averages leaves behind for the next step, on its way to the host."""

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Left(NamedTuple):
    """Totals over all tensors and ranks, float64: the sums that the next step learns from."""

    numbers: Tensor  # on the host, once `ready` has happened
    ready: Any = None  # an event of the device

    def read(self) -> list[float]:
        """The numbers. Work that was queued on the device after them is not waited for."""
        if self.ready is not None:
            self.ready.synchronize()
        found: list[float] = self.numbers.tolist()
        return found


def send(numbers: Tensor) -> Left:
    """Send totals to the host, without waiting for them where the device is one of CUDA."""
    if numbers.device.type != "cuda":
        return Left(numbers)
    host = torch.empty(numbers.shape, dtype=numbers.dtype, pin_memory=True)
    host.copy_(numbers, non_blocking=True)
    ready = torch.cuda.Event()
    ready.record(torch.cuda.current_stream(numbers.device))
    return Left(host, ready)
