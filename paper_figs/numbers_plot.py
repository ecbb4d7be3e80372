"""Two panels of sums, and below them the update of AdamW."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hypergrad_papers.rounding import ORDERS
from paper_figs.style import WIDTH

TITLE = "What float32 does to sums and to the update"
ALT = (
    "Two panels of errors over the number of terms: summed one after the other the error of a squared norm grows by "
    "decades, in the order of the kernels it falls. Below, two curves over the steps: the error of the update is "
    "largest early where 1 - beta2 is formed in float32 and late where it is formed in float64."
)
CAPTION = (
    "Above, errors of sums of products of standard normal float32 numbers, medians of three draws, against the exact "
    "sum: one after the other, in pairs (numpy.sum), and in the order that reference and kernels share, blocks of "
    "4096 terms in 16 lanes and then one exact sum over the blocks; the line is the bound of one block. Below, how "
    "far AdamW's update in float32 is from float64, median and quartiles over 256 weights, on standard normal "
    "gradients: 1 - beta2 formed in float32 is off by 1.3e-5 of itself, and so is the steady state of exp_avg_sq if "
    "it is not, as beta2 = 0.999 is then rounded apart from it."
)

LOOKS = (
    {"color": "#000000", "linestyle": ":", "marker": "s"},
    {"color": "#7f7f7f", "linestyle": (0, (5, 1.5)), "marker": "^"},
    {"color": "#0072b2", "linestyle": "-", "marker": "o"},
)
"""The lines of ORDERS."""
CONVENTIONS = {
    "shader": ("1 $-$ beta2 in float32 (shader)", {"color": "#d55e00", "linestyle": (0, (5, 1.5))}),
    "exact": ("in float64, rounded once (exact)", {"color": "#0072b2", "linestyle": "-"}),
}
LEAST = 1e-12
"""Smaller errors, zero among them, are drawn here."""


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Errors of sums above, of updates below."""
    figure = plt.figure(figsize=(WIDTH, 5.6))
    axes = figure.subplot_mosaic([["products", "squares"], ["update", "update"]], height_ratios=(3, 2))
    for name, title in (("products", "Inner product"), ("squares", "Squared norm")):
        axis = axes[name]
        for look, order, errors in zip(LOOKS, ORDERS, arrays[name].T, strict=True):
            axis.plot(arrays["sizes"], np.maximum(errors, LEAST), **look, markersize=3, linewidth=1.2, label=order)
        axis.axhline(arrays["bound"], color="#0072b2", linewidth=0.7, linestyle="-.", label="bound of a block")
        axis.set(xscale="log", yscale="log", title=title, xlabel="terms", ylim=(LEAST / 2, 1e-1))
        axis.set_xscale("log", base=2)
    axes["products"].set_ylabel("error / sum of |terms|")
    axes["squares"].sharey(axes["products"])
    axes["squares"].tick_params(labelleft=False)
    axes["products"].legend(*axes["products"].get_legend_handles_labels(), fontsize=7)
    update = axes["update"]
    for name, (label, look) in CONVENTIONS.items():
        low, median, high = arrays[name].T * 1e6
        update.fill_between(arrays["step"], low, high, color=look["color"], alpha=0.2, linewidth=0)
        update.plot(arrays["step"], median, **look, label=label)
    update.axhline(0, color="#b0b0b0", linewidth=0.7, zorder=0)
    update.set(xscale="log", xlabel="step", ylabel="error of the update, 1e-6", title="Size of AdamW's update")
    update.margins(x=0)
    update.legend(fontsize=7)
    return figure
