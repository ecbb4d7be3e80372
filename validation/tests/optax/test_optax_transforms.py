"""What a transformation of optax owes its users: jit, scan, vmap, any pytree, chains, masks, dtypes, sharding."""

import io
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from optax_problems import draw, form_gradient, run

from hypergrad.optax import REASONS, HypergradientState, auto_hypergradient_adamw, hypergradient, hypergradient_adamw

MAKERS = {
    "wrapper": lambda **o: hypergradient(optax.scale_by_adam(), 0.01, 1e-4, **o),
    "adamw_hd": lambda **o: hypergradient_adamw(0.01, 1e-4, **o),
    "adamw_auto": lambda **o: auto_hypergradient_adamw(0.01, 1e-3, warmup_steps=2, **o),
}
"""The last two share what they do with the moments, so that most tests do without the second."""
of_every_maker = pytest.mark.parametrize(
    "make", [MAKERS["wrapper"], MAKERS["adamw_auto"]], ids=["wrapper", "adamw_auto"]
)
STEPS = 12


def walk(opt, params, steps=STEPS, transform=jax.jit):
    """Parameters and state after so many steps."""

    @transform
    def step(params, state, noise):
        grads = jax.tree.map(lambda g, p: g.astype(p.dtype), form_gradient(params, noise), params)
        updates, state = opt.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    state = opt.init(params)
    for number in range(steps):
        params, state = step(params, state, draw(number, np.float32))
    return params, state


def assert_alike(found, wanted, rtol=0.0):
    assert jax.tree.structure(found) == jax.tree.structure(wanted)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert jnp.result_type(x) == jnp.result_type(y)
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=rtol, atol=rtol)


@of_every_maker
def test_update_is_traced_once(make):
    traces = []

    def count(step):
        return jax.jit(lambda *arguments: traces.append(arguments) or step(*arguments))

    walk(make(), draw(0, np.float32), transform=count)
    assert len(traces) == 1


@pytest.mark.parametrize(("name", "wide"), [*((name, False) for name in MAKERS), ("adamw_hd", True)])
def test_scan_and_jit_give_what_single_steps_give(name, wide):
    jax.config.update("jax_enable_x64", wide)
    params, opt = draw(0, np.float32), MAKERS[name]()
    one, jitted = walk(opt, params, transform=lambda step: step), walk(opt, params)
    assert {x.dtype for x in one[1].learned} == {jnp.dtype(np.float64 if wide else np.float32)}
    assert_alike(one, jitted, rtol=1e-6)  # the compiler fuses, and rounds float32 less often
    noise = jax.tree.map(lambda *x: jnp.stack(x), *(draw(step, np.float32) for step in range(STEPS)))

    def step(carry, noise):
        params, state = carry
        updates, state = opt.update(form_gradient(params, noise), state, params)
        return (optax.apply_updates(params, updates), state), None

    assert_alike(jax.jit(partial(jax.lax.scan, step))((params, opt.init(params)), noise)[0], one, rtol=1e-6)


@of_every_maker
def test_vmap_gives_each_example_a_rate_of_its_own(make):
    opt, scales = make(), jnp.array([0.1, 1.0, 10.0])
    together = jax.tree.map(lambda x: jnp.multiply.outer(scales, x), draw(0, np.float32))
    starts = [jax.tree.map(lambda x, i=i: x[i], together) for i in range(3)]
    state, update = jax.vmap(opt.init)(together), jax.jit(jax.vmap(opt.update))
    for step in range(STEPS):
        grads = jax.vmap(form_gradient, (0, None))(together, draw(step, np.float32))
        updates, state = update(grads, state, together)
        together = optax.apply_updates(together, updates)
    assert len(set(state.lr.tolist())) == 3
    for i, params in enumerate(starts):
        assert_alike(jax.tree.map(lambda x, i=i: x[i], state), walk(opt, params)[1], rtol=1e-5)


