"""Host code of hdm.cl: the loops of hypergrad_reference.hdm_loops, in place."""

from hypergrad_kernels.calls import OUT, Call, Form
from hypergrad_reference.hdm_loops import (
    Arrays,
    Learner,
    Scalars,
    adapt_adagrad,
    adapt_adagrad_inside,
    adapt_ogd,
)
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

MACROS: dict[Learner, tuple[str, ...]] = {adapt_adagrad: (), adapt_adagrad_inside: ("INSIDE",), adapt_ogd: ("OGD",)}


def call_inner_products(a: Arrays, trial_gradient: Vector, out: Vector) -> Call:
    """The call of hdm.cl that forms the products of INNER_PRODUCTS.

    out    (len(INNER_PRODUCTS), ceil(n / BLOCK)), written
    """
    names = ("out", "x", "gradient", "displacement", "trial", "trial_gradient")
    form = Form("hdm", "inner_products", a.x.dtype, (), names, OUT, per_item=BLOCK, unread=OUT)
    return Call(form, (a.x.size, out.shape[1]), (out, a.x, a.gradient, a.displacement, a.trial, trial_gradient))


def call_adapt(learner: Learner, a: Arrays, trial_gradient: Vector, accepted: bool, scalars: Scalars) -> Call:
    """The call of hdm.cl that ends an iteration: the arrays of `a` are written.

    learner    a key of MACROS, the function of the reference
    """
    macros = (*MACROS[learner], *(("ACCEPTED",) if accepted else ()))
    names = (*a._fields, "trial_gradient")
    untouched: set[str] = {"accumulator"} if learner is adapt_ogd else set()
    written = frozenset(a._fields) - untouched - (set() if accepted else {"x", "gradient"})
    unread = {"displacement"} | untouched | (set() if accepted else {"trial"})
    form = Form("hdm", "adapt", a.x.dtype, macros, names, written, reals=tuple(scalars), unread=frozenset(unread))
    return Call(form, (a.x.size,), (*a, trial_gradient))
