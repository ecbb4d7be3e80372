"""Problems to minimise: each knows its value, derivatives, start, constants, optimum and source.

Every problem meets `hypergrad_reference.objective.TwiceDifferentiable`. The value and the gradient together cost one
product with the data and one with its transpose; all arithmetic is float64; arrays of a problem are read-only.
"""

# ruff: noqa: D102  (the methods are described once, in Problem and LinearModel)

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg, optimize, sparse, special
from scipy.sparse.linalg import LinearOperator, eigsh

from hypergrad_problems.data import Dataset
from hypergrad_reference.types import Vector

AUTHORS_SEED = 20250128
"""The seed of the published HDM-Best runs (authors' code); the OSGM-Best scripts use 20250701."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem(ABC):
    """A function f: R^n -> R to minimise.

    x0                (n,)  the start
    smoothness        L, the smallest known Lipschitz constant of the gradient; inf if there is none
    strong_convexity  mu, the largest known number such that f - mu/2 |x|^2 is convex; 0 if f is merely convex, negative
                      if it is not, -inf if there is none
    optimum           (n,)  a minimiser, None if unknown
    optimal_value     min f, None if unknown, -inf if f is unbounded below
    source            where the problem comes from
    """

    name: str
    x0: Vector
    smoothness: float
    strong_convexity: float
    optimum: Vector | None = None
    optimal_value: float | None = None
    source: str

    def __post_init__(self) -> None:
        for array in (self.x0, self.optimum):
            if array is not None:
                array.setflags(write=False)

    @abstractmethod
    def value(self, x: Vector) -> float:
        """f(x); x is (n,)."""

    @abstractmethod
    def value_and_gradient(self, x: Vector) -> tuple[float, Vector]:
        """f(x) and its gradient, sharing what the two have in common."""

    @abstractmethod
    def hessian_product(self, x: Vector, v: Vector) -> Vector:
        """The Hessian of f at x times v; x, v and the result are (n,)."""

    def gradient(self, x: Vector) -> Vector:
        """The gradient of f at x, shape (n,)."""
        return self.value_and_gradient(x)[1]


# Quadratics


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


TOY_KAPPA, TOY_KAPPA_STAR, TOY_GAP = 67.54, 4.69, 10**0.197
"""Of the near-diagonal toy: the panel's title, and its first gap as read off the curves (figure 1)."""

COLT_CONDITION_NUMBERS = {1e-4: 32443.53, 1e-3: 24468.83, 1e-2: 4611.81, 1e-1: 120.87}
"""The condition numbers of A^T A by sigma in the panel titles of Gao et al. 2025 (COLT), figure 2."""


def matched_least_squares(sigma: float, seed: int = 0) -> LeastSquares:
    """An instance like that of Gao et al. 2025 (COLT), figure 2, with its condition numbers, for any seed.

        f(x) = 1/2 |A x - b|^2,   A = C D C^T + sigma I,   C = I + 0.01 N(0, 1),   D = diag(U[0, 1]),   n = 100

    The published draw cannot be had outside MATLAB. The four published condition numbers of A^T A are those of one base
    matrix C D C^T, whose extreme eigenvalues follow from two of them (derived here); D is moved affinely until C D C^T
    has these. The condition number kappa* after the best diagonal scaling still varies with the seed.

    sigma   1e-4, 1e-3, 1e-2 and 1e-1 in the paper
    seed    of numpy.random.default_rng, which draws C, D, b ~ U[0, 1] and x0 ~ N(0, I) in this order; x0 has length 1
    """
    rng, n = np.random.default_rng(seed), 100
    C = np.eye(n) + 0.01 * rng.standard_normal((n, n))
    d = rng.random(n)
    target = rng.random(n)
    x0 = rng.standard_normal(n)
    lowest, highest = _published_extremes()
    # C is nearly orthogonal, so an affine map of d moves the spectrum of C D C^T nearly alike: a fast fixed point.
    for _ in range(100):
        base = (C * d) @ C.T
        eigenvalues = linalg.eigvalsh((base + base.T) / 2)
        slope = (highest - lowest) / (eigenvalues[-1] - eigenvalues[0])
        moved = lowest + slope * (d - eigenvalues[0])
        if np.abs(moved - d).max() < 1e-15:
            break
        d = moved
    else:
        raise ArithmeticError(f"the spectrum of C D C^T did not settle for seed {seed}; take another seed")
    return least_squares(
        (base + base.T) / 2 + sigma * np.eye(n),
        target,
        x0 / np.linalg.norm(x0),
        name=f"matched least squares sigma={sigma:g} seed={seed}",
        source="Gao et al. 2025 (COLT), appendix B and figure 2; matched instance derived here",
    )


