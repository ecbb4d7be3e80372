"""A step with parameters and gradients of any layout."""

import numpy as np
from snapshots import FULL, Param


class Sub(np.ndarray):
    """A subclass as libraries have them, with an attribute for the gradient and arithmetic of its own."""

    grad = None

    def __add__(self, other):
        raise AssertionError("a step works on the memory, not with the methods of a subclass")

    __mul__ = __rmul__ = __sub__ = __setitem__ = __getitem__ = __add__


VALUES = np.arange(1.0, 13.0) / 8


def run(kind, where, make_param, make_grad, dtype, attribute=False):
    """The bits of a parameter after three steps."""
    param = make_param(dtype)
    opt = kind([param], lr=0.01, device=where, **FULL[kind])
    for _ in range(3):
        grad = make_grad(dtype)
        if attribute:
            param.grad = grad
            opt.step()
        else:
            opt.step(gradients=[grad])
    return np.asarray(param.data if isinstance(param, Param) else param).reshape(-1).tolist()


def plain(dtype):
    return VALUES.astype(dtype)
