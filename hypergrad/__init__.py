"""Hypergradient descent on NumPy arrays, by NumPy or OpenCL.

Importing this package needs neither pyopencl nor an OpenCL device.
"""

from hypergrad import methods
from hypergrad.adam_hd import AdamHD
from hypergrad.adamw import AdamW
from hypergrad.adamw_auto import AutoHypergradientAdamW
from hypergrad.adamw_hd import HypergradientAdamW
from hypergrad.minimize import minimize
from hypergrad.sgd_hd import SGDHD

__all__ = ["SGDHD", "AdamHD", "AdamW", "AutoHypergradientAdamW", "HypergradientAdamW", "methods", "minimize"]
__version__ = "0.1.0"
