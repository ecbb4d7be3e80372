"""The transformations against the algorithms of the reference, step by step."""

import math
from functools import partial

import jax
import numpy as np
import optax
import pytest
from optax_problems import draw, form_gradient, run

from hypergrad.optax import REASONS, auto_hypergradient_adamw, hypergradient, hypergradient_adamw
from hypergrad_reference import adam_hd, adamw, adamw_auto, adamw_hd, delayed, sgd_hd
from hypergrad_reference.hypergradient import SCHEDULES

pytestmark = pytest.mark.usefixtures("x64")

STEPS = 300

# Both round every operation to float64, in another order, and all numbers are of the size of 1: a few units of 1e-16 a
# step. 300 steps of these contracting problems add up to no more than this.
ROUNDING = 1e-11


def of_adamw_hd(lr, delay=0, log_scale=False, weight_decay=0.01, **constants):
    """init and step of the reference."""
    constants = adamw_hd.Constants(**{"decay_in_hypergradient": True, **constants})
    of_adamw = adamw.Constants(weight_decay=weight_decay)
    schedule = adamw_hd.schedule_log if log_scale else adamw_hd.schedule_linear
    step = partial(
        delayed.step_adamw_hd if delay else adamw_hd.step, schedule=schedule, constants=constants, of_adamw=of_adamw
    )

    def init(thetas):
        state = adamw_hd.init(thetas, lr)
        return delayed.AdamWState(math.nan, state) if delay else state

    return init, step


def of_auto(lr, delay=0, weight_decay=0.01, normalization="gradient", decay_in_hypergradient=True, **constants):
    constants = adamw_auto.Constants(**constants)
    of_adamw = adamw.Constants(weight_decay=weight_decay)
    options = {"normalization": normalization, "decay_in_hypergradient": decay_in_hypergradient}
    step = partial(
        delayed.step_adamw_auto if delay else adamw_auto.step, constants=constants, of_adamw=of_adamw, **options
    )

    def init(thetas):
        state = adamw_auto.init(thetas, lr, 0.9)
        return delayed.AutoState(math.nan, state) if delay else state

    return init, step


def of_sgd(lr, hyper_lr, rule="additive", delay=0, **constants):
    constants = sgd_hd.Constants(**constants)
    schedule = partial(SCHEDULES[rule].schedule, hyper_lr=hyper_lr)
    step = partial(delayed.step_sgd_hd if delay else sgd_hd.step, schedule=schedule, constants=constants)
    return (lambda thetas: sgd_hd.init(thetas, lr, constants)), step


def of_adam(lr, hyper_lr, rule="additive"):
    schedule = partial(SCHEDULES[rule].schedule, hyper_lr=hyper_lr)
    return (lambda thetas: adam_hd.init(thetas, lr)), partial(adam_hd.step, schedule=schedule)


