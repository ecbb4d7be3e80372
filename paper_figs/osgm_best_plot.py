"""One panel per problem: the gap over the first one by evaluations, a disc where the stopping test is met."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.osgm_best_data import FLOOR, LAST, METHODS
from paper_figs.style import METHODS as LOOKS
from paper_figs.style import WIDTH

TITLE = "OSGM-Best beside its rivals"
ALT = (
    "Falling curves of the gap by evaluations, two panels for each data set. BFGS comes down first in every panel; "
    "the curves of OSGM-Best, HDM-Best and L-BFGS cross each other."
)
CAPTION = (
    "The smoothed SVM and logistic regression of the authors' code on LIBSVM's a1a, a2a and a3a, unregularised, from "
    "the published start. Gap over that at the start by evaluations of f and its gradient, least so far; discs mark "
    "where every entry of the gradient is below 1e-4. OSGM-Best and the quasi-Newton methods run once, as they are; "
    "HDM-Best is the best of its grid of 20 runs (the first if none ends), whose quartiles are the band and whose "
    "cost is in the table. L-BFGS keeps 10 pairs. f* is the least value found, by Newton's method or by any run."
)


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Two panels a data set."""
    titles, evaluations = facts["problems"], arrays["evaluations"]
    rows = len(titles) // 2
    figure, axes = plt.subplots(rows, 2, figsize=(WIDTH, 0.9 + 2.0 * rows), sharex=True, sharey=True, squeeze=False)
    for panel, title in zip(axes.flat, titles, strict=True):
        for method in METHODS:
            look = LOOKS[method]
            ran = np.maximum(arrays[f"{title}/{method}/setting"], FLOOR / 10)
            end, gap = arrays[f"{title}/{method}/end"]
            before = evaluations < (LAST + 1 if np.isnan(end) else end)
            x, y = np.append(evaluations[before], end), np.append(ran[before], max(gap, FLOOR / 10))
            panel.plot(x, y, **look, label=method)
            panel.plot(end, max(gap, FLOOR), "o", markersize=4, color=look["color"], clip_on=end > LAST, zorder=3)
            low, high = np.maximum(arrays[f"{title}/{method}/grid"], FLOOR / 10)
            if (low < high).any():
                panel.fill_between(evaluations, low, high, color=look["color"], alpha=0.15, linewidth=0)
        panel.set(
            xlim=(0, LAST),
            ylim=(FLOOR, 2),
            yscale="log",
            yticks=(1e-9, 1e-6, 1e-3, 1),
            title=title,
            xticks=(0, 500, 1000),
        )
    for panel in axes[-1]:
        panel.set_xlabel("evaluations")
    for panel in axes[:, 0]:
        panel.set_ylabel("gap / first gap")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
