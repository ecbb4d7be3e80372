"""A function that every method minimises, and how tests call `minimize` on it."""

import numpy as np

import hypergrad

CENTRE = np.array([1.0, 2.0])
START = [5.0, 4.0]


def bowl(x):
    return float((x - CENTRE) @ (x - CENTRE))


def slope(x):
    return 2 * (x - CENTRE)


def defaults(method):
    """Nothing, except for the one option without a default."""
    return {"optimal_value": 0.0} if method == "osgm_r" else {}


def run(fun=bowl, x0=START, **arguments):
    return hypergrad.minimize(fun, x0, **{"jac": slope, **arguments})
