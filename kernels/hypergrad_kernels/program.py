"""From the text of a .cl file to a kernel that is ready to launch."""

from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import pyopencl as cl

from hypergrad_kernels.device import Device

BUFFER = None
"""Stands for a buffer in a list of argument types, as pyopencl has it."""


@cache
def read_text(name: str) -> str:
    """The text of NAME.cl after the common part; the compiler's messages count lines in NAME.cl."""
    common, own = (files("hypergrad_kernels").joinpath(f"{part}.cl").read_text("utf-8") for part in ("common", name))
    return f'{common}\n#line 1 "{name}.cl"\n{own}'


def prepare(
    device: Device,
    file: str,
    kernel: str,
    dtype: np.dtype[np.floating[Any]],
    width: int,
    macros: tuple[str, ...],
    arguments: list[type[np.generic] | None],
) -> cl.Kernel:
    """A new kernel object of FILE.cl, its program compiled once a device.

    dtype        float32 or float64, of every array and real scalar
    width        elements of a vector
    macros       features to switch on, "NAME" or "NAME=VALUE"
    arguments    BUFFER, or the NumPy scalar type, of each argument: converting them anew at each launch is slow

    Raises BuildError with the compiler's log.
    """
    double = ("-DDOUBLE",) if dtype == np.float64 else ()
    options = (f"-DWIDTH={width}", *double, *(f"-D{macro}" for macro in macros))
    prepared = cl.Kernel(device.build(file, read_text(file), options), kernel)
    prepared.set_scalar_arg_dtypes(arguments)
    return prepared
