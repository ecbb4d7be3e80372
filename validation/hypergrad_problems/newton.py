"""The least value of a convex function by Newton's method: where the gaps of the first-order methods are taken from."""

import numpy as np
from scipy.optimize import minimize

from hypergrad_problems.problem import Problem


def find_least_value(problem: Problem, gtol: float = 1e-10, steps: int = 100) -> float:
    """Min f to rounding, for a few hundred variables: the Hessian is formed.

    Where f has no minimum but an infimum, approached as |x| grows, the value where the gradient is below gtol, or
    after so many steps. Where the Hessian is singular, the least-squares step is taken.
    """
    x = problem.x0.copy()
    least = problem.value(x)
    for _ in range(steps):
        value, gradient = problem.value_and_gradient(x)
        least = min(least, value)
        if np.abs(gradient).max() < gtol:
            break
        hessian = np.array([problem.hessian_product(x, unit) for unit in np.eye(x.size)])
        move = np.linalg.lstsq(hessian, gradient, rcond=1e-10)[0]
        t = 1.0
        while problem.value(x - t * move) > value - 1e-4 * t * float(gradient @ move) and t > 1e-8:
            t /= 2
        x = x - t * move
    return least


def find_minimum(problem: Problem) -> float:
    """The least value of a strongly convex problem, by Newton's method."""
    if problem.optimal_value is not None:
        return problem.optimal_value
    solution = minimize(
        problem.value_and_gradient, problem.x0, jac=True, hessp=problem.hessian_product, method="Newton-CG",
        options={"xtol": 1e-14},
    )  # fmt: skip
    return float(solution.fun)
