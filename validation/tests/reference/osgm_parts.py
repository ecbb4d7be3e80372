"""Problems in five variables, shapes of P, and a trial of a P on one of them."""

import dataclasses

import numpy as np
import pytest

from hypergrad_problems import linear_models, quadratics, toys
from hypergrad_reference.feedback import try_stepsize
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR, pattern

N = 5
QUADRATIC = quadratics.quadratic(
    [1.0, 0.6, 0.4, 0.2, 0.1], rotation=quadratics.random_rotation(N), optimum=0.5, x0=2.0, name="quadratic"
)
HUBER = toys.huber([1.0, 0.5, 0.2, 0.1, 0.05], x0=3.0)
_RNG = np.random.default_rng(0)
LOGISTIC = dataclasses.replace(
    linear_models.logistic(_RNG.standard_normal((20, N - 1)), np.sign(_RNG.standard_normal(20)), reg=0.1, mean=True),
    x0=_RNG.standard_normal(N),
)
ROWS, COLUMNS = np.array([0, 1, 1, 2, 3, 4, 4]), np.array([0, 0, 1, 2, 3, 1, 4])
SHAPES = {"scalar": SCALAR, "diagonal": DIAGONAL, "full": FULL, "pattern": pattern(ROWS, COLUMNS)}


for_shapes = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def as_matrix(shape, P):
    """P as an (n, n) matrix, column by column."""
    return np.array([shape.apply(P, e) for e in np.eye(N)]).T


def random_stepsize(shape, seed, scale=0.4):
    rng = np.random.default_rng(seed)
    return np.asarray(scale * rng.standard_normal(shape.zeros(N).shape))


def trial_of(problem, shape, P, x=None, bound=-1.0):
    x = problem.x0 if x is None else x
    return try_stepsize(problem, shape, P, x, *problem.value_and_gradient(x), bound)


def unused(gradient):
    """The learned stepsize, for an action that must not ask for it."""
    raise AssertionError("P_{k+1} g was asked for")
