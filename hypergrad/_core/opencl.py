"""The two loops on an OpenCL device."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hypergrad._core.backend import SumsTask, UpdateTask
from hypergrad._core.device_arrays import is_device_array
from hypergrad._core.devices import check_room, open_device
from hypergrad.errors import ArgumentError
from hypergrad_reference.types import Vector

if TYPE_CHECKING:
    from hypergrad._core.backend import Device
    from hypergrad_kernels.batches import Planned


class OpenCLBackend:
    """The kernels, on one device."""

    def __init__(self, device: "Device") -> None:
        self.device = open_device(device)
        from hypergrad_kernels.arrays import Arrays
        from hypergrad_kernels.batches import Batches
        from hypergrad_kernels.launcher import Launcher

        self.name = f"opencl: {self.device.name}"
        self._launcher = Launcher(Arrays(self.device))
        self._batches = Batches(self._launcher)
        self._planned: list[Planned] = []

    def check_device_array(self, array: Vector, name: str) -> None:
        """Kernels reach the arrays of their own context."""
        if array.context != self.device.context:  # type: ignore[attr-defined]
            raise ArgumentError(
                f"{name} is a pyopencl array of another context than that of {self.device.name}: give "
                "device=array.context when the optimizer is made"
            )

    def check_parameters(self, parameters: Mapping[str, Vector]) -> None:
        """What a device lacks: float64, room for an array, or the way to an array of another context."""
        for name, array in parameters.items():
            check_room(self.device, name, array, "float32 parameters or device='numpy'")
            if is_device_array(array):
                self.check_device_array(array, name)

    def begin(self) -> None:
        """Parameters and gradients cross again to a device that does not work in place."""
        self.device.check_process()
        self._launcher.arrays.begin()

    def fetch(self) -> None:
        """Moments and their like come back from a device that does not work in place."""
        self._launcher.arrays.fetch()

    def forget(self) -> None:
        """A device that does not work in place gets everything again."""
        self._launcher.arrays.forget()

    def inner_products(self, work: Sequence[SumsTask]) -> list[dict[str, Vector]]:
        """Block sums by sums.cl, with one wait for all tensors."""
        return self._batches.inner_products(work)

    def prepare(self, work: Sequence[UpdateTask], clear_grad: bool) -> None:
        """Compile what the kernels need, and find the arrays of small tensors and room for the sums."""
        self._planned = [self._batches.plan_update(*task, clear_grad) for task in work]

    def update(self, work: Sequence[UpdateTask], clear_grad: bool) -> list[dict[str, Vector]]:
        """Run what was prepared, with one wait for all tensors."""
        planned, self._planned = self._planned, []
        return self._batches.update(planned)
