"""The kernels that a porter reads first have the bits of the reference, on the cases of the fast ones."""

import numpy as np
import pytest

from hypergrad_kernels.device import open_device
from hypergrad_kernels.plain import step_adamw, sum_products
from hypergrad_reference.adamw import Moments, apply_exact
from hypergrad_reference.sums import block_sums
from hypergrad_validation.cases import UPDATES, UpdateCase
from hypergrad_validation.compare import find_differences

CASES = [case for case in UPDATES if case.data.dtype == "float32" and case == UpdateCase(case.name, case.data)]


@pytest.fixture(autouse=True)
def _quiet():
    with np.errstate(all="ignore"):  # some cases overflow on purpose
        yield


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plain_adamw_has_the_bits_of_the_reference(case, device):
    u = case.make()
    m, v = u.arrays.exp_avg, u.arrays.exp_avg_sq
    theta, after = apply_exact(u.theta, u.grad, Moments(6, m, v, None), u.scalars)
    got = step_adamw(open_device(device), u.theta, u.grad, m, v, u.scalars)
    names = ("theta", "exp_avg", "exp_avg_sq")
    wanted = (theta, after.exp_avg, after.exp_avg_sq)
    assert find_differences(dict(zip(names, got, strict=True)), dict(zip(names, wanted, strict=True))) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_plain_sums_have_the_bits_of_the_reference(case, device):
    x, y = case.data.draw("theta"), case.data.draw("grad")
    got = sum_products(open_device(device), x, y)
    assert find_differences({"sums": got}, {"sums": block_sums(x, y)}) == []
