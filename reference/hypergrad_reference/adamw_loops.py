"""The two loops over the elements of one tensor: the inner products of every rule, and the update of the AdamW family.

Kernels stand in for these two functions and for nothing else.
"""

from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from hypergrad_reference import adamw, surprise
from hypergrad_reference.adamw import ExactScalars, Moments, Scalars, ShaderScalars
from hypergrad_reference.sums import block_sums
from hypergrad_reference.types import Vector

Anything = TypeVar("Anything")


def form_gradient(theta: Vector, grad: Vector, grad_scale: float, l2: float) -> Vector:
    """The gradient that a rule works with.

        g = grad * grad_scale + l2 * theta

    theta, grad       any shape, alike; float32 or float64
    grad_scale, l2    rounded once to that dtype; an l2 of 0 adds nothing, not even to a NaN or inf of theta

    >>> import numpy as np
    >>> form_gradient(np.array([4.0]), np.array([3.0]), 2.0, 0.25)
    array([7.])
    """
    g: Vector = grad * theta.dtype.type(grad_scale)
    return g + theta.dtype.type(l2) * theta if l2 else g


class Operands(NamedTuple):
    """What the inner products of a tensor are made of; arrays in the shape and dtype of the tensor."""

    theta: Vector
    grad: Vector  # as the caller gave it
    grad_scale: float  # g_t = grad * grad_scale + l2 * theta
    moments: Moments | None = None  # after step t-1; None for rules without
    scalars: Scalars | None = None  # of step t-1; None if the tensor was not stepped then
    grad_ema: Vector | None = None  # e, what surprise expects of the gradient
    last_grad: Vector | None = None  # g_{t-1}, after grad_scale, for the derivative with respect to beta1
    last_beta1_power: float = 1.0  # product of the beta1 used up to step t-2
    l2: float = 0.0  # decay coupled to the gradient; with 0 nothing is added
    direction: Vector | None = None  # d_{t-1}, for rules that keep it instead of rebuilding it


INNER_PRODUCTS = {
    "grad_grad": ("grad", "grad"),  # ||g_t||^2
    "grad_direction": ("grad", "direction"),  # <g_t, d_{t-1}>, d rebuilt from the moments
    "direction_direction": ("direction", "direction"),  # ||d_{t-1}||^2
    "grad_exp_avg": ("grad", "exp_avg"),  # <g_t, m_{t-1}>
    "grad_theta": ("grad", "theta"),  # <g_t, theta>
    "deviation_deviation": ("deviation", "deviation"),  # ||g_t - e||^2
    "grad_beta1_derivative": ("grad", "beta1_derivative"),  # <g_t, dd_{t-1}/dbeta1>
}
"""Every inner product that a rule of the family may ask for, by name, and its two factors."""


def inner_products(names: Iterable[str], o: Operands) -> dict[str, Vector]:
    """Block sums of the inner products asked for, over one tensor.

    names    keys of INNER_PRODUCTS
    o        scalars are needed for the direction, grad_ema for the deviation

    Returns one array of shape (ceil(n / BLOCK),) a name, dtype of the tensor.

    >>> import numpy as np
    >>> o = Operands(np.array([2.0]), np.array([3.0]), 2.0, adamw.init(np.zeros(1)), grad_ema=np.array([1.0]))
    >>> inner_products(["grad_grad", "grad_theta", "deviation_deviation"], o)
    {'grad_grad': array([36.]), 'grad_theta': array([12.]), 'deviation_deviation': array([25.])}
    """
    needed = {factor for name in names for factor in INNER_PRODUCTS[name]}
    g = form_gradient(o.theta, o.grad, o.grad_scale, o.l2)
    factors = {"grad": g, "theta": o.theta}
    if "exp_avg" in needed:
        factors["exp_avg"] = _demand(o.moments, "moments").exp_avg
    if "direction" in needed:
        factors["direction"] = _direct(o) if o.direction is None else o.direction
    if "deviation" in needed:
        factors["deviation"] = g - _demand(o.grad_ema, "grad_ema")
    if "beta1_derivative" in needed:
        if not isinstance(o.scalars, ExactScalars):
            raise ValueError("scalars: the derivative with respect to beta1 needs those of the exact convention")
        factors["beta1_derivative"] = adamw.direction_beta1_derivative(
            _demand(o.moments, "moments"), o.scalars, _demand(o.last_grad, "last_grad"), o.last_beta1_power
        )
    return {name: block_sums(*(factors[factor] for factor in INNER_PRODUCTS[name])) for name in names}


def _demand(value: Anything | None, name: str) -> Anything:
    if value is None:
        raise ValueError(f"{name} is None: a tensor without it has no such inner product")
    return value


def _direct(o: Operands) -> Vector:
    moments = _demand(o.moments, "moments")
    if isinstance(o.scalars, ShaderScalars):
        return adamw.direction_shader(moments, o.scalars)
    return adamw.direction_exact(moments, _demand(o.scalars, "scalars"))


class Update(NamedTuple):
    """What the update of a tensor is made of; arrays in the shape and dtype of the tensor."""

    theta: Vector
    grad: Vector  # as the caller gave it
    grad_scale: float  # g_t = grad * grad_scale + l2 * theta
    moments: Moments  # after step t-1, with max_exp_avg_sq for amsgrad
    scalars: Scalars  # of step t; their type says which convention
    grad_ema: Vector | None = None  # e, if surprise is tracked
    gamma: float | None = None  # memory of e; None makes e = g_t
    l2: float = 0.0  # decay coupled to the gradient; with 0 nothing is added
    last_grad: Vector | None = None  # takes g_t after the step, if the derivative with respect to beta1 is wanted


def update(u: Update) -> tuple[Vector, Moments, Vector | None, Vector | None]:
    """One step of AdamW on one tensor, and of what else is kept of its gradient.

    Returns the new theta, moments, grad_ema and last_grad; inputs are untouched.
    Raises ValueError for amsgrad in the shader convention, which the shader does not know.

    >>> import numpy as np
    >>> scalars = adamw.exact_scalars(0.5, 0.5, 0.75, 1.0, 0.25, beta1_power=0.5, beta2_power=0.75)
    >>> u = Update(np.array([8.0]), np.array([0.5]), 2.0, adamw.init(np.zeros(1)), scalars, np.array([3.0]), 0.5)
    >>> theta, moments, grad_ema, last_grad = update(u)
    >>> theta, moments.exp_avg, grad_ema, last_grad
    (array([6.75]), array([0.5]), array([2.]), None)
    """
    g = form_gradient(u.theta, u.grad, u.grad_scale, u.l2)
    if isinstance(u.scalars, ExactScalars):
        apply = adamw.apply_exact if u.moments.max_exp_avg_sq is None else adamw.apply_amsgrad
        theta, moments = apply(u.theta, g, u.moments, u.scalars)
    elif u.moments.max_exp_avg_sq is None:
        theta, moments = adamw.apply_shader(u.theta, g, u.moments, u.scalars)
    else:
        raise ValueError("amsgrad is not part of the shader convention: use exact_scalars")
    grad_ema = None
    if u.grad_ema is not None:
        grad_ema = g.copy() if u.gamma is None else surprise.follow(u.grad_ema, g, u.gamma)
    return theta, moments, grad_ema, None if u.last_grad is None else g
