"""Surprise: how far a gradient is from what its running mean expects.

    q     = gamma q + (1 - gamma) ||g||^2            q = ||g||^2 the first time
    S     = tanh(||g - e||^2 / (q + 1e-12))
    S_bar = alpha S + (1 - alpha) S_bar               from 0
    gain  = S_bar exp(-S_bar / trauma_threshold)
    e     = gamma e + (1 - gamma) g                  e = g the first time, tensor by tensor

A model may scale its input by 1 + scale * gain. On stationary noise S settles near tanh(1.05), not near 0: it measures
noise against signal, not change. Source: Grillcheese-AI/grilly, optim/hypergradient.py.
"""

import math
from typing import NamedTuple

from hypergrad_reference.types import Vector

EPS = 1e-12


class State(NamedTuple):
    """What is kept of the surprise between steps, beside the running mean of each tensor; scalars in float64."""

    grad_sq_ema: float | None = None  # q; None before the first observation
    surprise: float = 0.0  # S, in [0, 1]
    accumulated: float = 0.0  # S_bar, in [0, 1]
    gain: float = 0.0


class Watch(NamedTuple):
    """How an optimizer follows the surprise of its gradients; arguments of `observe`."""

    gamma: float = 0.9
    alpha: float = 0.1
    trauma_threshold: float = 0.5
    warmup_steps: int = 10  # steps of the optimizer before the first observation

    def observe(self, state: State, grad_sq: float, deviation_sq: float) -> State:
        """Take in one step's gradient."""
        return observe(state, grad_sq, deviation_sq, self.gamma, self.alpha, self.trauma_threshold)


def observe(
    state: State, grad_sq: float, deviation_sq: float, gamma: float, alpha: float, trauma_threshold: float
) -> State:
    """Take in one step's gradient.

    grad_sq             sum of ||g||^2 over the tensors that have a gradient
    deviation_sq        sum of ||g - e||^2 over the same, a tensor without e yet counting ||g||^2
    gamma, alpha        in [0, 1]: memory of q and e, and share of the newest S in S_bar
    trauma_threshold    S_bar at which the gain is largest, > 0

    Non-finite sums leave the state as it is.

    >>> observe(State(4.0, accumulated=0.5), 8.0, 0.0, 0.5, 0.5, 0.25)
    State(grad_sq_ema=6.0, surprise=0.0, accumulated=0.25, gain=0.09196986029286058)
    """
    if not (math.isfinite(grad_sq) and math.isfinite(deviation_sq)):
        return state
    q = grad_sq if state.grad_sq_ema is None else gamma * state.grad_sq_ema + (1 - gamma) * grad_sq
    surprise = math.tanh(deviation_sq / (q + EPS))
    accumulated = alpha * surprise + (1 - alpha) * state.accumulated
    return State(q, surprise, accumulated, accumulated * math.exp(-accumulated / trauma_threshold))


def follow(grad_ema: Vector, grad: Vector, gamma: float) -> Vector:
    """The running mean of the gradient of one tensor, e = gamma e + (1 - gamma) g.

    grad_ema, grad    any shape, the same dtype; the factors are formed in float64 and rounded once to it

    >>> import numpy as np
    >>> follow(np.array([4.0]), np.array([8.0]), 0.75)
    array([5.])
    """
    real = grad.dtype.type
    return real(gamma) * grad_ema + real(1 - gamma) * grad
