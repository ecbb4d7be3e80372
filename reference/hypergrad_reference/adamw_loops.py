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


INNER_PRODUCTS = {
    "grad_grad": ("grad", "grad"),  # ||g_t||^2
    "grad_direction": ("grad", "direction"),  # <g_t, d_{t-1}>, d rebuilt from the moments
    "direction_direction": ("direction", "direction"),  # ||d_{t-1}||^2
    "grad_exp_avg": ("grad", "exp_avg"),  # <g_t, m_{t-1}>
    "grad_theta": ("grad", "theta"),  # <g_t, theta>
    "deviation_deviation": ("deviation", "deviation"),  # ||g_t - e||^2
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
        exact = isinstance(o.scalars, ExactScalars)
        factors["direction"] = (adamw.direction_exact if exact else adamw.direction_shader)(o.moments, o.scalars)
    if "deviation" in needed:
        if o.grad_ema is None:
            raise ValueError("grad_ema is None: a tensor without one has no deviation")
        factors["deviation"] = g - o.grad_ema
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


def update(u: Update) -> tuple[Vector, Moments, Vector | None]:
    """One step of AdamW on one tensor, and of the running mean of its gradient where there is one.

    Returns the new theta, moments and grad_ema; inputs are untouched.
    Raises ValueError for amsgrad in the shader convention, which the shader does not know.

    >>> import numpy as np
    >>> scalars = adamw.exact_scalars(0.5, 0.5, 0.75, 1.0, 0.25, beta1_power=0.5, beta2_power=0.75)
    >>> u = Update(np.array([8.0]), np.array([0.5]), 2.0, adamw.init(np.zeros(1)), scalars, np.array([3.0]), 0.5)
    >>> theta, moments, grad_ema = update(u)
    >>> theta, moments.exp_avg, grad_ema
    (array([6.5]), array([0.5]), array([2.]))
    """
    if isinstance(u.scalars, ExactScalars):
        apply = adamw.apply_exact if u.moments.max_exp_avg_sq is None else adamw.apply_amsgrad
        theta, moments = apply(u.theta, u.grad, u.moments, u.scalars, u.grad_scale)
    elif u.moments.max_exp_avg_sq is None:
        theta, moments = adamw.apply_shader(u.theta, u.grad, u.moments, u.scalars, u.grad_scale)
    else:
        raise ValueError("amsgrad is not part of the shader convention: use exact_scalars")
    if u.grad_ema is None:
        return theta, moments, None
    g = u.grad * u.theta.dtype.type(u.grad_scale)
    return theta, moments, g if u.gamma is None else surprise.follow(u.grad_ema, g, u.gamma)
