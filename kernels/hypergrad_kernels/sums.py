"""Host code of sums.cl: the inner products of hypergrad_reference.loops."""

from collections.abc import Container, Hashable, Sequence
from typing import TYPE_CHECKING

from hypergrad_kernels.adamw_free import call_lags
from hypergrad_kernels.calls import OUT, Call, Form
from hypergrad_reference.adamw import ExactScalars, ShaderScalars, beta1_derivative_scalars
from hypergrad_reference.loops import INNER_PRODUCTS, STOPPED, Operands
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

if TYPE_CHECKING:
    from hypergrad_kernels.launcher import Launcher

Work = tuple[Hashable, Hashable, tuple[str, ...], Operands]
"""A tensor's name, which keeps its buffers; its history, alike exactly for tensors that share the products and all of
the operands but their arrays; the products asked for; their operands."""


def call_sums(names: tuple[str, ...], o: Operands, out: Vector, form: Form | None = None) -> Call:
    """The call of sums.cl that forms the products asked for over one tensor.

    out     (len(names), ceil(n / BLOCK)), written
    form    of an earlier call for the same history, dtype and kind of arrays

    Raises ValueError if an operand is missing.
    """
    factors = {factor for name in names for factor in INNER_PRODUCTS[name]}
    divided = rebuilds(factors, o)
    arrays: dict[str, Vector | None] = {"out": out, "grad": o.grad}
    if "direction" in factors and o.arrays.direction is not None:
        arrays["direction"] = o.arrays.direction
    if divided or "exp_avg" in factors:
        arrays["exp_avg"] = o.arrays.exp_avg
    if divided:
        if o.arrays.max_exp_avg_sq is None:
            arrays["exp_avg_sq"] = o.arrays.exp_avg_sq
        else:
            arrays["max_exp_avg_sq"] = o.arrays.max_exp_avg_sq
    if "theta" in factors or o.l2:
        arrays["theta"] = o.theta
    if "deviation" in factors:
        arrays["grad_ema"] = o.arrays.grad_ema
    if "beta1_derivative" in factors:
        arrays["last_grad"] = o.arrays.last_grad
    given = {name: array for name, array in arrays.items() if array is not None}
    if len(given) < len(arrays):
        missing = ", ".join(arrays.keys() - given.keys())
        raise ValueError(f"{missing} is None: a tensor without it has no such inner product")
    form = form or _form_sums(names, o, tuple(given))
    return Call(form, (o.theta.size, out.shape[1]), tuple(given.values()))


def _form_sums(names: tuple[str, ...], o: Operands, arrays: tuple[str, ...]) -> Form:
    macros, reals = form_products(names, o)
    if o.l2:
        macros += ("L2",)
        reals += (o.l2,)
    kept = frozenset(arrays) - {"out", "grad", "theta"}
    return Form(
        "sums", "inner_products", o.theta.dtype, macros, arrays, OUT, kept, (*reals, o.grad_scale), BLOCK, OUT
    )  # fmt: skip


def form_products(names: tuple[str, ...], o: Operands) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The macros that switch products on, in rows of their order, and the numbers of step t-1 that they need.

    names    keys of INNER_PRODUCTS, or STOPPED

    Raises ValueError if these are missing.
    """
    factors = {factor for name in names if name != STOPPED for factor in INNER_PRODUCTS[name]}
    macros = [f"{name.upper()}={row}" for row, name in enumerate(names)] + [f"COUNT={len(names)}"]
    reals: list[float] = []
    if "direction" in factors and o.arrays.direction is not None:
        macros.append("KEPT")
    elif "direction" in factors and o.scalars is None:
        raise ValueError("scalars is None: a tensor that was not stepped at t-1 has no direction")
    if "beta1_derivative" in factors:
        if not isinstance(o.scalars, ExactScalars):
            raise ValueError("scalars: the derivative with respect to beta1 needs those of the exact convention")
        reals += beta1_derivative_scalars(o.scalars.b1, o.last_beta1_power)
    if rebuilds(factors, o) and isinstance(o.scalars, ShaderScalars):
        macros.append("SHADER")
        reals += [o.scalars.beta1_t, o.scalars.beta2_t, o.scalars.epsilon]
    elif rebuilds(factors, o) and isinstance(o.scalars, ExactScalars):
        reals += [o.scalars.i1, o.scalars.i2, o.scalars.eps]
    return tuple(macros), tuple(reals)


def rebuilds(factors: Container[str], o: Operands) -> bool:
    """Whether factors of products are rebuilt from the moments, by a division."""
    return ("direction" in factors and o.arrays.direction is None) or "beta1_derivative" in factors


def compute_sums(launcher: "Launcher", work: Sequence[Work]) -> list[dict[str, Vector]]:
    """Block sums of the inner products of several tensors, with one wait for all.

    Returns one dict per tensor, as hypergrad_reference.loops.inner_products does; the next call writes to the same
    memory. Raises BuildError.
    """
    find_room = launcher.arrays.find_room
    outs = [find_room(name, (len(products), -(-o.theta.size // BLOCK)), o.theta.dtype) for name, _, products, o in work]
    forms: dict[Hashable, Form] = {}
    calls = []
    for (name, history, products, o), out in zip(work, outs, strict=True):
        if out.size:
            shared = (history, o.theta.dtype, type(o.theta), type(o.grad))
            if "grad_lag" in products:
                call = call_lags(o, out, forms.get(shared))
            else:
                call = call_sums(products, o, out, forms.get(shared))
            forms[shared] = call.form
            calls.append((name, call))
    launcher.run(launcher.plan(calls))
    launcher.arrays.collect()
    return [dict(zip(products, out, strict=True)) for (_, _, products, _), out in zip(work, outs, strict=True)]
