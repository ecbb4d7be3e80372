"""Linear models: a loss of the margins, a product with the data and one with its transpose per value and gradient."""

# ruff: noqa: D102  (the methods are described once, in Problem and LinearModel)

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from scipy import linalg, sparse, special
from scipy.sparse.linalg import LinearOperator, eigsh

from hypergrad_problems.problem import Problem
from hypergrad_reference.types import Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearModel(Problem):
    """A loss of the margins, with the bias regularised like every other weight.

        f(w) = scale sum_i phi(t_i) + reg/2 |w|^2,    t = B w,    row i of B = y_i (x_i, bias)

    rows                 (m, n)  B, a scipy.sparse.csr_array or an ndarray, n = features + 1
    scale                1 for the sum, 1/m for the mean
    reg                  >= 0
    smoothness_estimate  sigma_max((x_i, bias)_i)^2 + reg, the L that the authors' drivers hand to every method
    """

    rows: Any
    scale: float
    reg: float
    smoothness_estimate: float

    @cached_property
    def columns(self) -> Any:
        """B^T, (n, m), by rows: its product then gathers instead of scattering."""
        return self.rows.T.tocsr() if sparse.issparse(self.rows) else self.rows.T

    @staticmethod
    @abstractmethod
    def loss(margins: Vector) -> float:
        """Sum_i phi(t_i)."""

    @staticmethod
    @abstractmethod
    def slope(margins: Vector) -> Vector:
        """phi'(t_i), (m,)."""

    @classmethod
    def loss_and_slope(cls, margins: Vector) -> tuple[float, Vector]:
        """The value and the gradient, sharing what they can."""
        return cls.loss(margins), cls.slope(margins)

    @staticmethod
    @abstractmethod
    def curvature(margins: Vector) -> Vector:
        """phi''(t_i), (m,)."""

    def value(self, x: Vector) -> float:
        return self._complete(x, self.loss(self.rows @ x))

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        loss, slope = self.loss_and_slope(self.rows @ x)
        return self._complete(x, loss), self.scale * (self.columns @ slope) + self.reg * x

    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        weighted = self.curvature(self.rows @ x) * (self.rows @ v)
        return cast(Vector, self.scale * (self.columns @ weighted) + self.reg * v)

    def _complete(self, x: Vector, loss: float) -> float:
        return self.scale * loss + self.reg / 2 * float(x @ x)


class SmoothedSVM(LinearModel):
    """phi(t) = 1/2 max(0, 1 - t)^2; at t = 1, where phi'' jumps, `curvature` is 0."""

    @staticmethod
    def loss(margins: Vector) -> float:
        shortfall = np.maximum(0.0, 1.0 - margins)
        return float(shortfall @ shortfall) / 2

    @staticmethod
    def slope(margins: Vector) -> Vector:
        return cast(Vector, np.minimum(0.0, margins - 1.0))

    @classmethod
    def loss_and_slope(cls, margins: Vector) -> tuple[float, Vector]:
        slope = cls.slope(margins)  # less the shortfall, so that its square is the loss
        return float(slope @ slope) / 2, slope

    @staticmethod
    def curvature(margins: Vector) -> Vector:
        return (margins < 1.0).astype(np.float64)


class Logistic(LinearModel):
    """phi(t) = log(1 + exp(-t)), for any margin without overflow and without loss of digits."""

    @staticmethod
    def loss(margins: Vector) -> float:
        return float(np.logaddexp(0.0, -margins).sum())

    @staticmethod
    def slope(margins: Vector) -> Vector:
        return cast(Vector, -special.expit(-margins))

    @staticmethod
    def curvature(margins: Vector) -> Vector:
        return cast(Vector, special.expit(margins) * special.expit(-margins))


