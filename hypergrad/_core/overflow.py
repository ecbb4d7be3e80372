"""Whether a step would write inf or NaN: decided from known numbers, and where they leave doubt by computing the step.

The squares of the gradient are summed before every step. So its largest element is known to be no larger than their
root, and from bounds of what is kept of the tensors follow bounds of what the step makes of them. Only where these come
near the largest number of the dtype is the step computed, by the reference, and looked at. What is written into
parameters or moments between two steps is not seen.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hypergrad._core.backend import Backend, UpdateTask
from hypergrad._core.keeping import fetch
from hypergrad._core.tensors import Tensor
from hypergrad_reference import adamw_free
from hypergrad_reference.adamw import ExactScalars, ShaderScalars
from hypergrad_reference.loops import Arrays, Update, update
from hypergrad_reference.rule import Scalars
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

ROUNDING = 1 + 2.0**-20
"""More than the roundings of one step in float32 can add, relative to the result."""

LIMITS = {char: float(np.finfo(char).max) / 16 for char in "fd"}
"""By the character of a dtype: no step whose numbers are bounded by this leaves it."""

UNSEEN = {"f": 2.0**-74, "d": 2.0**-537}
"""The square of anything smaller may be 0."""


class Sizes(NamedTuple):
    """Bounds of the absolute values of tensors and of what is kept of them."""

    theta: float
    linear: float  # in units of the gradient: moments of first order, velocity, direction
    square: float  # in units of its square
    lag: float = 0.0  # distances of averages from the iterate; theta is then the iterate

    def join(self, other: "Sizes") -> "Sizes":
        """Bounds that hold for both."""
        return Sizes(*map(max, self, other))


def find_largest(arrays: Iterable[Vector | None]) -> float:
    """The largest absolute value; nan if there is a NaN, 0 for no element."""
    largest = 0.0
    for array in arrays:
        if array is not None and array.size:
            largest = np.maximum(largest, max(float(np.max(array)), -float(np.min(array))))
    return float(largest)


def measure(tensors: Iterable[tuple[Any, Arrays]]) -> Sizes:
    """The largest values of tensors and of what is kept of them."""
    sizes = Sizes(0.0, 0.0, 0.0)
    for theta, kept in tensors:
        linear = (kept.exp_avg, kept.direction, kept.velocity, kept.grad_ema)
        square = (kept.exp_avg_sq, kept.max_exp_avg_sq)
        lag = (kept.lag_slow, kept.lag_fast)
        point, *others = map(find_largest, ([fetch(theta)], linear, square, lag))
        sizes = Sizes(*map(_join, sizes, (point + others[-1], *others)))
    return sizes


def _join(one: float, other: float) -> float:
    return float(np.maximum(one, other))  # a NaN stays


def predict_sizes(sizes: Sizes, grad_sq: float, u: Update) -> tuple[Sizes, bool]:
    """Bounds after a step, and whether they prove that the step writes finite numbers.

    sizes      before the step
    grad_sq    the largest block sum of g^2, at least the square of the largest element of g; may be inf or NaN
    u          its scalars count, and which arrays it has
    """
    limit, least = LIMITS[u.theta.dtype.char], UNSEEN[u.theta.dtype.char]
    if not grad_sq <= limit:
        return sizes, False
    g = math.sqrt(grad_sq) * ROUNDING + least
    predict_kind = PREDICTORS.get(type(u.scalars), _predict_sgd_hd)
    after, others = predict_kind(sizes, g, u)
    return after, all(map(limit.__ge__, (*after, *others)))


def _predict_sgd_hd(sizes: Sizes, g: float, u: Update) -> tuple[Sizes, tuple[float, ...]]:
    lr, momentum = abs(u.scalars[0]), u.scalars[1] if len(u.scalars) > 1 else 0.0
    velocity = (momentum * sizes.linear + g) * ROUNDING
    linear = max(velocity, (g + momentum * velocity) * ROUNDING)
    return Sizes((sizes.theta + lr * linear) * ROUNDING, linear, 0.0), (lr, u.l2)


def _predict_adamw(sizes: Sizes, g: float, u: Update) -> tuple[Sizes, tuple[float, ...]]:
    b1, c1, b2, c2, i1, i2, a, k, eps = _unfold(u.scalars) if isinstance(u.scalars, ShaderScalars) else u.scalars
    linear = (b1 * sizes.linear + c1 * g) * ROUNDING
    if u.arrays.grad_ema is not None:
        linear = max(linear, g if u.gamma is None else (u.gamma * sizes.linear + (1 - u.gamma) * g) * ROUNDING)
    if u.arrays.last_grad is not None:
        linear = max(linear, g)
    square = (b2 * sizes.square + c2 * g * g) * ROUNDING
    if u.arrays.max_exp_avg_sq is not None:
        square = max(square, sizes.square)
    theta = (abs(k) * sizes.theta + abs(a) * linear / eps) * ROUNDING
    return Sizes(theta, linear, square), (linear * i1 / eps, square * i2, abs(a), abs(k), i1, i2, abs(u.l2))


def _predict_free(sizes: Sizes, g: float, u: Update) -> tuple[Sizes, tuple[float, ...]]:
    b1, c1, b2, c2, i2, a, k, eps, b, *_ = u.scalars
    linear = (b1 * sizes.linear + c1 * g) * ROUNDING
    square = (b2 * sizes.square + c2 * g * g) * ROUNDING
    iterate = sizes.theta * ROUNDING  # rebuilt from the point and E2
    step = (a * linear / eps + k * iterate) * ROUNDING
    theta, lag = (iterate + step) * ROUNDING, (sizes.lag + step) * ROUNDING
    most = max(g, lag, step)
    left = BLOCK * most * most  # the sums over a block that the step leaves behind
    return Sizes(theta, linear, square, lag), (theta + b * lag, square * i2, abs(a), k, left)


PREDICTORS: dict[type[Scalars], Callable[[Sizes, float, Update], tuple[Sizes, tuple[float, ...]]]] = {
    ExactScalars: _predict_adamw, ShaderScalars: _predict_adamw, adamw_free.Scalars: _predict_free,
}  # fmt: skip
"""By the type of the scalars; the others are those of SGD-HD."""


def _unfold(s: ShaderScalars) -> tuple[float, ...]:
    """The scalars of the exact convention that bound those which the shader forms in the dtype of the arrays."""
    slip = 2.0**-22  # of 1 - beta in float32
    i1, i2 = (1 / max(1e-12, 1 - power - slip) for power in (s.beta1_t, s.beta2_t))
    k = abs(1 - s.learning_rate * s.weight_decay) + slip
    return s.beta1, 1 - s.beta1 + slip, s.beta2, 1 - s.beta2 + slip, i1, i2, s.learning_rate * i1, k, s.epsilon


def find_overflows(
    sizes: Sizes | None,
    tensors: Sequence[Tensor],
    arrays: Sequence[Arrays],
    tasks: Sequence[UpdateTask],
    sums: Sequence[Mapping[str, Vector]],
    backend: Backend,
) -> tuple[Sizes | None, str | None]:
    """Bounds of all tensors and of what is kept of them after the updates, and what of these is not finite.

    sizes     such bounds before; None: they are measured
    arrays    what is kept of each tensor before
    sums      with "grad_grad" for each of the tasks
    """
    if sizes is None:
        backend.fetch()
        known = zip(
            tensors, arrays, strict=False
        )  # a group that was added meanwhile has none; the step is refused then
        sizes = measure((tensor.theta, kept) for tensor, kept in known)
    largest = max(_find_largest(own["grad_grad"]) for own in sums)
    after, proven = sizes, math.isfinite(largest)
    for task in tasks if proven else ():
        one, finite = predict_sizes(sizes, largest, task.update)
        after, proven = after.join(one), proven and finite
    if proven:
        return after, None
    backend.fetch()
    updates = [
        (position, task.update._replace(**own))
        for task in tasks
        for position, own in zip(task.batch.positions, task.batch.list_own(), strict=True)
    ]
    for position, u in sorted(updates, key=lambda entry: entry[0]):
        trouble = find_overflow(u, tensors[position].name, tensors[position].shape)
        if trouble is not None:
            return None, trouble
    return None, None


def _find_largest(blocks: Vector) -> float:
    """The largest of sums of squares; NaN if there is one."""
    return float(blocks.item()) if blocks.size == 1 else float(blocks.max(initial=0.0))


def is_finite(blocks: Vector) -> bool:
    """Whether all block sums are finite."""
    return math.isfinite(blocks.item()) if blocks.size == 1 else bool(np.isfinite(blocks).all())


def find_overflow(u: Update, name: str, shape: tuple[int, ...]) -> str | None:
    """Compute a step, and say what of it is not finite; None if all is.

    u        untouched; what is kept is on the host
    name     of the tensor, for the message, and its shape
    """
    u = u._replace(theta=fetch(u.theta), grad=fetch(u.grad))
    with np.errstate(all="ignore"):
        results = _list_results(u)
    for part, array in (("theta now", u.theta), *results.items()):
        finite = np.isfinite(array)
        if part == "left" and not finite.all():
            return f"a sum of squares of {name} would be {array[np.argmin(finite)]}: scale the loss down"
        if not finite.all():
            whose = name if part.startswith("theta") else f"{part} of {name}"
            first = int(np.argmin(finite))
            place = ", ".join(map(str, np.unravel_index(first, shape)))
            remedy = "restore it" if array is u.theta else "scale the loss down, or lower the rate"
            verb = "holds" if array is u.theta else "would hold"
            return f"{whose} {verb} {array[first]} at [{place}]: {remedy}"
    if not all(map(math.isfinite, u.scalars)):  # without elements to show it
        return f"the step of {name} would be past the largest float64: lower the rate"
    return None


def _list_results(u: Update) -> dict[str, Vector]:
    """What the step writes, and what it divides, by name; theta last, where a fault of the others shows too."""
    theta, after = update(u)
    results = {name: array for name, array in after._asdict().items() if array is not None}
    s = u.scalars
    if isinstance(s, (ExactScalars, ShaderScalars)) and after.exp_avg is not None and after.exp_avg_sq is not None:
        i1, i2 = (s.i1, s.i2) if isinstance(s, ExactScalars) else _unfold(s)[4:6]
        real = theta.dtype.type
        divisor = after.exp_avg_sq if after.max_exp_avg_sq is None else after.max_exp_avg_sq
        results["the corrected exp_avg"] = after.exp_avg * real(i1)
        results["the corrected exp_avg_sq"] = divisor * real(i2)
    return {**results, "theta": theta}
