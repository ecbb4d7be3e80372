"""Host code of hdm.cl: the loops of hypergrad_reference.hdm_loops, in place."""

from collections.abc import Hashable

import numpy as np

from hypergrad_kernels.launcher import Call, Form, Launcher
from hypergrad_reference.hdm_loops import INNER_PRODUCTS, Arrays, Scalars
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

LEARNERS = {"adagrad": (), "adagrad_inside": ("INSIDE",), "ogd": ("OGD",)}
"""Macros of each learner; `adapt_NAME` in the reference."""


def call_inner_products(a: Arrays, trial_gradient: Vector, out: Vector) -> Call:
    """The call of hdm.cl that forms the products of INNER_PRODUCTS.

    out    (len(INNER_PRODUCTS), ceil(n / BLOCK)), written
    """
    names = ("out", "x", "gradient", "displacement", "trial", "trial_gradient")
    form = Form("hdm", "inner_products", a.x.dtype, (), names, frozenset({"out"}), per_item=BLOCK)
    return Call(form, (a.x.size, out.shape[1]), (out, a.x, a.gradient, a.displacement, a.trial, trial_gradient))


def compute_inner_products(launcher: Launcher, name: Hashable, a: Arrays, trial_gradient: Vector) -> dict[str, Vector]:
    """Block sums of all inner products of an iteration, as hypergrad_reference.hdm_loops.inner_products.

    name    keeps the buffers for the next call
    """
    out = np.empty((len(INNER_PRODUCTS), -(-a.x.size // BLOCK)), a.x.dtype)
    launcher.launch(name, call_inner_products(a, trial_gradient, out))
    launcher.arrays.collect()
    return dict(zip(INNER_PRODUCTS, out, strict=True))


def call_adapt(learner: str, a: Arrays, trial_gradient: Vector, accepted: bool, scalars: Scalars) -> Call:
    """The call of hdm.cl that ends an iteration: every array of `a` is written.

    learner    a key of LEARNERS
    """
    macros = (*LEARNERS[learner], *(("ACCEPTED",) if accepted else ()))
    names = (*a._fields, "trial_gradient")
    form = Form("hdm", "adapt", a.x.dtype, macros, names, frozenset(a._fields), reals=tuple(scalars))
    return Call(form, (a.x.size,), (*a, trial_gradient))
