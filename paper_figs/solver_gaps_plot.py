"""Gap and gradient norm of every solver by iteration, SVM left, logistic regression right."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from hypergrad_papers.hdm2025.solver_table import GTOL, SOLVERS
from paper_figs.style import LOOKS, METHODS, WIDTH

TITLE = "HDM-Best among the solvers"
ALT = (
    "Falling curves by iteration, two rows of panels for each data set: gap and gradient norm. The gradient of BFGS "
    "comes down first, then that of HDM-Best, close to L-BFGS with memory 10 on SVM and well before it on logistic "
    "regression; gradient descent, its accelerated kin and AdaGrad stay far above."
)
CAPTION = (
    "Smoothed SVM and logistic regression on LIBSVM's a1a, a2a and a3a, unregularised, in the layout of Chu et al. "
    "2025: the gap to the least value of any solver less 1e-10, and the largest entry of the gradient, against the "
    "iteration; runs stop at 1e-4 (grey line) or after 1000 iterations. A solver that is tuned shows the best of its "
    "grid, 20 runs of HDM-Best, six of Adam and AdaGrad, four of GD-HB, and the first of it if none converges, as the "
    "authors choose. HDM-Best, fixed, has hyper_lr = 10/L and hyper_lr_beta = 10 on every problem; HDM-Best, median, "
    "is the median over the 20. An iteration of BFGS and L-BFGS may take several gradients. The tables are those that "
    "the authors print, with the counts of their README where it has any; nG of all runs is what the choice costs."
)

EXTRA = ("HDM-Best, fixed", "HDM-Best, median")
LOWEST = {"gap": 1e-10, "gnorm": 1e-5}
LABELS = {"gap": "function value gap", "gnorm": "gradient norm"}


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Two rows a data set."""
    titles = facts["problems"]
    figure, axes = plt.subplots(len(titles), 2, figsize=(WIDTH, 0.9 + 1.6 * len(titles)), sharex=True)
    for number, title in enumerate(titles):
        for row, kind in enumerate(LABELS):
            panel = axes[2 * (number // 2) + row, number % 2]
            highest = 0.0
            for solver in (*SOLVERS, *EXTRA):
                curve = arrays[f"{title}/{solver}/{kind}"]
                look = METHODS[LOOKS.get(solver, solver)]
                best = solver == "HDM-Best"
                panel.plot(
                    arrays["iterations"],
                    curve,
                    **look,
                    label=solver,
                    linewidth=1.8 if best else 1.0,
                    zorder=3 if best else 2,
                )
                highest = max(highest, curve[0])
            if kind == "gnorm":
                panel.axhline(GTOL, color="#999999", linewidth=0.6, zorder=0)
            panel.set(yscale="log", ylim=(LOWEST[kind], 1.5 * highest), xlim=(0, 999), xticks=(0, 500, 999))
            panel.set_title(title if kind == "gap" else "")
            if number % 2 == 0:
                panel.set_ylabel(LABELS[kind])
    for panel in axes[-1]:
        panel.set_xlabel("iteration")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
