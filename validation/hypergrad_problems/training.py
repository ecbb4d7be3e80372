"""Train on a problem with an optimizer and keep what it did, for figures and verdicts."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from hypergrad_problems.problem import Problem
from hypergrad_reference.types import Vector


class Run(NamedTuple):
    """One run of an optimizer."""

    loss: Vector  # (steps + 1,) float64, before the first step and after each
    lr: Vector  # (steps + 1,) float64, the rate at first and after each step
    theta: Vector  # (n,) where it ended, dtype of the run
    device: str  # who ran the loops


def train(make: Callable[..., Any], problem: Problem, steps: int, dtype: DTypeLike = np.float32, **options: Any) -> Run:
    """Take full-batch steps from the problem's start.

    make       an optimizer class of hypergrad
    options    of its constructor

    Loss and gradient are evaluated in float64 at the parameters of the run, which are rounded to dtype.
    """
    theta = problem.x0.astype(dtype)
    opt = make([theta], **options)
    losses, rates = np.empty(steps + 1), np.empty(steps + 1)
    for step in range(steps + 1):
        losses[step], gradient = problem.value_and_gradient(theta.astype(np.float64))
        rates[step] = opt.current_lr
        if step < steps:
            opt.step(gradients=[gradient])
    return Run(losses, rates, theta, opt.device)


def have_equal_bits(run: Run, other: Run) -> bool:
    """Whether two runs have the same bits: losses, rates and parameters."""
    return all(
        mine.dtype == theirs.dtype and mine.tobytes() == theirs.tobytes()
        for mine, theirs in zip(run[:3], other[:3], strict=True)
    )
