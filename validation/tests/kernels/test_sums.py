"""The one order of the sums: spelled out addition by addition, bounded against exact arithmetic, exact in the total."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from hypergrad_papers.bounds import bound_block_sum, multiply_exactly
from hypergrad_reference.sums import BLOCK, LANES, block_sums, total, weighted_total
from hypergrad_validation.compare import find_differences
from hypergrad_validation.drawn import DTYPES, EXTREMES, SIZES, Data

WIDTH = {"float32": 32, "float64": 64}


def spell_out(x, y):
    """block_sums as its docstring says it, one operation after another."""
    sums = []
    for begin in range(0, x.size, BLOCK):
        lanes = [x.dtype.type(0)] * LANES
        for i in range(begin, min(begin + BLOCK, x.size)):
            lanes[i % LANES] = lanes[i % LANES] + x[i] * y[i]
        for w in (16, 8, 4, 2):
            lanes = [lanes[j] + lanes[j + w // 2] for j in range(w // 2)]
        sums.append(lanes[0])
    return np.array(sums, x.dtype)


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):  # some numbers overflow on purpose
        yield


@pytest.mark.parametrize(
    "data", [Data(d, n) for d in DTYPES for n in SIZES if n < 5000] + EXTREMES, ids=lambda d: d.name
)
def test_order_is_as_spelled_out(data):
    x, y = data.draw("grad"), data.draw("theta")
    assert find_differences({"sums": block_sums(x, y)}, {"sums": spell_out(x, y)}) == []


@pytest.mark.parametrize("dtype", DTYPES)
@given(st.data())
def test_order_is_as_spelled_out_for_any_numbers(dtype, data):
    numbers = arrays(dtype, data.draw(st.integers(0, 70)), elements=st.floats(width=WIDTH[dtype]))
    x, y = data.draw(numbers), data.draw(numbers)
    y = np.resize(y, x.shape) if y.size else np.zeros_like(x)
    assert find_differences({"sums": block_sums(x, y)}, {"sums": spell_out(x, y)}) == []


@pytest.mark.parametrize("dtype", DTYPES)
@given(st.data())
def test_shape_of_a_tensor_does_not_matter(dtype, data):
    shape = data.draw(array_shapes(min_dims=0, max_dims=4, max_side=7))
    x = data.draw(arrays(dtype, shape, elements=st.floats(-8, 8, width=WIDTH[dtype])))
    flat = x.reshape(-1)
    assert block_sums(x, x).tobytes() == block_sums(flat, flat).tobytes()


@pytest.mark.parametrize("values", ["normal", "subnormal"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 17, 4095, 4096])
def test_block_sum_is_within_its_bound(n, dtype, values):
    data = Data(dtype, n, values)
    x, y = data.draw("grad"), data.draw("theta")
    products = multiply_exactly(x, y)
    error = abs(Fraction(float(block_sums(x, y)[0])) - sum(products))
    assert error <= bound_block_sum(products, x.dtype)


@pytest.mark.parametrize("n", [17, BLOCK])  # with and without the padding, whose +0 makes a lane positive anyway
def test_a_sum_of_zeros_is_positive(n):
    zeros = np.zeros(n)
    assert math.copysign(1, block_sums(zeros, -zeros)[0]) == 1


def test_no_elements_have_no_block():
    assert block_sums(np.zeros(0), np.zeros(0)).shape == (0,)


def test_blocks_of_a_split_tensor_are_the_same():
    x = Data("float32", 3 * BLOCK + 5).draw("grad")
    parts = [x[:BLOCK], x[BLOCK : 3 * BLOCK], x[3 * BLOCK :]]
    assert np.concatenate([block_sums(p, p) for p in parts]).tobytes() == block_sums(x, x).tobytes()


@pytest.mark.parametrize(("x", "y"), [(np.zeros(2), np.zeros(3)), (np.zeros(2), np.zeros(2, np.float32))])
def test_unlike_arrays_are_refused(x, y):
    with pytest.raises(ValueError, match="one shape and dtype"):
        block_sums(x, y)


finite = st.lists(st.lists(st.floats(-1e300, 1e300), max_size=5), max_size=5)


@given(finite)
def test_total_is_rounded_once(numbers):
    exact = sum((Fraction(number) for tensor in numbers for number in tensor), Fraction(0))
    assert total(map(np.array, numbers)) == float(exact)


@given(finite, st.randoms(use_true_random=False))
def test_total_does_not_depend_on_the_order_of_tensors(numbers, random):
    tensors = [np.array(tensor) for tensor in numbers]
    first = total(tensors)
    random.shuffle(tensors)
    assert total(tensors) == first


@pytest.mark.parametrize("numbers", [[math.nan], [math.inf], [math.inf, -math.inf], [1e308, 1e308]], ids=str)
def test_total_without_a_finite_value_is_nan(numbers):
    assert math.isnan(total([np.array(numbers)]))


@given(finite)
def test_weights_of_one_change_no_total(numbers):
    tensors = [np.array(tensor) for tensor in numbers]
    assert weighted_total((1.0, [tensor]) for tensor in tensors) == total(tensors)


@given(finite)
def test_each_weight_multiplies_a_total_that_was_rounded_once(numbers):
    tensors = [np.array(tensor) / 1e10 for tensor in numbers]
    odd, even = tensors[::2], tensors[1::2]
    expected = float(Fraction(0.75 * total(odd)) + Fraction(-3.0 * total(even)))
    terms = [(-3.0 if i % 2 else 0.75, [tensor]) for i, tensor in enumerate(tensors)]
    assert weighted_total(terms) == expected
