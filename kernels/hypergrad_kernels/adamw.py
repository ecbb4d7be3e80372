"""Host code of adamw.cl: the update of hypergrad_reference.adamw_loops, in place."""

import numpy as np

from hypergrad_kernels.launcher import Argument, Buffer, Call, Scalar
from hypergrad_reference.adamw import ShaderScalars
from hypergrad_reference.adamw_loops import Update


def call_update(u: Update, clear_grad: bool = False) -> Call:
    """The call of adamw.cl that updates one tensor: u.theta, u.moments, u.grad_ema and u.last_grad are written.

    clear_grad    leave zeros in u.grad too

    Raises ValueError for amsgrad in the shader convention.
    """
    real = u.theta.dtype.type
    macros: list[str] = []
    arguments: list[Argument] = [
        Scalar(np.uint64, u.theta.size),
        Buffer("theta", u.theta, written=True),
        Buffer("grad", u.grad, written=clear_grad),
        Buffer("exp_avg", u.moments.exp_avg, written=True),
        Buffer("exp_avg_sq", u.moments.exp_avg_sq, written=True),
    ]
    if isinstance(u.scalars, ShaderScalars):
        macros.append("SHADER")
        if u.moments.max_exp_avg_sq is not None:
            raise ValueError("amsgrad is not part of the shader convention: use exact_scalars")
    if clear_grad:
        macros.append("CLEAR_GRAD")
    if u.moments.max_exp_avg_sq is not None:
        macros.append("AMSGRAD")
        arguments.append(Buffer("max_exp_avg_sq", u.moments.max_exp_avg_sq, written=True))
    if u.grad_ema is not None:
        macros.append("FOLLOW=2" if u.gamma is None else "FOLLOW=1")
        gamma = 0.0 if u.gamma is None else u.gamma
        arguments += [Buffer("grad_ema", u.grad_ema, written=True), Scalar(real, gamma), Scalar(real, 1 - gamma)]
    if u.l2:
        macros.append("L2")
        arguments.append(Scalar(real, u.l2))
    if u.last_grad is not None:
        macros.append("KEEP_GRAD")
        arguments.append(Buffer("last_grad", u.last_grad, written=True))
    arguments += [Scalar(real, value) for value in (*u.scalars, u.grad_scale)]
    return Call("adamw", "adamw", u.theta.dtype, tuple(macros), arguments)
