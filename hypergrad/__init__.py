"""Hypergradient descent on NumPy arrays, by NumPy or OpenCL.

Importing this package needs neither pyopencl nor an OpenCL device.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypergrad import errors
from hypergrad._core.optimizer import Optimizer
from hypergrad.adam_hd import AdamHD
from hypergrad.adamw import AdamW
from hypergrad.adamw_auto import AutoHypergradientAdamW
from hypergrad.adamw_free import TuningFreeAdamW
from hypergrad.adamw_hd import HypergradientAdamW
from hypergrad.sgd_hd import SGDHD

if TYPE_CHECKING:
    from hypergrad import methods
    from hypergrad._minimize.minimize import minimize

    __version__: str

__all__ = [
    "SGDHD",
    "AdamHD",
    "AdamW",
    "AutoHypergradientAdamW",
    "HypergradientAdamW",
    "Optimizer",
    "TuningFreeAdamW",
    "__version__",
    "errors",
    "methods",
    "minimize",
]


def _find_version() -> str:
    """The version of the installed distribution; "0+unknown" where a checkout is imported that is not installed."""
    metadata = import_module("importlib.metadata")
    try:
        return str(metadata.version("hypergrad-opencl"))
    except metadata.PackageNotFoundError:
        return "0+unknown"


def __getattr__(name: str) -> Any:
    """What takes longer to import than all the rest, at first use: SciPy's optimizers, and the metadata."""
    if name == "methods":
        return import_module("hypergrad.methods")
    if name == "minimize":
        value: Any = import_module("hypergrad._minimize.minimize").minimize
    elif name == "__version__":
        value = _find_version()
    else:
        raise AttributeError(f"module 'hypergrad' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
