"""Every case that a kernel is tried on, declared once; its name is its id in test output.

A case knows its arrays: they are drawn from a generator seeded by size and array, and lie between GUARD elements of
GUARD_VALUE on either side, so that `array.base` shows what was written past the ends.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from hypergrad_reference import hdm_loops, sgd_hd
from hypergrad_reference.adamw import FORM_SCALARS, Constants
from hypergrad_reference.adamw_free import form_scalars
from hypergrad_reference.adamw_free_schedule import G
from hypergrad_reference.loops import INNER_PRODUCTS, LEFT_BEHIND, STOPPED, Arrays, Operands, Update
from hypergrad_reference.rule import Averages
from hypergrad_reference.types import Vector
from hypergrad_validation.drawn import EVERY_SIZE, EVERY_TAIL, EXTREMES, LARGE, ODD_ADDRESSES, SHORT, Data

C = TypeVar("C")

EPS = 1e-3
"""The epsilon of every update here: large enough to show where it stands."""


def list_cases(case: Callable[..., C], variants: Mapping[str, Mapping[str, Any]], large: str) -> list[C]:
    """Cases of each variant on SHORT, and of the one that `large` names on LARGE."""
    short = [case(f"{variant}-{data.name}", data, **options) for variant, options in variants.items() for data in SHORT]
    return short + [case(f"{large}-large-{data.name}", data, **variants[large]) for data in LARGE]


# The update of the AdamW family.


class UpdateCase(NamedTuple):
    """A call of `hypergrad_reference.loops.update` with the scalars of AdamW."""

    name: str
    data: Data
    convention: str = "exact"
    amsgrad: bool = False
    grad_scale: float = 1.0
    l2: float = 0.0
    gamma: float | None = None  # memory of grad_ema
    follow: bool = False  # keep grad_ema
    keep_grad: bool = False
    clear_grad: bool = False
    beta_powers: tuple[float, float] = (0.9**7, 0.999**7)

    def make(self) -> Update:
        """The update with fresh arrays."""
        draw = self.data.draw
        arrays = Arrays(
            draw("exp_avg"), draw("exp_avg_sq"), draw("max_exp_avg_sq") if self.amsgrad else None,
            grad_ema=draw("grad_ema") if self.follow else None, last_grad=draw("last_grad") if self.keep_grad else None,
        )  # fmt: skip
        scalars = FORM_SCALARS[self.convention](1e-2, 0.9, 0.999, EPS, 1e-2, *self.beta_powers)
        return Update(draw("theta"), draw("grad"), self.grad_scale, arrays, scalars, self.gamma, self.l2)

    def arguments(self) -> tuple[Any, ...]:
        """Those of adamw.call_update."""
        return self.make(), self.clear_grad


UPDATE_VARIANTS: dict[str, dict[str, Any]] = {
    "exact": {},
    "exact-scaled": {"grad_scale": -0.3},
    "exact-l2": {"l2": 1e-2},
    "exact-follow-first": {"follow": True},
    "exact-follow": {"follow": True, "gamma": 0.9},
    "exact-keep_grad": {"keep_grad": True},
    "exact-clear_grad": {"clear_grad": True},
    "exact-amsgrad": {"amsgrad": True},
    "shader": {"convention": "shader"},
    "shader-clear_grad": {"convention": "shader", "clear_grad": True},
    "shader-guarded": {"convention": "shader", "beta_powers": (1.0, 1.0)},  # nothing but 1e-12 is left to divide by
}
ALL_AT_ONCE = {"grad_scale": -0.3, "l2": 1e-2, "follow": True, "gamma": 0.9, "keep_grad": True, "clear_grad": True}
UPDATE_VARIANTS["exact-all"] = {"amsgrad": True, **ALL_AT_ONCE}
UPDATE_VARIANTS["shader-all"] = {"convention": "shader", **ALL_AT_ONCE}

EXTRA = {
    "exact": EXTREMES,  # without l2, whose +0 would hide a -0
    "exact-all": [*ODD_ADDRESSES, *EXTREMES],
    "exact-follow-first": EXTREMES,  # what is not initialised must not be read
    "shader-all": [*ODD_ADDRESSES, *EXTREMES],
}
EVERYWHERE = ("exact", "shader")
"""Variants that meet every size; the others meet the tails."""


def _cross(variants: Iterable[str]) -> list[tuple[str, str, Data]]:
    """(case name, variant, data) of each variant on the data that it has to meet."""
    return [
        (f"{variant}-{data.name}", variant, data)
        for variant in variants
        for data in (EVERY_SIZE if variant in EVERYWHERE else EVERY_TAIL) + EXTRA.get(variant, [])
    ]


UPDATES = [UpdateCase(name, data, **UPDATE_VARIANTS[variant]) for name, variant, data in _cross(UPDATE_VARIANTS)]


# Inner products.


class SumsCase(NamedTuple):
    """A call of `hypergrad_reference.loops.inner_products`."""

    name: str
    data: Data
    products: tuple[str, ...]
    convention: str = "exact"
    amsgrad: bool = False
    grad_scale: float = 1.0
    l2: float = 0.0
    kept: bool = False  # the direction is kept, not rebuilt
    beta_powers: tuple[float, float] = (0.9**7, 0.999**7)

    def make(self) -> Operands:
        """The operands with fresh arrays."""
        draw = self.data.draw
        arrays = Arrays(
            draw("exp_avg"), draw("exp_avg_sq"), draw("max_exp_avg_sq") if self.amsgrad else None,
            draw("direction") if self.kept else None, grad_ema=draw("grad_ema"), last_grad=draw("last_grad"),
        )  # fmt: skip
        scalars = FORM_SCALARS[self.convention](1e-2, 0.9, 0.999, EPS, 1e-2, *self.beta_powers)
        return Operands(draw("theta"), draw("grad"), self.grad_scale, arrays, scalars, 0.9**6, self.l2)

    def arguments(self) -> tuple[Any, ...]:
        """Those of sums.call_sums."""
        return self.products, self.make(), self.data.make_out(len(self.products))


OF_SUMS = tuple(name for name in INNER_PRODUCTS if not name.endswith("_lag"))
"""The products of sums.cl; adamw_free.cl forms the others."""
WITHOUT_DERIVATIVE = tuple(name for name in OF_SUMS if name != "grad_beta1_derivative")
"""What the shader convention can be asked for."""
SUMS_VARIANTS: dict[str, dict[str, Any]] = {name: {"products": (name,)} for name in OF_SUMS} | {
    "exact": {"products": ("grad_direction", "grad_grad"), "grad_scale": -0.3},
    "shader": {"products": ("grad_direction", "grad_grad"), "convention": "shader"},
    "shader-guarded": {"products": ("grad_direction",), "convention": "shader", "beta_powers": (1.0, 1.0)},
    "kept": {"products": ("direction_direction", "grad_direction", "grad_grad"), "kept": True, "l2": 1e-2},
    "kept-and-derivative": {"products": ("grad_direction", "grad_beta1_derivative", "grad_exp_avg"), "kept": True},
    "amsgrad": {"products": ("grad_direction", "grad_beta1_derivative"), "amsgrad": True},
    "exact-all": {"products": OF_SUMS, "grad_scale": -0.3, "l2": 1e-2},
    "shader-all": {"products": WITHOUT_DERIVATIVE, "convention": "shader", "grad_scale": -0.3, "l2": 1e-2},
}
SUMS = [SumsCase(name, data, **SUMS_VARIANTS[variant]) for name, variant, data in _cross(SUMS_VARIANTS)]


# The update of TuningFreeAdamW.


class FreeCase(NamedTuple):
    """A call of `hypergrad_reference.loops.update` with the scalars of TuningFreeAdamW."""

    name: str
    data: Data
    lazy: bool = False
    look: bool = True
    delayed: bool = False
    grad_scale: float = 1.0
    clear_grad: bool = False

    def make(self) -> Update:
        """The update with fresh arrays."""
        draw, slow = self.data.draw, "average_slow" if self.lazy else "lag_slow"
        rows = len(LEFT_BEHIND) if self.delayed else 1
        left = self.data.make_out(rows).reshape(-1)
        arrays = Arrays(draw("exp_avg"), draw("exp_avg_sq"), lag_fast=draw("lag_fast"), left=left)
        arrays = arrays._replace(**{slow: draw(slow)})
        scalars = form_scalars(1e-2, 40.0, 6, G, Constants(0.7, 0.999, EPS, 1e-2))
        scalars = scalars if self.look else scalars._replace(keep_slow=1.0)
        return Update(draw("theta"), draw("grad"), self.grad_scale, arrays, scalars)

    def arguments(self) -> tuple[Any, ...]:
        """Those of adamw_free.call_update."""
        return self.make(), self.clear_grad


FREE_VARIANTS: dict[str, dict[str, Any]] = {
    "free": {},
    "free-delayed": {"delayed": True},
    "free-scaled": {"delayed": True, "grad_scale": -0.3},
    "free-clear_grad": {"clear_grad": True},
    "free-lazy": {"lazy": True},
    "free-lazy-between": {"lazy": True, "look": False},
    "free-lazy-delayed": {"lazy": True, "delayed": True},
    "free-lazy-delayed-between": {"lazy": True, "delayed": True, "look": False, "clear_grad": True},
}
FREE = list_cases(FreeCase, FREE_VARIANTS, large="free-delayed")


class LagsCase(NamedTuple):
    """A call of `hypergrad_reference.loops.inner_products` for the products that TuningFreeAdamW learns from."""

    name: str
    data: Data
    lazy: bool = False
    grad_scale: float = 1.0

    def make(self) -> Operands:
        """The operands with fresh arrays."""
        draw, slow = self.data.draw, "average_slow" if self.lazy else "lag_slow"
        arrays = Arrays(lag_fast=draw("lag_fast"))._replace(**{slow: draw(slow)})
        averages = Averages(G.interpolation, G.rho, LEFT_BEHIND)
        return Operands(draw("theta"), draw("grad"), self.grad_scale, arrays, averages=averages)

    def arguments(self) -> tuple[Any, ...]:
        """Those of adamw_free.call_lags."""
        return self.make(), self.data.make_out(3)


LAGS_VARIANTS: dict[str, dict[str, Any]] = {"lags": {"grad_scale": -0.3}, "lags-lazy": {"lazy": True}}
LAGS = list_cases(LagsCase, LAGS_VARIANTS, large="lags")


# The update of SGD-HD.


class MoveCase(NamedTuple):
    """A call of `hypergrad_reference.loops.update` with the scalars of SGD-HD."""

    name: str
    data: Data
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    steps: int = 6  # that the tensor has taken

    def make(self) -> Update:
        """The update with fresh arrays."""
        draw = self.data.draw
        arrays = Arrays(direction=draw("direction"), velocity=draw("velocity") if self.momentum else None)
        form = sgd_hd.form(1e-2, self.steps, self.momentum, self.dampening, self.nesterov)
        return Update(draw("theta"), draw("grad"), 1.0, arrays, form, l2=self.weight_decay)

    def arguments(self) -> tuple[Any, ...]:
        """Those of sgd_hd.call_update."""
        return (self.make(),)


MOVE_VARIANTS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "sgd-l2": {"weight_decay": 1e-2},
    "heavy_ball": {"momentum": 0.9, "dampening": 0.3},
    "heavy_ball-first": {"momentum": 0.9, "dampening": 0.3, "steps": 0},
    "heavy_ball-l2": {"momentum": 0.9, "weight_decay": 1e-2},
    "nesterov": {"momentum": 0.9, "nesterov": True},
    "nesterov-l2": {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-2},
}
MOVES = list_cases(MoveCase, MOVE_VARIANTS, large="nesterov-l2")


# Updates with inner products in the same pass.


class DelayedCase(NamedTuple):
    """A call of `hypergrad_reference.loops.update_and_sum`."""

    name: str
    data: Data
    update: UpdateCase | MoveCase
    products: tuple[str, ...]  # with STOPPED: an element that would not be finite stays

    def arguments(self) -> tuple[Any, ...]:
        """Those of delayed.call_delayed."""
        u, *cleared = self.update.arguments()
        scalars = None
        if isinstance(self.update, UpdateCase):
            b1, b2 = (power / beta for power, beta in zip(self.update.beta_powers, (0.9, 0.999), strict=True))
            scalars = FORM_SCALARS[self.update.convention](1e-2, 0.9, 0.999, EPS, 1e-2, b1, b2)  # of the step before
        o = Operands(u.theta, u.grad, u.grad_scale, u.arrays, scalars, 0.9**5, u.l2)
        return self.products, o, u, self.data.make_out(len(self.products)), *cleared


STEP_AND_STOP = ("grad_direction", "grad_grad", STOPPED)
DELAYED_VARIANTS: dict[str, tuple[str, ...]] = {
    "exact": ("grad_direction",),
    "exact-scaled": STEP_AND_STOP,
    "exact-follow-first": STEP_AND_STOP,
    "exact-amsgrad": ("grad_direction", "direction_direction"),
    "exact-clear_grad": STEP_AND_STOP,
    "exact-all": (*OF_SUMS, STOPPED),
    "exact-keep_grad": ("grad_direction", "grad_beta1_derivative"),
    "shader": ("grad_direction", "grad_grad"),
    "shader-all": (*WITHOUT_DERIVATIVE, STOPPED),
}
"""Products, by the variant of the update."""
DELAYED = [
    DelayedCase(f"delayed-{name}", data, UpdateCase("", data, **UPDATE_VARIANTS[variant]), DELAYED_VARIANTS[variant])
    for name, variant, data in _cross(DELAYED_VARIANTS)
]
KEPT_PRODUCTS = ("direction_direction", "grad_direction", "grad_grad")
DELAYED_MOVES = [
    DelayedCase(f"delayed-{variant}-{mode}-{data.name}", data, MoveCase("", data, **options), products)
    for variant, options in MOVE_VARIANTS.items()
    for mode, products in (("kept", KEPT_PRODUCTS), ("stopping", (*KEPT_PRODUCTS, STOPPED)), ("first", (STOPPED,)))
    for data in SHORT
]


# An iteration of HDM.


class AdaptCase(NamedTuple):
    """A call of one of the `adapt` functions of `hypergrad_reference.hdm_loops`."""

    name: str
    data: Data
    learner: hdm_loops.Learner
    accepted: bool
    scalars: hdm_loops.Scalars = hdm_loops.Scalars(denominator=3.0, rate=0.7, eps=1e-3, low=-0.2, high=0.9, beta=0.95)

    def arguments(self) -> tuple[Any, ...]:
        """Those of hdm.call_adapt."""
        return self.learner, *draw_iteration(self.data), self.accepted, self.scalars


class HDMSumsCase(NamedTuple):
    """A call of `hypergrad_reference.hdm_loops.inner_products`."""

    name: str
    data: Data

    def arguments(self) -> tuple[Any, ...]:
        """Those of hdm.call_inner_products."""
        return *draw_iteration(self.data), self.data.make_out(len(hdm_loops.INNER_PRODUCTS))


def draw_iteration(data: Data) -> tuple[hdm_loops.Arrays, Vector]:
    """Fresh arrays, and the gradient at the trial point."""
    return hdm_loops.Arrays(*map(data.draw, hdm_loops.Arrays._fields)), data.draw("trial_gradient")


ADAPT_VARIANTS: dict[str, dict[str, Any]] = {
    f"{learner.__name__.removeprefix('adapt_')}-{outcome}": {"learner": learner, "accepted": outcome == "accepted"}
    for learner in (hdm_loops.adapt_adagrad, hdm_loops.adapt_adagrad_inside, hdm_loops.adapt_ogd)
    for outcome in ("accepted", "refused")
}
ADAPTS = list_cases(AdaptCase, ADAPT_VARIANTS, large="adagrad-accepted")
HDM_SUMS = list_cases(HDMSumsCase, {"sums": {}}, large="sums")

Case = UpdateCase | SumsCase | FreeCase | LagsCase | MoveCase | DelayedCase | AdaptCase | HDMSumsCase
"""What a kernel is called with, under a name; `arguments` are those of its `call`."""

CASES: dict[str, Sequence[Case]] = {
    "adamw": UPDATES, "sums": SUMS, "sgd_hd": MOVES, "adamw_delayed": DELAYED,
    "sgd_hd_delayed": DELAYED_MOVES, "hdm": ADAPTS, "hdm_sums": HDM_SUMS,
    "adamw_free": FREE, "lags": LAGS,
}  # fmt: skip
"""By key of KERNELS."""
