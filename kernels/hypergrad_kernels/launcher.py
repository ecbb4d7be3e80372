"""From the text of a .cl file to a running kernel."""

import warnings
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from operator import is_
from typing import Any, NamedTuple

import numpy as np
import pyopencl as cl

from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.calls import Call, Form
from hypergrad_kernels.errors import BuildError, DeviceWarning
from hypergrad_kernels.shape_cache import recall_shapes
from hypergrad_kernels.shapes import MANY, SMALL, Key, Shape, choose_shape, find_default, round_up
from hypergrad_kernels.table import Entries, Table
from hypergrad_reference.types import Vector

INCLUDE = '#include "products.cl"\n'


class Prepared(NamedTuple):
    """A compiled kernel and how it is launched."""

    kernel: cl.Kernel
    shape: Shape


class Single(NamedTuple):
    """What launches of a kernel for one tensor share; other arrays may take the place of those in its lists."""

    variant: tuple[Any, ...]  # of the kernel: file, name, dtype and macros
    arrays: list[Any]  # None for one that was released
    prepared: Prepared
    items: int
    buffers: list[Any] | None  # None where what they hold crosses to the device each time
    anywhere: bool  # where the arrays begin does not count

    def serves(self, call: Call) -> bool:
        """Whether it was made for the same kernel and the same arrays."""
        return self.variant == call.form[:4] and all(map(is_, self.arrays, call.arrays))


class Launch(NamedTuple):
    """A kernel with all its work: one tensor by its own buffers, or many by a table of their addresses."""

    name: Hashable
    call: Call  # of the tensor, or of the first, without its arrays: they may be others later
    work: Single | tuple[Prepared, Table]


@cache
def read_text(name: str) -> str:
    """The text of NAME.cl after the common part, with what it includes; the compiler counts lines in NAME.cl."""
    common, own, products = (
        files("hypergrad_kernels").joinpath(f"{part}.cl").read_text("utf-8") for part in ("common", name, "products")
    )
    before, include, after = own.partition(INCLUDE)
    if include:
        line = before.count("\n") + 2
        own = f'{before}#line 1 "products.cl"\n{products}#line {line} "{name}.cl"\n{after}'
    return f'{common}\n#line 1 "{name}.cl"\n{own}'


def write_table_kernel(form: Form, sizes: int) -> str:
    """The text of a kernel that calls another for the tensor that its work-item belongs to.

    A row of the table holds the first item of a tensor, its sizes, and the addresses of its arrays.
    """
    columns = 1 + sizes + len(form.arrays)
    given = [f"row[{column}]" for column in range(1 + sizes)]
    given += [f"(__global real *)row[{column}]" for column in range(1 + sizes, columns)]
    reals = [f"r{index}" for index in range(len(form.reals))]
    parameters = [
        "__global const uint *owner",
        "__global const ulong *table",
        *(f"const real {real}" for real in reals),
    ]
    return (
        f"\nENTRY many({', '.join(parameters)}) {{\n"
        f"  __global const ulong *row = table + (ulong)owner[get_global_id(0)] * {columns};\n"
        f"  {form.kernel}({', '.join([*given, *reals])});\n}}\n"
    )


