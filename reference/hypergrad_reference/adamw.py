"""AdamW (Loshchilov and Hutter 2019), in the two scalar conventions that one kernel serves.

    exact     the scalars of a step are formed in float64 and rounded once to the dtype of the arrays
    shader    the arithmetic of the GLSL shader `adamw-update`: scalars are rounded first, then 1 - beta is formed

In float32 the shader's 1 - 0.999 is off by 1.3e-5 of itself, which is why `exact` is the default of the optimizers and
`shader` the one of the translation test. Both round every operation to the dtype of the arrays, in the order written.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from hypergrad_reference.rule import Options
from hypergrad_reference.types import Vector


class Moments(NamedTuple):
    """What AdamW keeps of one tensor; arrays in the shape and dtype of the tensor."""

    step: int  # number of steps this tensor has taken
    exp_avg: Vector  # m, zeros at first
    exp_avg_sq: Vector  # v, zeros at first
    max_exp_avg_sq: Vector | None = None  # running maximum of v with amsgrad, zeros at first


class ExactScalars(NamedTuple):
    """The scalars of one step in float64; each is rounded to the dtype of the arrays where it meets them."""

    b1: float  # beta1
    c1: float  # 1 - beta1
    b2: float  # beta2
    c2: float  # 1 - beta2
    i1: float  # 1 / (1 - beta1^t)
    i2: float  # 1 / (1 - beta2^t)
    a: float  # lr / (1 - beta1^t)
    k: float  # 1 - lr weight_decay
    eps: float


class ShaderScalars(NamedTuple):
    """The push constants of the shader, in its order, less the two that belong to the launch."""

    learning_rate: float
    beta1: float
    beta2: float
    epsilon: float
    weight_decay: float
    beta1_t: float  # beta1^t
    beta2_t: float  # beta2^t


Scalars = ExactScalars | ShaderScalars
AnyScalars = TypeVar("AnyScalars", ExactScalars, ShaderScalars)


def init(theta: Vector) -> Moments:
    """Moments of a tensor that has not taken a step."""
    return Moments(0, np.zeros_like(theta), np.zeros_like(theta))


def init_amsgrad(theta: Vector) -> Moments:
    """Moments of a tensor that has not taken a step, with the running maximum that amsgrad divides by."""
    return Moments(0, np.zeros_like(theta), np.zeros_like(theta), np.zeros_like(theta))


def exact_scalars(
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, beta1_power: float, beta2_power: float
) -> ExactScalars:
    """Form the scalars of a step, convention `exact`.

    lr                  learning rate of this step
    beta1, beta2        in [0, 1)
    eps                 > 0, in units of the gradient
    weight_decay        decoupled, per step and unit of lr
    beta1_power         beta1^t with t the tensor's own step counter after this step, or the product of the beta1 used
    beta2_power         beta2^t

    >>> exact_scalars(0.5, 0.5, 0.75, 0.125, 0.25, beta1_power=0.5, beta2_power=0.75)
    ExactScalars(b1=0.5, c1=0.5, b2=0.75, c2=0.25, i1=2.0, i2=4.0, a=1.0, k=0.875, eps=0.125)
    """
    return ExactScalars(
        b1=beta1,
        c1=1 - beta1,
        b2=beta2,
        c2=1 - beta2,
        i1=1 / (1 - beta1_power),
        i2=1 / (1 - beta2_power),
        a=lr / (1 - beta1_power),
        k=1 - lr * weight_decay,
        eps=eps,
    )


def shader_scalars(
    lr: float, beta1: float, beta2: float, eps: float, weight_decay: float, beta1_power: float, beta2_power: float
) -> ShaderScalars:
    """Form the push constants of a step, convention `shader`; arguments as in exact_scalars."""
    return ShaderScalars(lr, beta1, beta2, eps, weight_decay, beta1_power, beta2_power)


FORM_SCALARS: dict[str, Callable[..., Scalars]] = {"exact": exact_scalars, "shader": shader_scalars}
"""How the scalars of a step are formed, by the name of the convention."""
CONVENTIONS: dict[str, type[ExactScalars] | type[ShaderScalars]] = {"exact": ExactScalars, "shader": ShaderScalars}
"""Their types."""


def _round(scalars: AnyScalars, like: Vector) -> AnyScalars:
    rounded: list[Any] = [like.dtype.type(scalar) for scalar in scalars]
    return type(scalars)(*rounded)


def _check(theta: Vector, grad: Vector, moments: Moments) -> None:
    for name, array in (("grad", grad), ("exp_avg", moments.exp_avg), ("exp_avg_sq", moments.exp_avg_sq)):
        if (array.shape, array.dtype) != (theta.shape, theta.dtype):
            raise ValueError(
                f"{name} is {array.dtype}{array.shape}, theta is {theta.dtype}{theta.shape}: make them alike"
            )


def apply_exact(
    theta: Vector, grad: Vector, moments: Moments, scalars: ExactScalars, grad_scale: float = 1.0
) -> tuple[Vector, Moments]:
    """One step of AdamW, convention `exact`.

        g     = grad * grad_scale
        m     = b1*m + c1*g
        v     = b2*v + (c2*g)*g
        theta = theta*k - (a*m) / (sqrt(v*i2) + eps)

    theta         any shape; float32 or float64
    grad          shape and dtype of theta
    moments       after the tensor's previous step
    scalars       of this step: their powers of beta belong to moments.step + 1
    grad_scale    multiplies the gradient first; negative to climb

    Returns the new theta and moments; neither shares memory with an input. NaN and inf pass through.
    Raises ValueError if grad or the moments differ from theta in shape or dtype.
    Source: the rule is AdamW's; the order of operations is this project's contract with its kernels.

    >>> scalars = exact_scalars(0.5, 0.5, 0.75, 1.0, 0.25, beta1_power=0.5, beta2_power=0.75)
    >>> theta, moments = apply_exact(np.array([8.0, -1.0]), np.array([1.0, 3.0]), init(np.zeros(2)), scalars)
    >>> theta, moments.step, moments.exp_avg, moments.exp_avg_sq
    (array([ 6.75, -1.25]), 1, array([0.5, 1.5]), array([0.25, 2.25]))
    """
    _check(theta, grad, moments)
    s = _round(scalars, theta)
    g = grad * theta.dtype.type(grad_scale)
    m = s.b1 * moments.exp_avg + s.c1 * g
    v = s.b2 * moments.exp_avg_sq + (s.c2 * g) * g
    return theta * s.k - (s.a * m) / (np.sqrt(v * s.i2) + s.eps), Moments(moments.step + 1, m, v)


def apply_amsgrad(
    theta: Vector, grad: Vector, moments: Moments, scalars: ExactScalars, grad_scale: float = 1.0
) -> tuple[Vector, Moments]:
    """One step of AdamW with amsgrad (Reddi et al. 2018), convention `exact`; arguments as in apply_exact.

    v_max = max(v_max, v)
    theta = theta*k - (a*m) / (sqrt(v_max*i2) + eps)
    """
    if moments.max_exp_avg_sq is None:
        raise ValueError("moments has no max_exp_avg_sq: start from init_amsgrad")
    _check(theta, grad, moments)
    s = _round(scalars, theta)
    g = grad * theta.dtype.type(grad_scale)
    m = s.b1 * moments.exp_avg + s.c1 * g
    v = s.b2 * moments.exp_avg_sq + (s.c2 * g) * g
    v_max = np.maximum(moments.max_exp_avg_sq, v)
    return theta * s.k - (s.a * m) / (np.sqrt(v_max * s.i2) + s.eps), Moments(moments.step + 1, m, v, v_max)


def apply_shader(
    theta: Vector, grad: Vector, moments: Moments, scalars: ShaderScalars, grad_scale: float = 1.0
) -> tuple[Vector, Moments]:
    """One step of AdamW as the GLSL shader `adamw-update` computes it; arguments as in apply_exact.

        g     = grad * grad_scale
        m     = beta1*m + (1 - beta1)*g
        v     = beta2*v + ((1 - beta2)*g)*g
        m_hat = m / max(1e-12, 1 - beta1_t)
        v_hat = v / max(1e-12, 1 - beta2_t)
        theta = theta*(1 - learning_rate*weight_decay) - (learning_rate*m_hat) / (sqrt(max(v_hat, 0)) + epsilon)

    Source: Grillcheese-AI/grilly, shaders/adamw-update.glsl.

    >>> scalars = shader_scalars(0.5, 0.5, 0.75, 1.0, 0.25, beta1_power=0.5, beta2_power=0.75)
    >>> theta, moments = apply_shader(np.array([8.0, -1.0]), np.array([1.0, 3.0]), init(np.zeros(2)), scalars)
    >>> theta, moments.step, moments.exp_avg, moments.exp_avg_sq
    (array([ 6.75, -1.25]), 1, array([0.5, 1.5]), array([0.25, 2.25]))
    """
    _check(theta, grad, moments)
    one, tiny = theta.dtype.type(1), theta.dtype.type(1e-12)
    s = _round(scalars, theta)
    g = grad * theta.dtype.type(grad_scale)
    m = s.beta1 * moments.exp_avg + (one - s.beta1) * g
    v = s.beta2 * moments.exp_avg_sq + ((one - s.beta2) * g) * g
    m_hat = m / max(tiny, one - s.beta1_t)
    v_hat = v / max(tiny, one - s.beta2_t)
    decay = one - s.learning_rate * s.weight_decay
    root = np.sqrt(np.maximum(v_hat, theta.dtype.type(0)))
    return theta * decay - (s.learning_rate * m_hat) / (root + s.epsilon), Moments(moments.step + 1, m, v)


def direction_exact(moments: Moments, scalars: ExactScalars) -> Vector:
    """The direction of the step that led to these moments, convention `exact`, rebuilt rather than stored.

        d = (m*i1) / (sqrt(u*i2) + eps),   u = v, or v_max where it is kept

    scalars    of that same step

    >>> scalars = exact_scalars(0.5, 0.5, 0.75, 1.0, 0.25, beta1_power=0.5, beta2_power=0.75)
    >>> direction_exact(Moments(1, np.array([0.5, 1.5]), np.array([0.25, 2.25])), scalars)
    array([0.5 , 0.75])
    """
    u = moments.exp_avg_sq if moments.max_exp_avg_sq is None else moments.max_exp_avg_sq
    s = _round(scalars, u)
    d: Vector = (moments.exp_avg * s.i1) / (np.sqrt(u * s.i2) + s.eps)
    return d


def direction_shader(moments: Moments, scalars: ShaderScalars) -> Vector:
    """The direction of the step that led to these moments, convention `shader`.

    d = m_hat / (sqrt(max(v_hat, 0)) + epsilon)
    """
    real = moments.exp_avg.dtype.type
    s = _round(scalars, moments.exp_avg)
    m_hat = moments.exp_avg / max(real(1e-12), real(1) - s.beta1_t)
    v_hat = moments.exp_avg_sq / max(real(1e-12), real(1) - s.beta2_t)
    d: Vector = m_hat / (np.sqrt(np.maximum(v_hat, real(0))) + s.epsilon)
    return d


class Constants(NamedTuple):
    """What stays the same over a run of AdamW, or of a rule that learns its rate."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8  # > 0, in units of the gradient
    weight_decay: float = 0.01  # decoupled, per unit of lr


