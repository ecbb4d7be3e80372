"""Short runs, whose records the tests of `hypergrad explain` read."""

import numpy as np

from hypergrad import AutoHypergradientAdamW


def train(steps, optimizer=AutoHypergradientAdamW, groups=1, **options):
    """A short run on |x|^2 / 2."""
    arrays = [np.full(3, 4.0) for _ in range(groups)]
    opt = optimizer([{"params": [array]} for array in arrays], lr=1e-3, device="numpy", **options)
    for _ in range(steps):
        opt.step(gradients=[array.copy() for array in arrays])
    return opt