def _published_extremes() -> tuple[float, float]:
    """The extreme eigenvalues l, u of C D C^T, from sqrt(kappa) = (u + sigma) / (l + sigma) at two published sigma."""
    (s1, k1), (s2, k2) = list(COLT_CONDITION_NUMBERS.items())[:2]
    r1, r2 = np.sqrt(k1), np.sqrt(k2)
    lowest = (s2 - s1 - (r2 * s2 - r1 * s1)) / (r2 - r1)
    return float(lowest), float(r1 * (lowest + s1) - s1)


def near_diagonal(seed: int = 0) -> Quadratic:
    """A quadratic like the toy of Gao et al. 2025 (COLT), figure 1, whose generator is not given.

        H = S R S,   R = Q diag(lambda) Q^T,   S = diag(exp(t u)),   n = 32

    It has the three published numbers: kappa = 67.54, kappa* = 4.69 and the first gap, 10^0.197. Q is orthogonal with
    entries +-1/sqrt n, so that R has a constant diagonal and its extreme eigenvectors have entries of equal size, at
    which no diagonal scaling improves kappa(R): kappa* = max lambda / min lambda (derived here). t makes kappa.

    seed    of numpy.random.default_rng, which draws lambda ~ U[1, 4.69], u ~ U[-1, 1], x* and x0 - x* ~ N(0, I)
    """
    rng, n = np.random.default_rng(seed), 32
    spectrum = 1 + (TOY_KAPPA_STAR - 1) * rng.random(n)
    spectrum[:2] = 1.0, TOY_KAPPA_STAR
    Q = linalg.hadamard(n)[:, rng.permutation(n)] / np.sqrt(n)
    R = (Q * spectrum) @ Q.T
    u = 2 * rng.random(n) - 1

    def scale(t: float) -> Vector:
        return cast(Vector, np.exp(t * u)[:, None] * R * np.exp(t * u))

    t = optimize.brentq(lambda t: np.linalg.cond(scale(t)) - TOY_KAPPA, 0.0, 5.0, xtol=1e-14)
    hessian = scale(t)
    eigenvalues = linalg.eigvalsh(hessian)
    hessian, eigenvalues = hessian / eigenvalues[-1], eigenvalues / eigenvalues[-1]
    center, offset = rng.standard_normal((2, n))
    offset *= np.sqrt(2 * TOY_GAP / (offset @ hessian @ offset))
    return Quadratic(
        name=f"near-diagonal quadratic seed={seed}",
        x0=center + offset,
        smoothness=float(eigenvalues[-1]),
        strong_convexity=float(eigenvalues[0]),
        optimum=center,
        optimal_value=0.0,
        source="Gao et al. 2025 (COLT), figure 1; matched instance derived here",
        hessian=(hessian + hessian.T) / 2,
        center=center,
        offset=0.0,
    )


# Linear models: a function of the margins


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
        """Both, sharing what they can."""
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
        strong_convexity=_checked_reg(reg),
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
        strong_convexity=_checked_reg(reg),
        source=source,
        rows=rows,
        scale=scale,
        reg=reg,
        smoothness_estimate=scale * unsigned + reg,
    )


def start_a(m: int, n: int, seed: int = AUTHORS_SEED) -> Vector:
    """The start of the published HDM-Best runs (authors' code, measured), n entries for m rows of data.

        z = RandomState(seed).standard_normal(min(m, n) + n),   x0 = z[min(m, n):] / |z[min(m, n):]|

    With the pinned SciPy (1.15.1) the routine for the largest singular value first takes min(m, n) numbers from the
    generator that then draws the start.

    >>> start_a(1605, 120)[:3]
    array([ 0.07292179, -0.08438944, -0.06243104])
    """
    skipped = min(m, n)
    drawn = np.random.RandomState(seed).standard_normal(skipped + n)[skipped:]
    return cast(Vector, drawn / np.linalg.norm(drawn))


