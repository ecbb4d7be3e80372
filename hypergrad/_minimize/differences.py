"""Derivatives that the user does not give, from differences of what is given.

    2-point    (f(x + h e) - f(x)) / h           h = eps^(1/2) max(1, |x|), away from 0
    3-point    (f(x + h e) - f(x - h e)) / 2 h   h = eps^(1/3) max(1, |x|)
    cs         Im f(x + i h e) / h               h = eps^(1/2) max(1, |x|)
    Hessian    (g(x + h v) - g(x - h v)) / 2 h   h = eps^(1/3) max(1, ||x||) / ||v||

e is a unit vector, |x| the entry of x along it. The steps are SciPy's.
"""

from collections.abc import Callable

import numpy as np

from hypergrad_reference.types import Vector

SCHEMES = ("2-point", "3-point", "cs")
"""Estimates of a gradient: forward differences, central ones, and the complex step."""

EPS = float(np.finfo(np.float64).eps)


def estimate_gradient(
    scheme: str, value: Callable[[Vector], float], imaginary: Callable[[Vector], float], x: Vector, base: float
) -> Vector:
    """The gradient at x by one of SCHEMES.

    value       f at a real point
    imaginary   the imaginary part of f at a complex point
    base        f(x), for 2-point

    >>> square = lambda x: float(x @ x)
    >>> estimate_gradient("3-point", square, square, np.array([1.0, -2.0]), 5.0).round(9)
    array([ 2., -4.])
    """
    gradient = np.empty_like(x)
    for i, entry in enumerate(x):
        h = EPS ** (1 / 3 if scheme == "3-point" else 1 / 2) * max(1.0, abs(entry))
        if scheme == "cs":
            gradient[i] = imaginary(_shift(x.astype(np.complex128), i, 1j * h)) / h
            continue
        ahead = _shift(x, i, -h if entry < 0 else h)
        behind = x if scheme == "2-point" else _shift(x, i, h if entry < 0 else -h)
        before = base if scheme == "2-point" else value(behind)
        gradient[i] = (value(ahead) - before) / (ahead[i] - behind[i])
    return gradient


def estimate_hessian_product(gradient: Callable[[Vector], Vector], x: Vector, v: Vector) -> Vector:
    """The Hessian at x times v, from two gradients.

    >>> estimate_hessian_product(lambda x: 4 * x**3, np.array([1.0, 2.0]), np.array([1.0, 0.5])).round(6)
    array([12., 24.])
    """
    length = float(np.linalg.norm(v))
    if length == 0:
        return np.zeros_like(x)
    h = EPS ** (1 / 3) * max(1.0, float(np.linalg.norm(x))) / length
    product: Vector = (gradient(x + h * v) - gradient(x - h * v)) / (2 * h)
    return product


def _shift(x: Vector, i: int, by: complex) -> Vector:
    shifted: Vector = x.copy()
    shifted[i] += by
    return shifted