OF_ADAMW = {
    "default": {"hyper_lr": 1e-5},
    "log": {"hyper_lr": 1e-3, "log_scale": True},
    "decay": {"hyper_lr": 1e-5, "weight_decay": 0.5},
    "decay left out": {"hyper_lr": 1e-5, "weight_decay": 0.5, "decay_in_hypergradient": False},
    "no decay": {"hyper_lr": 1e-5, "weight_decay": 0.0},
    "bounds": {"hyper_lr": 1e-3, "lr_min": 5e-3, "lr_max": 0.02},
    "bounds of log": {"hyper_lr": 0.1, "log_scale": True, "lr_min": 5e-3, "lr_max": 0.02},
    "delay": {"hyper_lr": 1e-5, "delay": 1},
    "delay, decay, log": {"hyper_lr": 1e-3, "delay": 1, "weight_decay": 0.5, "log_scale": True},
    "hyper_lr of 0": {"hyper_lr": 0.0},
}
OF_AUTO = {
    "default": {"hyper_lr": 1e-3},
    "warm-up": {"hyper_lr": 1e-3, "warmup_steps": 40},
    "no warm-up": {"hyper_lr": 1e-3, "warmup_steps": 0},
    "direction": {"hyper_lr": 1e-3, "normalization": "direction", "weight_decay": 0.5},
    "cosine": {"hyper_lr": 1e-3, "normalization": "cosine", "weight_decay": 0.5},
    "decay left out": {"hyper_lr": 1e-3, "weight_decay": 0.5, "decay_in_hypergradient": False},
    "bounds": {"lr_min": 5e-3, "lr_max": 0.02},
    "delay": {"hyper_lr": 1e-3, "delay": 1, "normalization": "cosine"},
}
NESTEROV = {"momentum": 0.9, "nesterov": True}
OF_WRAPPER = {
    "SGD": (optax.identity, of_sgd, {"hyper_lr": 1e-4}, {}),
    "SGD, multiplicative": (optax.identity, of_sgd, {"hyper_lr": 0.02, "rule": "multiplicative"}, {}),
    "SGD, delay": (optax.identity, of_sgd, {"hyper_lr": 1e-4, "delay": 1}, {}),
    "heavy ball": (lambda: optax.trace(0.9), of_sgd, {"hyper_lr": 1e-5}, {"momentum": 0.9}),
    "Nesterov": (lambda: optax.trace(0.9, nesterov=True), of_sgd, {"hyper_lr": 1e-5}, NESTEROV),
    "decay": (
        lambda: optax.add_decayed_weights(0.1), of_sgd, {"hyper_lr": 1e-4}, {"decoupled_weight_decay": 0.1},
    ),
    "Adam": (optax.scale_by_adam, of_adam, {"hyper_lr": 1e-5}, {}),
    "Adam, multiplicative": (optax.scale_by_adam, of_adam, {"hyper_lr": 0.02, "rule": "multiplicative"}, {}),
}  # fmt: skip

CASES = {
    **{
        f"adamw_hd-{name}": (lambda options=options: hypergradient_adamw(0.01, **options), of_adamw_hd, options)
        for name, options in OF_ADAMW.items()
    },
    **{
        f"adamw_auto-{name}": (lambda options=options: auto_hypergradient_adamw(0.01, **options), of_auto, options)
        for name, options in OF_AUTO.items()
    },
    **{
        f"wrapper-{name}": (
            lambda inner=inner, options=options: hypergradient(inner(), 0.01, lr_min=-math.inf, **options),
            of_rule, options | constants,
        )
        for name, (inner, of_rule, options, constants) in OF_WRAPPER.items()
    },
}  # fmt: skip


def take(tree):
    """The arrays of a tree as the reference takes them."""
    return [np.array(x) for x in jax.tree.leaves(tree)]


@pytest.mark.parametrize("name", CASES)
def test_a_run_of_300_steps_is_that_of_the_reference_to_rounding(name):
    make, of_rule, options = CASES[name]
    init, step = of_rule(lr=0.01, **options)
    noises, walk, states = run(make(), STEPS)
    thetas = take(draw(0))
    state, records = init(thetas), []
    for t in range(STEPS):
        noise = [np.array(x[t]) for x in take(noises)]
        thetas, state, record = step(thetas, form_gradient(thetas, noise), state)
        records.append(record)
        for x, theta in zip(take(walk), thetas, strict=True):
            assert np.max(np.abs(x[t] - theta), initial=0.0) <= ROUNDING
    before, after, wanted = (
        np.array([getattr(r, name) for r in records]) for name in ("lr_before", "lr", "hypergradient")
    )
    np.testing.assert_array_equal(states.step, np.arange(1, STEPS + 1))
    assert [REASONS[code] for code in states.reason] == [record.reason for record in records]
    np.testing.assert_allclose(states.lr, after, rtol=ROUNDING)
    np.testing.assert_allclose(states.lr_before, before, rtol=ROUNDING)
    np.testing.assert_allclose(states.effective_lr, before if options.get("delay") else after, rtol=ROUNDING)
    formed = ~np.isnan(wanted)
    np.testing.assert_allclose(states.hypergradient[formed], wanted[formed], rtol=0, atol=ROUNDING)
    assert formed.sum() > STEPS * 0.8
    if "bounds" in name:
        assert {"lr_min", "lr_max"} & {record.reason for record in records}
    else:
        assert len(set(after)) > STEPS * 0.8 or options["hyper_lr"] == 0
