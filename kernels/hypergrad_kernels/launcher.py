"""From the text of a .cl file to a running kernel."""

from collections.abc import Hashable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import pyopencl as cl

from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.shapes import Shape, choose_shape, round_up
from hypergrad_reference.types import Vector

DType = np.dtype[np.floating[Any]]


class Buffer(NamedTuple):
    """An argument that is an array."""

    name: str  # its part in the kernel; with the tensor's name it keeps the buffer
    array: Vector
    written: bool = False


class Scalar(NamedTuple):
    """An argument that is a number."""

    kind: type[np.generic]
    value: float


Argument = Buffer | Scalar


class Call(NamedTuple):
    """A kernel and what it is called with."""

    file: str  # FILE.cl
    kernel: str
    dtype: DType  # float32 or float64, of every array and real scalar
    macros: tuple[str, ...]  # features to switch on, "NAME" or "NAME=VALUE"
    arguments: Sequence[Argument]


@cache
def read_text(name: str) -> str:
    """The text of NAME.cl after the common part; the compiler's messages count lines in NAME.cl."""
    common, own = (files("hypergrad_kernels").joinpath(f"{part}.cl").read_text("utf-8") for part in ("common", name))
    return f'{common}\n#line 1 "{name}.cl"\n{own}'


class Launcher:
    """Runs kernels on one device; each variant is compiled once and kept, ready to launch."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self._kernels: dict[tuple[str, str, DType, tuple[str, ...]], tuple[cl.Kernel, Shape]] = {}

    def prepare(self, call: Call) -> tuple[cl.Kernel, Shape]:
        """The kernel for a call and its launch shape, compiled the first time. Raises BuildError."""
        key = (call.file, call.kernel, call.dtype, call.macros)
        if key not in self._kernels:
            shape = choose_shape(call.file, call.dtype)
            double = ("-DDOUBLE",) if call.dtype == np.float64 else ()
            options = (f"-DWIDTH={shape.width}", *double, *(f"-D{macro}" for macro in call.macros))
            program = self.arrays.device.build(call.file, read_text(call.file), options)
            kernel = cl.Kernel(program, call.kernel)
            # types set once: converting NumPy scalars anew at each launch costs more than the launch
            kernel.set_scalar_arg_dtypes([a.kind if isinstance(a, Scalar) else None for a in call.arguments])
            self._kernels[key] = kernel, shape
        return self._kernels[key]

    def launch(self, name: Hashable, call: Call, elements: int, per_item: int | None = None) -> None:
        """Enqueue a call.

        name        names the tensor, so that its buffers are kept
        elements    number of elements to go over
        per_item    elements that a work-item takes; None: as many as a vector of the launch shape holds
        """
        kernel, shape = self.prepare(call)
        values = [
            a.value if isinstance(a, Scalar) else self.arrays.bind((name, a.name), a.array, a.written)
            for a in call.arguments
        ]
        items = -(-elements // (per_item or shape.width))
        kernel(self.arrays.device.queue, (round_up(items, shape.local_size),), (shape.local_size,), *values)
