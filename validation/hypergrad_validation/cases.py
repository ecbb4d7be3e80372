"""Every case that kernels, sums and optimizers are tried on, declared once; its name is its id in test output.

A case knows its arrays: they are drawn from a generator seeded by size and array, and lie between GUARD elements of
GUARD_VALUE on either side, so that `array.base` shows what was written past the ends.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad._core.optimizer import Optimizer
from hypergrad_reference import sgd_hd
from hypergrad_reference.adamw import FORM_SCALARS
from hypergrad_reference.hdm_loops import INNER_PRODUCTS as HDM_PRODUCTS
from hypergrad_reference.hdm_loops import Arrays as HDMArrays
from hypergrad_reference.hdm_loops import Learner, adapt_adagrad, adapt_adagrad_inside, adapt_ogd
from hypergrad_reference.hdm_loops import Scalars as HDMScalars
from hypergrad_reference.loops import INNER_PRODUCTS, Arrays, Operands, Update
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

DTYPES = ("float32", "float64")
SIZES = (1, 2, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 65537, 1000003)
"""One element, primes, and one off each width, group and block."""
TAILS = (1, 17, 4097)
"""Sizes that divide by no width, with 0, 1 and many full vectors before the tail."""

GUARD = 1024  # elements that 64 items with vectors of 16 can reach
GUARD_VALUE = 2.75


# What arrays hold.


def _draw_normal(rng: np.random.Generator, n: int, dtype: str) -> Vector:
    return rng.standard_normal(n).astype(dtype)


def _draw_subnormal(rng: np.random.Generator, n: int, dtype: str) -> Vector:
    return _draw_normal(rng, n, dtype) * np.finfo(dtype).smallest_normal


def _draw_huge(rng: np.random.Generator, n: int, dtype: str) -> Vector:
    return _draw_normal(rng, n, dtype) * (np.finfo(dtype).max / 8)


def _draw_bits(rng: np.random.Generator, n: int, dtype: str) -> Vector:
    """Any finite number there is, each bit pattern as likely as another."""
    array = np.frombuffer(rng.bytes(n * np.dtype(dtype).itemsize), dtype)
    return np.where(np.isfinite(array), array, 0).astype(dtype)


def _draw_zero(rng: np.random.Generator, n: int, dtype: str) -> Vector:
    return np.zeros(n, dtype)


VALUES: dict[str, Callable[[np.random.Generator, int, str], Vector]] = {
    "normal": _draw_normal,
    "subnormal": _draw_subnormal,
    "huge": _draw_huge,
    "bits": _draw_bits,
    "zero": _draw_zero,
}
SQUARES = ("exp_avg_sq", "max_exp_avg_sq", "accumulator")
"""Arrays that hold sums of squares."""


class Data(NamedTuple):
    """What the arrays of a case hold."""

    dtype: str
    n: int
    values: str = "normal"  # a key of VALUES
    offset: int = 0  # elements by which every array begins past the alignment of a fresh one
    negative_squares: bool = False  # leave the sign of SQUARES to chance
    planted: tuple[float, ...] = ()  # first elements of `grad` and `grad_ema`

    @property
    def name(self) -> str:
        """What is unusual, after dtype and size."""
        marks = [self.values] * (self.values != "normal") + ["odd-address"] * bool(self.offset)
        marks += ["negative-squares"] * self.negative_squares + ["nonfinite"] * bool(self.planted)
        return "-".join((self.dtype, f"n{self.n}", *marks))

    def draw(self, name: str) -> Vector:
        """The array of that name, fresh, between guards."""
        array = VALUES[self.values](np.random.default_rng([self.n, *name.encode()]), self.n, self.dtype)
        if name in SQUARES and not self.negative_squares:
            array = np.abs(array)
        if name in ("grad", "grad_ema"):
            array[: len(self.planted)] = self.planted[: self.n]
        return surround(array, self.offset)

    def make_out(self, rows: int) -> Vector:
        """Room for block sums, between guards."""
        blocks = -(-self.n // BLOCK)
        return surround(np.zeros(rows * blocks, self.dtype)).reshape(rows, blocks)


def surround(array: Vector, offset: int = 0) -> Vector:
    """A copy between guards; its `base` is the whole."""
    begin = GUARD + offset
    whole = np.full(begin + array.size + GUARD, GUARD_VALUE, array.dtype)
    whole[begin : begin + array.size] = array
    return whole[begin : begin + array.size]


EVERY_SIZE = [Data(dtype, n) for dtype in DTYPES for n in SIZES]
EVERY_TAIL = [Data(dtype, n) for dtype in DTYPES for n in TAILS]
ODD_ADDRESSES = [Data(dtype, n, offset=1) for dtype in DTYPES for n in (16, 4097)]
EXTREMES = [
    data
    for dtype in DTYPES
    for data in (
        Data(dtype, 1027, "subnormal"),
        Data(dtype, 1027, "huge"),
        Data(dtype, 1027, "bits", negative_squares=True),
        Data(dtype, 3, "zero"),
        Data(dtype, 19, planted=(math.nan, math.inf, -math.inf)),
    )
]

EPS = 1e-3
"""Of every update here: large enough to show where it stands."""


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
        return Update(
            draw("theta"),
            draw("grad"),
            self.grad_scale,
            Arrays(
                draw("exp_avg"),
                draw("exp_avg_sq"),
                draw("max_exp_avg_sq") if self.amsgrad else None,
                grad_ema=draw("grad_ema") if self.follow else None,
                last_grad=draw("last_grad") if self.keep_grad else None,
            ),
            FORM_SCALARS[self.convention](1e-2, 0.9, 0.999, EPS, 1e-2, *self.beta_powers),
            self.gamma,
            self.l2,
        )

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
    "shader-guarded": {
        "convention": "shader",
        "beta_powers": (1.0, 1.0),
    },  # where nothing but 1e-12 is left to divide by
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
        return Operands(
            draw("theta"),
            draw("grad"),
            self.grad_scale,
            Arrays(
                draw("exp_avg"),
                draw("exp_avg_sq"),
                draw("max_exp_avg_sq") if self.amsgrad else None,
                draw("direction") if self.kept else None,
                grad_ema=draw("grad_ema"),
                last_grad=draw("last_grad"),
            ),
            FORM_SCALARS[self.convention](1e-2, 0.9, 0.999, EPS, 1e-2, *self.beta_powers),
            0.9**6,
            self.l2,
        )

    def arguments(self) -> tuple[Any, ...]:
        """Those of sums.call_sums."""
        return self.products, self.make(), self.data.make_out(len(self.products))


WITHOUT_DERIVATIVE = tuple(name for name in INNER_PRODUCTS if name != "grad_beta1_derivative")
"""What the shader convention can be asked for."""
SUMS_VARIANTS: dict[str, dict[str, Any]] = {name: {"products": (name,)} for name in INNER_PRODUCTS} | {
    "exact": {"products": ("grad_direction", "grad_grad"), "grad_scale": -0.3},
    "shader": {"products": ("grad_direction", "grad_grad"), "convention": "shader"},
    "shader-guarded": {"products": ("grad_direction",), "convention": "shader", "beta_powers": (1.0, 1.0)},
    "kept": {"products": ("direction_direction", "grad_direction", "grad_grad"), "kept": True, "l2": 1e-2},
    "kept-and-derivative": {"products": ("grad_direction", "grad_beta1_derivative", "grad_exp_avg"), "kept": True},
    "amsgrad": {"products": ("grad_direction", "grad_beta1_derivative"), "amsgrad": True},
    "exact-all": {"products": tuple(INNER_PRODUCTS), "grad_scale": -0.3, "l2": 1e-2},
    "shader-all": {"products": WITHOUT_DERIVATIVE, "convention": "shader", "grad_scale": -0.3, "l2": 1e-2},
}
SUMS = [SumsCase(name, data, **SUMS_VARIANTS[variant]) for name, variant, data in _cross(SUMS_VARIANTS)]


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
MOVES = [
    MoveCase(f"{variant}-{data.name}", data, **options)
    for variant, options in MOVE_VARIANTS.items()
    for data in (*EVERY_TAIL, *ODD_ADDRESSES, *EXTREMES)
] + [MoveCase(f"nesterov-l2-large-{d.name}", d, **MOVE_VARIANTS["nesterov-l2"]) for d in EVERY_SIZE if d.n > 4097]


# An iteration of HDM.


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


Case = UpdateCase | SumsCase | MoveCase | AdaptCase | HDMSumsCase
"""What a kernel is called with, under a name; `arguments` are those of its `call`."""


# Whole runs of the optimizers.


def two_groups(thetas: list[Vector]) -> list[dict[str, Any]]:
    """Tensors in two groups, the second at another rate than the optimizer's."""
    return [{"params": thetas[:2]}, {"params": thetas[2:], "lr": 3e-3}]


