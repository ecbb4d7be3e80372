"""One map per method: initial rates down, beta across, colour against the baseline, which is the first column."""

import math
from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hypergrad_papers.baydin2018.runs import NAMES, RATES
from paper_figs.style import WIDTH

TITLE = "Baydin et al. 2018: initial rate against beta"
ALT = (
    "Three maps, six initial rates by six values of beta and a column for the baseline. Below an initial rate of 0.01 "
    "most cells are blue, up to a hundred times fewer iterations than the baseline; red cells, more iterations, are "
    "where the initial rate is good already and beta large."
)
CAPTION = (
    "Figure 4 of the paper: the number of the first minibatch with a loss of at most 0.29, logistic regression; "
    "colour against the baseline from the same rate. On MNIST medians of three seeds, in brackets the paper's count; "
    "on scikit-learn's digits one seed. Runs end at the cap named below, the paper's at 468,750, so where a count is "
    "beyond the cap its colour is a bound, and grey where that of the baseline is, too. The baseline of the third map "
    "is Adam with a rate of lr / sqrt(t), as in the paper: much of what Adam-HD gains there is that its rate does not "
    "fall."
)

DECADES = 2
"""How far the colour scale goes, either way."""
UNKNOWN = "0.85"
"""Where neither count is known, this grey."""


def write_count(count: float, cap: float) -> str:
    """A number of iterations; what is beyond the cap as such."""
    return f">{cap:g}" if math.isinf(count) else f"{count:.0f}"


def write_power(value: float) -> str:
    """A power of ten."""
    return f"$10^{{{math.log10(value):.0f}}}$"


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Ours, and in brackets what the paper prints."""
    figure, axes = plt.subplots(3, 1, figsize=(WIDTH, 8.6))
    for panel, method in zip(axes, ("sgd", "sgdn", "adam"), strict=True):
        baseline = arrays[method][:, :1]
        counts = np.hstack([baseline, arrays[f"{method}_hd"][:, ::-1]])
        cap = facts["cap"]
        against = np.log10(np.minimum(counts, cap) / np.minimum(baseline, cap))
        against[np.isinf(counts) & np.isinf(baseline)] = np.nan
        panel.set_facecolor(UNKNOWN)
        image = panel.imshow(against, cmap="RdBu_r", vmin=-DECADES, vmax=DECADES, aspect="auto")
        printed = None
        if f"published {method}" in arrays:
            printed = np.hstack([arrays[f"published {method}"][:, :1], arrays[f"published {method}_hd"][:, ::-1]])
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if abs(against[row, column]) > 0.7 * DECADES else "black"
            lift = 0.0 if printed is None else 0.17
            panel.text(column, row - lift, write_count(count, cap), ha="center", va="center", fontsize=7, color=colour)
            if printed is not None:
                text = f"({write_count(printed[row, column], 468750)})"
                panel.text(column, row + 0.24, text, ha="center", va="center", fontsize=6, color=colour)
        panel.axvline(0.5, color="black", linewidth=1)
        panel.set_title(f"{NAMES[method]} and {NAMES[f'{method}_hd']}")
        panel.set_xticks(range(7), ["baseline", *map(write_power, RATES[::-1])])
        panel.set_yticks(range(6), [write_power(lr) for lr in RATES])
        panel.set_ylabel("initial rate")
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
    axes[-1].set_xlabel("beta")
    bar = figure.colorbar(image, ax=axes, orientation="horizontal", fraction=0.03, aspect=40, pad=0.02)
    bar.set_ticks([-2, -1, 0, 1, 2], labels=["100 times fewer", "10", "as many", "10", "100 times more"])
    bar.outline.set_visible(False)
    bar.set_label("iterations, against the baseline from the same rate")
    return figure
