"""Linear models of a data set, as the papers take them, and their starts."""

from collections.abc import Callable
from typing import cast

import numpy as np

from hypergrad_problems.data import Dataset
from hypergrad_problems.linear_models import Logistic, SmoothedSVM, logistic, smoothed_svm
from hypergrad_reference.types import Vector

AUTHORS_SEED = 20250128
"""The seed of the published HDM-Best runs (authors' code); the OSGM-Best scripts use 20250701."""


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
