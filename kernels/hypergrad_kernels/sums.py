"""Host code of sums.cl: the inner products of hypergrad_reference.loops."""

from collections.abc import Container
from functools import cache

from hypergrad_kernels.calls import OUT, Call, Form
from hypergrad_reference.adamw import ExactScalars, ShaderScalars
from hypergrad_reference.adamw_beta1 import beta1_derivative_scalars
from hypergrad_reference.loops import INNER_PRODUCTS, STOPPED, Operands
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector


def form_sums(names: tuple[str, ...], o: Operands) -> Form:
    """The form of `call_sums`, which tensors share that have one history, dtype and kind of array.

    Raises ValueError for products whose numbers are missing.
    """
    macros, reals = form_products(names, o)
    if o.l2:
        macros += ("L2",)
        reals += (o.l2,)
    arrays = _name_arrays(names, o.arrays.direction is not None, o.arrays.max_exp_avg_sq is not None, bool(o.l2))
    kept = frozenset(arrays) - {"grad", "theta"}
    return Form(
        "sums", "inner_products", o.theta.dtype, macros, ("out", *arrays), OUT, kept, (*reals, o.grad_scale), BLOCK, OUT
    )  # fmt: skip


@cache
def _name_arrays(names: tuple[str, ...], keeps_direction: bool, amsgrad: bool, couples: bool) -> tuple[str, ...]:
    """What the kernel reads, in its order."""
    factors = find_factors(names)
    divided = ("direction" in factors and not keeps_direction) or "beta1_derivative" in factors
    read = {
        "grad": True,
        "direction": "direction" in factors and keeps_direction,
        "exp_avg": divided or "exp_avg" in factors,
        "max_exp_avg_sq" if amsgrad else "exp_avg_sq": divided,
        "theta": "theta" in factors or couples,
        "grad_ema": "deviation" in factors,
        "last_grad": "beta1_derivative" in factors,
    }
    return tuple(name for name, wanted in read.items() if wanted)


def list_operands(names: tuple[str, ...], o: Operands) -> tuple[Vector, ...]:
    """The arrays that the kernel reads, in its order. Raises ValueError if one is missing."""
    wanted = _name_arrays(names, o.arrays.direction is not None, o.arrays.max_exp_avg_sq is not None, bool(o.l2))
    own = {"grad": o.grad, "theta": o.theta}
    given = {name: own[name] if name in own else getattr(o.arrays, name) for name in wanted}
    missing = ", ".join(name for name, array in given.items() if array is None)
    if missing:
        raise ValueError(f"{missing} is None: a tensor without it has no such inner product")
    return tuple(given.values())


def call_sums(names: tuple[str, ...], o: Operands, out: Vector) -> Call:
    """The call of sums.cl that forms the products asked for over one tensor.

    out     (len(names), ceil(n / BLOCK)), written

    Raises ValueError if an operand is missing.
    """
    return Call(form_sums(names, o), (o.theta.size, out.shape[1]), (out, *list_operands(names, o)))


def form_products(names: tuple[str, ...], o: Operands) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The macros that switch products on, in rows of their order, and the numbers of step t-1 that they need.

    names    keys of INNER_PRODUCTS, or STOPPED

    Raises ValueError if these are missing.
    """
    factors = find_factors(names)
    macros = _count_products(names)
    reals: tuple[float, ...] = ()
    if "direction" in factors and o.arrays.direction is not None:
        macros += ("KEPT",)
    elif "direction" in factors and o.scalars is None:
        raise ValueError("scalars is None: a tensor that was not stepped at t-1 has no direction")
    if "beta1_derivative" in factors:
        if not isinstance(o.scalars, ExactScalars):
            raise ValueError("scalars: the derivative with respect to beta1 needs those of the exact convention")
        reals += beta1_derivative_scalars(o.scalars.b1, o.last_beta1_power)
    if rebuilds(factors, o) and isinstance(o.scalars, ShaderScalars):
        macros += ("SHADER",)
        reals += (o.scalars.beta1_t, o.scalars.beta2_t, o.scalars.epsilon)
    elif rebuilds(factors, o) and isinstance(o.scalars, ExactScalars):
        reals += (o.scalars.i1, o.scalars.i2, o.scalars.eps)
    return macros, reals


@cache
def find_factors(names: tuple[str, ...]) -> frozenset[str]:
    """What the products are made of; STOPPED, which is none, is passed over."""
    return frozenset(factor for name in names if name != STOPPED for factor in INNER_PRODUCTS[name])


@cache
def _count_products(names: tuple[str, ...]) -> tuple[str, ...]:
    return (*(f"{name.upper()}={row}" for row, name in enumerate(names)), f"COUNT={len(names)}")


def rebuilds(factors: Container[str], o: Operands) -> bool:
    """Whether factors of products are rebuilt from the moments, by a division."""
    return ("direction" in factors and o.arrays.direction is None) or "beta1_derivative" in factors
