"""The two loops of hypergrad_reference.hdm_best_loops on a device, by hdm.cl."""

import numpy as np

from hypergrad_kernels.arrays import Arrays as Buffers
from hypergrad_kernels.device import Device
from hypergrad_kernels.hdm import call_adapt, call_inner_products
from hypergrad_kernels.launcher import Launcher
from hypergrad_reference.hdm_best_loops import Loops
from hypergrad_reference.hdm_loops import INNER_PRODUCTS, Arrays, Scalars, adapt_adagrad
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector


def open_loops(device: Device) -> Loops:
    """The loops of one run. `adapt` writes into the arrays that it is given. Both raise BuildError."""
    launcher = Launcher(Buffers(device))

    def form_inner_products(a: Arrays, trial_gradient: Vector) -> dict[str, Vector]:
        launcher.arrays.begin()
        out = np.empty((len(INNER_PRODUCTS), -(-a.x.size // BLOCK)), a.x.dtype)
        launcher.launch("iteration", call_inner_products(a, trial_gradient, out))
        launcher.arrays.collect()
        return dict(zip(INNER_PRODUCTS, out, strict=True))

    def adapt(a: Arrays, trial_gradient: Vector, accepted: bool, scalars: Scalars) -> Arrays:
        launcher.launch("iteration", call_adapt(adapt_adagrad, a, trial_gradient, accepted, scalars))
        launcher.arrays.collect()
        return a

    return Loops(form_inner_products, adapt)
