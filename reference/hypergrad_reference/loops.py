"""The two loops over the elements of one tensor, for every rule: inner products before the schedule, the update after.

Kernels replace these two functions and nothing else.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hypergrad_reference import adamw, adamw_beta1, adamw_free, sgd_hd, surprise
from hypergrad_reference.adamw import ExactScalars, Moments, ShaderScalars
from hypergrad_reference.adamw_free import form_lag
from hypergrad_reference.adamw_free_variants import LazyKept, apply_lazy, form_lazy_lag
from hypergrad_reference.rule import Averages, Scalars
from hypergrad_reference.sgd_hd import HeavyBall, Nesterov, Plain
from hypergrad_reference.sums import BLOCK, block_sums
from hypergrad_reference.types import Vector
from hypergrad_reference.weight_decay import add_decay

Anything = TypeVar("Anything")


class Arrays(NamedTuple):
    """What is kept of one tensor between steps, in its shape and dtype; None where its rule does not keep it."""

    exp_avg: Vector | None = None  # m, zeros at first
    exp_avg_sq: Vector | None = None  # v, zeros at first
    max_exp_avg_sq: Vector | None = None  # running maximum of v with amsgrad, zeros at first
    direction: Vector | None = None  # d_{t-1}, for rules that keep it instead of rebuilding it from the moments
    velocity: Vector | None = None  # of momentum, zeros at first
    grad_ema: Vector | None = None  # e, what surprise expects of the gradient
    last_grad: Vector | None = None  # g_{t-1}, after grad_scale, for the derivative with respect to beta1
    lag_slow: Vector | None = None  # E1 of a rule with averages, zeros at first
    lag_fast: Vector | None = None  # E2, zeros at first
    average_slow: Vector | None = None  # of its lazy form instead of E1: the average behind it, theta at first
    left: Vector | None = None  # block sums that loop 2 leaves behind, LEFT_BEHIND row by row, flat; zeros at first


class Batch(NamedTuple):
    """Tensors whose operands and updates differ in their arrays alone: a loop goes over all of them at once."""

    positions: tuple[int, ...]  # among all tensors; who runs the loops may keep under them what it made
    thetas: Sequence[Vector]  # one per tensor, of one dtype and kind, as the next two
    grads: Sequence[Vector]
    arrays: Sequence[Arrays]

    @property
    def blocks(self) -> list[int]:
        """How many block sums each tensor has."""
        return [-(-theta.size // BLOCK) for theta in self.thetas]

    def list_own(self) -> list[dict[str, Any]]:
        """The arrays of each tensor, by their names in Operands and Update."""
        tensors = zip(self.thetas, self.grads, self.arrays, strict=True)
        return [{"theta": theta, "grad": grad, "arrays": arrays} for theta, grad, arrays in tensors]


class Operands(NamedTuple):
    """What the inner products of a tensor are made of; arrays in the shape and dtype of the tensor."""

    theta: Vector
    grad: Vector  # as the caller gave it
    grad_scale: float  # g_t = grad * grad_scale + l2 * theta
    arrays: Arrays  # after step t-1
    scalars: Scalars | None = None  # of step t-1; None if the tensor was not stepped then
    last_beta1_power: float = 1.0  # product of the beta1 used up to step t-2
    l2: float = 0.0  # decay coupled to the gradient; with 0 nothing is added
    averages: Averages | None = None  # of a rule that has some


LEFT_BEHIND = ("step_step", "grad_grad", "grad_lag", "lag_lag")
"""What loop 2 of a rule with averages sums: ||step||^2; delayed, what loop 1 would form before, too."""
INNER_PRODUCTS = {
    "grad_grad": ("grad", "grad"),  # ||g_t||^2
    "grad_direction": ("grad", "direction"),  # <g_t, d_{t-1}>, d as it was kept, else rebuilt from the moments
    "direction_direction": ("direction", "direction"),  # ||d_{t-1}||^2
    "grad_exp_avg": ("grad", "exp_avg"),  # <g_t, m_{t-1}>
    "grad_theta": ("grad", "theta"),  # <g_t, theta_t>
    "deviation_deviation": ("deviation", "deviation"),  # ||g_t - e||^2
    "grad_beta1_derivative": ("grad", "beta1_derivative"),  # <g_t, dd_{t-1}/dbeta1>
    "grad_lag": ("grad", "lag"),  # <g_t, a>, a from the iterate towards its past
    "lag_lag": ("lag", "lag"),  # ||a||^2
}
"""Every inner product that a rule may ask for, by name, and its two factors."""


def inner_products(names: Iterable[str], o: Operands) -> dict[str, Vector]:
    """Block sums of the inner products asked for, over one tensor.

    names    keys of INNER_PRODUCTS
    o        scalars are needed for the direction, grad_ema for the deviation

    Returns one array of shape (ceil(n / BLOCK),) per name, dtype of the tensor.

    >>> import numpy as np
    >>> o = Operands(np.array([2.0]), np.array([3.0]), 2.0, Arrays(grad_ema=np.array([1.0])))
    >>> inner_products(["grad_grad", "grad_theta", "deviation_deviation"], o)
    {'grad_grad': array([36.]), 'grad_theta': array([12.]), 'deviation_deviation': array([25.])}
    """
    needed = {factor for name in names for factor in INNER_PRODUCTS[name]}
    g = add_decay(o.grad, o.theta, o.l2, o.grad_scale)
    factors = {"grad": g, "theta": o.theta}
    if "exp_avg" in needed:
        factors["exp_avg"] = _demand(o.arrays.exp_avg, "exp_avg")
    if "direction" in needed:
        factors["direction"] = _rebuild_direction(o) if o.arrays.direction is None else o.arrays.direction
    if "deviation" in needed:
        factors["deviation"] = g - _demand(o.arrays.grad_ema, "grad_ema")
    if "beta1_derivative" in needed:
        if not isinstance(o.scalars, ExactScalars):
            raise ValueError("scalars: the derivative with respect to beta1 needs those of the exact convention")
        factors["beta1_derivative"] = adamw_beta1.direction_beta1_derivative(
            _read_moments(o.arrays), o.scalars, _demand(o.arrays.last_grad, "last_grad"), o.last_beta1_power
        )
    if "lag" in needed:
        factors["lag"] = _form_lag(o.theta, o.arrays, _demand(o.averages, "averages"))
    return {name: block_sums(*(factors[factor] for factor in INNER_PRODUCTS[name])) for name in names}


def _demand(value: Anything | None, name: str) -> Anything:
    if value is None:
        raise ValueError(f"{name} is None: a tensor without it has no such inner product, and no such update")
    return value


def _form_lag(point: Vector, arrays: Arrays, averages: Averages) -> Vector:
    (b, rho, *_), fast = averages, _demand(arrays.lag_fast, "lag_fast")
    if arrays.average_slow is not None:
        return form_lazy_lag(point, arrays.average_slow, fast, b, rho)
    return form_lag(_demand(arrays.lag_slow, "lag_slow"), fast, rho)


def _read_moments(arrays: Arrays) -> Moments:
    m, v = _demand(arrays.exp_avg, "exp_avg"), _demand(arrays.exp_avg_sq, "exp_avg_sq")
    return Moments(0, m, v, arrays.max_exp_avg_sq)


def _rebuild_direction(o: Operands) -> Vector:
    scalars = _demand(o.scalars, "scalars")
    if isinstance(scalars, ShaderScalars):
        return adamw.direction_shader(_read_moments(o.arrays), scalars)
    if isinstance(scalars, ExactScalars):
        return adamw.direction_exact(_read_moments(o.arrays), scalars)
    raise ValueError(f"scalars is {type(scalars).__name__}: a direction is rebuilt from those of AdamW alone")


class Update(NamedTuple):
    """What the update of a tensor is made of; arrays in the shape and dtype of the tensor."""

    theta: Vector
    grad: Vector  # as the caller gave it
    grad_scale: float  # g_t = grad * grad_scale + l2 * theta
    arrays: Arrays  # after step t-1
    scalars: Scalars  # of step t; their type says which update it is
    gamma: float | None = None  # memory of grad_ema; None makes grad_ema = g_t
    l2: float = 0.0  # decay coupled to the gradient; with 0 nothing is added


def update(u: Update) -> tuple[Vector, Arrays]:
    """The update of one tensor, and of all that is kept of it.

    Returns the new theta and arrays; inputs are untouched. What is None in u.arrays stays None.
    Raises ValueError for amsgrad in the shader convention, which the shader does not know.

    >>> import numpy as np
    >>> scalars = adamw.exact_scalars(0.5, 0.5, 0.75, 1.0, 0.25, beta1_power=0.5, beta2_power=0.75)
    >>> arrays = Arrays(np.zeros(1), np.zeros(1), grad_ema=np.array([3.0]))
    >>> theta, after = update(Update(np.array([8.0]), np.array([0.5]), 2.0, arrays, scalars, gamma=0.5))
    >>> theta, after.exp_avg, after.grad_ema, after.last_grad
    (array([6.75]), array([0.5]), array([2.]), None)
    >>> moved = Update(np.array([4.0]), np.array([1.0]), 1.0, Arrays(velocity=np.array([2.0])), Nesterov(0.5, 0.5))
    >>> update(moved)[0], update(moved)[1].direction, update(moved)[1].velocity
    (array([3.]), array([2.]), array([2.]))
    """
    g = add_decay(u.grad, u.theta, u.l2, u.grad_scale)
    theta, arrays = UPDATES[type(u.scalars)](u.theta, g, u.arrays, u.scalars)
    if u.arrays.grad_ema is not None:
        ema = g.copy() if u.gamma is None else surprise.follow(u.arrays.grad_ema, g, u.gamma)
        arrays = arrays._replace(grad_ema=ema)
    return theta, arrays if u.arrays.last_grad is None else arrays._replace(last_grad=g)


class Passed(NamedTuple):
    """What one pass of both loops over a tensor gives."""

    theta: Vector
    arrays: Arrays
    blocks: dict[str, Vector]  # block sums, by name of the product
    stays: NDArray[np.bool_] | None = None  # which elements kept what they had


STOPPED = "stopped"
"""The block sums that count the elements that stay."""


def update_and_sum(names: Iterable[str], o: Operands, u: Update, stop: bool = False) -> Passed:
    """Both loops in one pass over a tensor, for the rules of `hypergrad_reference.delayed`.

    names    keys of INNER_PRODUCTS
    o, u     of the same tensor; the scalars of o are those of step t-1, of u those of step t
    stop     an element of which theta, m, v or d would not be finite keeps all that it had, and is counted in "stopped"

    Returns theta and arrays after the step, and block sums over what was there before it; inputs are untouched.

    >>> theta, grad = np.array([4.0, 4.0]), np.array([1.0, np.inf])
    >>> o = Operands(theta, grad, 1.0, Arrays(direction=np.array([2.0, 3.0])))
    >>> u = Update(theta, grad, 1.0, o.arrays, Plain(0.5))
    >>> passed = update_and_sum(["grad_direction"], o, u, stop=True)
    >>> passed.theta, passed.arrays.direction, passed.blocks
    (array([3.5, 4. ]), array([1., 3.]), {'grad_direction': array([inf]), 'stopped': array([1.])})
    """
    blocks = inner_products(names, o)
    theta, arrays = update(u)
    if not stop:
        return Passed(theta, arrays, blocks)
    judged = (theta, arrays.exp_avg, arrays.exp_avg_sq, arrays.direction)
    stays = ~np.logical_and.reduce([np.isfinite(array) for array in judged if array is not None])
    before = u.arrays if u.gamma is not None else u.arrays._replace(grad_ema=np.zeros_like(theta))
    kept = (None if a is None or b is None else np.where(stays, b, a) for a, b in zip(arrays, before, strict=True))
    blocks[STOPPED] = block_sums(stays.astype(theta.dtype), np.ones_like(theta))
    return Passed(np.where(stays, u.theta, theta), Arrays(*kept), blocks, stays)


def _update_exact(theta: Vector, g: Vector, arrays: Arrays, scalars: ExactScalars) -> tuple[Vector, Arrays]:
    apply = adamw.apply_exact if arrays.max_exp_avg_sq is None else adamw.apply_amsgrad
    theta, (_, *moments) = apply(theta, g, _read_moments(arrays), scalars)
    return theta, Arrays(*moments)


def _update_shader(theta: Vector, g: Vector, arrays: Arrays, scalars: ShaderScalars) -> tuple[Vector, Arrays]:
    if arrays.max_exp_avg_sq is not None:
        raise ValueError("amsgrad is not part of the shader convention: use exact_scalars")
    theta, (_, *moments) = adamw.apply_shader(theta, g, _read_moments(arrays), scalars)
    return theta, Arrays(*moments)


def _update_sgd_hd(theta: Vector, g: Vector, arrays: Arrays, scalars: sgd_hd.Form) -> tuple[Vector, Arrays]:
    theta, direction, velocity = sgd_hd.move(theta, g, arrays.velocity, scalars)
    return theta, Arrays(direction=direction, velocity=velocity)


def _update_free(theta: Vector, g: Vector, arrays: Arrays, scalars: adamw_free.Scalars) -> tuple[Vector, Arrays]:
    """The update of TuningFreeAdamW. Lazy where the average behind E1 is kept; between two looks keep_slow is 1."""
    moments, fast, left = _read_moments(arrays), _demand(arrays.lag_fast, "lag_fast"), _demand(arrays.left, "left")
    look, rows = scalars.keep_slow != 1.0, left.copy().reshape(-1, max(-(-theta.size // BLOCK), 1))
    if len(rows) > 1:
        rows[1] = block_sums(g, g)
    if len(rows) > 1 and look:
        lag = _form_lag(theta, arrays, Averages(scalars.b, scalars.rho, LEFT_BEHIND))
        rows[2], rows[3] = block_sums(g, lag), block_sums(lag, lag)
    if arrays.average_slow is not None:
        lazy = LazyKept(moments, arrays.average_slow, fast)
        theta, (after, average, fast), step = apply_lazy(theta, g, lazy, scalars, look)
        kept = Arrays(after.exp_avg, after.exp_avg_sq, lag_fast=fast, average_slow=average)
    else:
        exact = adamw_free.Kept(moments, _demand(arrays.lag_slow, "lag_slow"), fast)
        theta, (after, slow, fast), step = adamw_free.apply(theta, g, exact, scalars)
        kept = Arrays(after.exp_avg, after.exp_avg_sq, lag_slow=slow, lag_fast=fast)
    if len(rows):  # without elements there is no block
        rows[0] = block_sums(step, step)
    return theta, kept._replace(left=rows.reshape(-1))


UPDATES: dict[type[Scalars], Callable[..., tuple[Vector, Arrays]]] = {
    ExactScalars: _update_exact,
    ShaderScalars: _update_shader,
    Plain: _update_sgd_hd,
    HeavyBall: _update_sgd_hd,
    Nesterov: _update_sgd_hd,
    adamw_free.Scalars: _update_free,
}
"""The update that a type of scalars belongs to."""
