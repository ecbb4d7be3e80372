"""Host code of sums.cl: the inner products of hypergrad_reference.adamw_loops."""

from collections.abc import Hashable, Sequence

import numpy as np

from hypergrad_kernels.launcher import Argument, Buffer, Call, Launcher, Scalar
from hypergrad_reference.adamw import ExactScalars, ShaderScalars, beta1_derivative_scalars
from hypergrad_reference.adamw_loops import INNER_PRODUCTS, Operands
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector


def call_sums(names: tuple[str, ...], o: Operands, out: Vector) -> Call:
    """The call of sums.cl that forms the products asked for over one tensor.

    out    (len(names), ceil(n / BLOCK)), written

    Raises ValueError if an operand is missing.
    """
    real = o.theta.dtype.type
    factors = {factor for name in names for factor in INNER_PRODUCTS[name]}
    macros = [f"{name.upper()}={row}" for row, name in enumerate(names)] + [f"COUNT={len(names)}"]
    arguments: list[Argument] = [
        Scalar(np.uint64, o.theta.size),
        Scalar(np.uint64, out.shape[1]),
        Buffer("out", out, written=True),
        Buffer("grad", o.grad),
        Scalar(real, o.grad_scale),
    ]

    def pass_array(name: str, array: Vector | None) -> None:
        if array is None:
            raise ValueError(f"{name} is None: a tensor without it has no such inner product")
        arguments.append(Buffer(name, array))

    rebuilt = "direction" in factors and o.direction is None
    if "direction" in factors and not rebuilt:
        macros.append("KEPT")
        pass_array("direction", o.direction)
    if rebuilt or factors & {"beta1_derivative", "exp_avg"}:
        pass_array("exp_avg", None if o.moments is None else o.moments.exp_avg)
    if rebuilt or "beta1_derivative" in factors:
        if o.moments is None or o.scalars is None:
            raise ValueError("moments or scalars is None: a tensor that was not stepped at t-1 has no direction")
        if o.moments.max_exp_avg_sq is None:
            pass_array("exp_avg_sq", o.moments.exp_avg_sq)
        else:
            pass_array("max_exp_avg_sq", o.moments.max_exp_avg_sq)
        if isinstance(o.scalars, ShaderScalars):
            macros.append("SHADER")
            values = [o.scalars.beta1_t, o.scalars.beta2_t, o.scalars.epsilon]
        else:
            values = [o.scalars.i1, o.scalars.i2, o.scalars.eps]
        arguments += [Scalar(real, value) for value in values]
    if "theta" in factors or o.l2:
        pass_array("theta", o.theta)
    if o.l2:
        macros.append("L2")
        arguments.append(Scalar(real, o.l2))
    if "deviation" in factors:
        pass_array("grad_ema", o.grad_ema)
    if "beta1_derivative" in factors:
        if not isinstance(o.scalars, ExactScalars):
            raise ValueError("scalars: the derivative with respect to beta1 needs those of the exact convention")
        pass_array("last_grad", o.last_grad)
        arguments += [Scalar(real, value) for value in beta1_derivative_scalars(o.scalars.b1, o.last_beta1_power)]
    return Call("sums", "inner_products", o.theta.dtype, tuple(macros), arguments)


def compute_sums(
    launcher: Launcher, work: Sequence[tuple[Hashable, tuple[str, ...], Operands]]
) -> list[dict[str, Vector]]:
    """Block sums of the inner products of several tensors, with one wait for all.

    work    for each tensor a name that its buffers are kept under, the products asked for, and their operands

    Returns one dict a tensor, as hypergrad_reference.adamw_loops.inner_products does. Raises BuildError.
    """
    outs = [np.empty((len(names), -(-o.theta.size // BLOCK)), o.theta.dtype) for _, names, o in work]
    for (name, names, o), out in zip(work, outs, strict=True):
        if out.size:
            launcher.launch(name, call_sums(names, o, out), o.theta.size, BLOCK)
    launcher.arrays.collect()
    return [dict(zip(names, out, strict=True)) for (_, names, _), out in zip(work, outs, strict=True)]
