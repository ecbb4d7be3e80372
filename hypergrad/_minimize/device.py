"""The option device of hypergrad.minimize: who runs the two loops of a method over the variables."""

from hypergrad._core.devices import UNAVAILABLE, check_room, open_device, warn_that_numpy_serves
from hypergrad_reference.hdm_best_loops import NUMPY, Loops
from hypergrad_reference.types import Vector


def open_loops(device: str, start: Vector) -> Loops:
    """The loops by NumPy or an OpenCL device, for vectors like the start.

    device    "auto": OpenCL where there is a device that works and takes the vectors, else NumPy with one warning that
              says why; "numpy" | "opencl" | "opencl:PART[:INDEX]": exactly that

    Raises DeviceNotFoundError if the device is not there or has no float64, DeviceError if the vectors are too large
    for it or it cannot be used in this process, BuildError if it does not compile.
    """
    if device == "numpy":
        return NUMPY
    if device != "auto":
        return _open_loops(device, start)
    try:
        return _open_loops("opencl", start)
    except UNAVAILABLE as error:
        warn_that_numpy_serves(error, stacklevel=3)
        return NUMPY


def _open_loops(device: str, start: Vector) -> Loops:
    opened = open_device(device)
    check_room(opened, "x0", start, "device='numpy'")
    from hypergrad_kernels import hdm_loops

    return hdm_loops.open_loops(opened)
