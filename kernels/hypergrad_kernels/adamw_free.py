"""Host code of adamw_free.cl: the update of TuningFreeAdamW and its sums, as hypergrad_reference.loops has them."""

from hypergrad_kernels.calls import Call, Form
from hypergrad_reference.adamw_free import Scalars
from hypergrad_reference.loops import Operands, Update
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

LAGS = ("grad_grad", "grad_lag", "lag_lag")
"""What the kernel `lags` sums, row by row."""


def form_update(u: Update, clear_grad: bool = False) -> Form:
    """The form of `call_update`, which tensors share that have one history, dtype and kind of array.

    Raises ValueError for scalars of another rule, and if `left` is missing.
    """
    s, arrays = u.scalars, u.arrays
    if not isinstance(s, Scalars):
        raise ValueError(f"scalars is {type(s).__name__}: adamw_free.cl takes those of TuningFreeAdamW")
    if arrays.left is None:
        raise ValueError("left is None: the sums need room")
    lazy, look, blocks = arrays.average_slow is not None, s.keep_slow != 1.0, -(-u.theta.size // BLOCK)
    names = ["left", "theta", "grad", "exp_avg", "exp_avg_sq", "lag_fast"]
    macros = ["LAZY"] * lazy + ["LOOK"] * look + ["DELAYED"] * (arrays.left.size > blocks) + ["CLEAR_GRAD"] * clear_grad
    if look:
        names.append("average_slow" if lazy else "lag_slow")
    written = frozenset(names) - (frozenset() if clear_grad else {"grad"})
    kept = frozenset(names) - {"left", "theta", "grad"}
    reals = (*s, 1 - s.keep_slow, u.grad_scale)
    return Form("adamw_free", "adamw_free", u.theta.dtype, tuple(macros), tuple(names), written, kept, reals, BLOCK)


def list_arrays(u: Update) -> tuple[Vector, ...]:
    """The arrays of an update, in the kernel's order. Raises ValueError if one is missing."""
    a, s = u.arrays, u.scalars
    slow = a.lag_slow if a.average_slow is None else a.average_slow
    arrays = [a.left, u.theta, u.grad, a.exp_avg, a.exp_avg_sq, a.lag_fast]
    if isinstance(s, Scalars) and s.keep_slow != 1.0:
        arrays.append(slow)
    given = tuple(array for array in arrays if array is not None)
    if len(given) < len(arrays):
        raise ValueError("an array of the update is None: TuningFreeAdamW keeps two moments, two averages, and left")
    return given


def call_update(u: Update, clear_grad: bool = False) -> Call:
    """The call of adamw_free.cl that updates one tensor: u.theta and the arrays of u.arrays are written."""
    return Call(form_update(u, clear_grad), (u.theta.size, -(-u.theta.size // BLOCK)), list_arrays(u))


def form_lags(o: Operands) -> Form:
    """The form of `call_lags`, which tensors share that have one history, dtype and kind of array.

    Raises ValueError for a rule without averages.
    """
    if o.averages is None:
        raise ValueError("averages is None: a rule without them has no such inner product")
    lazy = o.arrays.average_slow is not None
    names = ("left", "grad", "lag_fast", "average_slow" if lazy else "lag_slow", *(("theta",) if lazy else ()))
    return Form(
        "adamw_free", "lags", o.theta.dtype, ("LAZY",) if lazy else (), names, frozenset({"left"}),
        frozenset(names) - {"left", "grad", "theta"},
        (o.averages.interpolation, o.averages.rho, o.grad_scale), BLOCK, frozenset({"left"}),
    )  # fmt: skip


def list_lags(o: Operands) -> tuple[Vector, ...]:
    """The arrays that the kernel `lags` reads, in its order. Raises ValueError if one is missing."""
    lazy = o.arrays.average_slow is not None
    slow = o.arrays.average_slow if lazy else o.arrays.lag_slow
    arrays = (o.grad, o.arrays.lag_fast, slow, *((o.theta,) if lazy else ()))
    given = tuple(array for array in arrays if array is not None)
    if len(given) < len(arrays):
        raise ValueError("lag_fast, lag_slow or average_slow is None: a tensor without it has no such inner product")
    return given


def call_lags(o: Operands, out: Vector) -> Call:
    """The call of the kernel `lags`, which forms LAGS over one tensor.

    out     (3, ceil(n / BLOCK)), written

    Raises ValueError if an operand is missing.
    """
    return Call(form_lags(o), (o.theta.size, out.shape[1]), (out, *list_lags(o)))
