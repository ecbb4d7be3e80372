"""Runs of TuningFreeAdamW on plain arrays."""

import math

import numpy as np

from hypergrad_reference.adamw_free import ADAMW_G, ADAMW_K, init, step
from hypergrad_reference.adamw_free_schedule import G, K
from hypergrad_reference.rule import Sums


def sums(grad_grad, grad_lag=math.nan, lag_lag=math.nan, step_step=0.0):
    return Sums(grad_grad=grad_grad, grad_lag=grad_lag, lag_lag=lag_lag, step_step=step_step)


FORMS = {"G": (G, ADAMW_G), "K": (K, ADAMW_K)}


def drive(gradient, points, steps, form="G", lr=1e-4, take=step, state=None):
    """Take steps along gradient(points, t), t from 0; the points, the state and the records."""
    constants, of_adamw = FORMS[form]
    state, records = state or init(points, lr), []
    for t in range(state.step, state.step + steps):
        points, state, record = take(points, gradient(points, t), state, constants, of_adamw)
        records.append(record)
    return points, state, records


def noisy_quadratic(points, t):
    """Curvatures from 1e-3 to 1, noise of a tenth."""
    rng = np.random.default_rng([3, t])
    return [
        np.asarray(np.geomspace(1e-3, 1, y.size).reshape(y.shape) * y + 0.1 * rng.standard_normal(y.shape), y.dtype)
        for y in points
    ]


def start(*sizes, dtype=np.float64):
    rng = np.random.default_rng(5)
    return [rng.standard_normal(n).astype(dtype) for n in sizes]