@of_every_maker
def test_a_tree_may_hold_none_tuples_and_nothing(make):
    params = {"a": None, "b": (jnp.ones(3), [jnp.zeros((0, 2))]), "c": {}}
    opt = make()
    state = opt.init(params)
    for _ in range(5):
        updates, state = opt.update(params, state, params)
        params = optax.apply_updates(params, updates)
    assert params["a"] is None
    assert (params["b"][0] < 1).all()
    assert opt.update({}, opt.init({}), {})[0] == {}


@of_every_maker
def test_masked_parameters_are_left_alone_and_count_in_no_sum(make):
    params = draw(0, np.float32)
    mask = {"first": {"w": True, "b": False}, "scale": True, "empty": False, "last": [False]}
    opt = optax.chain(
        optax.masked(make(), mask), optax.masked(optax.set_to_zero(), jax.tree.map(lambda m: not m, mask))
    )
    after, state = walk(opt, params)
    np.testing.assert_array_equal(after["first"]["b"], params["first"]["b"])
    kept = {"first": {"w": params["first"]["w"]}, "scale": params["scale"]}
    alone, inner = kept, make()
    own = inner.init(kept)
    for step in range(STEPS):
        whole = {**params, "first": {**params["first"], **alone["first"]}, "scale": alone["scale"]}
        grads = form_gradient(whole, draw(step, np.float32))
        updates, own = inner.update({"first": {"w": grads["first"]["w"]}, "scale": grads["scale"]}, own, alone)
        alone = optax.apply_updates(alone, updates)
    assert float(optax.tree.get(state, "lr")) == pytest.approx(float(own.lr), rel=1e-6)
    np.testing.assert_allclose(after["first"]["w"], alone["first"]["w"], rtol=1e-6)


def test_partition_gives_each_label_the_run_that_it_has_alone():
    params = {"slow": jnp.array([3.0, -1.0]), "fast": jnp.array([0.5])}
    opt = optax.partition(
        {"a": hypergradient_adamw(1e-3, 1e-5), "b": hypergradient_adamw(0.1, 1e-3)}, {"slow": "a", "fast": "b"}
    )
    state = opt.init(params)
    for _ in range(STEPS):
        updates, state = opt.update(params, state, params)
        params = optax.apply_updates(params, updates)
    for label, name, alone in (
        ("a", "slow", hypergradient_adamw(1e-3, 1e-5)),
        ("b", "fast", hypergradient_adamw(0.1, 1e-3)),
    ):
        x = {"slow": jnp.array([3.0, -1.0]), "fast": jnp.array([0.5])}[name]
        own = alone.init(x)
        for _ in range(STEPS):
            updates, own = alone.update(x, own, x)
            x = optax.apply_updates(x, updates)
        np.testing.assert_array_equal(x, params[name])
        assert optax.tree.get(state.inner_states[label], "lr") == own.lr


def test_clipping_before_it_in_a_chain_scales_the_hypergradient():
    whole, shrunk = (
        optax.chain(optax.scale(share), hypergradient(optax.sign_sgd(-1.0), 0.01, 0.0)) for share in (1.0, 0.25)
    )
    x = jnp.array([4.0, -2.0])
    found = []
    for opt in (whole, shrunk):
        state = opt.init(x)
        for _ in range(2):
            _, state = opt.update(x, state, x)
        found.append(float(optax.tree.get(state, "hypergradient")))
    assert found[1] == found[0] / 4 == -6.0 / 4


@of_every_maker
def test_rate_and_reason_are_found_and_set_in_the_state_of_a_chain(make):
    opt = optax.chain(optax.clip_by_global_norm(1.0), make())
    params, state = walk(opt, draw(0, np.float32))
    assert REASONS[int(optax.tree.get(state, "reason"))] in ("adapted", "limited")
    assert float(optax.tree.get(state, "effective_lr")) == float(optax.tree.get(state, "lr")) == float(state[1].lr)
    state = optax.tree.set(state, lr=jnp.asarray(0.5))
    _, state = opt.update(params, state, params)
    assert float(optax.tree.get(state, "lr_before")) == 0.5
    assert 0.4 < float(optax.tree.get(state, "lr")) < 0.6


