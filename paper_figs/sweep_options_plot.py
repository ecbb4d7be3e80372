"""One map per task: one row per method, one column per initial rate; the colour is the loss against AdamW's best."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import WIDTH
from paper_figs.sweeps import TITLES

TITLE = "Every normalization, every rule of beta1"
ALT = (
    "Three maps, one a task, with a row for each of twelve methods and a column for each of eight initial rates. Rows "
    "that adapt beta1 by the published rule are dark in many places, losses up to several decades above AdamW's best."
)
CAPTION = (
    "AdamW, HypergradientAdamW and AutoHypergradientAdamW (Auto, by what it divides its hypergradient by) over 300 "
    "full-batch steps from eight initial rates, beta1 fixed or adapted by the published rule or by the "
    "derivative. Each number is log10 of the loss at the end over that of AdamW at its best rate of the eight: 0 is "
    "as good, negative is better."
)

LIMITS = (-2.0, 4.0)
"""Decades below and above AdamW's best loss that the colours distinguish."""


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Every method."""
    figure, axes = plt.subplots(len(TITLES), 1, figsize=(WIDTH, 7.6), sharex=True, squeeze=False)
    names = arrays["methods"].tolist()
    for axis, (task, title) in zip(axes.flat, TITLES.items(), strict=True):
        ratio = np.log10(arrays[f"{task}/loss"] / arrays[f"{task}/loss"][names.index("AdamW")].min())
        image = axis.imshow(ratio, cmap="PuOr_r", norm=TwoSlopeNorm(0.0, *LIMITS), aspect="auto")
        for (row, column), value in np.ndenumerate(ratio):
            dark = not LIMITS[0] / 2 < value < LIMITS[1] / 2
            text = f"{value:.1f}" if abs(value) >= 0.05 else "0"
            axis.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if dark else "black")
        axis.set_title(title)
        axis.set_yticks(range(len(names)), [name.replace("beta1 by ", "") for name in names])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    powers = np.log10(arrays["rates"]).round().astype(int)
    axes[-1, 0].set_xticks(range(len(powers)), [f"$10^{{{power}}}$" for power in powers])
    axes[-1, 0].set_xlabel("initial rate")
    figure.colorbar(
        image, ax=axes, location="bottom", shrink=0.8, aspect=40, pad=0.01, extend="both",
        label="log10 (loss / AdamW's best)", ticks=[-2, -1, 0, 1, 2, 3, 4],
    )  # fmt: skip
    return figure
