"""Softmax regression."""

# ruff: noqa: D102  (the methods are described once, in Problem)

from dataclasses import dataclass
from typing import cast

import numpy as np
from scipy import special

from hypergrad_problems.data import Dataset
from hypergrad_problems.linear_models import check_reg, largest_gram_eigenvalue
from hypergrad_problems.problem import Problem
from hypergrad_reference.types import Vector


@dataclass(frozen=True, kw_only=True, eq=False)
class Softmax(Problem):
    """Softmax regression, a mean, with the biases regularised like every other weight.

        f(W) = 1/m sum_i ( log sum_c exp(Z_ic) - Z_{i y_i} ) + reg/2 |W|^2,    Z = A W,    row i of A = (x_i, 1)

    x is W (features + 1, classes) by rows.

    rows     (m, features + 1)  A
    targets  (m, classes)       1 where c = y_i, else 0
    reg      >= 0
    """

    rows: Vector
    targets: Vector
    reg: float

    def value(self, x: Vector) -> float:
        return self._value_and_log_probabilities(x)[0]

    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        value, log_probabilities = self._value_and_log_probabilities(x)
        gradient = self.rows.T @ (np.exp(log_probabilities) - self.targets) / len(self.rows)
        return value, gradient.ravel() + self.reg * x

    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        probabilities = np.exp(self._value_and_log_probabilities(x)[1])
        change = self.rows @ self._weights(v)
        centred = probabilities * (change - (probabilities * change).sum(axis=1, keepdims=True))
        return cast(Vector, (self.rows.T @ centred / len(self.rows)).ravel() + self.reg * v)

    def _weights(self, x: Vector) -> Vector:
        return x.reshape(-1, self.targets.shape[1])

    def _value_and_log_probabilities(self, x: Vector) -> tuple[float, Vector]:
        log_probabilities = special.log_softmax(self.rows @ self._weights(x), axis=1)
        return float(-np.vdot(self.targets, log_probabilities)) / len(self.rows) + self.reg / 2 * float(
            x @ x
        ), log_probabilities


def softmax_regression(dataset: Dataset, reg: float = 0.0) -> Softmax:
    """Softmax regression on dense data from W = 0, with L = sigma_max(A)^2 / (2 m) + reg.

    The Hessian of log sum exp is at most 1/2, which it reaches where two classes share the probability; with the biases
    that happens in every row at once, so that no smaller L serves for all W (derived here).
    """
    rows = np.hstack([dataset.features, np.ones((len(dataset.labels), 1))])
    targets = (dataset.labels[:, None] == np.unique(dataset.labels)).astype(np.float64)
    return Softmax(
        name=f"softmax {dataset.name}",
        x0=np.zeros(rows.shape[1] * targets.shape[1]),
        smoothness=largest_gram_eigenvalue(rows) / (2 * len(rows)) + reg,
        strong_convexity=check_reg(reg),
        source=dataset.source,
        rows=rows,
        targets=targets,
        reg=reg,
    )