def start_b(m: int, n: int, seed: int = AUTHORS_SEED) -> Vector:
    """The start of the authors' code with SciPy 1.17.1, whose singular value routine draws from a generator of its own.

        z = RandomState(seed).standard_normal(n),   x0 = z / |z|

    m is not used; it stands there so that `start_a` and `start_b` can take each other's place.

    >>> start_b(1605, 120)[:3]
    array([ 0.00588415,  0.09320597, -0.08747595])
    """
    drawn = np.random.RandomState(seed).standard_normal(n)
    return cast(Vector, drawn / np.linalg.norm(drawn))


Start = Callable[[int, int], Vector]
"""A start by the number of rows and of weights, such as `start_a`."""


def hdm_svm(dataset: Dataset, start: Start = start_a) -> SmoothedSVM:
    """The smoothed SVM of the HDM-Best and OSGM-Best experiments: not regularised, data in the "authors" reading."""
    return smoothed_svm(
        dataset.features,
        dataset.labels,
        x0=start(len(dataset.labels), dataset.features.shape[1] + 1),
        name=f"SVM {dataset.name}",
        source=f"Chu et al. 2025 (HDM), authors' code; {dataset.source}",
    )


def hdm_logistic(dataset: Dataset, start: Start = start_a) -> Logistic:
    """The logistic regression of the HDM-Best and OSGM-Best experiments: as `hdm_svm`.

    Mind that the authors' drivers hand `smoothness_estimate` to every method, which is 4 times `smoothness`.
    """
    return logistic(
        dataset.features,
        dataset.labels,
        x0=start(len(dataset.labels), dataset.features.shape[1] + 1),
        name=f"logistic {dataset.name}",
        source=f"Chu et al. 2025 (HDM), authors' code; {dataset.source}",
    )


def colt_svm(dataset: Dataset, start: Start = start_b) -> SmoothedSVM:
    """The SVM behind Gao et al. 2025 (COLT), figure 3: `smoothed_svm` with reg = 5 m / n, n without the bias.

    The paper prints the mean loss with 5/n; the scale of its curves is that of the sum, m times as large (derived here
    from the published starting gap and slopes). Its start is a Gaussian scaled to length 1 from MATLAB, not to be had;
    `start_b` is one like it.
    """
    m, n = dataset.features.shape
    return smoothed_svm(
        dataset.features,
        dataset.labels,
        reg=5 * m / n,
        x0=start(m, n + 1),
        name=f"COLT SVM {dataset.name}",
        source=f"Gao et al. 2025 (COLT), figure 3, scale derived here; {dataset.source}",
    )


def mean_logistic(dataset: Dataset, reg: float = 0.0) -> Logistic:
    """Binary logistic regression as a mean from w = 0, labels -1/+1 ("clean" reading)."""
    name = f"mean logistic {dataset.name}"
    return logistic(dataset.features, dataset.labels, reg=reg, mean=True, name=name, source=dataset.source)


def _signed_rows(features: Any, labels: Vector, bias: float) -> Any:
    """B, whose row i is y_i (x_i, bias); CSR if the features are sparse."""
    m = features.shape[0]
    if labels.shape != (m,):
        raise ValueError(f"labels must have one entry a row of features, ({m},), got shape {labels.shape}")
    column = np.full((m, 1), bias)
    if sparse.issparse(features):
        return sparse.csr_array(sparse.diags_array(labels) @ sparse.hstack([features, column], format="csr"))
    return labels[:, None] * np.hstack([np.asarray(features, dtype=np.float64), column])


def _checked_reg(reg: float) -> float:
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


# Softmax regression


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
        strong_convexity=_checked_reg(reg),
        source=dataset.source,
        rows=rows,
        targets=targets,
        reg=reg,
    )


# Toys that are not quadratic


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

    @property
    def gradient_bound(self) -> float:
        """M = delta |a|, the largest norm of a gradient."""
        return self.threshold * float(np.linalg.norm(self.weights))

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
