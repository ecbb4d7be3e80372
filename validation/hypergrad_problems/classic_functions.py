"""The test functions that every minimiser is tried on, with their gradients, starts and least values.

Sources: Rosenbrock 1960 (by SciPy); Beale 1958; Booth and Himmelblau as in Himmelblau 1972; Wood, Powell's singular
function and the starts of those from More, Garbow and Hillstrom 1981; the others are derived here.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import rosen, rosen_der

from hypergrad_reference.types import Vector


class Classic(NamedTuple):
    """A function to minimise."""

    fun: Callable[[Vector], tuple[float, Vector]]  # f and its gradient
    x0: tuple[float, ...]
    least: float  # min f


def rosenbrock(x: Vector) -> tuple[float, Vector]:
    """The sum of 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2."""
    return float(rosen(x)), rosen_der(x)


def beale(x: Vector) -> tuple[float, Vector]:
    """The sum over i = 1, 2, 3 of (c_i - a (1 - b^i))^2, c = 1.5, 2.25, 2.625."""
    a, b = x
    powers = np.array([1, 2, 3])
    residuals = np.array([1.5, 2.25, 2.625]) - a * (1 - b**powers)
    slopes = np.array([b**powers - 1, a * powers * b ** (powers - 1)])
    return float(residuals @ residuals), 2 * slopes @ residuals


def booth(x: Vector) -> tuple[float, Vector]:
    """(a + 2 b - 7)^2 + (2 a + b - 5)^2."""
    matrix = np.array([[1.0, 2.0], [2.0, 1.0]])
    residuals = matrix @ x - [7.0, 5.0]
    return float(residuals @ residuals), 2 * matrix @ residuals


def himmelblau(x: Vector) -> tuple[float, Vector]:
    """(a^2 + b - 11)^2 + (a + b^2 - 7)^2, four minima."""
    a, b = x
    u, v = a * a + b - 11, a + b * b - 7
    return float(u * u + v * v), 2 * np.array([2 * a * u + v, u + 2 * b * v])


def wood(x: Vector) -> tuple[float, Vector]:
    """Two functions of Rosenbrock, coupled."""
    a, b, c, d = x
    u, v = b - a * a, d - c * c
    p, q = b - 1, d - 1
    value = 100 * u * u + (1 - a) ** 2 + 90 * v * v + (1 - c) ** 2 + 10.1 * (p * p + q * q) + 19.8 * p * q
    gradient = [
        -400 * a * u - 2 * (1 - a), 200 * u + 20.2 * p + 19.8 * q, -360 * c * v - 2 * (1 - c),
        180 * v + 20.2 * q + 19.8 * p,
    ]  # fmt: skip
    return float(value), np.array(gradient)


def powell_singular(x: Vector) -> tuple[float, Vector]:
    """(a + 10 b)^2 + 5 (c - d)^2 + (b - 2 c)^4 + 10 (a - d)^4, whose Hessian is singular at the minimum."""
    a, b, c, d = x
    u, v, w, z = a + 10 * b, c - d, b - 2 * c, a - d
    gradient = [
        2 * u + 40 * z**3, 20 * u + 4 * w**3, 10 * v - 8 * w**3, -10 * v - 40 * z**3
    ]  # fmt: skip
    return float(u * u + 5 * v * v + w**4 + 10 * z**4), np.array(gradient)


def styblinski(x: Vector) -> tuple[float, Vector]:
    """The function of Styblinski and Tang around its deepest minimum: the mean of x^4 - 16 x^2 + 5 x."""
    return float(np.mean(x**4 - 16 * x**2 + 5 * x)), (4 * x**3 - 32 * x + 5) / x.size


def ill_conditioned(x: Vector) -> tuple[float, Vector]:
    """A quadratic whose curvatures run from 1 to 1e4, turned so that no axis is an eigenvector."""
    curvatures = np.geomspace(1.0, 1e4, x.size)
    normal = np.ones(x.size) / np.sqrt(x.size)
    mirrored = x - 2 * (normal @ x) * normal
    scaled = curvatures * mirrored
    return float(mirrored @ scaled) / 2, scaled - 2 * (normal @ scaled) * normal


def axis_aligned(x: Vector) -> tuple[float, Vector]:
    """A quadratic whose curvatures run from 1 to 1e4 along the axes."""
    scaled = np.geomspace(1.0, 1e4, x.size) * x
    return float(x @ scaled) / 2, scaled


def log_cosh(x: Vector) -> tuple[float, Vector]:
    """The sum of i log cosh(x_i): curved at 0, straight far away."""
    weights = np.arange(1.0, x.size + 1)
    return float(weights @ (np.logaddexp(x, -x) - np.log(2))), weights * np.tanh(x)


CLASSICS: dict[str, Classic] = {
    "Rosenbrock n=2": Classic(rosenbrock, (-1.2, 1.0), 0.0),
    "Rosenbrock n=10": Classic(rosenbrock, (-1.2, 1.0) * 5, 0.0),
    "Beale": Classic(beale, (1.0, 1.0), 0.0),
    "Booth": Classic(booth, (0.0, 0.0), 0.0),
    "Himmelblau": Classic(himmelblau, (0.0, 0.0), 0.0),
    "Wood": Classic(wood, (-3.0, -1.0, -3.0, -1.0), 0.0),
    "Powell": Classic(powell_singular, (3.0, -1.0, 0.0, 1.0), 0.0),
    "Styblinski n=4": Classic(styblinski, (-1.0, -2.0, -4.0, -0.5), -78.33233140754284),
    "ill-conditioned n=20": Classic(ill_conditioned, (1.0,) * 10 + (-1.0,) * 10, 0.0),
    "along the axes n=20": Classic(axis_aligned, (1.0,) * 20, 0.0),
    "log cosh n=10": Classic(log_cosh, (4.0,) * 10, 0.0),
}
