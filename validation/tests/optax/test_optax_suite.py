"""optax's own tests of its optimizers, run on these transformations. They come with optax.

Three of its files: `contrib/_common_test.py`, `_src/float64_test.py` and `_src/sharding_test.py`. Each lists what it
tests when it is imported, and passes the list to absl's `parameterized`; here ours takes its place.
"""

import warnings
from functools import partial
from importlib import import_module
from types import SimpleNamespace

import optax
import pytest
from absl.testing import parameterized

from hypergrad.optax import auto_hypergradient_adamw, hypergradient, hypergradient_adamw

OURS = {
    "adamw_hd": (hypergradient_adamw, {"learning_rate": 1e-2, "hyper_lr": 1e-4}),
    "adamw_auto": (auto_hypergradient_adamw, {"learning_rate": 1e-2, "weight_decay": 0.0}),
    "of_sgd": (partial(hypergradient, optax.identity()), {"learning_rate": 1e-3, "hyper_lr": 1e-9}),
    "of_adam": (
        partial(hypergradient, optax.scale_by_adam(), rule="log", lr_min=1e-6, nonfinite="skip"),
        {"learning_rate": 1e-2},
    ),
}
"""For each the factory and the options that optax's tests give it. SGD diverges on their Rosenbrock at larger rates."""


def load(name, form):
    """A module of optax's tests whose first list of what is tested is exchanged."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of optax's own optimizers, which the module makes
        for kind in ("product", "named_parameters"):
            original = getattr(parameterized, kind)
            patch.setattr(parameterized, kind, lambda *lists, original=original, **grid: original(form(), **grid))
        return import_module(name)


def list_configurations():
    return [
        {"opt_name": name, "opt_kwargs": options, "wrapper_name": None, "wrapper_kwargs": None}
        for name, (_, options) in OURS.items()
    ]


def list_modules():
    return [(name, factory, options) for name, (factory, options) in OURS.items()]


def list_optimizers():
    return [(name, factory(**options)) for name, (factory, options) in OURS.items()]


common = load("optax.contrib._common_test", list_configurations)
common.contrib = SimpleNamespace(**{name: factory for name, (factory, _) in OURS.items()})
ContribTest = common.ContribTest

Float64Test = load("optax._src.float64_test", list_modules).Float64Test

ShardingTest = load("optax._src.sharding_test", list_optimizers).ShardingTest
for name in [name for name in vars(ShardingTest) if name.startswith("test_microbatch")]:
    delattr(ShardingTest, name)  # of another part of optax
