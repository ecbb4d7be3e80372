"""The spiking network: its backward pass is the derivative where there is one, and it learns."""

import numpy as np

from hypergrad import AdamW
from hypergrad_problems import spiking


def test_backward_is_the_derivative_for_smooth_spikes():
    rng = np.random.default_rng(0)
    params = spiking.init(5, 7, 3, rng, np.float64)
    x, labels = rng.random((11, 5)) * 2, rng.integers(3, size=11)

    def loss(shifted):
        return spiking.compute_loss_and_gradients(shifted, x, labels, spike=spiking.spike_smooth, reset=False)[0]

    _, gradients = spiking.compute_loss_and_gradients(params, x, labels, spike=spiking.spike_smooth, reset=False)
    for index, gradient in enumerate(gradients):
        direction = rng.standard_normal(gradient.shape)
        step = 1e-6
        ahead = [p + step * direction if i == index else p for i, p in enumerate(params)]
        behind = [p - step * direction if i == index else p for i, p in enumerate(params)]
        difference = (loss(ahead) - loss(behind)) / (2 * step)
        # central differences: error of order step^2 from the cubic term, 1e-16 / step = 1e-10 from rounding
        assert abs(difference - np.vdot(gradient, direction)) < 1e-8


def test_hard_spikes_are_zero_or_one_and_share_the_slope():
    distance = np.linspace(-2, 2, 41)
    hard, slope = spiking.spike_hard(distance, 5.0)
    _, smooth_slope = spiking.spike_smooth(distance, 5.0)
    assert set(hard) == {0.0, 1.0}
    assert np.array_equal(slope, smooth_slope)


def test_network_learns_two_clouds():
    rng = np.random.default_rng(1)
    labels = rng.integers(2, size=200)
    x = (rng.random((200, 4)) + labels[:, None]).astype(np.float32)
    params = spiking.init(4, 16, 2, rng)
    opt = AdamW(params, lr=1e-2, use_gpu=False)
    first, _ = spiking.compute_loss_and_gradients(params, x, labels)
    for _ in range(100):
        last, gradients = spiking.compute_loss_and_gradients(params, x, labels)
        opt.step(gradients=gradients)
    assert last < 0.2 * first
