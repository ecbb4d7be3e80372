"""Host code of sgd_hd.cl: the updates of hypergrad_reference.sgd_hd, in place."""

import numpy as np

from hypergrad_kernels.launcher import Argument, Buffer, Call, Scalar
from hypergrad_reference.sgd_hd import Move

MACROS = {"sgd": (), "heavy_ball": ("HEAVY_BALL",), "nesterov": ("NESTEROV",)}


def call_move(m: Move) -> Call:
    """The call of sgd_hd.cl that moves one tensor: m.theta and the arrays of m.kept are written.

    Raises ValueError if an array that the method keeps is missing.
    """
    if m.kept.direction is None or (m.kept.velocity is None and m.rule != "sgd"):
        raise ValueError(f"{m.rule} writes to arrays of kept that are None: allocate them first")
    real = m.theta.dtype.type
    macros: tuple[str, ...] = MACROS[m.rule]
    arguments: list[Argument] = [
        Scalar(np.uint64, m.theta.size),
        Buffer("theta", m.theta, written=True),
        Buffer("grad", m.grad),
        Buffer("direction", m.kept.direction, written=True),
    ]
    if m.kept.velocity is not None:
        arguments += [Buffer("velocity", m.kept.velocity, written=True), Scalar(real, m.momentum)]
    if m.rule == "heavy_ball":
        arguments.append(Scalar(real, 1 - m.dampening if m.kept.step else 1.0))
    if m.weight_decay:
        macros = (*macros, "L2")
        arguments.append(Scalar(real, m.weight_decay))
    return Call("sgd_hd", "sgd_hd", m.theta.dtype, macros, [*arguments, Scalar(real, m.lr)])
