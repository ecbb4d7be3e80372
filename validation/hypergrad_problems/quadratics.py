"""Quadratics with a given spectrum, the toys whose trajectories are known, and least squares."""

# ruff: noqa: D102  (the methods are described once, in Problem)

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg

from hypergrad_problems.problem import Problem
from hypergrad_reference.types import Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class Quadratic(Problem):
    """f(x) = 1/2 <x - c, H (x - c)> + f_c.

    hessian  (n, n), or (n,) for a diagonal H
    center   (n,)  c, where the gradient vanishes
    offset   f_c = f(c)
    """

    hessian: Vector
    center: Vector
    offset: float

    def value(self, x: Vector) -> float:
        d = x - self.center
        return float(d @ self._times(d)) / 2 + self.offset

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        d = x - self.center
        gradient = self._times(d)
        return float(d @ gradient) / 2 + self.offset, gradient

    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        return self._times(v)

    def _times(self, v: Vector) -> Vector:
        return self.hessian * v if self.hessian.ndim == 1 else self.hessian @ v


def quadratic(
    spectrum: ArrayLike,
    *,
    rotation: Vector | None = None,
    optimum: ArrayLike = 0.0,
    optimal_value: float = 0.0,
    x0: ArrayLike = 1.0,
    name: str = "quadratic",
    source: str = "any quadratic",
) -> Quadratic:
    """The quadratic with the Hessian H = Q diag(spectrum) Q^T.

        f(x) = 1/2 <x - x*, H (x - x*)> + f* = 1/2 <x, H x> - <H x*, x> + constant

    spectrum       (n,)    the eigenvalues, of any sign; with a negative one x* is the saddle
    rotation       (n, n)  Q, orthogonal; None is the identity and keeps H a vector
    optimum        (n,)    x*, or one number for all entries; a linear term b is x* = H^{-1} b
    optimal_value          f*
    x0             (n,)    the start, or one number for all entries

    >>> problem = quadratic([2.0, 4.0], optimum=1.0, optimal_value=-3.0, x0=0.0)
    >>> problem.value_and_gradient(np.array([0.0, 2.0]))
    (0.0, array([-2.,  4.]))
    """
    eigenvalues = np.array(spectrum, dtype=np.float64)
    if eigenvalues.ndim != 1 or not eigenvalues.size or not np.isfinite(eigenvalues).all():
        raise ValueError(f"spectrum must be a non-empty vector of finite numbers, got {spectrum!r}")
    hessian = eigenvalues if rotation is None else (rotation * eigenvalues) @ rotation.T
    lowest, bounded = float(eigenvalues.min()), bool((eigenvalues >= 0).all())
    center = np.broadcast_to(np.asarray(optimum, dtype=np.float64), eigenvalues.shape).copy()
    return Quadratic(
        name=name,
        x0=np.broadcast_to(np.asarray(x0, dtype=np.float64), eigenvalues.shape).copy(),
        smoothness=float(np.abs(eigenvalues).max()),
        strong_convexity=lowest,
        optimum=center if bounded else None,
        optimal_value=optimal_value if bounded else -np.inf,
        source=source,
        hessian=hessian if rotation is None else (hessian + hessian.T) / 2,
        center=center,
        offset=optimal_value,
    )


def random_rotation(n: int, seed: int = 0) -> Vector:
    """An orthogonal (n, n) matrix: Q of the QR decomposition of a standard normal matrix from default_rng(seed)."""
    return cast(Vector, np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0])


def scalar_quadratic(a: float = 2.0, x0: float = 1.5) -> Quadratic:
    """f(x) = a/2 x^2, n = 1, on which the methods' trajectories are known in closed form."""
    return quadratic([a], x0=x0, name=f"scalar quadratic a={a:g}", source="closed forms, derived here")


def hdm_toy() -> Quadratic:
    """The quadratic x_1^2 + 2 x_2^2 - 2 x_1 - 4 x_2 from (0, 0); minimum -3 at (1, 1)."""
    return quadratic(
        [2.0, 4.0],
        optimum=1.0,
        optimal_value=-3.0,
        x0=0.0,
        name="HDM toy",
        source="Chu et al. 2025 (HDM), authors' code, self-tests",
    )


def spike_toy() -> Quadratic:
    """The quadratic 1/2 (x_1^2 + 0.01 x_2^2) from (1, 1), on which HDM with one rate spikes (not the paper's)."""
    return quadratic([1.0, 0.01], name="spike toy", source="derived here")


@dataclass(frozen=True, kw_only=True, eq=False)
class LeastSquares(Problem):
    """f(x) = 1/2 |A x - b|^2, with A (m, n) dense and b (m,)."""

    matrix: Vector
    target: Vector

    def value(self, x: Vector) -> float:
        residual = self.matrix @ x - self.target
        return float(residual @ residual) / 2

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        residual = self.matrix @ x - self.target
        return float(residual @ residual) / 2, self.matrix.T @ residual

    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        return cast(Vector, self.matrix.T @ (self.matrix @ v))


def least_squares(matrix: Vector, target: Vector, x0: Vector, *, name: str, source: str) -> LeastSquares:
    """f(x) = 1/2 |A x - b|^2 for an invertible A, whose least value is therefore 0."""
    singular_values = linalg.svdvals(matrix)
    return LeastSquares(
        name=name,
        x0=x0,
        smoothness=float(singular_values[0]) ** 2,
        strong_convexity=float(singular_values[-1]) ** 2,
        optimum=linalg.solve(matrix, target),
        optimal_value=0.0,
        source=source,
        matrix=matrix,
        target=target,
    )
