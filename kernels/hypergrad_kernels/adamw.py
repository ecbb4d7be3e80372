"""Host code of adamw.cl: the update of AdamW in hypergrad_reference.loops, in place."""

from hypergrad_kernels.calls import Call, Form
from hypergrad_reference.adamw import ShaderScalars
from hypergrad_reference.loops import Update
from hypergrad_reference.types import Vector


def form_update(u: Update, clear_grad: bool = False) -> Form:
    """The form of `call_update`, which tensors share that have one history, dtype and kind of array."""
    macros: list[str] = []
    names = ["theta", "grad", "exp_avg", "exp_avg_sq"]
    reals: list[float] = []
    if isinstance(u.scalars, ShaderScalars):
        macros.append("SHADER")
        if u.arrays.max_exp_avg_sq is not None:
            raise ValueError("amsgrad is not part of the shader convention: use exact_scalars")
    if clear_grad:
        macros.append("CLEAR_GRAD")
    if u.arrays.max_exp_avg_sq is not None:
        macros.append("AMSGRAD")
        names.append("max_exp_avg_sq")
    if u.arrays.grad_ema is not None:
        macros.append("FOLLOW=2" if u.gamma is None else "FOLLOW=1")
        names.append("grad_ema")
        gamma = 0.0 if u.gamma is None else u.gamma
        reals += [gamma, 1 - gamma]
    if u.arrays.last_grad is not None:
        macros.append("KEEP_GRAD")
        names.append("last_grad")
    if u.l2:
        macros.append("L2")
        reals.append(u.l2)
    written = frozenset(names) - (frozenset() if clear_grad else {"grad"})
    kept = frozenset(names) - {"theta", "grad"}
    unread = frozenset(names) & {"last_grad", *(["grad_ema"] if u.gamma is None else [])}
    reals += [*u.scalars, u.grad_scale]
    return Form("adamw", "adamw", u.theta.dtype, tuple(macros), tuple(names), written, kept, tuple(reals), None, unread)


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
