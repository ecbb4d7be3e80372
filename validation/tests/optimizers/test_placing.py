"""What is kept of a large tensor lies apart in memory, where arrays of NumPy would share the lines of a cache."""

from itertools import combinations

import numpy as np
import pytest

from hypergrad import AdamW, AutoHypergradientAdamW, TuningFreeAdamW
from hypergrad_kernels.placing import LARGE

EVERYTHING = {
    "amsgrad": True, "adapt_momentum": True, "momentum_rule": "derivative", "track_surprise": True, "warmup_steps": 1
}  # fmt: skip
KINDS = {"AdamW": (AdamW, {}), "Auto": (AutoHypergradientAdamW, EVERYTHING), "free": (TuningFreeAdamW, {})}


def draw():
    return np.random.default_rng(0).standard_normal(LARGE // 4, np.float32)


def list_kept(optimizer, theta):
    """The arrays that are as large as the tensor."""
    return [a for a in optimizer.state[id(theta)].values() if isinstance(a, np.ndarray) and a.size == theta.size]


def find_lines(optimizer, theta):
    """On which of the 64 lines of a 4096-byte page theta and what is kept of it begin."""
    arrays = [theta, *list_kept(optimizer, theta)]
    assert all(array.ctypes.data % 64 == 0 for array in arrays[1:])
    return [array.ctypes.data // 64 % 64 for array in arrays]


def open_stepped(name, theta):
    kind, options = KINDS[name]
    optimizer = kind([theta], device="numpy", **options)
    for _ in range(3):
        optimizer.step(gradients=[theta.copy()])
    return optimizer


@pytest.mark.parametrize("name", KINDS)
def test_arrays_of_a_large_tensor_begin_on_lines_of_their_own(name):
    theta = draw()
    optimizer = open_stepped(name, theta)
    twin = KINDS[name][0]([theta], device="numpy", **KINDS[name][1])
    twin.load_state_dict(optimizer.state_dict())
    for own in (optimizer, twin):
        lines = find_lines(own, theta)
        assert len(lines) >= 3
        assert all(min((a - b) % 64, (b - a) % 64) >= 4 for a, b in combinations(lines, 2)), lines


def test_placed_arrays_have_the_bits_of_others(monkeypatch):
    wanted, got = draw(), draw()
    with monkeypatch.context() as patch:
        patch.setattr("hypergrad_kernels.placing.LARGE", 1 << 62)
        plain = open_stepped("Auto", wanted)
    placed = open_stepped("Auto", got)
    assert got.tobytes() == wanted.tobytes()
    for mine, other in zip(list_kept(placed, got), list_kept(plain, wanted), strict=True):
        assert mine.tobytes() == other.tobytes()


def test_small_tensors_take_no_more_memory_than_they_need():
    theta = np.ones(LARGE // 4 - 1, np.float32)
    for array in list_kept(open_stepped("AdamW", theta), theta):
        while array.base is not None:
            array = array.base
        assert array.nbytes == theta.nbytes
