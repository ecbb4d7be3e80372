"""Phase transitions of a small spiking network, and what hypergradient and surprise make of them.

The author of the published optimizers makes three statements on spiking networks (Grillcheese-AI/grilly,
docs/auto_hypergradient_snn.md, sections 2.3 and 6.1), here in our words:

    rate        when many neurons fall silent, gradients vanish and a fixed rate gets nowhere; the hypergradient notices
                and raises the rate
    gain        scaling the input by the gain of surprise helps silent neurons over their threshold
    surprise    stands for what is unexpected, and so should mark the transitions

What counts as a transition, and what as an answer, was fixed beforehand. Tried out were how dark the images have to be
for more than half of the neurons to fall silent, and the rate of the natural runs: such that the network still learns
when surprise, whose first readings mean nothing, has settled.

    forced      from step SHIFT on every image is darker, x -> DARKER x, which silences neurons at once. Rates, activity
                and loss are compared with those of a twin of the same seed that keeps its light.
    natural     in runs at a fixed rate, the step t for which the mean over the WINDOW steps from t on differs most from
                the mean over those before: the steepest drop of the loss, the steepest rise of the accuracy, the
                largest change of the firing rate. The signal is S_t - S_bar_{t-1}, surprise above its own running mean.
                It marks a transition if its mean over the WINDOW steps before t, or over those from t on, is far from
                what it is at times shifted at random by up to REACH steps, in each run by another.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.special import log_softmax

from hypergrad import AdamW, AutoHypergradientAdamW
from hypergrad_problems import spiking
from hypergrad_problems.data import load
from hypergrad_reference.types import Vector

STEPS = 350
SHIFT = 200  # the first step on darker images
DARKER = 0.02
BATCH = 64
HIDDEN = 64
WATCHED = 128  # digits on which loss, accuracy and activity are measured, the same throughout a run
WINDOW = 10
REACH = 60
SETTLED = 50  # steps that surprise and its running mean take to forget how they began
DRAWS = 9999


class Method(NamedTuple):
    """An optimizer, and what the model does with its gain: x_eff = x (1 + scale gain)."""

    make: Any
    options: dict[str, Any]
    scale: float = 0.0
    held: float | None = None  # a gain that never changes, in place of the optimizer's


_SURPRISE = {"track_surprise": True}
_ADVICE = {"lr": 5e-4, "hyper_lr": 1e-3, "warmup_steps": 50, "lr_min": 1e-5, "lr_max": 2e-3}
METHODS = {
    "AdamW": Method(AdamW, {"lr": 0.01}),
    "AdamW, surprise": Method(AutoHypergradientAdamW, _SURPRISE | {"hyper_lr": 0.0}),
    "Auto": Method(AutoHypergradientAdamW, _SURPRISE),
    "Auto, as advised": Method(AutoHypergradientAdamW, _SURPRISE | _ADVICE),
    "Auto, gain 10": Method(AutoHypergradientAdamW, _SURPRISE, 10.0),
    "Auto, held gain 10": Method(AutoHypergradientAdamW, _SURPRISE, 10.0, 0.5 / np.e),
}
"""AdamW has the rate near which the adapted ones settle; with hyper_lr = 0 a rate stays as it is. The advice is the
author's, for such neurons. The gain that is held is the largest there is at a trauma_threshold of 0.5, the default."""


class Trace(NamedTuple):
    """A run: one entry per step, as it was before the step unless a field says otherwise."""

    loss: Vector
    accuracy: Vector
    firing: Vector  # spikes a neuron and time step
    silent: Vector  # share of hidden neurons that do not fire once
    grad_norm: Vector  # of the step's batch
    lr: Vector  # that the step used
    gain: Vector  # that the model used; nan where surprise is not tracked
    surprise: Vector  # S after the step
    accumulated: Vector  # S_bar after the step


@cache
def _load() -> tuple[Vector, NDArray[np.intp]]:
    digits = load("digits")
    return digits.features.astype(np.float32), digits.labels.astype(np.intp)