class Launcher:
    """Runs kernels on one device; each variant is compiled once and kept, ready to launch.

    measured    launch shapes to prefer to the safe ones; None: those remembered for the device
    read        gives the text of a file of kernels
    """

    def __init__(
        self, arrays: Arrays, measured: Mapping[Key, Shape] | None = None, read: Callable[[str], str] = read_text
    ) -> None:
        self.arrays = arrays
        self._recalled = recall_shapes(arrays.device, read) if measured is None else {}
        self.measured = self._recalled if measured is None else measured
        self.default = find_default(arrays.device)
        self.read = read
        self._kernels: dict[tuple[Any, ...], Prepared] = {}
        self._singles: dict[tuple[Hashable, str], Single] = {}
        self._tables: dict[tuple[Any, ...], tuple[Prepared, Table]] = {}

    def prepare(self, call: Call) -> Prepared:
        """The kernel for a call and its launch shape, compiled the first time. Raises BuildError."""
        form = call.form
        shape = self._choose_shape(form)
        if shape.access == "ALIGNED" and self.arrays.device.in_place and not _is_aligned(call, shape.width):
            shape = shape._replace(access="PACKED")
        # types set once: converting NumPy scalars again at each launch costs more than the launch
        sizes: list[type[np.generic] | None] = [np.uint64] * (1 + len(call.sizes))
        return self._compile(form, shape, form.kernel, "", [*sizes, *[None] * len(form.arrays)])

    def _choose_shape(self, form: Form) -> Shape:
        return choose_shape(form.file, form.kernel, form.dtype, self.measured, self.default)

    def plan(self, work: Sequence[tuple[Hashable, Call]]) -> list[Launch]:
        """Everything that can fail before the calls run: compile, and find the arrays of many small tensors.

        work    names of tensors, and their calls. A call's form is the same object for all that share a launch.
        """
        launches, groups = [], dict[int, list[tuple[Hashable, Call]]]()
        use_table = self.arrays.device.in_place and self.arrays.device.reads_addresses
        for entry in work:
            call = entry[1]
            if use_table and call.sizes[0] <= SMALL:
                groups.setdefault(id(call.form), []).append(entry)
            else:
                launches.append(self._plan([entry], self._plan_one))
        for entries in groups.values():
            if len(entries) > 1 and all(isinstance(array, np.ndarray) for array in entries[0][1].arrays):
                launches.append(self._plan(entries, self._plan_many))
            else:
                launches += [self._plan([entry], self._plan_one) for entry in entries]
        return launches

    def exchange(self, launches: list[Launch], part: str, arrays: Mapping[Hashable, Vector]) -> None:
        """Give planned launches other arrays of one part, by the names of tensors, of the same kind."""
        for number, (name, call, work) in enumerate(launches):
            index = call.form.arrays.index(part)
            if not isinstance(work, Single):
                work[1].exchange(index, part, arrays)
            elif work.anywhere:
                work.arrays[index] = arrays[name]
                if work.buffers is not None:
                    work.buffers[index] = self.arrays.bind((name, part), arrays[name])
            else:
                together = (*work.arrays[:index], arrays[name], *work.arrays[index + 1 :])
                launches[number] = self._plan([(name, call._replace(arrays=together))], self._plan_one)

    def release(self, launches: Sequence[Launch], part: str) -> None:
        """Hold the arrays of one part no longer; `exchange` gives others before the next run."""
        for _, call, work in launches:
            index = call.form.arrays.index(part)
            if not isinstance(work, Single):
                work[1].release(index)
            else:
                work.arrays[index] = None
                if work.buffers is not None:
                    work.buffers[index] = None

    def forget(self, launches: Sequence[Launch]) -> None:
        """Keep nothing for launches that will not run again; what other launches share with them goes on."""
        for name, call, work in launches:
            if not isinstance(work, Single):
                self._tables.pop((*call.form[:4], name), None)
            elif self._singles.get((name, call.form.kernel)) is work:
                del self._singles[name, call.form.kernel]

    def _plan(self, entries: Entries, make: Callable[[Entries], Launch]) -> Launch:
        """A launch, with the safe shape where the remembered one does not compile: a cache never breaks a step."""
        try:
            return make(entries)
        except BuildError as error:
            form = entries[0][1].form
            shape = self._recalled.pop((form.file, form.kernel, form.dtype.name), None)
            if shape is None:
                raise
            warnings.warn(f"{shape} was remembered, the safe shape is used. {error}", DeviceWarning, stacklevel=2)
            return make(entries)

    def run(self, launches: Sequence[Launch], reals: tuple[float, ...] | None = None) -> None:
        """Enqueue what was planned; with other real numbers, if some are given, than it was planned with."""
        queue = self.arrays.device.queue
        for name, call, work in launches:
            numbers = call.form.reals if reals is None else reals
            if isinstance(work, Single):
                (kernel, shape), items = work.prepared, work.items
                buffers = self._bind(name, call.form, work.arrays) if work.buffers is None else work.buffers
                values: tuple[Any, ...] = (0, *call.sizes, *buffers, *numbers)
            else:
                (kernel, shape), table = work
                items, values = table.items, (*table.buffers, *numbers)
            kernel(queue, (items,), (shape.local_size,), *values)

    def _bind(self, name: Hashable, form: Form, arrays: Sequence[Vector]) -> list[cl.Buffer]:
        return [
            self.arrays.bind((name, part), array, part in form.written, part in form.kept)
            for part, array in zip(form.arrays, arrays, strict=True)
        ]

    def launch(self, name: Hashable, call: Call) -> None:
        """Plan and run one call; its buffers are kept under the name."""
        self.run([self._plan([(name, call)], self._plan_one)])

    def _plan_one(self, entries: Entries) -> Launch:
        ((name, call),) = entries
        key = name, call.form.kernel
        single = self._singles.get(key)
        if single is None or not single.serves(call):
            prepared, form = self.prepare(call), call.form
            items = round_up(prepared.shape.count_items(call.sizes[0], form.per_item), prepared.shape.local_size)
            in_place = self.arrays.device.in_place
            stays = in_place and all(isinstance(array, np.ndarray) for array in call.arrays)
            buffers = self._bind(name, form, call.arrays) if stays else None
            anywhere = not in_place or self._choose_shape(form).access != "ALIGNED"
            single = self._singles[key] = Single(form[:4], [*call.arrays], prepared, items, buffers, anywhere)
        return Launch(name, call._replace(arrays=()), single)

    def _plan_many(self, entries: Entries) -> Launch:
        (name, call), form = entries[0], entries[0][1].form
        key = (*form[:4], name)
        known = self._tables.get(key)
        if known is None or not known[1].fits(entries):
            known = self._tables[key] = self._lay_out(entries)
        known[1].fill(entries)
        return Launch(name, call._replace(arrays=()), known)

    def _lay_out(self, entries: Entries) -> tuple[Prepared, Table]:
        call, form = entries[0][1], entries[0][1].form
        shape = self._choose_shape(form)
        if form.per_item is None:
            shape = shape._replace(steps=max(1, MANY // shape.width))
        access = "PACKED" if shape.access == "ALIGNED" else shape.access
        shape = shape._replace(local_size=1, access=access, groupwise=False)
        prepared = self._compile(form, shape, "many", write_table_kernel(form, len(call.sizes)), [None, None])
        return prepared, Table(self.arrays, entries, form.per_item or shape.elements)

    def _compile(
        self, form: Form, shape: Shape, kernel: str, more: str, kinds: Sequence[type[np.generic] | None]
    ) -> Prepared:
        key = (*form[:4], shape, kernel)
        if key not in self._kernels:
            double = ("-DDOUBLE",) if form.dtype == np.float64 else ()
            options = (f"-DWIDTH={shape.width}", f"-DSTEPS={shape.steps}", f"-DACCESS={shape.access}", *double)
            if shape.groupwise:
                options = (*options, f"-DGROUP={shape.local_size}")
            macros = [f"-D{macro}" for macro in (*form.macros, *(("MANY",) if more else ()))]
            program = self.arrays.device.build(form.file, self.read(form.file) + more, (*options, *macros))
            device = self.arrays.device
            compiled = device.find_kernel(program, kernel, [*kinds, *[form.dtype.type] * len(form.reals)])
            most = compiled.get_work_group_info(cl.kernel_work_group_info.WORK_GROUP_SIZE, device.cl_device)
            if shape.local_size > most:
                raise BuildError(
                    f"{form.file}.cl: {device.name} takes {most} items of {kernel} in a group, {shape} has more"
                )
            self._kernels[key] = Prepared(compiled, shape)
        return self._kernels[key]


def _is_aligned(call: Call, width: int) -> bool:
    step = width * call.form.dtype.itemsize
    return all(not isinstance(array, np.ndarray) or array.ctypes.data % step == 0 for array in call.arrays)
