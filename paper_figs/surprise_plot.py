"""One column per stream: surprise, learning rate and loss over the steps."""

import math
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import METHODS, WIDTH

TITLE = "What surprise measures"
ALT = (
    "Two columns of three panels over 600 steps. On a stream that stays as it is, surprise scatters between about 0.5 "
    "and 0.9 all the time. Where every label changes at step 300, it jumps to 1 for a few steps, falls well below its "
    "former level and climbs back; the adapted rates rise at once, the losses jump and fall again."
)
CAPTION = (
    "Softmax regression on batches of 64 digits; from step 300 on the right every digit c is called (c + 1) mod 10. "
    "Above, surprise S of AutoHypergradientAdamW (Auto), median and quartiles over five seeds, its running mean "
    "S_bar, and where S lies on pure noise. Below, learning rate and loss, medians. In Auto, gain 10 the input is x "
    "(1 + 10 gain). AdamW has a fixed rate of 0.02, near which the adapted rates settle; all else is a default, but "
    "the hyper_lr of HypergradientAdamW, 1e-4. The tables give the runs in which the pixels are inverted instead, too."
)

TITLES = {"none": "The stream stays as it is", "labels": "Every label changes"}
SHOWN = ("AdamW", "HypergradientAdamW", "Auto", "Auto, gain 10")
EVERY = 2  # steps from one point that is drawn to the next
NOISE = math.tanh(1 + 0.1 / 1.9)
"""S on gradients that are nothing but noise, at the default surprise_gamma: ||g - e||^2 / q = 1 + 0.1 / 1.9."""
SURPRISE = {"color": "#000000", "linewidth": 0.6}
ACCUMULATED = {"color": "#56b4e9", "linewidth": 2.0}


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Medians over the seeds, of S the quartiles too."""
    figure, axes = plt.subplots(3, len(TITLES), figsize=(WIDTH, 6.4), sharex=True, sharey="row", squeeze=False)
    for (above, middle, below), (shift, title) in zip(axes.T, TITLES.items(), strict=True):
        low, median, high = arrays[f"{shift}/Auto, surprise/surprise"][:, ::EVERY]
        steps = EVERY * np.arange(median.size)
        above.fill_between(steps, low, high, color=SURPRISE["color"], alpha=0.2, linewidth=0)
        above.plot(steps, median, **SURPRISE, label="S")
        above.plot(steps, arrays[f"{shift}/Auto, surprise/accumulated"][1, ::EVERY], **ACCUMULATED, label="S_bar")
        above.axhline(NOISE, color="#7f7f7f", linewidth=0.8, linestyle=":", label="S on pure noise")
        for method in SHOWN:
            middle.plot(steps, arrays[f"{shift}/{method}/lr"][1, ::EVERY], **METHODS[method])
            loss = arrays[f"{shift}/{method}/loss"][1]
            below.plot(
                np.linspace(0, steps.size * EVERY, loss.size, endpoint=False), loss, **METHODS[method], label=method
            )
        above.set(title=title, ylim=(0, 1.05))
        middle.set(yscale="log")
        below.set(yscale="log", xlabel="step")
        below.margins(x=0)
        if shift != "none":
            for axis in (above, middle, below):
                axis.axvline(facts["the stream changes at step"], color="#b0b0b0", linewidth=0.7, zorder=0)
    axes[0, 0].set_ylabel("surprise")
    axes[1, 0].set_ylabel("learning rate")
    axes[2, 0].set_ylabel("loss")
    above, below = (axes[row, 0].get_legend_handles_labels() for row in (0, 2))
    figure.legend(above[0] + below[0], above[1] + below[1], loc="outside lower center", ncols=2)
    return figure
