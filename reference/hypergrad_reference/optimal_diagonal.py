"""The diagonal preconditioner that makes a positive definite matrix as well conditioned as a diagonal can.

    kappa* = min over d > 0 of kappa(D^1/2 H D^1/2),   D = diag(d)

Preconditioned gradient descent x - d g with this d, scaled so that the largest eigenvalue is 1, is what OSGM's stepsize
is compared with. Solved over log d: log lambda_max - log lambda_min is replaced by a soft maximum of the logarithms of
the eigenvalues, ever sharper, each time from the last d and by L-BFGS. H is scaled to a unit diagonal first: on an
unscaled matrix solvers were seen to stall short of the optimum without a word.

Source: Gao et al. 2025 (COLT), who solve a semidefinite program; this way to solve it is derived here.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp

from hypergrad_reference.types import Vector

SHARPNESS = (10.0, 100.0, 1000.0, 10000.0)


def condition_number(hessian: Vector, d: Vector) -> float:
    """kappa(D^1/2 H D^1/2).

    hessian    (n, n) symmetric positive definite
    d          (n,)   > 0

    >>> condition_number(np.diag([4.0, 1.0]), np.array([0.25, 1.0]))
    1.0
    """
    root = np.sqrt(d)
    eigenvalues = np.linalg.eigvalsh(root[:, None] * hessian * root)
    return float(eigenvalues[-1] / eigenvalues[0])


def jacobi(hessian: Vector) -> Vector:
    """D = 1 / diag(H), the scaling to a unit diagonal."""
    return 1 / np.diag(hessian)


def find_optimal_diagonal(hessian: Vector) -> Vector:
    """The best d, (n,), scaled so that the largest eigenvalue of D^1/2 H D^1/2 is 1.

    hessian    (n, n) symmetric positive definite, float64

    For n = 2 kappa* = (1 + |rho|) / (1 - |rho|), rho the correlation H_12 / sqrt(H_11 H_22). The result is never worse
    than Jacobi's. Raises ValueError unless hessian is symmetric positive definite.

    >>> hessian = np.array([[4.0, 1.0], [1.0, 1.0]])
    >>> round(condition_number(hessian, find_optimal_diagonal(hessian)), 6)
    3.0
    """
    if not np.allclose(hessian, hessian.T, rtol=1e-12, atol=0) or np.linalg.eigvalsh(hessian)[0] <= 0:
        raise ValueError("hessian is not symmetric positive definite: such a matrix has no condition number to improve")
    scale = jacobi(hessian)
    unit = np.sqrt(scale)[:, None] * hessian * np.sqrt(scale)
    log_d, best = np.zeros(len(hessian)), np.zeros(len(hessian))
    for sharpness in SHARPNESS:
        log_d = minimize(_soften, log_d, (unit, sharpness), jac=True, method="L-BFGS-B", options={"maxiter": 150}).x
        if condition_number(unit, np.exp(log_d)) < condition_number(unit, np.exp(best)):
            best = log_d
    d: Vector = scale * np.exp(best)
    root = np.sqrt(d)
    return d / float(np.linalg.eigvalsh(root[:, None] * hessian * root)[-1])


def _soften(log_d: Vector, hessian: Vector, sharpness: float) -> tuple[float, Vector]:
    """Soft maximum less soft minimum of the logarithms of the eigenvalues, and its gradient in log d.

    d log lambda_i / d log d_j = v_ij^2 for the unit eigenvectors v_i of D^1/2 H D^1/2.
    """
    root = np.exp(log_d / 2)
    eigenvalues, vectors = np.linalg.eigh(root[:, None] * hessian * root)
    logs = sharpness * np.log(np.maximum(eigenvalues, np.finfo(np.float64).tiny))
    highest, lowest = logsumexp(logs), logsumexp(-logs)
    weights = np.exp(logs - highest) - np.exp(-logs - lowest)
    return float(highest + lowest) / sharpness, vectors**2 @ weights
