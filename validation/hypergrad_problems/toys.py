"""Toys that are not quadratic."""

# ruff: noqa: D102  (the methods are described once, in Problem)

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from hypergrad_problems.problem import Problem
from hypergrad_reference.types import Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class Rosenbrock(Problem):
    """f(x) = sum_i 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2, by SciPy."""

    def value(self, x: Vector) -> float:
        return float(optimize.rosen(x))

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        return self.value(x), optimize.rosen_der(x)

    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        return cast(Vector, optimize.rosen_hess_prod(x, v))


def rosenbrock(n: int = 2) -> Rosenbrock:
    """Rosenbrock's function in n >= 2 dimensions from (-1.2, 1, -1.2, 1, ...); minimum 0 at (1, ..., 1)."""
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n}")
    return Rosenbrock(
        name=f"Rosenbrock n={n}",
        x0=np.resize([-1.2, 1.0], n),
        smoothness=np.inf,
        strong_convexity=-np.inf,
        optimum=np.ones(n),
        optimal_value=0.0,
        source="Rosenbrock 1960",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Quartic(Problem):
    """f(x) = sum_i x_i^4: convex, but neither smooth nor strongly convex."""

    def value(self, x: Vector) -> float:
        return float((x**4).sum())

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        return self.value(x), 4 * x**3

    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        return 12 * x**2 * v


def quartic(n: int = 1) -> Quartic:
    """The sum of fourth powers in n dimensions from (1, ..., 1); minimum 0 at 0."""
    return Quartic(
        name=f"quartic n={n}",
        x0=np.ones(n),
        smoothness=np.inf,
        strong_convexity=0.0,
        optimum=np.zeros(n),
        optimal_value=0.0,
        source="derived here",
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Huber(Problem):
    """A convex, smooth function whose gradient is bounded, as Baydin et al. 2018, theorem 5.1 asks.

        f(x) = sum_i a_i phi(x_i),    phi(u) = u^2/2 for |u| <= delta, else delta (|u| - delta/2)

    weights    (n,)  a > 0
    threshold  delta > 0
    """

    weights: Vector
    threshold: float

    def value(self, x: Vector) -> float:
        return float(self.weights @ special.huber(self.threshold, x))

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        return self.value(x), self.weights * np.clip(x, -self.threshold, self.threshold)

    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        return self.weights * (np.abs(x) <= self.threshold) * v


def huber(weights: ArrayLike = (1.0, 0.1), threshold: float = 1.0, x0: ArrayLike = 5.0) -> Huber:
    """`Huber` from x0, an (n,) vector or one number for all entries; minimum 0 at 0.

    >>> huber([1.0, 2.0], threshold=0.5).value_and_gradient(np.array([2.0, -0.25]))
    (0.9375, array([ 0.5, -0.5]))
    """
    a = np.array(weights, dtype=np.float64)
    if a.ndim != 1 or not (a > 0).all() or not threshold > 0:
        raise ValueError(f"weights must be a vector of numbers > 0 and threshold > 0, got {weights!r} and {threshold}")
    return Huber(
        name=f"Huber n={a.size}",
        x0=np.broadcast_to(np.asarray(x0, dtype=np.float64), a.shape).copy(),
        smoothness=float(a.max()),
        strong_convexity=0.0,
        optimum=np.zeros(a.size),
        optimal_value=0.0,
        source="Huber 1964; for Baydin et al. 2018, theorem 5.1",
        weights=a,
        threshold=threshold,
    )