@of_every_maker
def test_a_state_that_was_saved_goes_on_bit_for_bit(make):
    opt = make()
    update = jax.jit(opt.update)
    params, state = walk(opt, draw(0, np.float32), 5)
    leaves, structure = jax.tree.flatten((params, state))
    file = io.BytesIO()
    np.savez(file, *leaves)
    file.seek(0)
    loaded = np.load(file)
    again = jax.tree.unflatten(structure, [jnp.asarray(loaded[name]) for name in loaded.files])
    grads = form_gradient(params, draw(99, np.float32))
    for x, y in zip(*(jax.tree.leaves(update(grads, kept, x)) for x, kept in ((params, state), again)), strict=True):
        np.testing.assert_array_equal(x, y)


def test_injected_rate_is_that_of_a_schedule():
    schedule = optax.linear_schedule(0.01, 0.001, STEPS)
    injected = optax.inject_hyperparams(hypergradient_adamw)(learning_rate=schedule, hyper_lr=1e-4)
    params, (plain, state) = draw(0, np.float32), walk(hypergradient_adamw(schedule, 1e-4), draw(0, np.float32))
    again, outer = walk(injected, params)
    assert_alike(again, plain, rtol=1e-4)  # a few roundings of float32, each step
    assert float(outer.inner_state.effective_lr) == pytest.approx(float(state.effective_lr), rel=1e-4)
    assert float(state.ratio) == pytest.approx(float(schedule(STEPS - 1)) / 0.01, rel=1e-6)


# Numbers.


@of_every_maker
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_updates_keep_the_dtype_and_rates_are_float32(make, dtype):
    params = draw(0, dtype)
    after, state = walk(make(), params)
    assert {x.dtype for x in jax.tree.leaves(after)} == {jnp.dtype(dtype)}
    assert {x.dtype for x in (*state.learned, state.hypergradient, state.ratio)} == {jnp.dtype(np.float32)}
    exact, wide = walk(make(), jax.tree.map(lambda x: x.astype(np.float32), params))
    assert float(state.lr) == pytest.approx(float(wide.lr), rel=0.05)
    for x, y in zip(*map(jax.tree.leaves, (after, exact)), strict=True):
        np.testing.assert_allclose(x.astype(np.float32), y, atol=0.05)


def test_moments_of_parameters_of_16_bits_are_float32():
    _, state = walk(hypergradient_adamw(), draw(0, jnp.bfloat16))
    moments = jax.tree.leaves((state.inner_state.adam.mu, state.inner_state.adam.nu))
    assert {x.dtype for x in moments} == {jnp.dtype("float32")}
    assert state.direction is None


def test_complex_parameters_have_the_hypergradient_of_their_two_parts():
    z = jnp.array([1.0 + 2.0j, -3.0 + 0.5j])
    pairs = jnp.stack([z.real, z.imag])
    complex_opt, real_opt = (hypergradient(optax.trace(0.5), 0.25, 0.125) for _ in range(2))
    state, twin = complex_opt.init(z), real_opt.init(pairs)
    for _ in range(4):
        updates, state = complex_opt.update(z * 0.5, state, z)  # of |z|^2 / 4, conjugated as optax wants it
        z = optax.apply_updates(z, updates)
        updates, twin = real_opt.update(pairs * 0.5, twin, pairs)
        pairs = optax.apply_updates(pairs, updates)
    np.testing.assert_allclose(jnp.stack([z.real, z.imag]), pairs, rtol=1e-6)
    assert float(state.lr) == pytest.approx(float(twin.lr), rel=1e-6)
    assert float(state.lr) != 0.25


