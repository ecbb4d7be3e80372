"""Weight decay in a descent step, coupled and decoupled: one sum, at two places.

    L2, coupled    g_t = grad_t + wd theta_{t-1}     before the inner products and before momentum or moments
    decoupled      d_t = d_t + wd theta_{t-1}        after them, hence theta_t = (1 - lr wd) theta_{t-1} - lr d_t

Both leave minus the hypergradient an inner product with d_{t-1} = -d theta_{t-1} / d lr, so both are exact derivatives:
coupled, <grad + wd theta, d> belongs to the loss with its penalty wd ||theta||^2 / 2; decoupled, <grad, d> to the loss
without one. On plain SGD the two take the same step and differ in the hypergradient alone.

Source: coupled, the authors' code of Baydin et al. 2018; decoupled (Loshchilov and Hutter 2019) derived here.
"""

from hypergrad_reference.types import Vector


def add_decay(x: Vector, theta: Vector, weight_decay: float, scale: float = 1.0) -> Vector:
    """Return x * scale + weight_decay * theta, a new array.

    With a weight_decay of 0 nothing is added, not even a NaN of theta.

    x                      gradient (coupled) or direction (decoupled) of a tensor
    theta                  the tensor before the step, shape and dtype of x
    weight_decay, scale    rounded once to the dtype of x; a scale of 1 leaves x as it is

    >>> import numpy as np
    >>> add_decay(np.array([1.0, 3.0]), np.array([4.0, -2.0]), 0.25)
    array([2. , 2.5])
    >>> add_decay(np.array([3.0]), np.array([4.0]), 0.25, scale=2.0)
    array([7.])
    """
    scaled: Vector = x.copy() if scale == 1 else x * x.dtype.type(scale)
    return scaled + x.dtype.type(weight_decay) * theta if weight_decay else scaled