def smoothed_svm(
    features: Any,
    labels: Vector,
    *,
    reg: float = 0.0,
    x0: Vector | None = None,
    name: str = "smoothed SVM",
    source: str = "given data",
) -> SmoothedSVM:
    """The squared hinge loss as the authors of HDM and OSGM code it: a sum, with a bias column of -1.

        f(w) = 1/2 sum_i max(0, 1 - y_i <(x_i, -1), w>)^2 + reg/2 |w|^2

    features   (m, n - 1)  dense or sparse
    labels     (m,)        y, used as they are: 0 makes a row a constant 1/2, 2 doubles it
    x0         (n,)        the start; None is 0
    """
    rows = _signed_rows(features, labels, bias=-1.0)
    smoothness = largest_gram_eigenvalue(rows) + reg
    return SmoothedSVM(
        name=name,
        x0=np.zeros(rows.shape[1]) if x0 is None else x0,
        smoothness=smoothness,
        strong_convexity=check_reg(reg),
        source=source,
        rows=rows,
        scale=1.0,
        reg=reg,
        smoothness_estimate=smoothness,
    )


def logistic(
    features: Any,
    labels: Vector,
    *,
    reg: float = 0.0,
    mean: bool = False,
    x0: Vector | None = None,
    name: str = "logistic regression",
    source: str = "given data",
) -> Logistic:
    """Binary logistic regression with a bias column of +1: a sum, as the authors of HDM and OSGM code it, or a mean.

        f(w) = scale sum_i log(1 + exp(-y_i <(x_i, 1), w>)) + reg/2 |w|^2,   L = scale/4 sigma_max(B)^2 + reg

    features   (m, n - 1)  dense or sparse
    labels     (m,)        y, used as they are: 0 makes a row a constant log 2, 2 doubles it
    mean                   scale is 1/m instead of 1
    x0         (n,)        the start; None is 0
    """
    rows = _signed_rows(features, labels, bias=1.0)
    scale = 1.0 / len(labels) if mean else 1.0
    unsigned = largest_gram_eigenvalue(_signed_rows(features, np.ones(len(labels)), bias=1.0))
    return Logistic(
        name=name,
        x0=np.zeros(rows.shape[1]) if x0 is None else x0,
        smoothness=scale * largest_gram_eigenvalue(rows) / 4 + reg,
        strong_convexity=check_reg(reg),
        source=source,
        rows=rows,
        scale=scale,
        reg=reg,
        smoothness_estimate=scale * unsigned + reg,
    )


def _signed_rows(features: Any, labels: Vector, bias: float) -> Any:
    """B, whose row i is y_i (x_i, bias); CSR if the features are sparse."""
    m = features.shape[0]
    if labels.shape != (m,):
        raise ValueError(f"labels must have one entry per row of features, ({m},), got shape {labels.shape}")
    column = np.full((m, 1), bias)
    if sparse.issparse(features):
        return sparse.csr_array(sparse.diags_array(labels) @ sparse.hstack([features, column], format="csr"))
    return labels[:, None] * np.hstack([np.asarray(features, dtype=np.float64), column])


def check_reg(reg: float) -> float:
    """The same number, if it is finite and not negative; ValueError otherwise."""
    if not 0 <= reg < np.inf:
        raise ValueError(f"reg must be finite and >= 0, got {reg}")
    return reg


def largest_gram_eigenvalue(matrix: Any, dense_up_to: int = 2000) -> float:
    """sigma_max(A)^2, the largest eigenvalue of A^T A and of A A^T, the same in every run.

    By a dense solver on the smaller of the two if its side is at most dense_up_to, else by ARPACK to full precision
    from a fixed start vector.

    matrix   (m, n) A, dense or sparse

    >>> largest_gram_eigenvalue(np.array([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]]))
    9.0
    """
    m, n = matrix.shape
    wide = matrix if m <= n else matrix.T
    if min(m, n) > dense_up_to:
        gram = LinearOperator((min(m, n),) * 2, matvec=lambda v: wide @ (wide.T @ v), dtype=np.float64)
        return float(eigsh(gram, k=1, v0=np.ones(min(m, n)), return_eigenvectors=False)[0])
    product = wide @ wide.T
    gram = product.toarray() if sparse.issparse(product) else product
    return float(linalg.eigvalsh(gram, subset_by_index=[min(m, n) - 1] * 2)[0])
