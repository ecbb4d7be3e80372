"""Host code of adamw.cl: the update of hypergrad_reference.adamw_loops, in place."""

from typing import Any

from hypergrad_kernels.launcher import Call, Form
from hypergrad_reference.adamw import ShaderScalars
from hypergrad_reference.adamw_loops import Update
from hypergrad_reference.types import Vector


def identify_update(u: Update) -> tuple[Any, ...]:
    """What is the same for two updates that are alive at the same time if, and only if, they share a form."""
    return (
        id(u.scalars), type(u.theta), type(u.grad), u.theta.dtype, u.grad_scale, u.moments.max_exp_avg_sq is None,
        u.grad_ema is None, u.gamma, u.l2, u.last_grad is None,
    )  # fmt: skip


def form_update(u: Update, clear_grad: bool = False) -> Form:
    """The form of `call_update`."""
    macros: list[str] = []
    names = ["theta", "grad", "exp_avg", "exp_avg_sq"]
    reals: list[float] = []
    if isinstance(u.scalars, ShaderScalars):
        macros.append("SHADER")
        if u.moments.max_exp_avg_sq is not None:
            raise ValueError("amsgrad is not part of the shader convention: use exact_scalars")
    if clear_grad:
        macros.append("CLEAR_GRAD")
    if u.moments.max_exp_avg_sq is not None:
        macros.append("AMSGRAD")
        names.append("max_exp_avg_sq")
    if u.grad_ema is not None:
        macros.append("FOLLOW=2" if u.gamma is None else "FOLLOW=1")
        names.append("grad_ema")
        gamma = 0.0 if u.gamma is None else u.gamma
        reals += [gamma, 1 - gamma]
    if u.last_grad is not None:
        macros.append("KEEP_GRAD")
        names.append("last_grad")
    if u.l2:
        macros.append("L2")
        reals.append(u.l2)
    written = frozenset(names) - (frozenset() if clear_grad else {"grad"})
    kept = frozenset(names) - {"theta", "grad"}
    reals += [*u.scalars, u.grad_scale]
    return Form("adamw", "adamw", u.theta.dtype, tuple(macros), tuple(names), written, kept, tuple(reals))


def list_arrays(u: Update) -> tuple[Vector, ...]:
    """The arrays of an update, in the kernel's order."""
    required = (u.theta, u.grad, u.moments.exp_avg, u.moments.exp_avg_sq)
    optional = (u.moments.max_exp_avg_sq, u.grad_ema, u.last_grad)
    if u.moments.max_exp_avg_sq is u.grad_ema is u.last_grad is None:
        return required
    return (*required, *(array for array in optional if array is not None))


def call_update(u: Update, clear_grad: bool = False) -> Call:
    """The call of adamw.cl that updates one tensor: u.theta, u.moments, u.grad_ema and u.last_grad are written.

    clear_grad    leave zeros in u.grad too

    Raises ValueError for amsgrad in the shader convention.
    """
    return Call(form_update(u, clear_grad), (u.theta.size,), list_arrays(u))
