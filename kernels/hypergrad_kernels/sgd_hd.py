"""Host code of sgd_hd.cl: the updates of hypergrad_reference.sgd_hd, in place."""

from typing import Any

from hypergrad_kernels.launcher import Call, Form
from hypergrad_reference.sgd_hd import Move
from hypergrad_reference.types import Vector

MACROS = {"sgd": (), "heavy_ball": ("HEAVY_BALL",), "nesterov": ("NESTEROV",)}


def identify_move(m: Move) -> tuple[Any, ...]:
    """What is the same for two moves if, and only if, they share a form."""
    return m.rule, type(m.theta), type(m.grad), m.theta.dtype, m.kept.step == 0, *m[4:]


def form_move(m: Move) -> Form:
    """The form of `call_move`."""
    macros: tuple[str, ...] = MACROS[m.rule]
    names, reals = ["theta", "grad", "direction"], []
    if m.rule != "sgd":
        names.append("velocity")
        reals.append(m.momentum)
    if m.rule == "heavy_ball":
        reals.append(1 - m.dampening if m.kept.step else 1.0)
    if m.weight_decay:
        macros = (*macros, "L2")
        reals.append(m.weight_decay)
    written = frozenset(names) - {"grad"}
    kept = written - {"theta"}
    return Form("sgd_hd", "sgd_hd", m.theta.dtype, macros, tuple(names), written, kept, (*reals, m.lr))


def list_arrays(m: Move) -> tuple[Vector, ...]:
    """The arrays of a move, in the kernel's order.

    Raises ValueError if an array that the method keeps is missing.
    """
    if m.kept.direction is None or (m.kept.velocity is None and m.rule != "sgd"):
        raise ValueError(f"{m.rule} writes to arrays of kept that are None: allocate them first")
    arrays = (m.theta, m.grad, m.kept.direction)
    return arrays if m.kept.velocity is None or m.rule == "sgd" else (*arrays, m.kept.velocity)


def call_move(m: Move) -> Call:
    """The call of sgd_hd.cl that moves one tensor: m.theta and the arrays of m.kept are written.

    Raises ValueError if an array that the method keeps is missing.
    """
    return Call(form_move(m), (m.theta.size,), list_arrays(m))
