"""From the text of a .cl file to a running kernel."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import numpy as np
import pyopencl as cl

from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.remembered import recall_shapes
from hypergrad_kernels.shapes import Key, Shape, choose_shape, round_up
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


class Prepared(NamedTuple):
    """A compiled kernel and how it is launched."""

    kernel: cl.Kernel
    shape: Shape


@cache
def read_text(name: str) -> str:
    """The text of NAME.cl after the common part; the compiler's messages count lines in NAME.cl."""
    common, own = (files("hypergrad_kernels").joinpath(f"{part}.cl").read_text("utf-8") for part in ("common", name))
    return f'{common}\n#line 1 "{name}.cl"\n{own}'


class Launcher:
    """Runs kernels on one device; each variant is compiled once and kept, ready to launch.

    measured    launch shapes to prefer to the safe ones; None: those remembered for the device
    read        gives the text of a file of kernels
    """

    def __init__(
        self, arrays: Arrays, measured: Mapping[Key, Shape] | None = None, read: Callable[[str], str] = read_text
    ) -> None:
        self.arrays = arrays
        self.measured = recall_shapes(arrays.device, read) if measured is None else measured
        self.read = read
        self._kernels: dict[tuple[Any, ...], Prepared] = {}

    def prepare(self, call: Call) -> Prepared:
        """The kernel for a call and its launch shape, compiled the first time. Raises BuildError."""
        shape = choose_shape(call.file, call.kernel, call.dtype, self.measured)
        if shape.access == "ALIGNED" and not _is_aligned(call, shape.width):
            shape = shape._replace(access="PACKED")
        key = (call.file, call.kernel, call.dtype, call.macros, shape)
        if key not in self._kernels:
            double = ("-DDOUBLE",) if call.dtype == np.float64 else ()
            options = (f"-DWIDTH={shape.width}", f"-DSTEPS={shape.steps}", f"-DACCESS={shape.access}", *double)
            macros = (f"-D{macro}" for macro in call.macros)
            program = self.arrays.device.build(call.file, self.read(call.file), (*options, *macros))
            kernel = cl.Kernel(program, call.kernel)
            # types set once: converting NumPy scalars anew at each launch costs more than the launch
            kernel.set_scalar_arg_dtypes([a.kind if isinstance(a, Scalar) else None for a in call.arguments])
            self._kernels[key] = Prepared(kernel, shape)
        return self._kernels[key]

    def launch(self, name: Hashable, call: Call, elements: int, per_item: int | None = None) -> None:
        """Enqueue a call.

        name        names the tensor, so that its buffers are kept
        elements    number of elements to go over
        per_item    elements that a work-item takes; None: as many as the launch shape says
        """
        kernel, shape = self.prepare(call)
        values = [
            a.value if isinstance(a, Scalar) else self.arrays.bind((name, a.name), a.array, a.written)
            for a in call.arguments
        ]
        items = -(-elements // (per_item or shape.elements))
        kernel(self.arrays.device.queue, (round_up(items, shape.local_size),), (shape.local_size,), *values)


def _is_aligned(call: Call, width: int) -> bool:
    step = width * call.dtype.itemsize
    return all(a.array.ctypes.data % step == 0 for a in call.arguments if isinstance(a, Buffer))
