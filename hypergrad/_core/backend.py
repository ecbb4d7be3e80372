"""Who runs the two loops over the elements: NumPy or an OpenCL device."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from hypergrad._core.device_arrays import is_device_array
from hypergrad._core.devices import UNAVAILABLE, check_room, open_device, warn_that_numpy_serves
from hypergrad.errors import ArgumentError
from hypergrad_reference.loops import STOPPED, Operands, Passed, Update, inner_products, update, update_and_sum
from hypergrad_reference.sums import BLOCK
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
    history: int  # alike for tensors whose operands are alike, except for their arrays
    products: tuple[str, ...]
    operands: Operands


class UpdateTask(NamedTuple):
    """A tensor that is to be updated, in place; with delay 1, the inner products that are formed in the same pass."""

    position: int
    history: int  # alike for tensors whose updates are alike, except for their arrays
    update: Update
    products: tuple[str, ...] = ()  # with STOPPED last: an element that would not be finite stays
    operands: Operands | None = None  # of the products


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

    def update(self, work: Sequence[UpdateTask], clear_grad: bool) -> list[dict[str, Vector]]:
        """Write theta and the arrays of each tensor, and zeros to its gradient if clear_grad.

        Returns block sums of the products asked for, of each tensor.
        """
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

    def update(self, work: Sequence[UpdateTask], clear_grad: bool) -> list[dict[str, Vector]]:
        """Compute by the reference, then copy."""
        with np.errstate(all="ignore"):
            return [_update(task, clear_grad) for task in work]


def _update(task: UpdateTask, clear_grad: bool) -> dict[str, Vector]:
    u, stop = task.update, STOPPED in task.products
    if task.operands is None:
        passed = Passed(*update(u), {})
    else:
        passed = update_and_sum(task.products[: len(task.products) - stop], task.operands, u, stop)
    u.theta[...] = passed.theta
    for target, result in zip(u.arrays, passed.arrays, strict=True):
        if target is not None:
            target[...] = result
    if clear_grad:
        u.grad[...] = 0 if passed.stays is None else np.where(passed.stays, u.grad, 0)
    return passed.blocks


NO_SUMS = np.empty((0, 0))


class OpenCLBackend:
    """The kernels, on one device."""

    def __init__(self, device: "Device") -> None:
        self.device = open_device(device)
        from hypergrad_kernels import delayed, sums
        from hypergrad_kernels.arrays import Arrays
        from hypergrad_kernels.calls import Call
        from hypergrad_kernels.launcher import Launcher

        self.name = f"opencl: {self.device.name}"
        self._launcher = Launcher(Arrays(self.device))
        self._compute_sums = sums.compute_sums
        self._updaters = delayed.UPDATERS
        self._form_delayed = delayed.form_delayed
        self._make_call = Call
        self._planned: list[Launch] = []
        self._outs: list[Vector] = []  # block sums of what was planned

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
        """Compile what the kernels need, and find the arrays of small tensors and room for the sums."""
        outs = [self._find_room(task) if task.products else NO_SUMS for task in work]
        self._planned, self._outs = self._launcher.plan(self._list_calls(work, outs, clear_grad)), outs

    def update(self, work: Sequence[UpdateTask], clear_grad: bool) -> list[dict[str, Vector]]:
        """Run what was prepared, with one wait for all tensors."""
        planned, outs, self._planned, self._outs = self._planned, self._outs, [], []
        self._launcher.run(planned)
        self._launcher.arrays.collect()
        return [dict(zip(task.products, out, strict=True)) for task, out in zip(work, outs, strict=True)]

    def _find_room(self, task: UpdateTask) -> Vector:
        theta = task.update.theta
        shape = len(task.products), -(-theta.size // BLOCK)
        return self._launcher.arrays.find_room(("pass", task.position), shape, theta.dtype)

    def _list_calls(
        self, work: Sequence[UpdateTask], outs: Sequence[Vector], clear_grad: bool
    ) -> "list[tuple[int, Call]]":
        """The calls of the tensors that have elements; those that differ in their arrays alone share a form."""
        forms: dict[Any, Form] = {}
        calls = []
        for (position, history, u, products, operands), out in zip(work, outs, strict=True):
            if not u.theta.size:  # its `left` is empty whatever the form
                continue
            updater = self._updaters[type(u.scalars)]
            shared = (history, u.theta.dtype, type(u.theta), type(u.grad))
            form = forms.get(shared)
            if form is None and operands is not None:
                form = forms[shared] = self._form_delayed(products, operands, u, clear_grad)
            elif form is None:
                form = forms[shared] = updater.form_update(u, clear_grad)
            blocks = () if form.per_item is None else (-(-u.theta.size // form.per_item),)
            sums = () if operands is None else (out,)
            arrays = (*sums, *updater.list_arrays(u))
            calls.append((position, self._make_call(form, (u.theta.size, *blocks), arrays)))
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
