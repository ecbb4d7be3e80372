"""One panel: median over the draws, a band between the quartiles, crossings of 1e-10 as marks."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs import gaps
from paper_figs.near_diagonal_data import LAST, LEVEL, METHODS
from paper_figs.style import WIDTH

TITLE = "OSGM on a near-diagonal quadratic"
ALT = (
    "One panel of falling curves. OSGM-R, OSGM-H and the optimal diagonal preconditioner fall together and first, "
    "then AdaGrad, OSGM-G and accelerated gradient descent; the accelerated method for convex functions and gradient "
    "descent are far behind."
)
CAPTION = (
    "Gao et al. 2025 (COLT), figure 1, on eight quadratics in 32 variables that are built to have its numbers, kappa "
    "= 67.54, kappa* = 4.69 and a first gap of 10^0.197; its generator is not given. Methods that learn have their "
    "best rate of seven decades in each draw. Lines are medians over the draws, bands lie between the quartiles; a "
    "disc is the median index that reaches 1e-10, a triangle that of the published curve."
)


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """One panel."""
    figure, panel = plt.subplots(figsize=(WIDTH, 3.6))
    panel.axhline(-10, color="0.8", linewidth=0.6, zorder=0)
    for method in METHODS:
        gaps.draw(panel, method, {key: arrays[f"{method}/{key}"] for key in ("index", "log", "reached")}, LEVEL)
    panel.set(xlim=(1, LAST), ylim=(-16, 3), yticks=(-15, -10, -5, 0))
    panel.set(xlabel="index of the curve", ylabel=r"$\log_{10}(f - f^*)$")
    figure.legend(*panel.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