def step(
    thetas: Sequence[Vector],
    grads: Sequence[Vector | None],
    moments: Sequence[Moments],
    lr: float,
    constants: Constants,
) -> tuple[list[Vector], list[Moments]]:
    """One step of AdamW.

        m     = beta1 m + (1 - beta1) g,   v = beta2 v + (1 - beta2) g^2
        theta = theta (1 - lr weight_decay) - lr m_hat / (sqrt(v_hat) + eps)
        m_hat = m / (1 - beta1^t),         v_hat = v / (1 - beta2^t)

    thetas     one array per tensor, any shapes; float32 or float64
    grads      shape and dtype of its tensor; None lets the tensor sit this step out, in its own count t too
    moments    of `init` or `init_amsgrad`, or from the step before
    lr         of this step

    Returns the tensors and the moments; inputs are untouched.
    Source: Loshchilov and Hutter 2019, Algorithm 2.

    >>> thetas, moments = [np.array([8.0, -1.0])], [init(np.zeros(2))]
    >>> thetas, moments = step(thetas, [np.array([1.0, 3.0])], moments, 0.5, Constants(0.5, 0.75, 1.0, 0.25))
    >>> thetas, moments[0].step
    ([array([ 6.75, -1.25])], 1)
    """
    c, moved = constants, []
    for theta, grad, kept in zip(thetas, grads, moments, strict=True):
        if grad is None:
            moved.append((theta.copy(), kept))
            continue
        t = kept.step + 1
        scalars = exact_scalars(lr, c.beta1, c.beta2, c.eps, c.weight_decay, c.beta1**t, c.beta2**t)
        apply = apply_exact if kept.max_exp_avg_sq is None else apply_amsgrad
        moved.append(apply(theta, grad, kept, scalars))
    return [theta for theta, _ in moved], [kept for _, kept in moved]


