"""Host code of sgd_hd.cl: the update of SGD-HD in hypergrad_reference.loops, in place."""

from hypergrad_kernels.calls import Call, Form
from hypergrad_reference.loops import Update
from hypergrad_reference.sgd_hd import HeavyBall, Nesterov, Plain
from hypergrad_reference.types import Vector

MACROS: dict[type[tuple[float, ...]], tuple[str, ...]] = {
    Plain: (), HeavyBall: ("HEAVY_BALL",), Nesterov: ("NESTEROV",),
}  # fmt: skip


def form_update(u: Update, clear_grad: bool = False) -> Form:
    """The form of `call_update`, which tensors share that have one history, dtype and kind of array.

    Raises ValueError for what the kernel does not know: a scaled gradient, one to clear, or a mean of gradients.
    """
    if u.grad_scale != 1 or clear_grad or u.arrays.grad_ema is not None or u.arrays.last_grad is not None:
        raise ValueError("grad_scale, clear_grad, grad_ema and last_grad are not part of sgd_hd.cl")
    macros = MACROS[type(u.scalars)]
    lr, *reals = u.scalars
    names = ["theta", "grad", "direction"] + ["velocity"] * bool(reals)
    if u.l2:
        macros = (*macros, "L2")
        reals.append(u.l2)
    written = frozenset(names) - {"grad"}
    kept = written - {"theta"}
    unread = frozenset({"direction"})
    return Form("sgd_hd", "sgd_hd", u.theta.dtype, macros, tuple(names), written, kept, (*reals, lr), None, unread)


def list_arrays(u: Update) -> tuple[Vector, ...]:
    """The arrays of an update, in the kernel's order.

    Raises ValueError if an array that the form keeps is missing.
    """
    direction, velocity = u.arrays.direction, u.arrays.velocity
    if direction is None or (velocity is None and not isinstance(u.scalars, Plain)):
        raise ValueError(f"{type(u.scalars).__name__} writes to arrays that are None: allocate them first")
    return (u.theta, u.grad, direction) if velocity is None else (u.theta, u.grad, direction, velocity)


def call_update(u: Update, clear_grad: bool = False) -> Call:
    """The call of sgd_hd.cl that moves one tensor: u.theta and the arrays of u.arrays are written.

    Raises ValueError if an array that the form keeps is missing, or for what the kernel does not know.
    """
    return Call(form_update(u, clear_grad), (u.theta.size,), list_arrays(u))
