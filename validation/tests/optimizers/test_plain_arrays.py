"""Arrays that are not plain: right, or refused by name, on NumPy and OpenCL alike."""

import re

import numpy as np
import pytest
from layouts import VALUES, Sub, plain, run
from snapshots import EVERY, Param, freeze

from hypergrad import AdamW, HypergradientAdamW
from hypergrad.errors import ArgumentError, ArrayTypeError


def strided(dtype):
    return np.repeat(VALUES, 2).astype(dtype)[::2]


def reversed_(dtype):
    return VALUES[::-1].astype(dtype)[::-1]


def read_only(dtype):
    array = plain(dtype)
    array.setflags(write=False)
    return array


def unaligned(dtype):
    memory = np.zeros(VALUES.size * np.dtype(dtype).itemsize + 1, np.uint8)
    array = memory[1:].view(dtype)
    array[:] = VALUES
    return array


GRADIENTS = {
    "strided": strided,
    "reversed": reversed_,
    "read-only": read_only,
    "unaligned": unaligned,
    "big-endian": lambda dtype: VALUES.astype(np.dtype(dtype).newbyteorder(">")),
    "little-endian": lambda dtype: VALUES.astype(np.dtype(dtype).newbyteorder("<")),
    "subclass": lambda dtype: plain(dtype).view(Sub),
    "subclass, strided": lambda dtype: strided(dtype).view(Sub),
    "record": lambda dtype: plain(dtype).view(np.recarray),
    "object with data": lambda dtype: Param(plain(dtype)),
    "dtype with metadata": lambda dtype: VALUES.astype(np.dtype(dtype, metadata={"unit": "m"})),
    "float64": lambda dtype: VALUES.copy(),
    "big-endian float64": lambda dtype: VALUES.astype(">f8"),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("grad", GRADIENTS)
@pytest.mark.parametrize("kind", EVERY)
def test_gradient_in_another_layout_gives_the_same_bits(kind, grad, dtype, where):
    assert run(kind, where, plain, GRADIENTS[grad], dtype) == run(kind, "numpy", plain, plain, dtype)


PARAMS = {
    "matrix": lambda dtype, folder: plain(dtype).reshape(3, 4).view(np.matrix),
    "subclass": lambda dtype, folder: plain(dtype).reshape(3, 4).view(Sub),
    "record": lambda dtype, folder: plain(dtype).reshape(3, 4).view(np.recarray),
    "memmap": lambda dtype, folder: fill(np.memmap(folder / "w", dtype, "w+", shape=(3, 4))),
    "memmap, copy on write": lambda dtype, folder: fill(memmap_copy(folder / "w", dtype)),
    "of bytes": lambda dtype, folder: np.frombuffer(bytearray(plain(dtype).tobytes()), dtype).reshape(3, 4),
    "view of a larger one": lambda dtype, folder: np.concatenate([VALUES, VALUES]).astype(dtype)[12:].reshape(3, 4),
    "object with matrix": lambda dtype, folder: Param(plain(dtype).reshape(3, 4).view(np.matrix)),
    "object with memmap": lambda dtype, folder: Param(fill(np.memmap(folder / "w", dtype, "w+", shape=(3, 4)))),
}


def fill(array):
    array[:] = VALUES.reshape(3, 4)
    return array


def memmap_copy(path, dtype):
    path.write_bytes(bytes(12 * np.dtype(dtype).itemsize))
    return np.memmap(path, dtype, "c", shape=(3, 4))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("param", PARAMS)
@pytest.mark.parametrize("kind", EVERY)
def test_parameter_of_a_subclass_is_updated_in_its_memory(kind, param, dtype, where, tmp_path):
    def make(dtype):
        return PARAMS[param](dtype, tmp_path)

    def square(dtype):
        return plain(dtype).reshape(3, 4)

    assert run(kind, where, make, square, dtype) == run(kind, "numpy", square, square, dtype)


def test_step_reaches_the_file_of_a_memory_map(where, tmp_path):
    path = tmp_path / "w"
    x = np.memmap(path, np.float32, "w+", shape=(5000,))
    AdamW([x], lr=0.5, weight_decay=0.0, device=where).step(gradients=[np.ones(5000, np.float32)])
    x.flush()
    assert np.fromfile(path, np.float32).tolist() == [np.float32(-0.5)] * 5000
    frozen = np.memmap(path, np.float32, "r", shape=(5000,))
    with pytest.raises(ArgumentError, match=r"params\[0\] is updated in place and must be C-contiguous, writable"):
        AdamW([frozen], device=where)


@pytest.mark.parametrize("kind", EVERY)
def test_grad_of_a_subclass_counts(kind, where):
    assert run(kind, where, lambda dtype: plain(dtype).view(Sub), plain, np.float64, attribute=True) == run(
        kind, "numpy", plain, plain, np.float64
    )


# Refused by name.


DTYPES = [
    np.float16, np.longdouble, np.complex64, np.complex128, np.int32, np.uint8, np.bool_, object, "U3", "S3",
    [("a", "f4")], "M8[s]", "m8[s]", "V8",
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("kind", EVERY)
def test_dtype_is_refused_by_name(kind, dtype, where):
    array = np.zeros(3, dtype)
    with pytest.raises(
        ArrayTypeError, match=re.escape(f"params[0] has dtype {array.dtype}: parameters are float32 or")
    ):
        kind([array], device=where)
    x = np.ones(3)
    opt = kind([x], device=where)
    with pytest.raises(
        ArrayTypeError, match=re.escape(f"the gradient of params[0] has dtype {array.dtype}, the parameter float64")
    ):
        opt.step(gradients=[array])
    assert x.tolist() == [1, 1, 1]


@pytest.mark.parametrize("dtype", [">f4", ">f8"])
def test_parameter_of_another_byte_order_is_refused_by_name(dtype, where):
    array = np.ones(3, dtype)
    with pytest.raises(ArrayTypeError, match=re.escape(f"params[0] has dtype {dtype}")):
        AdamW([array], device=where)
    AdamW([array.astype(array.dtype.newbyteorder("="))], device=where)


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("values", [[1.0, np.nan, 1.0], [1.0, 2.0, 3.0]], ids=["a nan masked", "nothing masked"])
def test_masked_arrays_are_refused_by_name(kind, values, where):
    masked = np.ma.masked_invalid(values)
    for params in ([masked], [Param(masked)], [{"params": [masked]}]):
        with pytest.raises(ArrayTypeError, match=r"params\[0\] is a masked array: give a plain one, as x\.filled\(0\)"):
            kind(params, device=where)
    x = np.ones(3)
    opt = kind([x], device=where)
    for gradient in (masked, Param(masked)):
        with pytest.raises(ArrayTypeError, match=r"the gradient of params\[0\] is a masked array: give a plain one"):
            opt.step(gradients=[gradient])
    assert x.tolist() == [1, 1, 1]
    opt.step(gradients=[masked.filled(0)])


def test_sparse_matrices_are_refused_by_name(where):
    sparse = pytest.importorskip("scipy.sparse")
    x = np.ones((1, 3))
    opt = AdamW([x], device=where)
    for make in (sparse.csr_matrix, sparse.csc_array, sparse.coo_array, sparse.dia_array):
        matrix = make(np.array([[1.0, 2.0, 3.0]]))
        with pytest.raises(ArrayTypeError, match=r"is a sparse \w+: give a dense array, as x\.toarray\(\) returns"):
            opt.step(gradients=[matrix])
        with pytest.raises(ArrayTypeError, match="is a sparse"):
            AdamW([matrix], device=where)
        opt.step(gradients=[matrix.toarray()])


LAYOUTS = {
    "strided": lambda: np.ones(8)[::2],
    "reversed": lambda: np.ones(4)[::-1],
    "Fortran": lambda: np.asfortranarray(np.ones((2, 3))),
    "transposed": lambda: np.ones((2, 3)).T,
    "broadcast": lambda: np.broadcast_to(1.0, (4,)),
    "broadcast, writable": lambda: np.lib.stride_tricks.as_strided(np.ones(1), (4,), (0,)),
    "read-only": lambda: read_only(np.float64),
    "unaligned": lambda: unaligned(np.float64),
    "matrix, transposed": lambda: np.ones((2, 3)).view(np.matrix).T,
    "constant": lambda: np.frombuffer(b"\0" * 32),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", EVERY)
def test_layout_of_a_parameter_is_refused_with_what_makes_it_serve(kind, layout, where):
    array = LAYOUTS[layout]()
    before = array.copy()
    with pytest.raises(ArgumentError, match=r"params\[0\] is updated in place and must be C-contiguous, writable"):
        kind([array], device=where)
    usable = np.require(array, requirements="CAW")  # the remedy
    kind([usable], device=where).step(gradients=[np.ones(usable.shape)])
    assert (array == before).all()


def test_parameter_that_becomes_read_only_is_not_written(where):
    x = np.ones(3)
    opt = AdamW([x], device=where)
    opt.step(gradients=[np.ones(3)])
    x.setflags(write=False)
    before = freeze([x, opt.state_dict()])
    with pytest.raises(ArgumentError, match=r"params\[0\] has become read-only: x\.setflags\(write=True\)"):
        opt.step(gradients=[np.ones(3)])
    assert freeze([x, opt.state_dict()]) == before
    x.setflags(write=True)
    opt.step(gradients=[np.ones(3)])


def test_huge_strides_of_a_gradient_do_not_matter(where):
    rng = np.random.default_rng(0)
    field = rng.standard_normal((7, 5, 6, 4))
    thetas = []
    for grad in (field[::3, ::-2, 1:5, 2].T, np.ascontiguousarray(field[::3, ::-2, 1:5, 2].T)):
        x = np.ones((4, 3, 3), np.float32)
        HypergradientAdamW([x], device=where).step(gradients=[grad])
        thetas.append(x.tobytes())
    assert thetas[0] == thetas[1]
