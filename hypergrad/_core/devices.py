"""Opening the device that a user asks for: exactly that, or an error that names the remedy."""

import warnings
from typing import TYPE_CHECKING

import numpy as np

from hypergrad.errors import ArgumentError, BuildError, DeviceError, DeviceNotFoundError, DeviceWarning
from hypergrad_kernels.runtime import check_fork, explain_import
from hypergrad_reference.types import Vector

if TYPE_CHECKING:
    import pyopencl

    from hypergrad_kernels.device import Device

UNAVAILABLE = (DeviceNotFoundError, BuildError, DeviceError)
"""Why "auto" lets NumPy do the work."""


def open_device(wanted: "str | pyopencl.Device | pyopencl.Context") -> "Device":
    """An OpenCL device.

    wanted    "opencl" | "opencl:PART[:INDEX]" | pyopencl.Device | pyopencl.Context

    Raises DeviceNotFoundError if it is not there, DeviceError if it cannot be used in this process, BuildError if it
    does not compile, ArgumentError for a description that cannot be read.
    """
    trouble = explain_import()
    if trouble is not None:
        asked = "" if wanted == "opencl" else f"device={wanted!r}: "
        raise DeviceNotFoundError(f"{asked}{trouble}")
    check_fork()
    from hypergrad_kernels import device

    try:
        return device.open_device(wanted)
    except ValueError as error:
        raise ArgumentError(f"{error}, 'numpy', 'auto'") from error


def check_room(device: "Device", name: str, array: Vector, instead: str) -> None:
    """Raise DeviceNotFoundError or DeviceError if a device cannot hold an array.

    instead    of float64 on such a device, what to use
    """
    facts = device.cl_device
    if array.dtype == np.float64 and not facts.double_fp_config:
        raise DeviceNotFoundError(f"{name} is float64 and {device.name} has no float64: use {instead}")
    if array.nbytes > facts.max_mem_alloc_size:
        raise DeviceError(
            f"{name} has {array.nbytes} bytes and {device.name} takes at most {facts.max_mem_alloc_size} "
            "in one array; divide it, or use device='numpy'"
        )


def warn_that_numpy_serves(error: Exception, stacklevel: int) -> None:
    """Say once why "auto" did not take OpenCL; stacklevel is that of the caller."""
    warnings.warn(f"NumPy does the work: {error}; device='numpy' asks for it", DeviceWarning, stacklevel=stacklevel + 1)
