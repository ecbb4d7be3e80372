"""The derivative of a direction of AdamW with respect to its beta1, from which AutoHypergradientAdamW may learn it."""

import numpy as np

from hypergrad_reference.adamw import ExactScalars, Moments
from hypergrad_reference.types import Vector


def direction_beta1_derivative(
    moments: Moments, scalars: ExactScalars, last_grad: Vector, last_beta1_power: float
) -> Vector:
    """The derivative of the direction of the latest step, s, with respect to the beta1 of that step.

    With pi_s = beta1 pi_{s-1} the product of the beta1 used so far, and m_{s-1} - g_s = (m_s - g_s) / beta1:

        dd/dbeta1 = [ (m - g)*p + m*q ] / (sqrt(u*i2) + eps)
        p = 1 / (beta1 (1 - pi_s)),   q = pi_{s-1} / (1 - pi_s)^2

    moments             after step s
    scalars             of step s, formed with beta1_power = pi_s; beta1 > 0
    last_grad           g_s, after grad_scale
    last_beta1_power    pi_{s-1}; 1 at the first step

    p and q are formed in float64 and rounded once. Source: derived here.

    >>> from hypergrad_reference.adamw import exact_scalars
    >>> scalars = exact_scalars(0.5, 0.5, 0.75, 1.0, 0.25, beta1_power=0.5, beta2_power=0.75)
    >>> moments = Moments(1, np.array([0.5, 1.5]), np.array([0.25, 2.25]))
    >>> direction_beta1_derivative(moments, scalars, np.array([1.0, 3.0]), 1.0)
    array([0., 0.])
    >>> direction_beta1_derivative(moments, scalars, np.array([0.5, 2.0]), 1.0)
    array([1., 1.])
    """
    u = moments.exp_avg_sq if moments.max_exp_avg_sq is None else moments.max_exp_avg_sq
    p, q = map(u.dtype.type, beta1_derivative_scalars(scalars.b1, last_beta1_power))
    i2, eps = u.dtype.type(scalars.i2), u.dtype.type(scalars.eps)
    return ((moments.exp_avg - last_grad) * p + moments.exp_avg * q) / (np.sqrt(u * i2) + eps)


def beta1_derivative_scalars(beta1: float, last_beta1_power: float) -> tuple[float, float]:
    """The scalars p and q of direction_beta1_derivative, in float64."""
    correction = 1 - beta1 * last_beta1_power
    return 1 / (beta1 * correction), last_beta1_power / correction**2
