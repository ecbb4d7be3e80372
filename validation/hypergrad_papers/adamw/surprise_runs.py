"""Surprise on a stream of batches: what it reads on stationary noise, what at a shift, and what its gain is good for.

Softmax regression on batches of the digits, drawn with replacement. From one step on the stream may be another: every
digit c is called (c + 1) mod 10, or every pixel x is 1 - x. With a gain, the model's input is

    x_eff = x (1 + scale gain),   gain = S_bar exp(-S_bar / trauma_threshold)

as AutoHypergradientAdamW offers it. The loss that is kept is that of the model as it stands, gain and all, on all the
digits of the stream.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypergrad import AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad_papers.baydin2018.mnist_runs import loss, loss_and_gradients
from hypergrad_problems.data import load
from hypergrad_reference.types import Vector

STEPS = 600
SHIFT = 300  # the first step on the other stream
BATCH = 64
EVERY = 4  # steps from one loss that is kept to the next
SHIFTS = ("none", "labels", "pixels")
METHODS: dict[str, tuple[Any, dict[str, Any], float]] = {
    "AdamW": (AdamW, {"lr": 0.02}, 0.0),
    "HypergradientAdamW": (HypergradientAdamW, {"hyper_lr": 1e-4}, 0.0),
    "Auto": (AutoHypergradientAdamW, {}, 0.0),
    "Auto, surprise": (AutoHypergradientAdamW, {"track_surprise": True}, 0.0),
    "Auto, gain 1": (AutoHypergradientAdamW, {"track_surprise": True}, 1.0),
    "Auto, gain 10": (AutoHypergradientAdamW, {"track_surprise": True}, 10.0),
}
"""The optimizer, its options, and the scale of the gain; AdamW has the rate at which the adapted ones settle."""


class Trace(NamedTuple):
    """A run: one entry per step, except for the loss."""

    loss: Vector  # of all digits of the stream, before every fourth step
    lr: Vector  # that the step used
    surprise: Vector  # S; nan where it is not tracked
    accumulated: Vector  # S_bar


def run_stream(method: str, shift: str, seed: int, steps: int = STEPS) -> Trace:
    """A cell: one run on one stream; methods of one seed see the same batches."""
    digits = load("digits")
    x, labels = digits.features.astype(np.float32), digits.labels.astype(np.uint8)
    make, options, scale = METHODS[method]
    thetas = [np.zeros((10, x.shape[1]), np.float32), np.zeros(10, np.float32)]
    opt = make(thetas, device="numpy", **options)
    tracks = bool(options.get("track_surprise"))
    batches = np.random.default_rng(seed).integers(len(x), size=(steps, BATCH))
    losses, rows = [], []
    for step, batch in enumerate(batches):
        if step == SHIFT:
            x, labels = _shift(x, labels, shift)
        factor = np.float32(1 + scale * opt.current_surprise_gain) if tracks else np.float32(1)
        if step % EVERY == 0:
            losses.append(loss(thetas, x * factor, labels))
        _, gradients = loss_and_gradients(thetas, x[batch] * factor, labels[batch])
        opt.step(gradients=gradients)
        tracked = (opt.current_surprise, opt.accumulated_surprise) if tracks else (np.nan, np.nan)
        rows.append((opt.current_lr, *tracked))
    return Trace(np.array(losses), *np.array(rows).T)


def _shift(x: Vector, labels: NDArray[np.uint8], shift: str) -> tuple[Vector, NDArray[np.uint8]]:
    if shift == "labels":
        return x, (labels + 1) % 10
    return (1 - x if shift == "pixels" else x), labels
