"""What a stranger may give: it works, or an error names the argument, its value and the remedy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hypergrad.errors import ArgumentError, ArrayTypeError
from hypergrad.optax import auto_hypergradient_adamw, hypergradient, hypergradient_adamw

X = {"w": jnp.array([1.0, -2.0]), "b": jnp.array(0.5)}


def wrap(learning_rate=0.1, **options):
    return hypergradient(optax.identity(), learning_rate, **options)


MAKERS = [wrap, hypergradient_adamw, auto_hypergradient_adamw]
of_every_maker = pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)


def walk(opt, params, grads=None, steps=4):
    state = opt.init(params)
    for _ in range(steps):
        updates, state = opt.update(params if grads is None else grads, state, params)
        params = optax.apply_updates(params, updates)
    return params, state


@pytest.mark.parametrize("inner", [None, optax.scale_by_adam, 0.1, (1, 2)], ids=["None", "function", "number", "tuple"])
def test_an_inner_that_is_no_transformation_is_named(inner):
    with pytest.raises(ArgumentError, match=r"inner=.* is no transformation of optax: give one"):
        hypergradient(inner, 0.1)
    hypergradient(optax.scale_by_adam(), 0.1)


@pytest.mark.parametrize("rate", [0.1, lambda count: 0.1], ids=["number", "schedule"])
@pytest.mark.parametrize("inner", [optax.sgd, optax.adam, optax.lion, optax.inject_hyperparams(optax.adamw)])
def test_an_inner_that_has_its_minus_already_is_refused(inner, rate):
    with pytest.raises(ArgumentError, match=r"inner has a minus already, as optax.adam and optax.sgd have: give the"):
        hypergradient(inner(rate), 0.1)


def test_an_inner_that_one_number_does_not_suit_is_taken_as_it_is():
    masked = optax.masked(optax.scale(2.0), {"w": True, "b": False})
    after, _ = walk(hypergradient(masked, 0.1), X, steps=1)
    np.testing.assert_array_equal(after["w"], np.float32(0.8) * X["w"])


NUMBERS = ["0.1", None, 1j, [0.1], {"w": 0.1}, True, np.ones(1), jnp.ones(2), jnp.array(1j), jnp.array(True)]


@pytest.mark.parametrize("value", NUMBERS, ids=str)
@pytest.mark.parametrize("name", ["learning_rate", "base_lr", "lr_min", "lr_max", "clip", "hyper_lr"])
def test_a_number_that_is_none_is_named(name, value):
    if value is None and name in ("base_lr", "clip"):
        return
    with pytest.raises(ArgumentError, match=f"^{name}"):
        wrap(**{name: value})


@pytest.mark.parametrize("name", ["learning_rate", "hyper_lr", "b1", "b2", "eps", "weight_decay", "lr_min", "lr_max"])
def test_a_traced_array_that_is_no_number_is_named(name):
    with pytest.raises(ArgumentError, match=rf"^{name} is float32\[2\]: give one real number, as of shape \[\]"):
        jax.jit(lambda value: hypergradient_adamw(**{name: value}).init(X))(jnp.ones(2))


@pytest.mark.parametrize("value", [1, np.float32(0.25), np.array(0.25), jnp.array(0.25), jnp.array(1)], ids=repr)
@of_every_maker
def test_any_real_number_is_a_rate(make, value):
    assert float(walk(make(value), X, steps=1)[1].lr) == float(value)


@pytest.mark.parametrize("value", [None, "a", jnp.ones(2), 1j], ids=str)
@of_every_maker
def test_a_schedule_that_returns_no_number_is_named_at_once_and_in_a_step(make, value):
    with pytest.raises(ArgumentError, match=r"^learning_rate\(0\)"):
        make(lambda _: value)
    opt = make(lambda _: value, base_lr=0.1)
    with pytest.raises(ArgumentError, match=r"^what learning_rate returns"):
        opt.update(X, opt.init(X), X)


@of_every_maker
def test_a_schedule_of_nan_is_skipped_where_that_is_asked_for(make):
    params, state = walk(make(lambda t: jnp.where(t == 2, jnp.nan, 0.1), nonfinite="skip"), X)
    assert all(bool(jnp.isfinite(x).all()) for x in jax.tree.leaves(params))
    assert int(state.skipped) == 2  # it stays at this step, since a step that is skipped does not count


@pytest.mark.parametrize("value", ["w", {"w": "yes", "b": True}, {"w": np.array([True, False]), "b": True}], ids=str)
def test_a_mask_of_no_bools_is_named(value):
    with pytest.raises(ArgumentError, match=r"^mask has .*: give True or False"):
        walk(hypergradient_adamw(mask=value), X)


@pytest.mark.parametrize(
    "value", [{"q": True}, {"w": True, "b": None}, lambda _: None], ids=["other names", "None", "a function of none"]
)
def test_a_mask_that_does_not_fit_is_told_the_remedy(value):
    with pytest.raises(ArgumentError, match=r"^mask does not fit params: give a tree of bools of its structure"):
        walk(hypergradient_adamw(mask=value), X)


LEAVES = [jnp.array([3, 4]), jnp.array([True]), 3, "a", jnp.ones(2, jnp.float8_e4m3fn), np.zeros(2, jax.dtypes.float0)]


@pytest.mark.parametrize("leaf", LEAVES, ids=["int32", "bool", "int", "text", "float8", "float0"])
@of_every_maker
def test_a_leaf_that_no_rate_moves_is_named_and_may_be_masked(make, leaf):
    params = {"w": X["w"], "n": leaf}
    with pytest.raises(ArrayTypeError, match=r"^params\['n'\] is .*: leave it out by optax.masked"):
        make().init(params)
    opt = make()
    with pytest.raises(ArrayTypeError, match=r"^grads\['n'\] is "):
        opt.update(params, opt.init({"w": X["w"], "n": jnp.ones(2)}), params)
    masked, plain = optax.masked(make(), {"w": True, "n": False}), make()
    state, own = masked.init(params), plain.init({"w": X["w"]})
    updates, _ = masked.update(params, state, params)
    np.testing.assert_array_equal(updates["w"], plain.update({"w": X["w"]}, own, {"w": X["w"]})[0]["w"])


@pytest.mark.parametrize("shape", [(3,), (2, 2), (1,), ()])
@of_every_maker
def test_gradients_of_another_shape_are_named_even_where_they_would_broadcast(make, shape):
    opt = make()
    with pytest.raises(ArrayTypeError, match=r"^grads\['w'\] has shape .*: give arrays of one shape, or init again"):
        opt.update({**X, "w": jnp.ones(shape)}, opt.init(X), X)


@pytest.mark.parametrize("grads", [None, {"w": X["w"]}, {"w": X["w"], "b": None}, [X["w"], X["b"]]], ids=str)
@of_every_maker
def test_gradients_of_another_structure_are_named(make, grads):
    opt = make()
    with pytest.raises(ArgumentError, match=r"^grads and .* are trees that differ in .*: give trees of one structure"):
        opt.update(grads, opt.init(X), X)


def test_parameters_that_the_state_was_not_made_of_are_named():
    opt = hypergradient_adamw()
    y = {**X, "w": jnp.ones((2, 2))}
    with pytest.raises(ArrayTypeError, match=r"^params\['w'\] has shape \[2, 2\], in the state it has \[2\]"):
        opt.update(y, opt.init(X), y)


@pytest.mark.parametrize(
    "init", [lambda _: None, optax.adam(0.1).init, dict, wrap().init], ids=["None", "adam", "params", "wrapper"]
)
@pytest.mark.parametrize("make", MAKERS[1:], ids=lambda make: make.__name__)
def test_a_state_of_another_transformation_is_named(make, init):
    with pytest.raises(ArgumentError, match=r"^state is .*, not what init of this transformation returned: give that"):
        make().update(X, init(X), X)


def test_a_state_of_another_rule_is_named():
    with pytest.raises(ArgumentError, match=r"^state is HypergradientState, not what init"):
        auto_hypergradient_adamw().update(X, hypergradient_adamw().init(X), X)


def test_a_last_direction_that_is_none_or_another_tree_is_named():
    with pytest.raises(ArgumentError, match=r"^last_direction=3: give a function of the state, params and lr"):
        wrap(last_direction=3)
    with pytest.raises(ArgumentError, match=r"^what last_direction returns and params are trees that differ"):
        walk(hypergradient(optax.trace(0.9), 0.1, last_direction=lambda state, params, lr: {"q": 1.0}), X)


def test_an_eps_that_float32_cannot_hold_is_refused_and_taken_in_64_bits():
    with pytest.raises(ArgumentError, match=r"^eps=1e-60 is 0 in float32: give more, or set jax_enable_x64"):
        hypergradient_adamw(eps=1e-60)
    jax.config.update("jax_enable_x64", True)
    hypergradient_adamw(eps=1e-60)


@of_every_maker
def test_plain_numbers_are_parameters(make):
    params, _ = walk(make(), {"w": 1.0, "b": 2.0})
    other, _ = walk(make(), {"w": jnp.array(1.0), "b": jnp.array(2.0)})
    np.testing.assert_array_equal(params["w"], other["w"])
    assert params["w"] != 1.0


WRAPPERS = {
    "MultiSteps": lambda opt: optax.MultiSteps(opt, 2).gradient_transformation(),
    "apply_if_finite": lambda opt: optax.apply_if_finite(opt, 3),
    "flatten": optax.flatten,
    "partition": lambda opt: optax.partition({"a": opt, "f": optax.set_to_zero()}, {"w": "a", "b": "f"}),
    "chain": lambda opt: optax.chain(optax.clip(1.0), opt),
    "conditionally_mask": lambda opt: optax.conditionally_mask(opt, lambda step, **_: step % 2 == 0),
}


@pytest.mark.parametrize("name", WRAPPERS)
@of_every_maker
def test_wrappers_of_optax_take_it_with_and_without_jit(make, name):
    opt = WRAPPERS[name](make())
    plain, _ = walk(opt, X)
    jitted, _ = walk(optax.GradientTransformation(jax.jit(opt.init), jax.jit(opt.update)), X)
    for mine, its in zip(jax.tree.leaves(plain), jax.tree.leaves(jitted), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-5)  # the compiler rounds float32 less often
    assert 0 < float(plain["w"][0]) < 1
