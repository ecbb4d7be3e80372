"""Hypergradients of higher order: the hypergradient learning rate is adapted too, and its rate, and so on.

    k^1 = alpha, k^2 = beta, ..., k^N constant
    D^1_t     = h_t = -<g_t, d_{t-1}>
    D^{n+1}_t = -D^n_t D^n_{t-1}                 derivative of the loss at t for k^{n+1}_{t-1}
    k^n_t     = k^n_{t-1} - k^{n+1}_t D^n_t      from the top down, then theta with k^1_t

N = 2 is the additive rule. Level n has 2^n gradients as factors, so its size changes brutally with the level.
Source: Baydin et al. 2018, section 5.2, has the idea in words and no formula; the formulas are derived here.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from hypergrad_reference import sgd_hd
from hypergrad_reference.rule import Sums
from hypergrad_reference.types import Vector


class Levels(NamedTuple):
    """The rates of all levels; scalars in float64."""

    rates: tuple[float, ...]  # k^1_t = alpha_t, k^2_t = beta_t, ..., k^N
    slopes: tuple[float, ...]  # D^1_t, ..., D^{N-1}_t


def build(rates: Sequence[float]) -> Levels:
    """The levels before the first step; rates are alpha_0, beta_0, ..., the last constant, each finite.

    >>> build([0.5, 0.25])
    Levels(rates=(0.5, 0.25), slopes=(0.0,))
    """
    if not rates or not all(map(math.isfinite, rates)):
        raise ValueError(f"rates is {rates}: give the rate and the rates above it, finite numbers")
    return Levels(tuple(rates), (0.0,) * (len(rates) - 1))


def schedule_levels(levels: Levels, sums: Sums | None) -> Levels:
    """The next rates of all levels.

    levels    of step t-1
    sums     of step t; None means D^n_t = 0, which moves nothing

    Returns the levels of step t; NaN and inf pass through.

    >>> levels = Levels((0.5, 0.25, 0.125), (-2.0, 0.0))
    >>> schedule_levels(levels, Sums(4.0, 0.0, 0.0))
    Levels(rates=(5.5, 1.25, 0.125), slopes=(-4.0, -8.0))
    """
    *_, top = levels.rates
    slope = 0.0 if sums is None else -sums.grad_direction
    slopes = []
    for before in levels.slopes:
        slopes.append(slope)
        slope = -slope * before
    rates = [top]
    for rate, slope in zip(levels.rates[-2::-1], reversed(slopes), strict=True):
        rates.append(rate - rates[-1] * slope)
    return Levels(tuple(reversed(rates)), tuple(slopes))


def step_sgd(
    thetas: Sequence[Vector], grads: Sequence[Vector | None], kept: Sequence[sgd_hd.Kept], levels: Levels
) -> tuple[list[Vector], list[sgd_hd.Kept], Levels]:
    """One step of SGD-HD whose hyper_lr is adapted as well, to the height of the levels.

        beta_t  = beta_{t-1} + kappa <g_t, g_{t-1}> <g_{t-1}, g_{t-2}>
        alpha_t = alpha_{t-1} + beta_t <g_t, g_{t-1}>
        theta_t = theta_{t-1} - alpha_t g_t

    kept     of `sgd_hd.init(thetas, lr).kept`, or from the step before
    levels    of `build`, or from the step before; the equations are those of three levels

    Other arguments and errors as in `sgd_hd.step`.

    >>> import numpy as np
    >>> thetas, levels = [np.array([4.0, -1.0])], build([0.5, 0.25, 0.125])
    >>> kept = sgd_hd.init(thetas, 0.5).kept
    >>> for grad in ([1.0, 0.0], [2.0, 1.0], [0.5, -2.0]):
    ...     thetas, kept, levels = step_sgd(thetas, [np.array(grad)], kept, levels)
    >>> levels, thetas
    (Levels(rates=(1.0, 0.0, 0.125), slopes=(1.0, 2.0)), [array([1., 0.])])
    """
    levels = schedule_levels(levels, sgd_hd.sums(thetas, grads, kept))
    thetas, kept = sgd_hd.apply(thetas, grads, kept, levels.rates[0])
    return thetas, kept, levels
