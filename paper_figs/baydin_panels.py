"""Three panels, one above the other: rate and training loss by step, validation loss by epoch."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from hypergrad_papers.baydin2018.runs import NAMES
from paper_figs.style import METHODS, WIDTH

PANELS = {"alpha": "learning rate", "loss": "training loss", "validation": "validation loss"}
MARKS: dict[str, Any] = {
    "linestyle": "", "marker": "o", "markersize": 3.5, "markerfacecolor": "none", "markeredgewidth": 0.7,
}  # fmt: skip
"""The look of what was published."""


def write_plain(axes: Axes) -> None:
    """A logarithmic y axis of few decades, with plain numbers."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Lines are ours, circles the authors'."""
    figure, axes = plt.subplots(3, 1, figsize=(WIDTH, 7.2))
    for panel, (quantity, label) in zip(axes, PANELS.items(), strict=True):
        for method, name in NAMES.items():
            x, y = arrays[f"{method}/{quantity}"]
            panel.plot(x[x >= 1], y[x >= 1], **METHODS[name], label=name)
            if f"{method}/published {quantity}" in arrays:
                x, y = arrays[f"{method}/published {quantity}"]
                thin = slice(None, None, max(1, len(x) // 20))
                panel.plot(x[x >= 1][thin], y[x >= 1][thin], **MARKS, color=METHODS[name]["color"])
        panel.set_ylabel(label)
    axes[0].set_yscale("symlog", linthresh=1e-3, linscale=0.6)
    axes[0].axhline(0, color="0.8", linewidth=0.6, zorder=0)
    for panel in axes[:2]:
        panel.set(xscale="log", xlabel="step")
    axes[2].set_xlabel("epoch")
    axes[2].xaxis.set_major_locator(MaxNLocator(integer=True))
    for panel in axes[1:]:
        write_plain(panel)
    if any("published" in key for key in arrays):
        axes[1].legend([Line2D([], [], **MARKS, color="0.3")], ["authors' log"], loc="lower left")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
