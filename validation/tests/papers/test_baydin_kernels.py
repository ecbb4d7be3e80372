"""The logistic regressions by the OpenCL kernels, on the digits."""

import numpy as np
import pytest

from hypergrad_papers.baydin2018.device_runs import equal, train, use_class, use_reference
from hypergrad_papers.baydin2018.runs import NAMES


@pytest.mark.parametrize("method", NAMES)
def test_kernels_have_the_bits_of_the_reference(method, device):
    """What row 5 finds on MNIST, on the digits; a run that differs in its last step only is noticed."""
    reference = train(use_reference(method), np.float32, "digits", 2)
    ours = train(use_class(method, device), np.float32, "digits", 2)
    assert equal(ours, reference)
    ours.thetas[0][0, 0] += np.float32(2**-20)
    assert not equal(ours, reference)
