"""Who runs the two loops over the elements: NumPy or an OpenCL device."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from hypergrad._core.device_arrays import is_device_array
from hypergrad._core.devices import UNAVAILABLE, check_room, open_device, warn_that_numpy_serves
from hypergrad.errors import ArgumentError
from hypergrad_reference.adamw import ExactScalars, ShaderScalars
from hypergrad_reference.adamw_free import Scalars as FreeScalars
from hypergrad_reference.loops import Operands, Update, inner_products, update
from hypergrad_reference.rule import Scalars
from hypergrad_reference.sgd_hd import HeavyBall, Nesterov, Plain
from hypergrad_reference.types import Vector

if TYPE_CHECKING:
    import pyopencl

    from hypergrad_kernels.calls import Call, Form
    from hypergrad_kernels.launcher import Launch

    Device = str | pyopencl.Device | pyopencl.Context
    DeviceChoice = Device | None


class SumsTask(NamedTuple):
    """A tensor whose inner products are wanted."""

    position: int  # of the tensor; a backend may keep under it what it made
    history: int  # alike for tensors whose operands are alike but for their arrays
    products: tuple[str, ...]
    operands: Operands


class UpdateTask(NamedTuple):
    """A tensor that is to be updated, in place."""

    position: int
    history: int  # alike for tensors whose updates are alike but for their arrays
    update: Update


class Backend(Protocol):
    """The two loops."""

    name: str

    def check_device_array(self, array: Vector, name: str) -> None:
        """Raise ArgumentError if the loops cannot reach a pyopencl array."""
        ...

    def check_parameters(self, parameters: Mapping[str, Vector]) -> None:
        """Raise DeviceNotFoundError or ArgumentError, by name, for parameters that the loops cannot work on."""
        ...

    def begin(self) -> None:
        """A step begins; the host may have changed parameters and gradients."""
        ...

    def fetch(self) -> None:
        """Bring to the host what is kept of the tensors, which it may change before the next step."""
        ...

    def forget(self) -> None:
        """What the host has counts from now on, whatever was written and not brought back."""
        ...

    def inner_products(self, work: Sequence[SumsTask]) -> list[dict[str, Vector]]:
        """Block sums of the products asked for, of each tensor; nothing is written."""
        ...

    def prepare(self, work: Sequence[UpdateTask], clear_grad: bool) -> None:
        """Do now whatever could fail in `update` of the same work: compile, allocate. Nothing is written."""
        ...

    def update(self, work: Sequence[UpdateTask], clear_grad: bool) -> None:
        """Write theta and the arrays of each tensor, and zeros to its gradient if clear_grad; then return."""
        ...


def _check_device_arrays(backend: Backend, parameters: Mapping[str, Vector]) -> None:
    for name, array in parameters.items():
        if is_device_array(array):
            backend.check_device_array(array, name)


class NumPyBackend:
    """The reference itself, its results copied into the arrays."""

    name = "numpy"

    def check_device_array(self, array: Vector, name: str) -> None:
        """NumPy reaches none."""
        raise ArgumentError(f"{name} is a pyopencl array and NumPy does the work: give its .get(), or another device=")

    def check_parameters(self, parameters: Mapping[str, Vector]) -> None:
        """NumPy works on its own arrays."""
        _check_device_arrays(self, parameters)

    def begin(self) -> None:
        """Nothing to do: everything is on the host."""

    fetch = forget = begin

    def inner_products(self, work: Sequence[SumsTask]) -> list[dict[str, Vector]]:
        """Block sums by the reference."""
        with np.errstate(all="ignore"):  # what is not finite is judged by the optimizer's policy, not by a warning
            return [inner_products(products, operands) for _, _, products, operands in work]

    def prepare(self, work: Sequence[UpdateTask], clear_grad: bool) -> None:
        """Nothing to prepare."""

    def update(self, work: Sequence[UpdateTask], clear_grad: bool) -> None:
        """Compute by the reference, then copy."""
        with np.errstate(all="ignore"):
            for _, _, u in work:
                theta, arrays = update(u)
                u.theta[...] = theta
                for target, result in zip(u.arrays, arrays, strict=True):
                    if target is not None:
                        target[...] = result
                if clear_grad:
                    u.grad[...] = 0


class Kernel(NamedTuple):
    """Host code of a kernel for loop 2."""

    form_update: "Callable[[Update, bool], Form]"
    list_arrays: Callable[[Update], tuple[Vector, ...]]


class OpenCLBackend:
    """The kernels, on one device."""

    def __init__(self, device: "Device") -> None:
        self.device = open_device(device)
        from hypergrad_kernels import adamw, adamw_free, sgd_hd, sums
        from hypergrad_kernels.arrays import Arrays
        from hypergrad_kernels.calls import Call
        from hypergrad_kernels.launcher import Launcher

        self.name = f"opencl: {self.device.name}"
        self._launcher = Launcher(Arrays(self.device))
        self._compute_sums = sums.compute_sums
        of_adamw = Kernel(adamw.form_update, adamw.list_arrays)
        of_sgd_hd = Kernel(sgd_hd.form_update, sgd_hd.list_arrays)
        self._kernels: dict[type[Scalars], Kernel] = {
            ExactScalars: of_adamw, ShaderScalars: of_adamw,
            Plain: of_sgd_hd, HeavyBall: of_sgd_hd, Nesterov: of_sgd_hd,
            FreeScalars: Kernel(adamw_free.form_update, adamw_free.list_arrays),
        }  # fmt: skip
        self._make_call = Call
        self._planned: list[Launch] = []

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
        _check_device_arrays(self, parameters)

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
        return self._compute_sums(self._launcher, work)

    def prepare(self, work: Sequence[UpdateTask], clear_grad: bool) -> None:
        """Compile what the kernels need, and find the arrays of small tensors."""
        self._planned = self._launcher.plan(self._list_calls(work, clear_grad))

    def update(self, work: Sequence[UpdateTask], clear_grad: bool) -> None:
        """Run what was prepared, with one wait for all tensors."""
        planned, self._planned = self._planned, []
        self._launcher.run(planned)
        self._launcher.arrays.collect()

    def _list_calls(self, work: Sequence[UpdateTask], clear_grad: bool) -> "list[tuple[int, Call]]":
        """The calls of the tensors that have elements; those alike but for their arrays share a form."""
        forms: dict[Any, Form] = {}
        calls = []
        for position, history, u in work:
            kernel = self._kernels[type(u.scalars)]
            shared = (history, u.theta.dtype, type(u.theta), type(u.grad))
            form = forms.get(shared)
            if form is None:
                form = forms[shared] = kernel.form_update(u, clear_grad)
            if u.theta.size:
                blocks = () if form.per_item is None else (-(-u.theta.size // form.per_item),)
                calls.append((position, self._make_call(form, (u.theta.size, *blocks), kernel.list_arrays(u))))
        return calls


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
        warn_that_numpy_serves(error, stacklevel=5)
        return NumPyBackend()


def _open_device(device: "Device", parameters: Mapping[str, Vector]) -> OpenCLBackend:
    backend = OpenCLBackend(device)
    backend.check_parameters(parameters)
    return backend
