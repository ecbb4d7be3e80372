"""What looks public is public: names, modules, the version, and what the import costs."""

import importlib
import inspect
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import hypergrad
from hypergrad import errors

ROOT = Path(hypergrad.__file__).parents[1]


CLASSES = ["SGDHD", "AdamHD", "AdamW", "AutoHypergradientAdamW", "HypergradientAdamW", "TuningFreeAdamW"]


def test_all_names_what_users_import_and_each_is_there():
    rest = ["Optimizer", "errors", "methods", "minimize", "__version__"]
    assert sorted(hypergrad.__all__) == sorted([*CLASSES, *rest])
    assert dir(hypergrad) == sorted(hypergrad.__all__)
    for name in hypergrad.__all__:
        assert getattr(hypergrad, name) is not None
    assert all(issubclass(getattr(hypergrad, name), hypergrad.Optimizer) for name in CLASSES)


EXTRAS = ("torch", "optax")
"""Packages that need an extra; their faces are tested where it is installed."""


def test_module_without_an_underscore_holds_something_public():
    for info in pkgutil.iter_modules(hypergrad.__path__):
        if not info.name.startswith("_") and info.name not in (*hypergrad.__all__, *EXTRAS):
            module = importlib.import_module(f"hypergrad.{info.name}")
            own = [name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__]
            assert set(CLASSES) & set(own), info.name


def test_version_is_that_of_the_distribution():
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert hypergrad.__version__ in (tomllib.load(file)["project"]["version"], "0+unknown")


def test_version_of_a_checkout_that_is_not_installed_says_so(monkeypatch):
    def refuse(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", refuse)
    monkeypatch.delitem(vars(hypergrad), "__version__", raising=False)
    assert hypergrad.__version__ == "0+unknown"
    monkeypatch.delitem(vars(hypergrad), "__version__")


def run(script, *flags):
    """What a process of its own prints."""
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": ""}
    command = [sys.executable, *flags, "-c", script]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout


def test_import_loads_nothing_that_only_some_users_need():
    script = (
        "import sys; before = set(sys.modules); import hypergrad; "
        "print([name for name in ('scipy', 'pyopencl', 'importlib.metadata', 'torch', 'jax', 'hypergrad_validation') "
        "if name in set(sys.modules) - before])"
    )
    assert run(script) == "[]\n"


def test_everything_works_where_python_drops_docstrings():
    script = (
        "import numpy as np, hypergrad; x = np.ones(3); opt = hypergrad.AutoHypergradientAdamW([x], device='numpy'); "
        "opt.step(gradients=[x]); print(hypergrad.AdamW.__doc__, x[0] < 1, hypergrad.methods.hdm.__name__)"
    )
    assert run(script, "-OO") == "None True hdm\n"


def test_errors_are_all_public_and_derive_from_a_built_in_kind():
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert any(base.__module__ == "builtins" for base in inspect.getmro(kind)[1:-3]), name  # Exception and above
