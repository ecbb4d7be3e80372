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


class Tower(NamedTuple):
    """The rates of all levels; scalars in float64."""

    rates: tuple[float, ...]  # k^1_t = alpha_t, k^2_t = beta_t, ..., k^N
    slopes: tuple[float, ...]  # D^1_t, ..., D^{N-1}_t


def build(rates: Sequence[float]) -> Tower:
    """The tower before the first step; rates are alpha_0, beta_0, ..., the last constant, each finite.

    >>> build([0.5, 0.25])
    Tower(rates=(0.5, 0.25), slopes=(0.0,))
    """
    if not rates or not all(map(math.isfinite, rates)):
        raise ValueError(f"rates is {rates}: give the rate and the rates above it, finite numbers")
    return Tower(tuple(rates), (0.0,) * (len(rates) - 1))


def schedule_tower(tower: Tower, sums: Sums | None) -> Tower:
    """The next rates of all levels.

    tower    of step t-1
    sums     of step t; None means D^n_t = 0, which moves nothing

    Returns the tower of step t; NaN and inf pass through.

    >>> tower = Tower((0.5, 0.25, 0.125), (-2.0, 0.0))
    >>> schedule_tower(tower, Sums(4.0, 0.0, 0.0))
    Tower(rates=(5.5, 1.25, 0.125), slopes=(-4.0, -8.0))
    """
    *_, top = tower.rates
    slope = 0.0 if sums is None else -sums.grad_direction
    slopes = []
    for before in tower.slopes:
        slopes.append(slope)
        slope = -slope * before
    rates = [top]
    for rate, slope in zip(tower.rates[-2::-1], reversed(slopes), strict=True):
        rates.append(rate - rates[-1] * slope)
    return Tower(tuple(reversed(rates)), tuple(slopes))


def step_sgd(
    thetas: Sequence[Vector], grads: Sequence[Vector | None], kept: Sequence[sgd_hd.Kept], tower: Tower
) -> tuple[list[Vector], list[sgd_hd.Kept], Tower]:
    """One step of SGD-HD whose hyper_lr is adapted as well, to the height of the tower.

        beta_t  = beta_{t-1} + kappa <g_t, g_{t-1}> <g_{t-1}, g_{t-2}>
        alpha_t = alpha_{t-1} + beta_t <g_t, g_{t-1}>
        theta_t = theta_{t-1} - alpha_t g_t

    kept     of `sgd_hd.init(thetas, lr).kept`, or from the step before
    tower    of `build`, or from the step before; the equations are those of three levels

    Other arguments and errors as in `sgd_hd.step`.

    >>> import numpy as np
    >>> thetas, tower = [np.array([4.0, -1.0])], build([0.5, 0.25, 0.125])
    >>> kept = sgd_hd.init(thetas, 0.5).kept
    >>> for grad in ([1.0, 0.0], [2.0, 1.0], [0.5, -2.0]):
    ...     thetas, kept, tower = step_sgd(thetas, [np.array(grad)], kept, tower)
    >>> tower, thetas
    (Tower(rates=(1.0, 0.0, 0.125), slopes=(1.0, 2.0)), [array([1., 0.])])
    """
    tower = schedule_tower(tower, sgd_hd.sums(thetas, grads, kept))
    thetas, kept = sgd_hd.apply(thetas, grads, kept, tower.rates[0])
    return thetas, kept, tower
