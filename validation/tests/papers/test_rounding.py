"""What rounding to float32 does to sums and to the update, as the figure shows it."""

import numpy as np
import pytest

from hypergrad_papers.bounds import ROUNDINGS
from hypergrad_papers.rounding import ORDERS, follow_drift, measure_sum, sum_exactly

UNIT = 2.0**-24  # of rounding to float32


def test_each_convention_has_its_error_at_another_end_of_a_run():
    drift = follow_drift(6000)
    shader, exact = (quartiles[:, 1] for quartiles in (drift.shader, drift.exact))
    early, late = (drift.step > 20) & (drift.step <= 100), drift.step > 5000
    # half of the relative error of 1 - beta2, 1.29e-5, as the update goes with the root of exp_avg_sq; the bias
    # correction takes a tenth of it back within 200 steps
    assert np.all(np.abs(shader[early] / 6.4e-6 - 1) < 0.15)
    assert np.all(np.abs(exact[early]) < 1e-6)
    assert np.all(np.abs(shader[late]) < 1e-6)
    assert np.all(np.abs(exact[late] / -6.4e-6 - 1) < 0.1)


def test_exact_settles_where_its_scalars_say():
    c2, b2 = float(np.float32(1 - 0.999)), float(np.float32(0.999))
    assert c2 / (1 - b2) - 1 == pytest.approx(1.29e-5, rel=0.01)


def test_squared_norm_needs_another_order_than_one_after_the_other():
    naive, pairwise, blocks = measure_sum(2**20, squares=True, seed=0)
    assert naive > 1e-4
    assert blocks < pairwise < 1e-6


@pytest.mark.parametrize("n", [1, 17, 4097, 2**16])
@pytest.mark.parametrize("squares", [False, True])
def test_block_order_keeps_its_bound(n, squares):
    errors = dict(zip(ORDERS, measure_sum(n, squares, seed=1), strict=True))
    assert errors["blocks, then exactly"] < ROUNDINGS * UNIT


def test_exact_sum_does_not_depend_on_its_chunks():
    terms = np.zeros(2**17)
    terms[[0, 2**16, -1]] = 1e30, 1.0, -1e30
    assert sum_exactly(terms) == 1.0
