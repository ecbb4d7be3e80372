"""Host code of adamw.cl: the update of AdamW in hypergrad_reference.loops, in place."""

from functools import cache

from hypergrad_kernels.calls import Call, DType, Form
from hypergrad_reference.adamw import ShaderScalars
from hypergrad_reference.loops import Update
from hypergrad_reference.types import Vector


def form_update(u: Update, clear_grad: bool = False) -> Form:
    """The form of `call_update`, which tensors share that have one history, dtype and kind of array."""
    _, _, v_max, _, _, ema, last, *_ = u.arrays
    reals: tuple[float, ...] = (*u.scalars, u.grad_scale)
    if u.l2:
        reals = (u.l2, *reals)
    follow = 0
    if ema is not None:
        follow, gamma = (2, 0.0) if u.gamma is None else (1, u.gamma)
        reals = (gamma, 1 - gamma, *reals)
    shader = isinstance(u.scalars, ShaderScalars)
    form = _form(u.theta.dtype, shader, clear_grad, v_max is not None, follow, last is not None, bool(u.l2))
    return form._replace(reals=reals)


@cache
def _form(
    dtype: DType, shader: bool, clear_grad: bool, amsgrad: bool, follow: int, keeps_grad: bool, couples: bool
) -> Form:
    """The form without its real numbers; follow is 2 for the first gradient that the running mean sees, else 1."""
    if shader and amsgrad:
        raise ValueError("amsgrad is not part of the shader convention: use exact_scalars")
    features = {
        "SHADER": shader, "CLEAR_GRAD": clear_grad, "AMSGRAD": amsgrad, f"FOLLOW={follow}": follow,
        "KEEP_GRAD": keeps_grad, "L2": couples,
    }  # fmt: skip
    more = {"max_exp_avg_sq": amsgrad, "grad_ema": follow, "last_grad": keeps_grad}
    names = ("theta", "grad", "exp_avg", "exp_avg_sq", *(name for name, there in more.items() if there))
    written = frozenset(names) - (frozenset() if clear_grad else {"grad"})
    unread = frozenset(names) & {"last_grad", *(["grad_ema"] if follow == 2 else [])}
    macros = tuple(macro for macro, on in features.items() if on)
    return Form("adamw", "adamw", dtype, macros, names, written, frozenset(names) - {"theta", "grad"}, unread=unread)


def list_arrays(u: Update) -> tuple[Vector, ...]:
    """The arrays of an update, in the kernel's order.

    Raises ValueError if the moments are missing.
    """
    m, v, v_max, _, _, ema, last, *_ = u.arrays
    if m is None or v is None:
        raise ValueError("exp_avg or exp_avg_sq is None: AdamW keeps both, allocate them first")
    if v_max is ema is last is None:
        return u.theta, u.grad, m, v
    return (u.theta, u.grad, m, v, *(array for array in (v_max, ema, last) if array is not None))


def call_update(u: Update, clear_grad: bool = False) -> Call:
    """The call of adamw.cl that updates one tensor: u.theta and the arrays of u.arrays are written.

    clear_grad    leave zeros in u.grad too

    Raises ValueError for amsgrad in the shader convention.
    """
    return Call(form_update(u, clear_grad), (u.theta.size,), list_arrays(u))
