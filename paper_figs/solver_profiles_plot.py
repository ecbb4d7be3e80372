"""Performance profiles above, without and with the runs of the tuning; counts of solved problems below."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import LOOKS, METHODS, WIDTH

TITLE = "Who solves how many problems"
ALT = (
    "Two panels of rising step curves over a bar chart. BFGS solves the largest share. HDM-Best solves about as many "
    "problems as L-BFGS with memory 10, or more; when every run of its tuning counts, its curve begins far to the "
    "right."
)
CAPTION = (
    "Performance profiles (Dolan and More 2002) over all problems of both tasks: the share that a solver solves, in "
    "the authors' sense, within so many times the fewest gradients that any solver needs. Left by the gradients of "
    "the winning run, as the authors count, right by those of every run of the grid that it was chosen from. "
    "HDM-Best, fixed, is one setting for all problems, hyper_lr = 10/L and hyper_lr_beta = 10. By default the "
    "problems are breast_cancer, digits as even against odd, each digit against the next, and LIBSVM's a1a, a2a and "
    "a3a; with FULL=1 they are all sets of LIBSVM that are there, read as the authors read them: raw labels, so that "
    "those with 0 and 1 or 1 and 2 are solved by the bias alone."
)

KINDS = {"nG": "By the winning run", "all": "By all runs of the grid"}
TASKS = {"svm": ("SVM", "#4d4d4d"), "logistic": ("logistic", "#bdbdbd")}


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Two profiles and the counts."""
    figure = plt.figure(figsize=(WIDTH, 7.6))
    axes = figure.subplot_mosaic([["nG", "all"], ["counts", "counts"]], height_ratios=(4, 6))
    for kind, title in KINDS.items():
        for solver in facts["solvers"]:
            look = METHODS[LOOKS.get(solver, solver)]
            best = solver == "HDM-Best"
            axes[kind].step(
                arrays["factors"], arrays[f"{kind}/{solver}"], where="post", **look, label=solver,
                linewidth=2.0 if best else 1.1, zorder=3 if best else 2,
            )  # fmt: skip
        axes[kind].set(
            xscale="log",
            xlim=(1, 1024),
            ylim=(0, 1.02),
            xticks=(1, 10, 100, 1000),
            xticklabels=("1", "10", "100", "1000"),
        )
        axes[kind].minorticks_off()
        axes[kind].set(title=title, xlabel="gradients / fewest")
    axes["nG"].set_ylabel("share of problems solved")
    places = np.arange(len(facts["solvers"]))[::-1]
    for number, (name, color) in enumerate(TASKS.values()):
        counts = [arrays[f"solved/{solver}"][number] for solver in facts["solvers"]]
        bars = axes["counts"].barh(places + 0.2 - 0.4 * number, counts, 0.38, color=color, label=name)
        axes["counts"].bar_label(bars, fontsize=7, padding=2)
    axes["counts"].set(xlabel=f"solved of {facts['data sets']}", xlim=(0, 1.08 * facts["data sets"]))
    axes["counts"].set_yticks(places, facts["solvers"])
    axes["counts"].tick_params(axis="y", length=0)
    axes["counts"].legend(loc="upper right")
    figure.legend(*axes["nG"].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
