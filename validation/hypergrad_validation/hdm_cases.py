"""Every case of an iteration of HDM; see `cases`."""

from typing import Any, NamedTuple

from hypergrad_reference.hdm_loops import INNER_PRODUCTS as HDM_PRODUCTS
from hypergrad_reference.hdm_loops import Arrays as HDMArrays
from hypergrad_reference.hdm_loops import Learner, adapt_adagrad, adapt_adagrad_inside, adapt_ogd
from hypergrad_reference.hdm_loops import Scalars as HDMScalars
from hypergrad_reference.types import Vector
from hypergrad_validation.drawn import EVERY_SIZE, EVERY_TAIL, EXTREMES, ODD_ADDRESSES, Data


class AdaptCase(NamedTuple):
    """A call of one of the `adapt` functions of `hypergrad_reference.hdm_loops`."""

    name: str
    data: Data
    learner: Learner
    accepted: bool
    scalars: HDMScalars = HDMScalars(denominator=3.0, rate=0.7, eps=1e-3, low=-0.2, high=0.9, beta=0.95)

    def arguments(self) -> tuple[Any, ...]:
        """Those of hdm.call_adapt."""
        return self.learner, *draw_iteration(self.data), self.accepted, self.scalars


class HDMSumsCase(NamedTuple):
    """A call of `hypergrad_reference.hdm_loops.inner_products`."""

    name: str
    data: Data

    def arguments(self) -> tuple[Any, ...]:
        """Those of hdm.call_inner_products."""
        return *draw_iteration(self.data), self.data.make_out(len(HDM_PRODUCTS))


def draw_iteration(data: Data) -> tuple[HDMArrays, Vector]:
    """Fresh arrays, and the gradient at the trial point."""
    return HDMArrays(*map(data.draw, HDMArrays._fields)), data.draw("trial_gradient")


ADAPTS = [
    AdaptCase(f"{learner.__name__.removeprefix('adapt_')}-{outcome}-{data.name}", data, learner, outcome == "accepted")
    for learner in (adapt_adagrad, adapt_adagrad_inside, adapt_ogd)
    for outcome in ("accepted", "refused")
    for data in (*EVERY_TAIL, *ODD_ADDRESSES, *EXTREMES)
] + [AdaptCase(f"adagrad-accepted-large-{d.name}", d, adapt_adagrad, True) for d in EVERY_SIZE if d.n > 4097]
HDM_SUMS = [
    HDMSumsCase(f"sums-{data.name}", data)
    for data in (*EVERY_TAIL, *ODD_ADDRESSES, *EXTREMES, *(d for d in EVERY_SIZE if d.n > 4097))
]