class Trajectory(NamedTuple):
    """An optimizer on several tensors for a number of steps."""

    name: str
    optimizer: Callable[..., Optimizer]
    options: Mapping[str, Any]
    steps: int = 200
    group: Callable[[list[Vector]], list[Any]] = list


TENSORS = (((3,), "float32"), ((17, 5), "float32"), ((), "float64"), ((4, 2, 33), "float64"), ((4099,), "float32"))
"""Shapes and dtypes of the tensors of a run."""


def start_run() -> list[Vector]:
    """The tensors before the first step."""
    rng = np.random.default_rng(1)
    return [np.asarray(rng.standard_normal(shape), dtype) for shape, dtype in TENSORS]


def find_gradient(thetas: Sequence[Vector], step: int) -> list[Vector | None]:
    """Noisy gradients of a quadratic with curvatures from 1 to 2; step counts from 0.

    The second tensor has none in every seventh step, the first none in the first two.
    """
    rng = np.random.default_rng([2, step])
    grads: list[Vector | None] = []
    for theta in thetas:
        curvature = np.linspace(1, 2, theta.size).reshape(theta.shape)
        grads.append(np.asarray(curvature * theta + 0.1 * rng.standard_normal(theta.shape), theta.dtype))
    if step % 7 == 3:
        grads[1] = None
    if step < 2:
        grads[0] = None
    return grads


