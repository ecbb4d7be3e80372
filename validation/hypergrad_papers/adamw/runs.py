"""The AdamW family from initial rates over seven decades, on real data: what a wrong rate costs, and who recovers.

Full batch, float32, no weight decay, loops in NumPy. The rates are bounded by 1e-7 and 100, wider than the defaults, so
that the bounds leave room at either end of the sweep; everything else that is not said here is a default.
"""

from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from hypergrad import AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad_papers.baydin2018.mnist_runs import Words, initial_weights, loss_and_gradients
from hypergrad_problems.data import load
from hypergrad_problems.problem import Problem
from hypergrad_problems.set_models import mean_logistic
from hypergrad_problems.softmax import softmax_regression
from hypergrad_reference.adamw_auto import MOMENTUM_RULES, NORMALIZERS
from hypergrad_reference.types import Vector

RATES = tuple(10.0**power for power in range(-6, 2))
STEPS = 300
LAST = 10  # steps whose median loss counts as the loss at the end
HIDDEN = 32  # neurons of the network
REG = 1e-3  # of the two convex problems

_BOUNDS = {"lr_min": 1e-7, "lr_max": 100.0}
METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "AdamW": (AdamW, {}),
    "HypergradientAdamW": (HypergradientAdamW, {"hyper_lr": 1e-3, **_BOUNDS}),
    "HypergradientAdamW, log": (HypergradientAdamW, {"hyper_lr": 1e-1, "log_scale": True, **_BOUNDS}),
} | {
    f"Auto, {normalization}" + (f", beta1 by {rule}" if rule else ""): (
        AutoHypergradientAdamW,
        {
            "normalization": normalization,
            **({"adapt_momentum": True, "momentum_rule": rule} if rule else {}),
            **_BOUNDS,
        },
    )
    for normalization in NORMALIZERS
    for rule in (None, *MOMENTUM_RULES)
}
"""Every method by its name, with its options; Auto is AutoHypergradientAdamW."""


class Task(NamedTuple):
    """What is trained."""

    start: list[Vector]
    evaluate: Callable[[list[Vector]], tuple[float, list[Vector]]]  # loss and gradients


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "logistic": cache(lambda: mean_logistic(load("breast_cancer"), reg=REG)),
    "softmax": cache(lambda: softmax_regression(load("digits"), reg=REG)),
}
"""The convex tasks."""
TASKS = (*PROBLEMS, "mlp")


def _evaluate(thetas: list[Vector], problem: Problem) -> tuple[float, list[Vector]]:
    value, gradient = problem.value_and_gradient(thetas[0].astype(np.float64))
    return value, [gradient]


@cache
def open_task(name: str) -> Task:
    """Logistic (breast_cancer), softmax (digits) or mlp (digits, one hidden layer of rectifiers)."""
    if name in PROBLEMS:
        problem = PROBLEMS[name]()
        return Task([problem.x0.astype(np.float32)], partial(_evaluate, problem=problem))
    if name == "mlp":
        digits = load("digits")
        x, labels = digits.features.astype(np.float32), digits.labels.astype(np.uint8)
        widths = (x.shape[1], HIDDEN, 10)
        return Task(initial_weights(Words(1), widths), partial(loss_and_gradients, x=x, labels=labels))
    raise ValueError(f"name is {name!r}: give one of {', '.join(TASKS)}")


class Ending(NamedTuple):
    """Where a run ended."""

    loss: float  # median over the last steps
    lr: float


def run_from(task: str, method: str, lr: float, steps: int = STEPS) -> Ending:
    """A cell: one run from one initial rate."""
    start, evaluate = open_task(task)
    thetas = [theta.copy() for theta in start]
    make, options = METHODS[method]
    opt = make(thetas, lr=lr, weight_decay=0.0, device="numpy", **options)
    losses: list[float] = []
    for _ in range(steps):
        loss, gradients = evaluate(thetas)
        losses.append(loss)
        opt.step(gradients=gradients)
    losses.append(evaluate(thetas)[0])
    return Ending(float(np.median(losses[-LAST:])), opt.current_lr)
