"""Curves of the gap by index, median and band over draws, thinned; and how they are drawn."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from hypergrad_papers.osgm2025.runs import first_index
from paper_figs.style import METHODS

POINTS = 250
"""The most points of a curve: more cannot be seen."""
FLOOR = -20.0
"""log10 of the least gap that is distinguished from 0."""


def summarize(
    curves: Sequence[NDArray[Any]], last: int, level: float, published: int | None
) -> dict[str, NDArray[Any]]:
    """Arrays of one method in one panel.

    curves       the gap by index of each draw, entry 0 being index 1; one that ends has fallen below the floor
    last         the last index that is drawn
    level        of the gap, whose first index is marked

    index        which indices are kept
    log          (3, indices) log10 of the gap, median, first and third quartile
    reached      median over the draws of the first index below the level, and that of the published curve; NaN: none
    """
    index = np.unique(np.linspace(1, last, POINTS).round().astype(int))
    logs = np.full((len(curves), last), FLOOR)
    for row, curve in zip(logs, curves, strict=True):
        seen = curve[:last]
        row[: len(seen)] = np.log10(np.maximum(seen, 10.0**FLOOR))
    reached = np.median([first_index(curve, level) or np.inf for curve in curves])
    return {
        "index": index,
        "log": np.percentile(logs, (50, 25, 75), axis=0)[:, index - 1],
        "reached": np.array([reached if np.isfinite(reached) else np.nan, published or np.nan], dtype=np.float64),
    }


def describe(arrays: Mapping[str, NDArray[Any]], with_published: bool = True) -> str:
    """The index that reaches the level, ours and the published one if there is a published curve, in words."""
    ours, published = ("later" if np.isnan(index) else f"{index:g}" for index in arrays["reached"])
    return f"{ours} (published: {published})" if with_published else ours


def draw(panel: Axes, method: str, arrays: Mapping[str, NDArray[Any]], level: float) -> None:
    """The median, the band, a disc where ours reaches the level, and a triangle where the published curve does."""
    look = METHODS[method]
    median, low, high = arrays["log"]
    panel.plot(arrays["index"], median, **look, label=method)
    if (low < high).any():
        some = slice(None, None, 4)  # a band is smooth, and has two sides
        panel.fill_between(arrays["index"][some], low[some], high[some], color=look["color"], alpha=0.15, linewidth=0)
    ours, published = arrays["reached"]
    panel.plot(ours, np.log10(level), "o", markersize=3.5, color=look["color"], zorder=3)
    panel.plot(
        published, np.log10(level), "v", markersize=6, markerfacecolor="none", markeredgecolor=look["color"], zorder=4
    )
