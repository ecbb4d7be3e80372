"""Instances like those of Gao et al. 2025 (COLT), with the published condition numbers, for any random draw."""

from typing import cast

import numpy as np
from scipy import linalg, optimize

from hypergrad_problems.quadratics import LeastSquares, Quadratic, least_squares
from hypergrad_reference.types import Vector

TOY_KAPPA, TOY_KAPPA_STAR, TOY_GAP = 67.54, 4.69, 10**0.197
"""The panel's title says the first two of the near-diagonal toy; its first gap is read off the curves (figure 1)."""

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