def direction(moments: Moments, constants: Constants) -> Vector:
    """The direction of the step that led to these moments, which does not depend on its rate.

        d = m_hat / (sqrt(v_hat) + eps)

    >>> direction(Moments(1, np.array([0.5, 1.5]), np.array([0.25, 2.25])), Constants(0.5, 0.75, 1.0))
    array([0.5 , 0.75])
    """
    c, t = constants, moments.step
    return direction_exact(moments, exact_scalars(0.0, c.beta1, c.beta2, c.eps, 0.0, c.beta1**t, c.beta2**t))


class Base(NamedTuple):
    """How the tensors of AdamW, and of every rule built on it, are updated."""

    convention: str = "exact"  # a key of FORM_SCALARS
    amsgrad: bool = False
    grad_scale: float = 1.0  # of every gradient; negative to climb

    @property
    def keeps(self) -> tuple[str, ...]:
        """The moments."""
        return ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") if self.amsgrad else ("exp_avg", "exp_avg_sq")

    def scalars(self, options: Options, steps: int, beta1_power: float | None = None) -> Scalars:
        """The scalars of the next step of a tensor that has taken `steps`.

        beta1_power    for the bias correction: the product of the beta1 used; None is beta1^t

        >>> Base().scalars(Options(0.5, 0.5, 0.75, 0.125, 0.25), 0)
        ExactScalars(b1=0.5, c1=0.5, b2=0.75, c2=0.25, i1=2.0, i2=4.0, a=1.0, k=0.875, eps=0.125)
        """
        t = steps + 1
        power = options.beta1**t if beta1_power is None else beta1_power
        return FORM_SCALARS[self.convention](
            options.lr, options.beta1, options.beta2, options.eps, options.weight_decay, power, options.beta2**t
        )