@of_every_maker
def test_a_gradient_that_is_not_finite_is_skipped_and_counted(make):
    opt = make(nonfinite="skip")
    params, before = walk(opt, draw(0, np.float32), 5)
    for bad in (np.nan, np.inf):
        grads = form_gradient(params, draw(5, np.float32))
        grads["scale"] = jnp.asarray(bad, np.float32)
        updates, after = jax.jit(opt.update)(grads, before, params)
        assert not any(jnp.any(x) for x in jax.tree.leaves(updates))
        assert REASONS[int(after.reason)] == "not finite: skipped"
        assert int(after.skipped) == 1
        for x, y in zip(
            *map(jax.tree.leaves, (after._replace(reason=0, skipped=0), before._replace(reason=0, skipped=0))),
            strict=True,
        ):
            np.testing.assert_array_equal(x, y)


@of_every_maker
def test_a_gradient_that_is_not_finite_never_enters_the_rate(make):
    opt = make()
    params, state = walk(opt, draw(0, np.float32), 5)
    grads = jax.tree.map(lambda x: x * np.nan, params)
    updates, after = opt.update(grads, state, params)
    assert REASONS[int(after.reason)] == "non-finite sum"
    assert after.lr == state.lr
    assert jnp.isnan(updates["scale"])


@of_every_maker
def test_a_run_passes_the_watch_for_nan(make):
    with jax.debug_nans(True):
        _, state = walk(make(), draw(0, np.float32))
    assert isinstance(state, HypergradientState)


def test_a_step_that_lasts_no_time_moves_nothing():
    opt = hypergradient_adamw(optax.linear_schedule(0.0, 0.01, 4), 1e-4, base_lr=0.01)
    x = jnp.array([4.0, -2.0])
    state = opt.init(x)
    updates, state = opt.update(x, state, x)
    assert not updates.any()
    _, state = opt.update(x, state, x)
    assert float(state.hypergradient) == 0.0
    assert float(state.lr) == np.float32(0.01)


# Several devices.


@of_every_maker
def test_sharded_parameters_learn_the_rate_of_whole_ones(make):
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("x",))
    assert mesh.size == 8
    rows = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
    whole = jax.random.normal(jax.random.key(0), (16, 3))
    found = []
    for params in (whole, jax.device_put(whole, rows)):
        opt = make()
        state, update = jax.jit(opt.init)(params), jax.jit(opt.update)
        for _ in range(STEPS):
            updates, state = update(params * 0.5, state, params)
            params = optax.apply_updates(params, updates)
        found.append((params, state.lr))
    assert found[1][0].sharding == rows
    np.testing.assert_allclose(found[1][0], found[0][0], atol=1e-6)
    assert float(found[1][1]) == pytest.approx(float(found[0][1]), rel=1e-6)
    assert float(found[0][1]) != np.float32(0.01)


def test_a_rate_that_is_far_too_small_grows_until_the_loss_is_low():
    opt = auto_hypergradient_adamw(1e-5, warmup_steps=0)
    _, walked, states = run(opt, 300, np.float32)
    norms = sum(jnp.sum(x.reshape(300, -1) ** 2, 1) for x in jax.tree.leaves(walked))
    assert float(norms[-1]) < 0.2 * float(norms[0])
    assert float(states.lr[-1]) > 1e-3


def test_a_clipped_hypergradient_is_recorded_whole_and_no_infinity_is_clipped():
    opt, x = hypergradient(optax.identity(), 1.0, 0.25, clip=2.0), jnp.array([3.0])
    state = opt.init(x)
    for _ in range(2):
        _, state = opt.update(x, state, x)
    assert float(state.hypergradient) == -9.0
    assert float(state.lr) == 1.5
    _, after = opt.update(x * jnp.inf, state, x)
    assert REASONS[int(after.reason)] == "non-finite sum"
    assert float(after.lr) == 1.5


def test_sums_over_parameters_of_16_bits_are_float32():
    opt = hypergradient(optax.identity(), 1.0, 2.0**-12)
    x = jnp.concatenate([jnp.full(1, 64.0), jnp.ones(4097)]).astype(jnp.bfloat16)  # in bfloat16 4096 + 1 is 4096
    state = opt.init(x)
    for _ in range(2):
        _, state = opt.update(x, state, x)
    assert float(state.hypergradient) == -8193.0
    assert float(state.lr) == 1 + 8193 / 4096
