"""One panel: median over the draws, a band between the quartiles, crossings of 1e-10 as marks."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs import gaps
from paper_figs.near_diagonal_data import LAST, LEVEL, METHODS


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """One panel."""
    figure, panel = plt.subplots(figsize=(4.6, 3.6))
    panel.axhline(-10, color="0.8", linewidth=0.6, zorder=0)
    for method in METHODS:
        gaps.draw(panel, method, {key: arrays[f"{method}/{key}"] for key in ("index", "log", "reached")}, LEVEL)
    panel.set(xlim=(1, LAST), ylim=(-16, 3), yticks=(-15, -10, -5, 0))
    panel.set(xlabel="index of the curve", ylabel=r"$\log_{10}(f - f^*)$")
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
