"""One row per optimizer, one dot per problem."""

from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from paper_figs.style import WIDTH
from paper_figs.tuning_names import NAMES

TITLE = "What is lost without tuning"
ALT = (
    "Rows of dots on a logarithmic axis, one row per optimizer and one dot per problem: the training loss over that of "
    "the best of eleven cosine schedules. The dots of TuningFreeAdamW on T1 to T3 lie at 1 and below; an exact fit and "
    "a problem that it does not solve lie to the right. Those of fixed rates and of other packages reach far to the "
    "right."
)
CAPTION = (
    "Final training loss over that of AdamW with the best of eleven cosine schedules, rates from 1e-5 to 1, chosen for "
    "each problem after the runs. One mark per problem, means over the seeds; marks at the same place are stacked. "
    "Bar, median and worst are of the problems T1 to T3. Above the line optimizers at their defaults, without any "
    "choice: TuningFreeAdamW exact, as variant K, and lazy and delayed; published packages; and one rate for all "
    "problems. Below it what else tuning could reach: AdamW at its best constant rate, the same with averaged "
    "iterates, and schedule-free AdamW, each at its best of the eleven rates. The tables give the same for data that "
    "training never saw, and each problem by name."
)

TUNED = ("schedule-free", "averaged", "constant")
OURS, THEIRS, HINDSIGHT = "#d55e00", "#0072b2", "#7f7f7f"
KINDS = {"T1 to T3": ("T1", "T2", "T3"), "exact fits": ("exact",), "added later": ("later",)}
"""Groups of problems by their name in the legend; the first is the one that is summed up."""
LOOKS: dict[str, dict[str, Any]] = {
    "T1 to T3": {"marker": "o", "markersize": 2.6},
    "exact fits": {"marker": "D", "markersize": 3.2, "markerfacecolor": "none", "markeredgewidth": 0.8},
    "added later": {"marker": "x", "markersize": 4, "markeredgewidth": 1.0},
}
LEAST, LARGEST = 0.18, 1e3
"""The axis; losses beyond are drawn at its end."""
NEAR, STEP = 0.025, 0.085
"""Marks nearer than this, in decades, are moved apart by that, in rows."""


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Ratios, median and worst."""
    untuned = [method for method in arrays["methods"].tolist() if method not in TUNED]
    methods, groups = [*untuned, *TUNED], arrays["groups"]
    figure, axis = plt.subplots(figsize=(WIDTH, 1.0 + 0.34 * len(methods)))
    for row, method in enumerate(methods):
        ratios = np.nan_to_num(arrays[f"train/{method}"], nan=np.inf)
        ours = method in ("TuningFreeAdamW", "K", "lazy, delayed")
        color = OURS if ours else HINDSIGHT if method in TUNED else THEIRS
        places = np.clip(ratios, LEAST, LARGEST)
        offsets = stack(np.log10(places))
        for kind, members in KINDS.items():
            chosen = np.isin(groups, members)
            axis.plot(places[chosen], row + offsets[chosen], linestyle="none", color=color, **LOOKS[kind])
        sum_up(axis, row, ratios[np.isin(groups, KINDS["T1 to T3"])])
    axis.axvline(1, color="#b0b0b0", linewidth=0.7, zorder=0)
    axis.axhline(len(untuned) - 0.5, color="#b0b0b0", linewidth=0.7, linestyle=":")
    ticks = (0.3, 1, 3, 10, 100, 1000)
    axis.set(xscale="log", xlim=(LEAST * 0.93, LARGEST * 1.2), xlabel="training loss over that of the best cosine")
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_yticks(range(len(methods)), [NAMES.get(method, method) for method in methods])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(len(methods) - 0.5, -0.5)
    note(axis, -0.75, COLUMNS.values())
    handles = [Line2D([], [], color="#404040", linestyle="none", label=kind, **LOOKS[kind]) for kind in KINDS]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, handletextpad=0.2)
    return figure


COLUMNS = {34: "median", 66: "worst"}
"""The numbers beside a row, by where they end, in points from the axis."""


def sum_up(axis: Axes, row: int, ratios: NDArray[np.float64]) -> None:
    """The bar at the median, and both numbers at the end of the row."""
    middle, worst = float(np.median(ratios)), float(ratios.max())
    axis.plot([np.clip(middle, LEAST, LARGEST)] * 2, [row - 0.44, row + 0.44], color="#202020", linewidth=1.0)
    note(axis, row, map(write, (middle, worst)))


def note(axis: Axes, row: float, texts: Iterable[str]) -> None:
    """Write in the columns right of the axis."""
    for place, text in zip(COLUMNS, texts, strict=True):
        axis.annotate(
            text, (1, row), xycoords=axis.get_yaxis_transform(), xytext=(place, 0), textcoords="offset points",
            ha="right", va="center", fontsize=7, annotation_clip=False,
        )  # fmt: skip


def write(ratio: float) -> str:
    """Two decimals, or whole numbers from 10 on.

    >>> write(0.9951), write(27172.9)
    ('1.00', '27173')
    """
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


def stack(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Offsets that move marks apart: the middle one of a heap stays on the row.

    >>> stack(np.array([0.0, 0.01, 2.0, 0.02])).tolist()
    [-0.085, 0.0, 0.0, 0.085]
    """
    offsets, order = np.zeros(places.size), np.argsort(places, kind="stable")
    heaps = np.split(order, np.flatnonzero(np.diff(places[order]) > NEAR) + 1)
    for heap in heaps:
        height = min(STEP, 0.8 / heap.size)
        offsets[heap] = height * (np.arange(heap.size) - (heap.size - 1) / 2)
    return offsets
