"""Parameters without dimensions, and without elements, on NumPy and OpenCL alike."""

import numpy as np
import pytest
from layouts import run
from snapshots import EVERY, FULL

from hypergrad import AdamW
from hypergrad.errors import ArgumentError, ArrayTypeError, NonFiniteError

SCALARS = {
    "array": lambda dtype: np.array(0.5, dtype),
    "scalar of NumPy": lambda dtype: np.dtype(dtype).type(0.5),
    "float64": lambda dtype: np.float64(0.5),
    "float": lambda dtype: 0.5,
    "0-d view": lambda dtype: np.array([0.25, 0.5], dtype)[1:].reshape(()),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize("kind", EVERY)
def test_parameter_without_dimensions_takes_a_number_as_its_gradient(kind, scalar, dtype, where):
    def zero(dtype):
        return np.array(0.25, dtype)

    def one(dtype):
        return np.array([0.25], dtype)

    assert run(kind, where, zero, SCALARS[scalar], dtype) == run(
        kind, "numpy", one, lambda dtype: np.array([0.5], dtype), dtype
    )


def test_whole_number_is_a_gradient_of_a_parameter_without_dimensions(where):
    b, c = np.array(0.0), np.array(0.0)
    AdamW([b, c], lr=0.5, weight_decay=0.0, device=where).step(gradients=[3, np.float64(3)])
    assert b.tobytes() == c.tobytes()
    assert b < 0


NUMBERS_REFUSED = {
    "bool": (True, ArrayTypeError, "is bool"),
    "bool of NumPy": (np.True_, ArrayTypeError, "is bool"),
    "complex": (1j, ArrayTypeError, "is complex"),
    "complex of NumPy": (np.complex128(1), ArrayTypeError, "has dtype complex128"),
    "int of NumPy": (np.int64(1), ArrayTypeError, "has dtype int64, the parameter float64: convert it with .astype"),
    "text": ("1", ArrayTypeError, "is str"),
    "huge": (10**400, ArgumentError, "give a number that a float can hold"),
    "nan": (float("nan"), NonFiniteError, r"holds nan at \[\]"),
    "inf": (np.float64("inf"), NonFiniteError, r"holds inf at \[\]"),
    "masked": (np.ma.masked, ArrayTypeError, "is a masked array"),
    "one element": (np.ones(1), ArgumentError, r"has shape \(1,\): the parameter has \(\)"),
    "list": ([1.0], ArrayTypeError, "is list"),
}


@pytest.mark.parametrize("number", NUMBERS_REFUSED)
def test_number_that_is_no_gradient_is_named(number, where):
    value, error, words = NUMBERS_REFUSED[number]
    b = np.array(0.5)
    opt = AdamW([b], device=where)
    with pytest.raises(error, match=r"the gradient of params\[0\].*" + words):
        opt.step(gradients=[value])
    assert b == 0.5


def test_number_is_no_gradient_of_a_parameter_with_dimensions(where):
    x = np.ones(1)
    opt = AdamW([x], device=where)
    for number in (1.0, np.float64(1.0)):
        with pytest.raises(ArrayTypeError, match=r"the gradient of params\[0\] is float(64)?: give a NumPy"):
            opt.step(gradients=[number])
    opt.step(gradients=[np.array([1.0])])


def test_number_cannot_be_cleared(where):
    opt = AdamW([np.array(0.5)], clear_grad=True, device=where)
    for number in (1.0, np.float64(1.0)):
        with pytest.raises(ArgumentError, match="is read-only and clear_grad=True: pass a writable array"):
            opt.step(gradients=[number])
    grad = np.array(1.0)
    opt.step(gradients=[grad])
    assert grad == 0


def test_number_is_refused_as_a_parameter(where):
    for number in (1.0, np.float64(1.0)):
        with pytest.raises(ArrayTypeError, match=r"params\[0\] is float(64)?: give a NumPy or pyopencl array"):
            AdamW([number], device=where)
    AdamW([np.array(1.0)], device=where)


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0, 2)])
@pytest.mark.parametrize("kind", EVERY)
def test_parameters_without_elements_take_part(kind, shape, where):
    x, y = np.empty(shape), np.ones(3)
    opt = kind([x, y], lr=0.01, device=where, **FULL[kind])
    for _ in range(4):
        opt.step(gradients=[np.empty(shape), np.ones(3)])
    assert opt.state[id(x)]["step"] == 4
    alone = kind([x], lr=0.01, device=where, **FULL[kind])
    for _ in range(3):
        alone.step(gradients=[np.empty(shape)])
    assert alone.state_dict()["steps"] == 3


def test_rate_past_the_largest_number_is_refused_without_elements_too(where):
    opt = AdamW([np.empty(0)], lr=1.7e308, device=where)
    with pytest.raises(NonFiniteError, match=r"params\[0\] would be past the largest float64: lower the rate"):
        opt.step(gradients=[np.empty(0)])
    opt.param_groups[0]["lr"] = 1e-3
    opt.step(gradients=[np.empty(0)])
    opt.load_state_dict(opt.state_dict())


def test_arrays_without_elements_on_a_device_take_part(device):
    pytest.importorskip("pyopencl")
    from pyopencl import array as cl_array

    from hypergrad_kernels.device import open_device

    queue = open_device(device).queue
    x, y = cl_array.zeros(queue, (0, 3), np.float32), cl_array.to_device(queue, np.ones(2, np.float32))
    opt = AdamW([x, y])
    for _ in range(2):
        opt.step(gradients=[cl_array.zeros(queue, (0, 3), np.float32), np.ones(2, np.float32)])
    assert (y.get() < 1).all()
