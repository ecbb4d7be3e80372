"""The hypergradient against the derivative of the next loss by float64 autograd: schedules, decay, chains."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hypergrad.optax import auto_hypergradient_adamw, hypergradient, hypergradient_adamw

pytestmark = pytest.mark.usefixtures("x64")

# h and the derivative are sums of the same few hundred products, rounded to float64 in another order: 1e-16 each, and
# the sums lose two to four digits to cancellation.
ROUNDING = 1e-10
STEPS = 30

SCHEDULES = {
    "none": (0.02, {}),
    "cosine": (optax.cosine_decay_schedule(0.02, STEPS, 0.01), {}),
    "warm-up from 0": (optax.warmup_cosine_decay_schedule(0.0, 0.02, 8, STEPS), {"base_lr": 0.02}),
    "one cycle": (optax.cosine_onecycle_schedule(STEPS, 0.03), {}),
    "steps": (optax.piecewise_constant_schedule(0.02, {10: 0.5, 20: 0.1}), {"base_lr": 0.01}),
}


def decayed(inner):
    return optax.chain(inner, optax.add_decayed_weights(0.3))


def of_biases(params):
    """What is decayed: all but biases."""
    return jax.tree.map(lambda p: p.ndim > 1, params)


MAKERS = {
    "sgd": lambda rate, **o: hypergradient(optax.identity(), rate, 1e-4, **o),
    "sgd, decay": lambda rate, **o: hypergradient(decayed(optax.identity()), rate, 1e-4, **o),
    "momentum": lambda rate, **o: hypergradient(decayed(optax.trace(0.9)), rate, 1e-4, **o),
    "momentum, rebuilt": lambda rate, **o: hypergradient(
        optax.trace(0.9), rate, 1e-4, last_direction=lambda state, params, lr: state.trace, **o
    ),
    "lion": lambda rate, **o: hypergradient(decayed(optax.scale_by_lion()), rate, 1e-5, **o),
    "adam, log": lambda rate, **o: hypergradient(
        optax.scale_by_adam(nesterov=True), rate, 1e-2, rule="log", lr_min=1e-6, **o
    ),
    "lamb, multiplicative": lambda rate, **o: hypergradient(
        optax.chain(decayed(optax.scale_by_adam()), optax.scale_by_trust_ratio()), rate, 0.02,
        rule="multiplicative", **o
    ),
    "clipped h": lambda rate, **o: hypergradient(optax.identity(), rate, 1e-2, clip=0.01, **o),
    "adamw_hd": lambda rate, **o: hypergradient_adamw(rate, 1e-4, weight_decay=0.3, **o),
    "adamw_hd, delay": lambda rate, **o: hypergradient_adamw(rate, 1e-4, weight_decay=0.3, delay=1, **o),
    "adamw_hd, mask": lambda rate, **o: hypergradient_adamw(rate, 1e-4, weight_decay=0.3, mask=of_biases, **o),
    "adamw_hd, scheduled decay": lambda rate, **o: optax.inject_hyperparams(hypergradient_adamw)(
        rate, 1e-4, weight_decay=lambda t: 0.3 + 0.01 * t, b1=lambda t: 0.9 - 0.01 * t,
        eps=lambda t: 1e-3 / (1 + t), **o
    ),
    "adamw_auto": lambda rate, **o: auto_hypergradient_adamw(rate, 1e-3, weight_decay=0.3, warmup_steps=0, **o),
    "adamw_auto, cosine": lambda rate, **o: auto_hypergradient_adamw(
        rate, 1e-3, weight_decay=0.3, warmup_steps=0, normalization="cosine", **o
    ),
}  # fmt: skip


def find_loss(params, step):
    """Of a small network, on the batch of a step."""
    x, y = jax.random.normal(jax.random.key(step), (2, 16, 5))
    hidden = jnp.tanh(x @ params["w"] + params["b"])
    return jnp.mean((hidden @ params["head"][0] * params["scale"] - y[:, :3]) ** 2)


def make_params():
    keys = jax.random.split(jax.random.key(0), 3)
    return {
        "w": jax.random.normal(keys[0], (5, 8)), "b": jax.random.normal(keys[1], (8,)),
        "head": [jax.random.normal(keys[2], (8, 3))], "scale": jnp.ones(()),
    }  # fmt: skip


def find_derivative(before, after, effective, ratio, step):
    """dL/dalpha at the point after a step, by autograd: theta moves along a line as alpha does.

    theta(alpha) = theta_{t-1} - alpha s d, so theta(alpha_t + x) = theta_t + x (theta_t - theta_{t-1}) / alpha_t.
    """
    slope = jax.tree.map(lambda old, new: (new - old) / effective * ratio, before, after)
    return jax.grad(lambda x: find_loss(jax.tree.map(lambda p, s: p + x * s, after, slope), step))(0.0)


# What moves the parameters, once each under a schedule that has zeros; and every schedule.
CASES = [(name, "warm-up from 0") for name in MAKERS] + [
    ("adamw_hd", schedule) for schedule in SCHEDULES if schedule != "warm-up from 0"
]


@pytest.mark.parametrize(("name", "schedule"), CASES)
def test_the_hypergradient_is_the_derivative_of_the_next_loss_for_the_learned_rate(name, schedule):
    rate, options = SCHEDULES[schedule]
    opt = MAKERS[name](rate, **options)
    params = make_params()
    state = opt.init(params)

    @jax.jit
    def walk(carry, step):
        before, params, state = carry
        last = getattr(state, "inner_state", None) if hasattr(state, "hyperparams") else state
        wanted = find_derivative(before, params, last.effective_lr, last.ratio, step)
        updates, state = opt.update(jax.grad(find_loss)(params, step), state, params)
        found = state.inner_state if hasattr(state, "hyperparams") else state
        out = (wanted, last.ratio, found.hypergradient, found.effective_lr, found.lr)
        return (params, optax.apply_updates(params, updates), state), out

    _, columns = jax.lax.scan(walk, (params, params, state), jnp.arange(STEPS))
    wanted, ratio, found, effective, rates = map(np.asarray, columns)
    moved = ratio != 0  # where nothing moved the derivative is 0
    assert moved.sum() >= STEPS - 2
    assert found[0] == 0
    assert not found[~moved].any()
    np.testing.assert_allclose(found[moved], wanted[moved], rtol=0, atol=ROUNDING * np.abs(wanted[moved]).max())
    assert len(np.unique(rates)) > STEPS / 2
    base = options.get("base_lr", rate(0) if callable(rate) else rate)
    scheduled = np.array([rate(t) for t in range(STEPS)]) / base if callable(rate) else np.ones(STEPS)
    acting = np.r_[base, rates[:-1]] if "delay" in name else rates
    np.testing.assert_allclose(effective, acting * scheduled, rtol=1e-5)  # optax's cosine is float32
