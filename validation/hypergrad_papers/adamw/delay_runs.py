"""The exact and the delayed form of a rule side by side, on the tasks of the sweep: losses, rates, and what is proven.

From one initial rate, full batch; everything that is not said here is as in `runs`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hypergrad import SGDHD, Optimizer
from hypergrad_papers.adamw.runs import METHODS, PROBLEMS, open_task
from hypergrad_reference.adamw_auto import Constants
from hypergrad_reference.delay_bounds import bound_by_curvature, bound_by_hypergradients, bound_by_moves, form_moves
from hypergrad_reference.types import Vector

LR = 1e-3
STEPS = 300
DELAYED = ("HypergradientAdamW", "HypergradientAdamW, log", "Auto, gradient")
"""The methods of METHODS that are compared."""


class Trace(NamedTuple):
    """A run, one entry per step t = 1 .. T."""

    loss: Vector  # before the step
    lr: Vector  # that the step moved with
    before: Vector  # lr_before of its record
    h: Vector  # nan where there was none
    normalized: Vector  # h of AutoHypergradientAdamW after its clip, nan for the others
    accumulator: Vector  # G of AutoHypergradientAdamW, nan for the others
    norms: Vector  # ||g_t||
    thetas: list[Vector]  # after each step, all tensors in one


class Pair(NamedTuple):
    """The same run in both forms."""

    exact: Trace
    delayed: Trace


Evaluate = Callable[[list[Vector]], tuple[float, list[Vector]]]


def trace(opt: Optimizer, thetas: list[Vector], evaluate: Evaluate, delay: int, steps: int = STEPS) -> Trace:
    """Take steps, and keep what there is to compare."""
    rows, places = [], []
    for _ in range(steps):
        loss, gradients = evaluate(thetas)
        opt.step(gradients=gradients)
        record: Any = opt.last_record
        lr = record.lr_before if delay else record.lr
        norm = float(np.sqrt(sum(float(np.vdot(g, g)) for g in gradients)))
        more = (getattr(record, name, np.nan) for name in ("normalized", "lr_accumulator"))
        rows.append((loss, lr, record.lr_before, record.hypergradient, *more, norm))
        places.append(np.concatenate([theta.reshape(-1) for theta in thetas]))
    loss, lr, before, h, normalized, accumulator, norms = np.array(rows).T
    return Trace(loss, lr, before, h, normalized, accumulator, norms, places)


def compare(task: str, method: str, steps: int = STEPS) -> Pair:
    """Both forms of a method on a task of the sweep.

    task      a key of TASKS
    method    one of DELAYED
    """
    start, evaluate = open_task(task)
    make, options = METHODS[method]

    def run(delay: int) -> Trace:
        thetas = [theta.copy() for theta in start]
        opt = make(thetas, lr=LR, weight_decay=0.0, device="numpy", delay=delay, **options)
        return trace(opt, thetas, evaluate, delay, steps)

    return Pair(run(0), run(1))


def find_distance(method: str, pair: Pair) -> Vector:
    """|lr_t - lr'_t| at every step; of the logarithms, for the rule that moves these."""
    exact, delayed = pair.exact.lr, pair.delayed.lr
    distance: Vector = np.abs(np.log(exact / delayed) if is_log(method) else exact - delayed)
    return distance


def find_bound(method: str, pair: Pair) -> Vector:
    """What is proven of the distance, from what the two runs show."""
    _, options = METHODS[method]
    exact, delayed = pair
    if method.startswith("Auto"):
        moves = (form_moves(run.normalized, run.accumulator, Constants().hyper_lr) for run in pair)
        bounds = bound_by_moves(exact.before, delayed.before, *moves)
    else:
        bounds = bound_by_hypergradients(exact.h, delayed.h, options["hyper_lr"])
    low, high = options["lr_min"], options["lr_max"]
    farthest: Vector = np.minimum(bounds, np.log(high / low) if is_log(method) else high - low)
    return farthest


def is_log(method: str) -> bool:
    """Whether a method adapts the logarithm of its rate."""
    return bool(METHODS[method][1].get("log_scale"))


def compare_descent(task: str, hyper_lr: float, lr: float, steps: int = STEPS) -> tuple[Pair, Vector, Vector]:
    """Both forms of SGDHD on a convex task, float64, with bounds of rates and points by its curvature."""
    problem = PROBLEMS[task]()

    def evaluate(thetas: list[Vector]) -> tuple[float, list[Vector]]:
        value, gradient = problem.value_and_gradient(thetas[0])
        return value, [gradient]

    def run(delay: int) -> Trace:
        theta = problem.x0.copy()
        opt = SGDHD([theta], lr=lr, hyper_lr=hyper_lr, device="numpy", delay=delay)
        return trace(opt, [theta], evaluate, delay, steps)

    exact, delayed = run(0), run(1)
    curvature = (problem.strong_convexity, problem.smoothness)
    rates, points = bound_by_curvature(exact.lr, exact.h, exact.norms, delayed.norms, hyper_lr, curvature)
    return Pair(exact, delayed), rates, points


class Course(NamedTuple):
    """What a figure shows of a pair, one entry per step."""

    loss: Vector
    delayed_loss: Vector
    lr: Vector
    delayed_lr: Vector
    distance: Vector  # of the rates, or of their logarithms
    bound: Vector  # of the distance


def follow(task: str, method: str) -> Course:
    """A cell: both forms of a method on a task."""
    pair = compare(task, method)
    exact, delayed = pair
    distance, bound = find_distance(method, pair), find_bound(method, pair)
    return Course(exact.loss, delayed.loss, exact.lr, delayed.lr, distance, bound)
