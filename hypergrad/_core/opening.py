"""Who runs the loops, as the user asks for it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hypergrad._core.backend import Backend, NumPyBackend
from hypergrad._core.device_arrays import is_device_array
from hypergrad._core.devices import UNAVAILABLE, warn_that_numpy_serves
from hypergrad_reference.types import Vector

if TYPE_CHECKING:
    from hypergrad._core.backend import Device


class DeviceWish:
    """What a user asked for, from which the backend of a copy is opened: a device itself can be shared, not pickled."""

    def __init__(self, device: "Device") -> None:
        self.device = device

    def __deepcopy__(self, memo: dict[int, Any]) -> "DeviceWish":
        return self

    def __reduce__(self) -> tuple[type["DeviceWish"], tuple[str]]:
        if isinstance(self.device, str):
            return DeviceWish, (self.device,)
        from hypergrad_kernels.device import name_device

        return DeviceWish, (name_device(self.device),)


def open_backend(device: "Device", parameters: Mapping[str, Vector]) -> Backend:
    """The backend that the arguments ask for.

    device        "auto": OpenCL where there is a device that works and takes the parameters, else NumPy with one
                  warning that says why; "numpy" | "opencl" | "opencl:PART[:INDEX]" | pyopencl.Device |
                  pyopencl.Context: exactly that
    parameters    by name; where one is a pyopencl array, "auto" means the context of that array

    Raises DeviceNotFoundError if the device asked for is not there or cannot take the dtypes of the parameters,
    DeviceError if it cannot take their sizes or cannot be used in this process, BuildError if it does not compile,
    ArgumentError if it does not reach one of them.
    """
    on_device = [array for array in parameters.values() if is_device_array(array)]
    if isinstance(device, str) and device == "auto" and on_device:
        device = on_device[0].context  # type: ignore[attr-defined]
    return _open_backend(device, parameters)


def _open_backend(device: "Device", parameters: Mapping[str, Vector]) -> Backend:
    if isinstance(device, str) and device == "numpy":
        numpy_backend = NumPyBackend()
        numpy_backend.check_parameters(parameters)
        return numpy_backend
    if not isinstance(device, str) or device != "auto":
        return _open_device(device, parameters)
    try:
        return _open_device("opencl", parameters)
    except UNAVAILABLE as error:
        warn_that_numpy_serves(error, stacklevel=6)
        return NumPyBackend()


def _open_device(device: "Device", parameters: Mapping[str, Vector]) -> Backend:
    from hypergrad._core.opencl import OpenCLBackend

    backend = OpenCLBackend(device)
    backend.check_parameters(parameters)
    return backend
