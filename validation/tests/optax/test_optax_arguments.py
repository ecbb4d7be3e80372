"""Arguments that are out of range are refused, with the remedy."""

import inspect
import re

import jax
import jax.numpy as jnp
import optax
import pytest

from hypergrad.errors import ArgumentError
from hypergrad.optax import auto_hypergradient_adamw, hypergradient, hypergradient_adamw

WARM_UP = optax.linear_schedule(0.0, 0.1, 10)


def wrap(learning_rate=0.1, **options):
    return hypergradient(optax.identity(), learning_rate, **options)


@pytest.mark.parametrize(
    ("make", "options", "words"),
    [
        (hypergradient_adamw, {"hyper_lr": -1.0}, "hyper_lr=-1.0: give a number in"),
        (hypergradient_adamw, {"b1": 1.0}, "b1=1.0: give a number in"),
        (hypergradient_adamw, {"b2": 1.0}, "b2=1.0: give a number in"),
        (hypergradient_adamw, {"eps": 0.0}, "eps=0.0: give a number in"),
        (hypergradient_adamw, {"weight_decay": -0.1}, "weight_decay=-0.1: give a number in"),
        (hypergradient_adamw, {"lr_min": 2.0}, "lr_min=2.0 is above lr_max=1.0"),
        (hypergradient_adamw, {"learning_rate": 2.0}, "learning_rate=2.0: give a finite number within lr_min"),
        (hypergradient_adamw, {"learning_rate": WARM_UP}, "learning_rate begins with 0: give base_lr"),
        (hypergradient_adamw, {"learning_rate": WARM_UP, "base_lr": 3.0}, "base_lr=3.0: give a finite number within"),
        (hypergradient_adamw, {"log_scale": True, "lr_min": 0.0}, "lr_min=0.0 with log_scale=True"),
        (hypergradient_adamw, {"log_scale": "yes"}, "log_scale='yes': give True or False"),
        (hypergradient_adamw, {"delay": 2}, "delay=2: give 0, or 1"),
        (hypergradient_adamw, {"nonfinite": "raise"}, "nonfinite='raise': give one of 'propagate', 'skip'"),
        (auto_hypergradient_adamw, {"warmup_steps": 0.5}, "warmup_steps=0.5: give a whole number"),
        (auto_hypergradient_adamw, {"normalization": "norm"}, "normalization='norm': give one of"),
        (auto_hypergradient_adamw, {"eps": jnp.zeros(())}, "eps=0.0: give a number in"),
        (wrap, {"rule": "linear"}, "rule='linear': give one of"),
        (wrap, {"rule": "log"}, "lr_min=0.0 with rule='log'"),
        (wrap, {"lr_min": 1.0, "lr_max": 0.5}, "give two numbers in this order"),
        (wrap, {"clip": 0.0}, "clip=0.0: give a number > 0"),
        (wrap, {"clip": 1.0, "rule": "multiplicative"}, "leave it out, or give another rule"),
        (wrap, {"learning_rate": float("nan")}, "learning_rate=nan: give a finite number"),
    ],
)
def test_an_option_out_of_range_is_refused(make, options, words):
    with pytest.raises(ArgumentError) as error:
        make(**options)
    assert words in str(error.value)


def test_the_remedies_work():
    wrap(rule="log", lr_min=1e-6)
    wrap(clip=1.0)
    hypergradient_adamw(WARM_UP, base_lr=0.1)
    hypergradient_adamw(log_scale=True, lr_min=1e-6)


def test_update_without_parameters_is_refused_where_they_are_needed():
    opt, x = hypergradient_adamw(), jnp.ones(2)
    with pytest.raises(ArgumentError, match="params=None: give the parameters too"):
        opt.update(x, opt.init(x))
    wrapped = wrap()
    wrapped.update(x, wrapped.init(x))


def test_options_may_be_made_where_jit_traces():
    x = jnp.ones(2)

    @jax.jit
    def step(rate, hyper_lr):
        opt = hypergradient_adamw(rate, hyper_lr, lr_max=rate * 2)
        return opt.update(x, opt.init(x), x)

    _, state = step(0.25, 1e-3)
    assert float(state.lr) == 0.25

    @jax.jit
    def scheduled():
        opt = hypergradient_adamw(optax.cosine_decay_schedule(0.25, 10))
        return opt.update(x, opt.init(x), x)

    assert float(scheduled()[1].base_lr) == 0.25


def test_import_without_optax_says_what_installs_it(run_script):
    done = run_script("""
        import importlib.metadata as m; v = m.version
        def version(name):
            if name == "optax": raise m.PackageNotFoundError(name)
            return v(name)
        m.version = version
        try: import hypergrad.optax
        except ImportError as error: print(error.name, error)
    """)
    assert done.stdout.startswith("optax hypergrad.optax needs optax, which is not installed: pip install"), done.stderr


def test_import_of_hypergrad_loads_no_jax(run_script):
    done = run_script("import sys, hypergrad; print([name for name in ('jax', 'optax') if name in sys.modules])")
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("function", [hypergradient, hypergradient_adamw, auto_hypergradient_adamw])
def test_docstring_says_every_argument_with_its_default(function):
    text = " ".join((function.__doc__ + hypergradient_adamw.__doc__).split())
    for name, parameter in inspect.signature(function).parameters.items():
        assert re.search(rf"\b{name}\b(, \w+)* [^.]", text), name
        if parameter.default is not inspect.Parameter.empty:
            value = str(parameter.default) if not isinstance(parameter.default, str) else f'"{parameter.default}"'
            assert re.search(
                rf"[Dd]efaults? [^.]*{re.escape(value)}\b|[Dd]efaults? .{{0,20}}{re.escape(value)}", text
            ), name
