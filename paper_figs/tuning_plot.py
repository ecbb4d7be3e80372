"""One row per optimizer, one dot per problem."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import WIDTH
from paper_figs.tuning_names import NAMES

TITLE = "What is lost without tuning"
ALT = (
    "Rows of dots on a logarithmic axis, one row per optimizer and one dot per problem: the training loss over that of "
    "the best of eleven cosine schedules. The dots of TuningFreeAdamW lie close to 1; those of optimizers at a fixed "
    "rate and of other packages reach far to the right."
)
CAPTION = (
    "Final training loss over that of AdamW with the best of eleven cosine schedules, rates from 1e-5 to 1, chosen for "
    "each problem after the runs. One dot per problem, means over the seeds; the bar is the median, the number the "
    "worst. Above the line optimizers at their defaults, without any choice: TuningFreeAdamW exact, as variant K, and "
    "lazy and delayed; published packages; and one rate for all problems. Below it what else tuning could reach: "
    "AdamW at its best constant rate, the same with averaged iterates, and schedule-free AdamW, each at its best of "
    "the eleven rates. The tables give the same for data that training never saw, and each problem by name."
)

TUNED = ("schedule-free", "averaged", "constant")

OURS, THEIRS, HINDSIGHT = "#d55e00", "#0072b2", "#7f7f7f"
LARGEST = 1e3
"""Worse losses are drawn here."""


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Ratios, worst and median."""
    untuned = [method for method in arrays["methods"].tolist() if method not in TUNED]
    methods = [*untuned, *TUNED]
    figure, axis = plt.subplots(figsize=(WIDTH, 0.8 + 0.3 * len(methods)))
    for row, method in enumerate(methods):
        ratios = np.minimum(np.nan_to_num(arrays[f"train/{method}"], nan=LARGEST), LARGEST)
        ours = method in ("TuningFreeAdamW", "K", "lazy, delayed")
        color = OURS if ours else HINDSIGHT if method in TUNED else THEIRS
        offsets = 0.12 * (np.arange(ratios.size) % 3 - 1)
        axis.plot(ratios, row + offsets, ".", color=color, markersize=4, alpha=0.75)
        axis.plot([np.median(ratios)] * 2, [row - 0.32, row + 0.32], color="black", linewidth=1.2)
        axis.text(LARGEST * 1.3, row, f"{ratios.max():.3g}", va="center", fontsize=7)
    axis.axvline(1, color="#b0b0b0", linewidth=0.7, zorder=0)
    axis.axhline(len(untuned) - 0.5, color="#b0b0b0", linewidth=0.7, linestyle=":")
    axis.set(xscale="log", xlim=(0.3, LARGEST * 1.1), xlabel="training loss over that of the best cosine")
    axis.set_yticks(range(len(methods)), [NAMES.get(method, method) for method in methods])
    axis.set_title("worst", loc="right", fontsize=7)
    axis.tick_params(axis="y", length=0)
    axis.invert_yaxis()
    return figure
