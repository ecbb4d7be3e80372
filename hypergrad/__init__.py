"""Hypergradient descent on NumPy arrays, by NumPy or OpenCL.

Importing this package needs neither pyopencl nor an OpenCL device.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hypergrad.adam_hd import AdamHD
from hypergrad.adamw import AdamW
from hypergrad.adamw_auto import AutoHypergradientAdamW
from hypergrad.adamw_hd import HypergradientAdamW
from hypergrad.sgd_hd import SGDHD

if TYPE_CHECKING:
    from hypergrad import methods
    from hypergrad._minimize import minimize

__all__ = ["SGDHD", "AdamHD", "AdamW", "AutoHypergradientAdamW", "HypergradientAdamW", "methods", "minimize"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`minimize` and `methods`, at first use: SciPy's optimizers take longer to import than all the rest."""
    if name == "methods":
        return import_module("hypergrad.methods")
    if name == "minimize":
        globals()[name] = import_module("hypergrad._minimize").minimize
        return globals()[name]
    raise AttributeError(f"module 'hypergrad' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