def run_network(method: str, forced: bool, seed: int, steps: int = STEPS) -> Trace:
    """A cell: one run; those of one seed share the weights at first and the batches."""
    x, labels = _load()
    rng = np.random.default_rng(seed)
    thetas = spiking.init(x.shape[1], HIDDEN, 10, rng)
    batches = rng.integers(len(x), size=(steps, BATCH))
    watched = rng.choice(len(x), WATCHED, replace=False)
    make, options, scale, held = METHODS[method]
    opt = make(thetas, device="numpy", weight_decay=0.0, **options)
    tracks = "track_surprise" in options
    rows = []
    for step, batch in enumerate(batches):
        gain = (opt.current_surprise_gain if held is None else held) if tracks else 0.0
        light = np.float32((DARKER if forced and step >= SHIFT else 1.0) * (1 + scale * gain))
        rate, logits = spiking.compute_activity(thetas, x[watched] * light)
        _, gradients = spiking.compute_loss_and_gradients(thetas, x[batch] * light, labels[batch])
        opt.step(gradients=gradients)
        rows.append((
            -np.mean(log_softmax(logits, axis=1)[np.arange(WATCHED), labels[watched]]),
            np.mean(logits.argmax(axis=1) == labels[watched]),
            rate.mean(),
            np.mean(rate.max(axis=0) == 0),
            np.sqrt(sum(float(np.vdot(g, g)) for g in gradients)),
            opt.current_lr,
            *((gain, opt.current_surprise, opt.accumulated_surprise) if tracks else [np.nan] * 3),
        ))  # fmt: skip
    return Trace(*np.array(rows, np.float64).T)


def find_transition(series: Vector, sign: int = 0) -> int:
    """The step t >= SETTLED + WINDOW for which the means over the WINDOW steps from t on and before differ most.

    sign    1 for the largest rise, -1 for the largest fall, 0 for either

    >>> find_transition(np.repeat([0.0, 1.0, -3.0], [80, 20, 20]))
    100
    >>> find_transition(np.repeat([0.0, 1.0, -3.0], [80, 20, 20]), 1)
    80
    """
    means = sliding_window_view(series, WINDOW).mean(axis=1)
    change = means[WINDOW:] - means[:-WINDOW]  # entry i belongs to t = i + WINDOW
    return int((np.abs(change) if sign == 0 else sign * change)[SETTLED:].argmax()) + SETTLED + WINDOW


TRANSITIONS = {"steepest drop of the loss": ("loss", -1), "steepest rise of the accuracy": ("accuracy", 1),
               "largest change of the firing rate": ("firing", 0)}  # fmt: skip
"""By name: the series and the sign of the change."""


def form_signal(run: Trace) -> Vector:
    """S_t - S_bar_{t-1}."""
    signal = run.surprise.copy()
    signal[1:] -= run.accumulated[:-1]
    return signal


class Mark(NamedTuple):
    """What a signal does at given times, against what it does at shifted ones."""

    signal: float  # mean over runs and window
    shifted: float  # mean of the same over the draws
    p: float  # two-sided


def compare_times(signals: list[Vector], times: list[int], seed: int = 0) -> Mark:
    """Whether signals are unusual in the WINDOW steps from a time on, one time a signal.

    The null hypothesis is drawn DRAWS times: each time is shifted by up to REACH steps, kept within the signal.
    """
    rng = np.random.default_rng(seed)
    observed, drawn = 0.0, np.zeros(DRAWS)
    for signal, time in zip(signals, times, strict=True):
        means = sliding_window_view(signal, WINDOW).mean(axis=1)
        low, high = max(time - REACH, SETTLED), min(time + REACH, means.size - 1)
        observed += means[time] / len(signals)
        drawn += means[rng.integers(low, high + 1, size=DRAWS)] / len(signals)
    centre = float(drawn.mean())
    farther = np.abs(drawn - centre) >= abs(observed - centre)
    return Mark(float(observed), centre, float((1 + farther.sum()) / (1 + DRAWS)))
