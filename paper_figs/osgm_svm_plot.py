"""One panel per data set: the gap by index, crossings of 1e-6 as marks."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs import gaps
from paper_figs.osgm_svm_data import LAST, LEVEL, METHODS
from paper_figs.style import WIDTH

TITLE = "OSGM on a support vector machine"
ALT = (
    "Falling curves of the gap over 999 iterations, a panel for each data set. OSGM-R and OSGM-H are far ahead of "
    "gradient descent, AdaGrad and the accelerated method for convex functions."
)
CAPTION = (
    "The squared hinge loss as a sum, regularised by lambda = 5 m / n, the scale of Gao et al. 2025 (COLT), figure 3; "
    "methods that learn have their best rate of seven decades. Discs mark where 1e-6 is reached, triangles where the "
    "published curve gets there, on the sets that the paper has (a4a with FULL=1). There the curves without learning "
    "are met, while those of OSGM are not at any rate: published they are as fast as SAGD, ours are slower than SAGD, "
    "and before all others."
)


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """One below the other."""
    names = facts["sets"].split(", ")
    figure, axes = plt.subplots(len(names), 1, figsize=(WIDTH, 0.9 + 2.1 * len(names)), squeeze=False, sharex=True)
    for panel, name in zip(axes[:, 0], names, strict=True):
        panel.axhline(-6, color="0.8", linewidth=0.6, zorder=0)
        for method in METHODS:
            keys = ("index", "log", "reached")
            gaps.draw(panel, method, {key: arrays[f"{name}/{method}/{key}"] for key in keys}, LEVEL)
        panel.set(xlim=(1, LAST), ylim=(-12, 4), yticks=(-10, -5, 0), title=name, ylabel=r"$\log_{10}(f - f^*)$")
    axes[-1, 0].set_xlabel("index of the curve")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
