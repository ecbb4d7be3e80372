"""Published optimizers that need no tuned rate, from their own packages, at their own defaults, through torch.

prodigyopt          Prodigy (Mishchenko and Defazio 2024) with a cosine to 0, as its README advises
schedulefree        AdamWScheduleFree (Defazio et al. 2024); its rate, 0.0025, is a default and not learned
dadaptation         DAdaptAdam (Defazio and Mishchenko 2023), a constant multiplier
mechanic-pytorch    Mechanic (Cutkosky, Defazio and Mehta 2023) on torch's AdamW
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple

import numpy as np

from hypergrad_reference.types import Vector


class Package(NamedTuple):
    """How an optimizer is made, and what goes with it."""

    module: str
    make: Callable[[list[Any]], Any]
    cosine: bool = False  # its rate falls by half a cosine over the run
    averages: bool = False  # its answer is what its `eval()` puts into the parameters
    find_rate: Callable[[dict[str, Any]], float] = lambda group: float(group["lr"])


def _make_prodigy(params: list[Any]) -> Any:
    from prodigyopt import Prodigy

    return Prodigy(params)


def _make_schedule_free(params: list[Any]) -> Any:
    from schedulefree import AdamWScheduleFree

    return AdamWScheduleFree(params)


def _make_dadapt(params: list[Any]) -> Any:
    from dadaptation import DAdaptAdam

    return DAdaptAdam(params)


def _make_mechanic(params: list[Any]) -> Any:
    from mechanic_pytorch import mechanize
    from torch.optim import AdamW

    return mechanize(AdamW)(params, lr=1.0)


PACKAGES: dict[str, Package] = {
    "prodigyopt, cosine": Package(
        "prodigyopt", _make_prodigy, cosine=True, find_rate=lambda group: float(group["d"] * group["lr"])
    ),
    "schedulefree": Package("schedulefree", _make_schedule_free, averages=True),
    "dadaptation": Package("dadaptation", _make_dadapt, find_rate=lambda group: float(group["d"] * group["lr"])),
    "mechanic": Package("mechanic_pytorch", _make_mechanic),
}
"""By the name in the tables."""


def find_missing() -> list[str]:
    """The packages that are not installed; all, where torch is not."""
    if find_spec("torch") is None:
        return list(PACKAGES)
    return [name for name, package in PACKAGES.items() if find_spec(package.module) is None]


class PackageRunner:
    """One of them in the middle of a run, in float64."""

    def __init__(self, name: str, start: Vector, steps: int) -> None:
        import torch

        torch.set_num_threads(1)
        self._torch, self._package, self._name = torch, PACKAGES[name], name
        self._param = torch.nn.Parameter(torch.from_numpy(start.copy()))
        self._optimizer = self._package.make([self._param])
        self._schedule = None
        if self._package.cosine:
            self._schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self._optimizer, T_max=steps)
        if self._package.averages:
            self._optimizer.train()
        self.rate = float("nan")

    @property
    def point(self) -> Vector:
        """The parameters."""
        return np.asarray(self._param.detach().numpy())

    @property
    def answers(self) -> dict[str, Vector]:
        """The parameters, or the average where there is one."""
        if not self._package.averages:
            return {self._name: self.point.copy()}
        self._optimizer.eval()
        answer = self.point.copy()
        self._optimizer.train()
        return {self._name: answer}

    def step(self, gradient: Vector) -> None:
        """Take a step, then follow the schedule."""
        self._param.grad = self._torch.from_numpy(gradient.copy())
        self._optimizer.step()
        self.rate = self._package.find_rate(self._optimizer.param_groups[0])
        if self._schedule is not None:
            self._schedule.step()
