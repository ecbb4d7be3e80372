"""A panel a data set: the gap by index, crossings of 1e-6 as marks."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs import gaps
from paper_figs.osgm_svm_data import LAST, LEVEL, METHODS


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """One below the other."""
    names = facts["sets"].split(", ")
    figure, axes = plt.subplots(len(names), 1, figsize=(4.6, 0.9 + 2.1 * len(names)), squeeze=False, sharex=True)
    for panel, name in zip(axes[:, 0], names, strict=True):
        panel.axhline(-6, color="0.8", linewidth=0.6, zorder=0)
        for method in METHODS:
            keys = ("index", "log", "reached")
            gaps.draw(panel, method, {key: arrays[f"{name}/{method}/{key}"] for key in keys}, LEVEL)
        panel.set(xlim=(1, LAST), ylim=(-12, 4), yticks=(-10, -5, 0), title=name, ylabel=r"$\log_{10}(f - f^*)$")
    axes[-1, 0].set_xlabel("index of the curve")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure
