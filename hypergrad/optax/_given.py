"""What a transformation may be given: numbers, a schedule, and trees that belong together."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hypergrad._core.checks import Check, Choice, Number, show
from hypergrad._core.options import BELOW_ONE, OPTIONS
from hypergrad.errors import ArgumentError, ArrayTypeError


def is_known(value: Any) -> bool:
    """Whether a number is one already, and not what jit traces."""
    return not isinstance(value, jax.core.Tracer)


def read_number(name: str, value: Any, check: Check) -> Any:
    """A number as a float; what jit traces as it is, since it has no value to look at. Raises ArgumentError."""
    if isinstance(value, jax.Array):
        if value.ndim or not (jnp.issubdtype(value.dtype, jnp.floating) or jnp.issubdtype(value.dtype, jnp.integer)):
            raise ArgumentError(f"{name} is {value.dtype}{list(value.shape)}: give one real number, as of shape []")
        return check(name, float(value)) if is_known(value) else value
    return check(name, value)


def check_numbers(**given: Any) -> None:
    """Raise ArgumentError for an option out of range."""
    checks = {"b1": BELOW_ONE, "b2": BELOW_ONE} | {name: option.check for name, option in OPTIONS.items()}
    for name, value in given.items():
        read_number(name, value, checks[name])


def read_bound(name: str, value: Any) -> float:
    """A number, infinities among them."""
    if isinstance(value, (float, np.floating)) and math.isinf(value):
        return float(value)
    return Number(-math.inf)(name, value)


def read_positive(name: str, value: Any) -> float:
    """A number above 0, infinity among them."""
    number = read_bound(name, value)
    if not number > 0:
        raise ArgumentError(f"{name}={value!r}: give a number > 0")
    return number


def check_steps(delay: Any, nonfinite: str) -> None:
    """Raise ArgumentError for a word or a delay that is none."""
    check_numbers(delay=delay)
    Choice(("propagate", "skip"))("nonfinite", nonfinite)


def find_base(learning_rate: Any, base_lr: Any, lr_min: Any, lr_max: Any) -> Any:
    """The rate that learning begins with. Raises ArgumentError where there is none, or it is not within its bounds."""
    name, base = "base_lr", base_lr
    if not callable(learning_rate):
        read_number("learning_rate", learning_rate, _accept)
    if base is None:
        name = "learning_rate"
        with jax.ensure_compile_time_eval():
            base = learning_rate(0) if callable(learning_rate) else learning_rate
    base = read_number("learning_rate(0)" if name != "base_lr" and callable(learning_rate) else name, base, _accept)
    if not all(map(is_known, (base, lr_min, lr_max))):
        return base
    low, high = float(lr_min), float(lr_max)
    if base_lr is None and callable(learning_rate) and base == 0:
        raise ArgumentError("learning_rate begins with 0: give base_lr, the rate that it works up to")
    if not (math.isfinite(base) and low <= base <= high):
        raise ArgumentError(f"{name}={base!r}: give a finite number within lr_min={low!r}, lr_max={high!r}")
    return base


def _accept(name: str, value: Any) -> float:
    """A number of any kind; its range is looked at when its bounds are known."""
    if isinstance(value, (float, np.floating)):
        return float(value)
    return Number(-math.inf)(name, value)


def call_schedule(schedule: Callable[[Any], Any], step: jax.Array) -> Any:
    """What a schedule says for a step. Raises ArgumentError for anything but a number."""
    return read_number("what learning_rate returns", schedule(step), _accept)


def check_inner(inner: Any) -> None:
    """Raise ArgumentError for what is no transformation, or one that has its minus already."""
    if not (callable(getattr(inner, "init", None)) and callable(getattr(inner, "update", None))):
        raise ArgumentError(
            f"inner={show(inner)} is no transformation of optax: give one, as optax.identity() or optax.scale_by_adam()"
        )
    if _goes_down(inner):
        raise ArgumentError(
            "inner has a minus already, as optax.adam and optax.sgd have: give the direction alone, as "
            "optax.scale_by_adam() or optax.identity(); the rate and the minus come from here"
        )


def _goes_down(inner: Any) -> bool:
    """Whether the first step of one parameter has the sign of -g. False where it wants other trees or arguments."""
    zero, one = jnp.zeros(()), jnp.ones(())
    try:
        step, _ = inner.update(one, inner.init(zero), zero)
        return bool(step < 0)
    except Exception:  # whatever it is that this transformation needs
        return False


# Trees.


def check_leaves(name: str, tree: Any) -> None:
    """Raise ArrayTypeError, which names it, for a leaf that no rate moves."""
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        dtype = _find_dtype(leaf)
        if dtype is None or not jnp.issubdtype(dtype, jnp.inexact) or jnp.finfo(dtype).bits < 16:
            raise ArrayTypeError(
                f"{name}{jax.tree_util.keystr(path)} is {show(leaf) if dtype is None else dtype}, not floating point "
                "numbers of 16 bits or more: leave it out by optax.masked, or give it as jnp.float32"
            )


def check_alike(name: str, tree: Any, wanted: Any, of: str) -> None:
    """Raise ArgumentError for a tree of another structure, and ArrayTypeError for an array of another shape."""
    found, like = jax.tree_util.tree_flatten_with_path(tree)[0], jax.tree_util.tree_flatten_with_path(wanted)[0]
    if jax.tree.structure(tree) != jax.tree.structure(wanted):
        mine, its = ({jax.tree_util.keystr(path) for path, _ in leaves} for leaves in (found, like))
        differ = ", ".join(sorted(mine ^ its)[:3]) or "the kinds of their nodes"
        raise ArgumentError(f"{name} and {of} are trees that differ in {differ}: give trees of one structure")
    for (path, leaf), (_, other) in zip(found, like, strict=True):
        if np.shape(leaf) != np.shape(other):
            raise ArrayTypeError(
                f"{name}{jax.tree_util.keystr(path)} has shape {list(np.shape(leaf))}, in {of} it has "
                f"{list(np.shape(other))}: give arrays of one shape, or init again"
            )


def _find_dtype(leaf: Any) -> Any:
    """The dtype of an array or a number; None of anything else."""
    if isinstance(leaf, (bool, int, float, complex)):
        return jnp.result_type(leaf)
    return getattr(leaf, "dtype", None)


def check_mask(mask: Any, params: Any) -> None:
    """Raise ArgumentError for a mask that is no tree of bools, or does not fit the parameters."""
    for leaf in jax.tree.leaves(mask):
        if not isinstance(leaf, (bool, int, np.bool_)) and not (
            np.shape(leaf) == () and _find_dtype(leaf) == np.dtype(bool)
        ):
            raise ArgumentError(f"mask has {show(leaf)}: give True or False for each parameter, or for a tree of them")
    try:
        jax.tree.map(lambda decays, _: decays, mask, params)
    except ValueError as error:
        raise ArgumentError(
            "mask does not fit params: give a tree of bools of its structure, or a function that makes one"
        ) from error
