"""A small network of leaky integrate-and-fire neurons, trained by a surrogate gradient, in NumPy.

    v_t = leak v_{t-1} (1 - s_{t-1}) + x W1 + b1,   s_t = [v_t > 1],   t = 1..steps        hidden layer
    logits = mean_t(s_t) W2 + b2,   loss = mean cross-entropy                                readout

A spike has no derivative; going back, d s / d v is replaced by 1 / (1 + sharpness |v - 1|)^2 and the reset by a spike
is taken for a constant. That is the usual surrogate gradient (fast sigmoid); it is not the derivative of the loss. The
same backward pass with a smooth spike function is, which is how it is tested.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Spike = Callable[[Array, float], tuple[Array, Array]]
"""From the distance to the threshold, and the sharpness, to the spike and what stands for its derivative."""


class Network(NamedTuple):
    """What stays the same over a run."""

    steps: int = 10  # of time
    leak: float = 0.9
    sharpness: float = 5.0  # of the surrogate


NETWORK = Network()


def init(inputs: int, hidden: int, classes: int, rng: np.random.Generator, dtype: type = np.float32) -> list[Array]:
    """Weights and biases W1 (inputs, hidden), b1, W2 (hidden, classes), b2; uniform in +-1/sqrt(fan in), biases 0."""

    def draw(fan_in: int, fan_out: int) -> Array:
        bound = 1 / np.sqrt(fan_in)
        return rng.uniform(-bound, bound, (fan_in, fan_out)).astype(dtype)

    return [draw(inputs, hidden), np.zeros(hidden, dtype), draw(hidden, classes), np.zeros(classes, dtype)]


def spike_hard(distance: Array, sharpness: float) -> tuple[Array, Array]:
    """Spikes of 0 and 1, with the surrogate derivative."""
    return (distance > 0).astype(distance.dtype), 1 / (1 + sharpness * np.abs(distance)) ** 2


def spike_smooth(distance: Array, sharpness: float) -> tuple[Array, Array]:
    """The fast sigmoid u / (1 + sharpness |u|), whose derivative is the surrogate of spike_hard."""
    return distance / (1 + sharpness * np.abs(distance)), 1 / (1 + sharpness * np.abs(distance)) ** 2


def _run(
    params: list[Array], x: Array, network: Network, spike: Spike, reset: bool
) -> tuple[Array, Array, list[Array], list[Array]]:
    """Firing rates and logits, and at each time d s_t / d v_t and d v_t / d v_{t-1}."""
    w1, b1, w2, b2 = params
    leak = x.dtype.type(network.leak)
    current = x @ w1 + b1
    v: Array = np.zeros_like(current)
    s: Array = np.zeros_like(current)
    slopes, kept = [], []
    count = np.zeros_like(current)
    for _ in range(network.steps):
        keep = leak * (1 - s) if reset else np.full_like(s, leak)
        v = keep * v + current
        s, slope = spike(v - 1, network.sharpness)
        count += s
        slopes.append(slope)
        kept.append(keep)
    rate = count / x.dtype.type(network.steps)
    return rate, rate @ w2 + b2, slopes, kept


def compute_activity(params: list[Array], x: Array, network: Network = NETWORK) -> tuple[Array, Array]:
    """Spikes per step of each hidden neuron, (batch, hidden), and logits, (batch, classes).

    >>> params = [np.full((1, 2), [[1.5, 0.25]]), np.zeros(2), np.eye(2), np.zeros(2)]
    >>> compute_activity(params, np.ones((1, 1)), Network(steps=4, leak=0.5))
    (array([[1., 0.]]), array([[1., 0.]]))
    """
    rate, logits, _, _ = _run(params, x, network, spike_hard, True)
    return rate, logits


def compute_loss_and_gradients(
    params: list[Array],
    x: Array,
    labels: NDArray[np.integer[Any]],
    network: Network = NETWORK,
    spike: Spike = spike_hard,
    reset: bool = True,
) -> tuple[float, list[Array]]:
    """Mean cross-entropy of a batch and its surrogate gradients.

    params    as init gives them
    x         (batch, inputs), dtype of params
    labels    (batch,), 0 .. classes - 1
    reset     a spike sets the membrane back; off for the derivative test, where a reset is no constant

    Returns the loss and a gradient for each of params, in its shape and dtype.
    """
    _, _, w2, _ = params
    rate, logits, slopes, kept = _run(params, x, network, spike, reset)
    logits = logits - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(logits)
    sums = exponentials.sum(axis=1, keepdims=True)
    rows = np.arange(len(x))
    loss = float(np.mean(np.log(sums[:, 0]) - logits[rows, labels]))

    d_logits = exponentials / sums
    d_logits[rows, labels] -= 1
    d_logits /= x.dtype.type(len(x))
    d_rate = d_logits @ w2.T / x.dtype.type(network.steps)
    d_v = np.zeros_like(rate)
    d_current = np.zeros_like(rate)
    for t in reversed(range(network.steps)):
        d_v = d_v + d_rate * slopes[t]
        d_current += d_v
        d_v = d_v * kept[t]
    return loss, [x.T @ d_current, d_current.sum(axis=0), rate.T @ d_logits, d_logits.sum(axis=0)]
