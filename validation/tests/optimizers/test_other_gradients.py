"""Steps with other arrays of gradients than the step before: what was prepared for the rest serves, no bit changes."""

import numpy as np
import pytest
from snapshots import FULL, freeze

from hypergrad import AdamW, AutoHypergradientAdamW, HypergradientAdamW, TuningFreeAdamW
from hypergrad_kernels import launcher
from hypergrad_kernels.shapes import DEFAULT

SIZES = (5, 70_000, 300, 4097)  # the second has a launch of its own, the others share one
STEPS, ON_DEVICE = 9, 7  # from the latter on, three gradients are arrays of a device
KINDS = {
    "AdamW": (AdamW, {"lr": 0.01}),
    "HypergradientAdamW-delayed": (HypergradientAdamW, {"lr": 0.01, "delay": 1, "nonfinite": "stop"}),
    "AutoHypergradientAdamW": (AutoHypergradientAdamW, {"lr": 0.01, **FULL[AutoHypergradientAdamW]}),
    "TuningFreeAdamW": (TuningFreeAdamW, {}),
}


def draw_gradients(step, make):
    """Each time elsewhere in memory, and never twice at the same distance from a multiple of 64 bytes."""
    rng = np.random.default_rng(step)
    gradients = []
    for number, size in enumerate(SIZES):
        gradient = np.empty(size + 16, np.float32)[step : step + size]
        gradient[...] = rng.standard_normal(size)
        gradients.append(make(gradient) if step >= ON_DEVICE and number != 2 else gradient)
    return [None if step == 4 and number == 0 else gradient for number, gradient in enumerate(gradients)]


def run(name, device, make=lambda array: array):
    kind, options = KINDS[name]
    thetas = [np.linspace(-1, 1, size, dtype=np.float32) for size in SIZES]
    opt = kind(thetas, device=device, **options)
    for step in range(STEPS):
        given = draw_gradients(step, make)
        opt.step(gradients=given)
        if step < ON_DEVICE:  # the same arrays with other numbers
            for gradient in given[1:]:
                gradient *= -0.5
        opt.step(gradients=given)
    state = opt.state_dict()
    return freeze([thetas, [entry["arrays"] for entry in state["tensors"]], state["histories"]])


@pytest.mark.parametrize("access", ["PACKED", "ALIGNED"])
@pytest.mark.parametrize("name", KINDS)
def test_arrays_given_instead_of_others_are_the_ones_that_count(name, access, device, monkeypatch):
    cl_array = pytest.importorskip("pyopencl.array")
    from hypergrad_kernels.device import open_device

    shapes = {key: shape._replace(access=access) for key, shape in DEFAULT.items()}
    monkeypatch.setattr(launcher, "recall_shapes", lambda *_: shapes)
    queue = open_device(device).queue
    assert run(name, device, lambda array: cl_array.to_device(queue, array)) == run(name, "numpy")
