"""The two loops over the elements of one tensor that the AdamW family shares: its inner products, and its update.

Kernels stand in for these two functions and for nothing else.
"""

from collections.abc import Iterable
from typing import NamedTuple

from hypergrad_reference import adamw, surprise
from hypergrad_reference.adamw import ExactScalars, Moments, Scalars
from hypergrad_reference.sums import block_sums
from hypergrad_reference.types import Vector


class Operands(NamedTuple):
    """What the inner products of a tensor are made of; arrays in the shape and dtype of the tensor."""

    theta: Vector
    grad: Vector  # as the caller gave it
    grad_scale: float  # g_t = grad * grad_scale
    moments: Moments  # after step t-1
    scalars: Scalars | None = None  # of step t-1; None if the tensor was not stepped then
    grad_ema: Vector | None = None  # e, what surprise expects of the gradient
    last_grad: Vector | None = None  # g_{t-1}, after grad_scale, for the derivative with respect to beta1
    last_beta1_power: float = 1.0  # product of the beta1 used up to step t-2


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
    g = o.grad * o.theta.dtype.type(o.grad_scale)
    factors = {"grad": g, "exp_avg": o.moments.exp_avg, "theta": o.theta}
    if "direction" in needed:
        if o.scalars is None:
            raise ValueError("scalars is None: a tensor that was not stepped at t-1 has no direction")
        if isinstance(o.scalars, ExactScalars):
            factors["direction"] = adamw.direction_exact(o.moments, o.scalars)
        else:
            factors["direction"] = adamw.direction_shader(o.moments, o.scalars)
    if "deviation" in needed:
        if o.grad_ema is None:
            raise ValueError("grad_ema is None: a tensor without one has no deviation")
        factors["deviation"] = g - o.grad_ema
    if "beta1_derivative" in needed:
        if o.last_grad is None or not isinstance(o.scalars, ExactScalars):
            raise ValueError("the derivative with respect to beta1 needs last_grad and scalars of the exact convention")
        factors["beta1_derivative"] = adamw.direction_beta1_derivative(
            o.moments, o.scalars, o.last_grad, o.last_beta1_power
        )
    return {name: block_sums(*(factors[factor] for factor in INNER_PRODUCTS[name])) for name in names}


class Update(NamedTuple):
    """What the update of a tensor is made of; arrays in the shape and dtype of the tensor."""

    theta: Vector
    grad: Vector  # as the caller gave it
    grad_scale: float  # g_t = grad * grad_scale
    moments: Moments  # after step t-1, with max_exp_avg_sq for amsgrad
    scalars: Scalars  # of step t; their type says which convention
    grad_ema: Vector | None = None  # e, if surprise is tracked
    gamma: float | None = None  # memory of e; None makes e = g_t
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
    if isinstance(u.scalars, ExactScalars):
        apply = adamw.apply_exact if u.moments.max_exp_avg_sq is None else adamw.apply_amsgrad
        theta, moments = apply(u.theta, u.grad, u.moments, u.scalars, u.grad_scale)
    elif u.moments.max_exp_avg_sq is None:
        theta, moments = adamw.apply_shader(u.theta, u.grad, u.moments, u.scalars, u.grad_scale)
    else:
        raise ValueError("amsgrad is not part of the shader convention: use exact_scalars")
    g = u.grad * u.theta.dtype.type(u.grad_scale)
    grad_ema = None
    if u.grad_ema is not None:
        grad_ema = g.copy() if u.gamma is None else surprise.follow(u.grad_ema, g, u.gamma)
    return theta, moments, grad_ema, None if u.last_grad is None else g