ADAMW = {"lr": 1e-2}
HYPER = {"lr": 1e-3, "beta_hyper": 1e-6}
LOG = {"lr": 1e-3, "beta_hyper": 1e-5, "log_scale": True}
AUTO = {"adapt_momentum": True, "track_surprise": True}
DERIVATIVE = {"adapt_momentum": True, "momentum_rule": "derivative", "normalization": "cosine"}
SGD = {"lr": 1e-2, "hypergrad_lr": 1e-6}
TRAJECTORIES = [
    Trajectory("SGDHD", SGDHD, {**SGD, "weight_decay": 1e-3}, steps=1000),
    Trajectory("SGDHD-heavy-ball", SGDHD, {**SGD, "momentum": 0.9, "dampening": 0.3}, group=two_groups),
    Trajectory("SGDHD-nesterov", SGDHD, {"momentum": 0.9, "nesterov": True, "rule": "multiplicative"}),
    Trajectory("AdamHD", AdamHD, {**SGD, "weight_decay": 1e-3}, steps=1000),
    Trajectory("AdamHD-multiplicative", AdamHD, {**SGD, "rule": "multiplicative"}, group=two_groups),
    Trajectory("AdamW", AdamW, ADAMW, steps=1000),
    Trajectory("AdamW-amsgrad", AdamW, {**ADAMW, "amsgrad": True}),
    Trajectory("AdamW-shader", AdamW, {**ADAMW, "scalar_convention": "shader"}),
    Trajectory("AdamW-climbs", AdamW, {**ADAMW, "maximize": True, "grad_scale": -0.3, "clear_grad": True}),
    Trajectory("HypergradientAdamW", HypergradientAdamW, HYPER, steps=1000),
    Trajectory("HypergradientAdamW-log", HypergradientAdamW, LOG, steps=1000),
    Trajectory("HypergradientAdamW-decay", HypergradientAdamW, {**HYPER, "decay_in_hypergradient": True}),
    Trajectory("HypergradientAdamW-shader", HypergradientAdamW, {**HYPER, "scalar_convention": "shader"}),
    Trajectory("HypergradientAdamW-amsgrad", HypergradientAdamW, {**HYPER, "amsgrad": True}),
    Trajectory("HypergradientAdamW-propagate", HypergradientAdamW, {**HYPER, "nonfinite": "propagate"}),
    Trajectory("HypergradientAdamW-groups", HypergradientAdamW, HYPER, group=two_groups),
    Trajectory("HypergradientAdamW-own-rates", HypergradientAdamW, {**HYPER, "lr_scope": "group"}, group=two_groups),
    Trajectory("AutoHypergradientAdamW", AutoHypergradientAdamW, AUTO, steps=1000),
    Trajectory("AutoHypergradientAdamW-rate-alone", AutoHypergradientAdamW, {}),
    Trajectory("AutoHypergradientAdamW-scaled", AutoHypergradientAdamW, {"track_surprise": True, "grad_scale": 0.3}),
    Trajectory("AutoHypergradientAdamW-shader", AutoHypergradientAdamW, {**AUTO, "scalar_convention": "shader"}),
    Trajectory("AutoHypergradientAdamW-derivative", AutoHypergradientAdamW, DERIVATIVE),
    Trajectory(
        "AutoHypergradientAdamW-direction-amsgrad",
        AutoHypergradientAdamW,
        {**DERIVATIVE, "normalization": "direction", "amsgrad": True},
    ),
    Trajectory("AutoHypergradientAdamW-groups", AutoHypergradientAdamW, AUTO, group=two_groups),
    Trajectory(
        "AutoHypergradientAdamW-own-rates", AutoHypergradientAdamW, {**AUTO, "lr_scope": "group"}, group=two_groups
    ),
]
