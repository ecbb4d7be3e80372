"""Runs of SGD-HD, SGDN-HD and Adam-HD, and of the methods below them, on which their laws are tried."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypergrad_reference import adam_hd, adamw, sgd_hd
from hypergrad_reference.adam_hd import Constants
from hypergrad_reference.hypergradient import Record, Schedule, schedule_additive, schedule_multiplicative
from hypergrad_reference.types import Vector

MU, LR, EPS = 0.75, 0.0625, 2.0**-10
STEPS = 40

SHAPES: tuple[tuple[int, ...], ...] = ((3,), (2, 5))

Step = Callable[..., tuple[list[Vector], Any, Record]]
"""(thetas, grads, state, schedule, scale) to thetas, state, record; scale is that of Adam's epsilon."""


def _adam(step: Callable[..., Any]) -> Step:
    """A step whose epsilon can be scaled with the gradient."""
    return lambda thetas, grads, state, schedule, scale=1.0: step(
        thetas, grads, state, schedule, Constants(0.75, 0.875, EPS * scale)
    )


def _without_scale(step: Callable[..., Any]) -> Step:
    return lambda thetas, grads, state, schedule, scale=1.0: step(thetas, grads, state, schedule)


HEAVY_BALL, NESTEROV = sgd_hd.Constants(MU, 0.25), sgd_hd.Constants(MU, nesterov=True)
METHODS: dict[str, tuple[Callable[..., Any], Step]] = {
    "sgd": (sgd_hd.init, _without_scale(sgd_hd.step)),
    "heavy_ball": (
        partial(sgd_hd.init, constants=HEAVY_BALL),
        _without_scale(partial(sgd_hd.step, constants=HEAVY_BALL)),
    ),
    "nesterov": (
        partial(sgd_hd.init, constants=NESTEROV),
        _without_scale(partial(sgd_hd.step, constants=NESTEROV)),
    ),
    "adam": (adam_hd.init, _adam(adam_hd.step)),
    "adam_lua": (adam_hd.init, _adam(adam_hd.step_lua)),
}
SGD = ("sgd", "heavy_ball", "nesterov")
ADDITIVE = {name: 2.0**-6 if name in SGD else 2.0**-8 for name in METHODS}
RULES: dict[str, Callable[..., Record]] = {"additive": schedule_additive, "multiplicative": schedule_multiplicative}


class Problem:
    """sum a sqrt(1 + (x - c)^2): convex, smooth, with bounded gradients; as f -> scale f(stretch x)."""

    def __init__(self, dtype: type[np.floating[Any]] = np.float64, scale: float = 1.0, stretch: float = 1.0) -> None:
        rng = np.random.default_rng(0)
        self.a: list[Vector] = [(rng.random(shape) + 0.5).astype(dtype) for shape in SHAPES]
        self.c: list[Vector] = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
        self.start: list[Vector] = [(rng.standard_normal(shape) / stretch).astype(dtype) for shape in SHAPES]
        self.scale, self.stretch = dtype(scale), dtype(stretch)

    def value(self, x: NDArray[Any]) -> Any:
        """The loss of all parameters in one array, which may be complex."""
        a, c = (np.concatenate([part.ravel() for part in parts]) for parts in (self.a, self.c))
        return self.scale * (a * np.sqrt(1 + (self.stretch * x - c) ** 2)).sum()

    def gradients(self, thetas: Sequence[Vector]) -> list[Vector]:
        """One per tensor."""
        grads: list[Vector] = []
        for a, c, theta in zip(self.a, self.c, thetas, strict=True):
            y = self.stretch * theta - c
            grads.append(self.scale * self.stretch * (a * y / np.sqrt(1 + y * y)))
        return grads


def flatten(thetas: Sequence[Vector]) -> Vector:
    """All parameters in one array."""
    return np.concatenate([theta.ravel() for theta in thetas])


def run(
    method: str, problem: Problem, schedule: Schedule, lr: float = LR, scale: float = 1.0, steps: int = STEPS
) -> tuple[Vector, list[Record]]:
    """All parameters after every step, and the records."""
    init, step = METHODS[method]
    thetas, state = problem.start, init(problem.start, lr)
    path, records = [], []
    for _ in range(steps):
        thetas, state, record = step(thetas, problem.gradients(thetas), state, schedule, scale=scale)
        path.append(flatten(thetas))
        records.append(record)
    return np.array(path), records


def rates(records: Sequence[Record]) -> Vector:
    """alpha_t."""
    return np.array([record.lr for record in records])


BASE: dict[str, Callable[[Vector, Vector, int], tuple[Vector, Vector]]] = {
    "sgd": lambda g, v, t: (g, v),
    "heavy_ball": lambda g, v, t: (g, g) if t == 1 else (MU * v + 0.75 * g,) * 2,
    "nesterov": lambda g, v, t: (g + MU * (MU * v + g), MU * v + g),
}


def run_base(method: str, problem: Problem, lr: float, steps: int) -> Vector:
    """The base method, written out once more: all parameters after every step."""
    thetas, path = list(problem.start), []
    velocities = [np.zeros_like(theta) for theta in thetas]
    moments = [adamw.init(theta) for theta in thetas]
    for t in range(1, steps + 1):
        for i, g in enumerate(problem.gradients(thetas)):
            if method in BASE:
                d, velocities[i] = BASE[method](g, velocities[i], t)
                thetas[i] = thetas[i] - g.dtype.type(lr) * d
            else:
                eps = EPS if method == "adam" else EPS / math.sqrt(1 - 0.875**t)
                scalars = adamw.exact_scalars(lr, 0.75, 0.875, eps, 0.0, 0.75**t, 0.875**t)
                thetas[i], moments[i] = adamw.apply_exact(thetas[i], g, moments[i], scalars)
        path.append(flatten(thetas))
    return np.array(path)


def find_directions(method: str, schedule: Schedule) -> tuple[Vector, Vector, list[Record]]:
    """Parameters before each step, the directions taken from their differences, and the records."""
    path, records = run(method, Problem(), schedule)
    path = np.vstack([flatten(Problem().start), path])
    return path, (path[:-1] - path[1:]) / rates(records)[:, None], records


def descend(
    curvature: Any,
    x: Any,
    schedule: Schedule,
    lr: float,
    steps: int,
    gradient: Callable[[Vector], Vector] | None = None,
) -> tuple[list[Vector], list[Record]]:
    """Gradient descent on sum a x^2 / 2, or on what has the gradient given: points before each step, and records."""
    thetas: list[Vector] = [np.array(x, float)]
    state = sgd_hd.init(thetas, lr)
    points, records = [thetas[0]], []
    for _ in range(steps):
        g = curvature * thetas[0] if gradient is None else gradient(thetas[0])
        thetas, state, record = sgd_hd.step(thetas, [g], state, schedule)
        points.append(thetas[0])
        records.append(record)
    return points, records
