"""TuningFreeAdamW with a part left out or another constant, on the problems of the arena: what each is good for."""

import math
from typing import NamedTuple

from hypergrad_problems.arena.problems import make_problem
from hypergrad_problems.arena.rivals import Adam
from hypergrad_problems.arena.runs import Ending, run
from hypergrad_reference import adamw
from hypergrad_reference.adamw_free import ADAMW_G, average, init, step
from hypergrad_reference.adamw_free_schedule import Constants, G
from hypergrad_reference.types import Vector


class Variant(NamedTuple):
    """What differs; the defaults are TuningFreeAdamW."""

    constants: Constants = G
    lr_start: float = 1e-4
    of_adamw: adamw.Constants = ADAMW_G


def _change(**constants: float) -> Variant:
    return Variant(G._replace(**constants))  # type: ignore[arg-type]


CHOSEN = "TuningFreeAdamW"
VARIANTS = {
    CHOSEN: Variant(),
    "no climb rule": _change(climb=0.0),
    "no guard": _change(guard=0.0),
    "averages are never stale": _change(stale=0.0),
    "the target never moves": _change(moved=math.inf),
    "none of these four": _change(climb=0.0, guard=0.0, stale=0.0, moved=math.inf),
    "guard 0.1": _change(guard=0.1),
    "gain 0.1": _change(gain=0.1),
    "gain 1": _change(gain=1.0),
    "start 1e-5": Variant(lr_start=1e-5),
    "start 1e-3": Variant(lr_start=1e-3),
    "b 0.5": _change(interpolation=0.5),
    "b 0.6": _change(interpolation=0.6),
    "b 0.9": _change(interpolation=0.9),
    "rho 0.9": _change(rho=0.9),
    "rho 1": _change(rho=1.0),
    "gamma2 4": _change(gamma_fast=4.0),
    "gamma2 8": _change(gamma_fast=8.0),
    "gamma2 12": _change(gamma_fast=12.0),
    "gamma1 0": _change(gamma_slow=0.0),
    "gamma1 2": _change(gamma_slow=2.0),
    "beta1 0.5": Variant(of_adamw=ADAMW_G._replace(beta1=0.5)),
    "beta1 0.8": Variant(of_adamw=ADAMW_G._replace(beta1=0.8)),
    "beta2 0.98": Variant(of_adamw=ADAMW_G._replace(beta2=0.98)),
    "beta2 0.99": Variant(of_adamw=ADAMW_G._replace(beta2=0.99)),
    "beta2 0.999": Variant(of_adamw=ADAMW_G._replace(beta2=0.999)),
}
"""By the name in the table; the letters are those of `hypergrad_reference.adamw_free`."""


class VariantRunner:
    """The step of the reference in the middle of a run, in float64."""

    def __init__(self, name: str, start: Vector) -> None:
        self._variant = VARIANTS[name]
        self._points, self.rate = [start.copy()], self._variant.lr_start
        self._state = init(self._points, self.rate)

    @property
    def point(self) -> Vector:
        """Where gradients are taken."""
        return self._points[0]

    @property
    def answers(self) -> dict[str, Vector]:
        """The average."""
        return {"average": average(self._points, self._state, self._variant.constants)[0]}

    def step(self, gradient: Vector) -> None:
        """Take a step."""
        variant = self._variant
        self._points, self._state, record = step(
            self._points, [gradient], self._state, variant.constants, variant.of_adamw
        )
        self.rate = record.lr


def run_variant(name: str, seed: int, variant: str, steps: int | None = None) -> Ending:
    """How a variant, a key of VARIANTS, ends on a problem."""
    problem = make_problem(name, seed)
    return run(problem, VariantRunner(variant, problem.start), seed, steps).endings["average"]


def run_cosine(name: str, seed: int, rate: float, steps: int | None = None) -> Ending:
    """How AdamW by a cosine schedule ends, with the beta2 of TuningFreeAdamW instead of its own."""
    problem = make_problem(name, seed)
    steps = steps or problem.steps
    runner = Adam(problem.start, rate, steps, cosine=True, beta2=ADAMW_G.beta2)
    return run(problem, runner, seed, steps).endings["cosine"]
