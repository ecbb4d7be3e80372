"""Host code of hdm.cl: the loops of hypergrad_reference.hdm_loops, in place."""

from collections.abc import Hashable

import numpy as np

from hypergrad_kernels.launcher import Argument, Buffer, Call, Launcher, Scalar
from hypergrad_reference.hdm_loops import INNER_PRODUCTS, Arrays, Scalars
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

LEARNERS = {"adagrad": (), "adagrad_inside": ("INSIDE",), "ogd": ("OGD",)}
"""Macros of each learner; `adapt_NAME` in the reference."""


def call_inner_products(a: Arrays, trial_gradient: Vector, out: Vector) -> Call:
    """The call of hdm.cl that forms the products of INNER_PRODUCTS.

    out    (len(INNER_PRODUCTS), ceil(n / BLOCK)), written
    """
    arguments: list[Argument] = [
        Scalar(np.uint64, a.x.size),
        Scalar(np.uint64, out.shape[1]),
        Buffer("out", out, written=True),
        Buffer("x", a.x),
        Buffer("gradient", a.gradient),
        Buffer("displacement", a.displacement),
        Buffer("trial", a.trial),
        Buffer("trial_gradient", trial_gradient),
    ]
    return Call("hdm", "inner_products", a.x.dtype, (), arguments)


def compute_inner_products(launcher: Launcher, name: Hashable, a: Arrays, trial_gradient: Vector) -> dict[str, Vector]:
    """Block sums of all inner products of an iteration, as hypergrad_reference.hdm_loops.inner_products.

    name    keeps the buffers for the next call
    """
    out = np.empty((len(INNER_PRODUCTS), -(-a.x.size // BLOCK)), a.x.dtype)
    launcher.launch(name, call_inner_products(a, trial_gradient, out), a.x.size, BLOCK)
    launcher.arrays.collect()
    return dict(zip(INNER_PRODUCTS, out, strict=True))


def call_adapt(learner: str, a: Arrays, trial_gradient: Vector, accepted: bool, scalars: Scalars) -> Call:
    """The call of hdm.cl that ends an iteration: every array of `a` is written.

    learner    a key of LEARNERS
    """
    real = a.x.dtype.type
    arguments: list[Argument] = [Scalar(np.uint64, a.x.size)]
    arguments += [Buffer(name, array, written=True) for name, array in a._asdict().items()]
    arguments.append(Buffer("trial_gradient", trial_gradient))
    arguments += [Scalar(real, scalar) for scalar in scalars]
    macros = (*LEARNERS[learner], *(("ACCEPTED",) if accepted else ()))
    return Call("hdm", "adapt", a.x.dtype, macros, arguments)
