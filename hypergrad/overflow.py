"""Would a step write inf or NaN? Numbers that are known anyway decide it; where they leave doubt, the step is computed.

The squares of the gradient are summed before every step. So its largest element is known to be no larger than their
root, and from bounds of what is kept of a tensor follow bounds of what the step makes of it. Only where these come near
the largest number of the dtype is the step computed, by the reference, and looked at. What is written into parameters
or moments between two steps is not seen.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from hypergrad_reference.adamw import ExactScalars, ShaderScalars
from hypergrad_reference.adamw_loops import Update, update
from hypergrad_reference.sgd_hd import Move, move
from hypergrad_reference.types import Vector

ROUNDING = 1 + 2.0**-20
"""More than the roundings of one step in float32 can add, relative to the result."""

LIMITS = {4: (2.0**124, 2.0**-74), 8: (2.0**1020, 2.0**-537)}
"""By bytes of a number: steps whose numbers the first bounds stay in the dtype; squares below the second's may be 0."""


class Sizes(NamedTuple):
    """Bounds of the absolute values of a tensor and of what is kept of it."""

    theta: float
    linear: float  # in units of the gradient: moments of first order, velocity, direction
    square: float  # in units of its square


def find_largest(arrays: Iterable[Vector | None]) -> float:
    """The largest absolute value; nan if there is a NaN, 0 for no element."""
    largest = 0.0
    for array in arrays:
        if array is not None and array.size:
            largest = np.maximum(largest, max(float(np.max(array)), -float(np.min(array))))
    return float(largest)


def measure(u: Update | Move) -> Sizes:
    """The largest values of a tensor's arrays before its step."""
    if isinstance(u, Move):
        return Sizes(find_largest([u.theta]), find_largest([u.kept.direction, u.kept.velocity]), 0.0)
    m = u.moments
    return Sizes(
        find_largest([u.theta]),
        find_largest([m.exp_avg, None if u.gamma is None else u.grad_ema]),
        find_largest([m.exp_avg_sq, m.max_exp_avg_sq]),
    )


def foresee(sizes: Sizes, grad_sq: float, u: Update | Move) -> tuple[Sizes, bool]:
    """Bounds after a step, and whether they prove that the step writes finite numbers.

    sizes      before the step
    grad_sq    the largest block sum of g^2, at least the square of the largest element of g; may be inf or NaN
    """
    limit, least = LIMITS[u.theta.dtype.itemsize]
    if not grad_sq <= limit:
        return sizes, False
    g = math.sqrt(grad_sq) * ROUNDING + least
    after, others = _foresee_move(sizes, g, u) if isinstance(u, Move) else _foresee_update(sizes, g, u)
    return after, all(number <= limit for number in (*after, *others))


def _foresee_move(sizes: Sizes, g: float, m: Move) -> tuple[Sizes, tuple[float, ...]]:
    velocity = (m.momentum * sizes.linear + g) * ROUNDING
    linear = max(velocity, g + m.momentum * velocity) if m.rule == "nesterov" else velocity
    return Sizes((sizes.theta + abs(m.lr) * linear) * ROUNDING, linear, 0.0), (abs(m.lr), m.weight_decay)


def _foresee_update(sizes: Sizes, g: float, u: Update) -> tuple[Sizes, tuple[float, ...]]:
    if isinstance(u.scalars, ExactScalars):
        b1, c1, b2, c2, i1, i2, a, k, eps = u.scalars
    else:
        b1, c1, b2, c2, i1, i2, a, k, eps = _unfold(u.scalars)
    linear = (b1 * sizes.linear + c1 * g) * ROUNDING
    if u.grad_ema is not None:
        linear = max(linear, g if u.gamma is None else (u.gamma * sizes.linear + (1 - u.gamma) * g) * ROUNDING)
    if u.last_grad is not None:
        linear = max(linear, g)
    square = (b2 * sizes.square + c2 * g * g) * ROUNDING
    if u.moments.max_exp_avg_sq is not None:
        square = max(square, sizes.square)
    theta = (abs(k) * sizes.theta + abs(a) * linear / eps) * ROUNDING
    return Sizes(theta, linear, square), (linear * i1 / eps, square * i2, abs(a), abs(k), i1, i2, abs(u.l2))


def _unfold(s: ShaderScalars) -> tuple[float, ...]:
    """The scalars of the exact convention that bound those which the shader forms in the dtype of the arrays."""
    slip = 2.0**-22  # of 1 - beta in float32
    i1, i2 = (1 / max(1e-12, 1 - power - slip) for power in (s.beta1_t, s.beta2_t))
    k = abs(1 - s.learning_rate * s.weight_decay) + slip
    return s.beta1, 1 - s.beta1 + slip, s.beta2, 1 - s.beta2 + slip, i1, i2, s.learning_rate * i1, k, s.epsilon


def bring_to_host(u: Update | Move) -> Update | Move:
    """The same with a NumPy array for each of pyopencl."""
    return u._replace(theta=_fetch(u.theta), grad=_fetch(u.grad))


def _fetch(array: Any) -> Vector:
    fetched: Vector = array if isinstance(array, np.ndarray) else array.get()
    return fetched


def find_overflow(u: Update | Move, name: str, shape: tuple[int, ...]) -> tuple[Sizes, str | None]:
    """Compute a step, and say what of it is not finite; None if all is.

    u        arrays on the host, untouched
    name     of the tensor, for the message, and its shape

    Returns also the largest values after the step.
    """
    with np.errstate(all="ignore"):
        results = _list_move(u) if isinstance(u, Move) else _list_update(u)
    after = Sizes(
        find_largest([results["theta"]]),
        find_largest(array for part, array in results.items() if part != "theta" and "sq" not in part),
        find_largest(array for part, array in results.items() if part in ("exp_avg_sq", "max_exp_avg_sq")),
    )
    for part, array in (("theta now", u.theta), *results.items()):
        finite = np.isfinite(array)
        if not finite.all():
            whose = name if part.startswith("theta") else f"{part} of {name}"
            first = int(np.argmin(finite))
            place = ", ".join(map(str, np.unravel_index(first, shape)))
            remedy = "restore it" if array is u.theta else "scale the loss down, or lower the rate"
            verb = "holds" if array is u.theta else "would hold"
            return after, f"{whose} {verb} {array[first]} at [{place}]: {remedy}"
    return after, None


def _list_move(m: Move) -> dict[str, Vector]:
    theta, kept = move(m)
    results = {"direction": kept.direction, "velocity": kept.velocity, "theta": theta}
    return {name: array for name, array in results.items() if array is not None}


def _list_update(u: Update) -> dict[str, Vector]:
    theta, moments, grad_ema, last_grad = update(u)
    s = u.scalars
    i1, i2 = (s.i1, s.i2) if isinstance(s, ExactScalars) else _unfold(s)[4:6]
    real = theta.dtype.type
    divisor = moments.exp_avg_sq if moments.max_exp_avg_sq is None else moments.max_exp_avg_sq
    results = {
        "exp_avg": moments.exp_avg,
        "exp_avg_sq": moments.exp_avg_sq,
        "max_exp_avg_sq": moments.max_exp_avg_sq,
        "the corrected exp_avg": moments.exp_avg * real(i1),
        "the corrected exp_avg_sq": divisor * real(i2),
        "grad_ema": grad_ema,
        "last_grad": last_grad,
        "theta": theta,
    }
    return {name: array for name, array in results.items() if array is not None}
