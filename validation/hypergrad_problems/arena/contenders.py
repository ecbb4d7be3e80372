"""Optimizers that nobody tunes, on the problems of the arena: ours, and those of other packages."""

from typing import Any

from hypergrad import TuningFreeAdamW
from hypergrad_problems.arena.packages import PackageRunner
from hypergrad_problems.arena.problems import make_problem
from hypergrad_problems.arena.rivals import Runner
from hypergrad_problems.arena.runs import Outcome, run
from hypergrad_reference.types import Vector

OURS: dict[str, dict[str, Any]] = {
    "TuningFreeAdamW": {},
    "K": {"variant": "K"},
    "lazy, delayed": {"every": 8, "delay": 1},
}
"""Options of TuningFreeAdamW by the name in the tables."""


class FreeRunner:
    """TuningFreeAdamW in the middle of a run, in float64, by NumPy."""

    def __init__(self, name: str, start: Vector) -> None:
        self._name, self._theta = name, start.copy()
        self._optimizer = TuningFreeAdamW([self._theta], device="numpy", nonfinite="propagate", **OURS[name])
        self.rate = self._optimizer.current_lr

    @property
    def point(self) -> Vector:
        """Where gradients are taken."""
        return self._theta

    @property
    def answers(self) -> dict[str, Vector]:
        """The averages."""
        return {self._name: self._optimizer.averages()[0]}

    def step(self, gradient: Vector) -> None:
        """Take a step."""
        self._optimizer.step(gradients=[gradient])
        self.rate = self._optimizer.last_record.lr


def run_untuned(name: str, seed: int, method: str, steps: int | None = None) -> Outcome:
    """A run of an optimizer that nobody tunes; method is a key of OURS or of PACKAGES."""
    problem = make_problem(name, seed)
    steps = steps or problem.steps
    ours = method in OURS
    runner: Runner = FreeRunner(method, problem.start) if ours else PackageRunner(method, problem.start, steps)
    return run(problem, runner, seed, steps)
