"""Host code of delay 1: the update of a tensor and, in the same pass, the inner products over what was there before."""

from collections.abc import Callable
from typing import NamedTuple

from hypergrad_kernels import adamw, adamw_free, sgd_hd
from hypergrad_kernels.calls import OUT, Call, Form
from hypergrad_kernels.sums import find_factors, form_products
from hypergrad_reference.adamw import ExactScalars, ShaderScalars
from hypergrad_reference.adamw_free import Scalars as FreeScalars
from hypergrad_reference.loops import STOPPED, Operands, Update
from hypergrad_reference.rule import Scalars
from hypergrad_reference.sgd_hd import HeavyBall, Nesterov, Plain
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector


class Updater(NamedTuple):
    """Host code of a kernel for loop 2."""

    form_update: Callable[[Update, bool], Form]
    list_arrays: Callable[[Update], tuple[Vector, ...]]


OF_ADAMW = Updater(adamw.form_update, adamw.list_arrays)
OF_SGD_HD = Updater(sgd_hd.form_update, sgd_hd.list_arrays)
UPDATERS: dict[type[Scalars], Updater] = {
    FreeScalars: Updater(adamw_free.form_update, adamw_free.list_arrays),
    ExactScalars: OF_ADAMW, ShaderScalars: OF_ADAMW, Plain: OF_SGD_HD, HeavyBall: OF_SGD_HD, Nesterov: OF_SGD_HD,
}  # fmt: skip
"""By the type of the scalars, which says which update it is."""


def form_delayed(names: tuple[str, ...], o: Operands, u: Update, clear_grad: bool = False) -> Form:
    """The form of `call_delayed`, which tensors share that have one history, dtype and kind of array.

    Raises ValueError for what the kernel does not know, and for products whose numbers are missing.
    """
    form = UPDATERS[type(u.scalars)].form_update(u, clear_grad)
    macros, reals = form_products(names, o)
    read = find_factors(names)
    read |= {"last_grad"} if "beta1_derivative" in read else set()
    read |= {"direction", "last_grad"} if STOPPED in names else set()
    return form._replace(
        kernel=f"{form.kernel}_delayed",
        macros=tuple(dict.fromkeys((*form.macros, *macros))),
        arrays=("out", *form.arrays),
        written=form.written | OUT,
        reals=(*reals, *form.reals),
        per_item=BLOCK,
        unread=(form.unread - read) | OUT,
    )


def call_delayed(names: tuple[str, ...], o: Operands, u: Update, out: Vector, clear_grad: bool = False) -> Call:
    """The call of `loops.update_and_sum` for one tensor: it writes u.theta, the arrays of u.arrays, and out.

    names    of the products, at least one, and STOPPED
    o        its scalars are those of the step before
    out      (len(names), ceil(n / BLOCK))

    Raises ValueError as form_delayed does, and if an array that the kernel writes to is missing.
    """
    form = form_delayed(names, o, u, clear_grad)
    return Call(form, (u.theta.size, out.shape[1]), (out, *UPDATERS[type(u.scalars)].list_arrays(u)))
