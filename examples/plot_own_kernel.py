"""
Your own kernel against the reference
=====================================

The reference is an oracle without a tolerance: a port is right when it leaves the same bits. Here the port is NumPy
again, written twice; the first version multiplies in another order.
"""

import numpy as np

from hypergrad_reference import adamw

rng = np.random.default_rng(0)
theta, grad = rng.standard_normal((2, 100_000)).astype(np.float32)
scalars = adamw.exact_scalars(1e-3, 0.9, 0.999, 1e-8, 0.01, beta1_power=0.9, beta2_power=0.999)
wanted, _ = adamw.apply_exact(theta, grad, adamw.init(theta), scalars)


def first_version(theta, g, s):
    m, v = s.c1 * g, s.c2 * (g * g)
    return theta * s.k - (s.a * m) / (np.sqrt(v * s.i2) + s.eps)


def second_version(theta, g, s):
    m, v = s.c1 * g, (s.c2 * g) * g
    return theta * s.k - (s.a * m) / (np.sqrt(v * s.i2) + s.eps)


rounded = adamw.ExactScalars(*map(np.float32, scalars))
for port in (first_version, second_version):
    differing = np.count_nonzero(port(theta, grad, rounded).view(np.uint32) != wanted.view(np.uint32))
    print(f"{port.__name__}: {differing} of {theta.size} elements differ")
