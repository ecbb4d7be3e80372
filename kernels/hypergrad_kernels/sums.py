"""Host code of sums.cl: the inner products of hypergrad_reference.adamw_loops."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from hypergrad_kernels.launcher import Call, Form, Launcher
from hypergrad_reference.adamw import ExactScalars, ShaderScalars, beta1_derivative_scalars
from hypergrad_reference.adamw_loops import INNER_PRODUCTS, Operands
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector


def identify_sums(names: tuple[str, ...], o: Operands) -> tuple[Any, ...]:
    """What is the same for the sums of two tensors, alive at the same time, if, and only if, they share a form."""
    return (
        names, type(o.theta), type(o.grad), o.theta.dtype, o.grad_scale, id(o.scalars), o.moments is None,
        o.moments is not None and o.moments.max_exp_avg_sq is not None, o.grad_ema is None, o.last_grad is None,
        o.last_beta1_power, o.l2, o.direction is None,
    )  # fmt: skip


def call_sums(names: tuple[str, ...], o: Operands, out: Vector, form: Form | None = None) -> Call:
    """The call of sums.cl that forms the products asked for over one tensor.

    out     (len(names), ceil(n / BLOCK)), written
    form    of an earlier call with the same identity

    Raises ValueError if an operand is missing.
    """
    factors = {factor for name in names for factor in INNER_PRODUCTS[name]}
    rebuilt = "direction" in factors and o.direction is None
    divided = rebuilt or "beta1_derivative" in factors
    arrays: dict[str, Vector | None] = {"out": out, "grad": o.grad}
    if "direction" in factors and not rebuilt:
        arrays["direction"] = o.direction
    if divided or "exp_avg" in factors:
        arrays["exp_avg"] = None if o.moments is None else o.moments.exp_avg
    if divided:
        if o.moments is None or o.scalars is None:
            raise ValueError("moments or scalars is None: a tensor that was not stepped at t-1 has no direction")
        if o.moments.max_exp_avg_sq is None:
            arrays["exp_avg_sq"] = o.moments.exp_avg_sq
        else:
            arrays["max_exp_avg_sq"] = o.moments.max_exp_avg_sq
    if "theta" in factors or o.l2:
        arrays["theta"] = o.theta
    if "deviation" in factors:
        arrays["grad_ema"] = o.grad_ema
    if "beta1_derivative" in factors:
        arrays["last_grad"] = o.last_grad
    given = {name: array for name, array in arrays.items() if array is not None}
    if len(given) < len(arrays):
        missing = ", ".join(arrays.keys() - given.keys())
        raise ValueError(f"{missing} is None: a tensor without it has no such inner product")
    form = form or _form_sums(names, o, tuple(given), divided, "beta1_derivative" in factors)
    return Call(form, (o.theta.size, out.shape[1]), tuple(given.values()))


def _form_sums(names: tuple[str, ...], o: Operands, arrays: tuple[str, ...], divided: bool, derived: bool) -> Form:
    macros = [f"{name.upper()}={row}" for row, name in enumerate(names)] + [f"COUNT={len(names)}"]
    reals: list[float] = []
    if "direction" in arrays:
        macros.append("KEPT")
    if derived:
        if not isinstance(o.scalars, ExactScalars):
            raise ValueError("scalars: the derivative with respect to beta1 needs those of the exact convention")
        reals += beta1_derivative_scalars(o.scalars.b1, o.last_beta1_power)
    if divided and isinstance(o.scalars, ShaderScalars):
        macros.append("SHADER")
        reals += [o.scalars.beta1_t, o.scalars.beta2_t, o.scalars.epsilon]
    elif divided and isinstance(o.scalars, ExactScalars):
        reals += [o.scalars.i1, o.scalars.i2, o.scalars.eps]
    if o.l2:
        macros.append("L2")
        reals.append(o.l2)
    reals.append(o.grad_scale)
    kept = frozenset(arrays) - {"out", "grad", "theta"}
    return Form(
        "sums", "inner_products", o.theta.dtype, tuple(macros), arrays, frozenset({"out"}), kept, tuple(reals), BLOCK
    )


def compute_sums(
    launcher: Launcher, work: Sequence[tuple[Hashable, tuple[str, ...], Operands]]
) -> list[dict[str, Vector]]:
    """Block sums of the inner products of several tensors, with one wait for all.

    work    for each tensor a name that its buffers are kept under, the products asked for, and their operands

    Returns one dict a tensor, as hypergrad_reference.adamw_loops.inner_products does. Raises BuildError.
    """
    outs = [np.empty((len(names), -(-o.theta.size // BLOCK)), o.theta.dtype) for _, names, o in work]
    forms: dict[tuple[Any, ...], Form] = {}
    calls = []
    for (name, names, o), out in zip(work, outs, strict=True):
        if out.size:
            identity = identify_sums(names, o)
            call = call_sums(names, o, out, forms.get(identity))
            forms[identity] = call.form
            calls.append((name, call))
    launcher.run(launcher.plan(calls))
    launcher.arrays.collect()
    return [dict(zip(names, out, strict=True)) for (_, names, _), out in zip(work, outs, strict=True)]
