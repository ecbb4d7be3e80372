"""The one transformation that every rule drives: sums, then the schedule, then the step with the new rate."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax

from hypergrad._core.array_schedules import CODES, SCHEDULES
from hypergrad.errors import ArgumentError
from hypergrad.optax._given import call_schedule, check_alike, check_leaves
from hypergrad_reference.rule import Sums

Tree: TypeAlias = Any
"""Arrays, nested as the parameters are."""


class HypergradientState(NamedTuple):
    """What is carried from one step to the next; a scalar is an array of the shape (), float32, or float64 under x64.

    `optax.tree.get(state, "effective_lr")` finds a field in the state of a chain; "lr" finds the learned rate, and
    `optax.tree.set(state, lr=...)` writes another.
    """

    step: jax.Array  # t, the number of steps taken; int32
    learned: Any  # a tuple of scalars, the first of them `lr`, the learned rate alpha
    lr_before: jax.Array  # alpha before the latest step
    effective_lr: jax.Array  # the rate that acted in the latest step
    hypergradient: jax.Array  # h_t, the derivative of the loss at t with respect to alpha; 0 in the first step
    reason: jax.Array  # what the rule did with h, an index of `REASONS`; int32
    skipped: jax.Array  # steps that were not taken, for NaN or inf in the gradient; int32
    ratio: jax.Array  # s of the latest step: the schedule in units of base_lr
    base_lr: jax.Array  # the unit of the schedule
    grad_grad: jax.Array  # ||g_t||^2, for rules that divide by it in the next step; else 0
    direction: Tree  # d_t, as large as the parameters; None where it is rebuilt from the state of inner
    inner_state: Any  # of the transformation that gives the directions

    @property
    def lr(self) -> jax.Array:
        """The learned rate alpha."""
        rate: jax.Array = self.learned.lr
        return rate


class Last(NamedTuple):
    """What the latest step moved the parameters by."""

    direction: Tree  # d, without weight decay
    slope: Tree  # minus the derivative of theta_t with respect to the rate that acted; d itself, unless there is decay


Recall: TypeAlias = Callable[[Any, Tree, jax.Array], Last]
"""The latest step, from the state of inner, the parameters after it, and the rate that acted."""


class Plan(NamedTuple):
    """A rule, and what the transformation is told beside it."""

    rule: Any  # of `hypergrad_reference`
    learning_rate: Any  # a number, or a schedule
    base_lr: Any
    lr_min: Any
    lr_max: Any
    delay: Any
    nonfinite: str
    clip: Any = None  # the largest |h| that counts


def learn(
    inner: Any, plan: Plan, recall: Recall | None = None, kind: type[Any] = object
) -> optax.GradientTransformationExtraArgs:
    """The transformation that steps along the directions of `inner` with a rate that it learns.

    recall    None keeps a copy of the direction from one step to the next
    kind      of the state of inner
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: Tree) -> HypergradientState:
        check_leaves("params", params)
        zero, none, base = jnp.zeros((), _real()), jnp.zeros((), jnp.int32), jnp.asarray(plan.base_lr, _real())
        learned = jax.tree.map(lambda x: jnp.asarray(x, _real()), plan.rule.init(base, 0.0))
        return HypergradientState(
            step=none, learned=learned, lr_before=base, effective_lr=zero, hypergradient=zero,
            reason=jnp.asarray(CODES["no direction"], jnp.int32), skipped=none, ratio=zero, base_lr=base,
            grad_grad=zero, direction=jax.tree.map(jnp.zeros_like, params) if recall is None else None,
            inner_state=inner.init(params),
        )  # fmt: skip

    def update(grads: Tree, state: HypergradientState, params: Tree = None, **extra: Any) -> tuple[Tree, Any]:
        _check_state(state, plan, kind)
        check_leaves("grads", grads)
        if recall is None:
            check_alike("grads", grads, state.direction, "the state")
            last = Last(state.direction, state.direction)
        elif params is None:
            raise ArgumentError("params=None: give the parameters too, as in update(grads, state, params)")
        else:
            check_alike("grads", grads, params, "params")
            last = recall(state.inner_state, params, state.effective_lr)
        sums = _sum(grads, last, state)  # loop 1
        learned, code = _schedule(plan, state, sums)
        ratio = _find_ratio(plan, state)
        effective = _scalar(jnp.where(plan.delay, state.lr, learned.lr) * ratio)
        directions, inner_state = inner.update(grads, state.inner_state, params, **extra)  # loop 2
        updates = jax.tree.map(
            lambda d, g: (-effective.astype(widen(d).dtype) * d).astype(jnp.result_type(g)), directions, grads
        )
        after = HypergradientState(
            step=optax.safe_increment(state.step), learned=jax.tree.map(_scalar, learned), lr_before=state.lr,
            effective_lr=effective, hypergradient=jnp.where(state.step == 0, 0.0, -sums.grad_direction),
            reason=code.astype(jnp.int32), skipped=state.skipped, ratio=ratio, base_lr=state.base_lr,
            grad_grad=_scalar(sums.grad_grad) if plan.rule.traits.remembers_norm else state.grad_grad,
            direction=jax.tree.map(lambda d, old: jnp.asarray(d, old.dtype), directions, state.direction)
            if recall is None else None,
            inner_state=inner_state,
        )  # fmt: skip
        if plan.nonfinite == "propagate":
            return updates, after
        fine = (
            jnp.isfinite(effective)
            & jnp.isfinite(sums.grad_grad)
            & (code != CODES["non-finite sum"])
            & (code != CODES["non-finite rate"])
        )
        return _skip_unless(fine, updates, after, state)

    return optax.GradientTransformationExtraArgs(init, update)


def _check_state(state: Any, plan: Plan, kind: type[Any]) -> None:
    """Raise ArgumentError for a state that another transformation made."""
    learned = type(plan.rule.init(0.0, 0.0))
    if not (
        isinstance(state, HypergradientState)
        and isinstance(state.learned, learned)
        and isinstance(state.inner_state, kind)
    ):
        raise ArgumentError(
            f"state is {type(state).__name__}, not what init of this transformation returned: give that, as in "
            "update(grads, state, params)"
        )


def _find_ratio(plan: Plan, state: HypergradientState) -> jax.Array:
    """What the schedule says for this step, in units of base_lr. A base of 0, which jit may hide, moves nothing."""
    rate = call_schedule(plan.learning_rate, state.step) if callable(plan.learning_rate) else plan.learning_rate
    return _scalar(jnp.where(state.base_lr == 0, 0.0, rate / jnp.where(state.base_lr == 0, 1.0, state.base_lr)))


def _skip_unless(fine: jax.Array, updates: Tree, after: Any, state: HypergradientState) -> tuple[Tree, Any]:
    stayed = state._replace(
        skipped=optax.safe_increment(state.skipped), reason=jnp.asarray(CODES["not finite: skipped"], jnp.int32)
    )
    updates = jax.tree.map(lambda new: jnp.where(fine, new, jnp.zeros_like(new)), updates)
    return updates, jax.tree.map(lambda new, old: jnp.where(fine, new, old), after, stayed)


def _sum(grads: Tree, last: Last, state: HypergradientState) -> Sums:
    """The inner products of a step. What a rule does not ask for, the compiler leaves out."""
    found: Any = {
        "grad_direction": state.ratio * _vdot(grads, last.slope),
        "grad_grad": _vdot(grads, grads),
        "direction_direction": state.ratio**2 * _vdot(last.direction, last.direction),
        "last_grad_grad": state.grad_grad,
    }
    return Sums(**found)


def _schedule(plan: Plan, state: HypergradientState, sums: Any) -> tuple[Any, jax.Array]:
    """What is learned in this step, and the code of the reason."""
    if plan.clip is not None:
        total = sums.grad_direction
        clipped = jnp.clip(total, -plan.clip, plan.clip)
        sums = sums._replace(grad_direction=jnp.where(jnp.isfinite(total), clipped, total))
    rule, bounds = plan.rule, (plan.lr_min, plan.lr_max)
    learned, _, code = SCHEDULES[type(rule)](jnp, rule, state.step + 1, state.learned, sums, bounds)
    first = state.step == 0
    learned = jax.tree.map(lambda new, old: jnp.where(first, old, new), learned, state.learned)
    return learned, jnp.where(first & (code != CODES["warmup"]), CODES["no direction"], code)


def _vdot(x: Tree, y: Tree) -> jax.Array:
    """The sum of Re(conj(x) y) over all arrays, in the dtype of the scalars."""
    products = jax.tree.map(lambda a, b: jnp.sum((widen(a, _real()).conj() * widen(b, _real())).real), x, y)
    return sum(jax.tree.leaves(products), start=jnp.zeros((), _real()))


def widen(x: Any, least: Any = jnp.float32) -> jax.Array:
    """An array of fewer bits in this dtype; any other as it is."""
    x = jnp.asarray(x)
    return x.astype(jnp.promote_types(x.dtype, least))


def _real() -> Any:
    """The dtype of scalars."""
    return jax.dtypes.canonicalize_dtype(float)


def _scalar(x: Any) -> jax.Array:
    return jnp.asarray(x, _real())
