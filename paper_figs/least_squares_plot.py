"""A panel a sigma: median over the draws, a band between the quartiles, published crossings as marks."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import METHODS

PUBLISHED = {
    "0.0001": {"OSGM-R": 1838, "OSGM-H": 1560},
    "0.001": {"OSGM-R": 1422, "OSGM-H": 1224},
    "0.01": {"OptDiag": 407, "OSGM-R": 343, "OSGM-H": 337, "SAGD": 901},
    "0.1": {
        "GD": 1289,
        "OptDiag": 37,
        "OSGM-R": 55,
        "OSGM-G": 378,
        "OSGM-H": 65,
        "SAGD": 140,
        "AGD": 697,
        "AdaGrad": 163,
    },
}
"""First index below 1e-10, read off the curves of figure 2 (one draw). Source: Gao et al. 2025 (COLT)."""


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Four panels."""
    figure, axes = plt.subplots(2, 2, figsize=(7.0, 5.6), sharex=True, sharey=True)
    for panel, (sigma, published) in zip(axes.flat, PUBLISHED.items(), strict=True):
        kappa = arrays[f"{sigma}/kappa"]
        panel.set_title(rf"$\sigma$ = {float(sigma):g},  $\kappa^*$ = {kappa.min():.3g} to {kappa.max():.3g}")
        for key, curve in arrays.items():
            name, method = key.split("/")
            if name != sigma or method == "kappa":
                continue
            look = METHODS[method]
            index = np.arange(1, curve.shape[1] + 1)
            panel.plot(index, curve[0], **look, label=method)
            panel.fill_between(index, curve[1], curve[2], color=look["color"], alpha=0.15, linewidth=0)
            if method in published:
                panel.plot(published[method], -10, marker="v", markersize=4, color=look["color"], clip_on=False)
        panel.axhline(-10, color="0.8", linewidth=0.6, zorder=0)
        panel.set(xlim=(1, 2000), ylim=(-16, 4), yticks=(-15, -10, -5, 0))
    for panel in axes[1]:
        panel.set_xlabel("index of the authors' curves")
    for panel in axes[:, 0]:
        panel.set_ylabel(r"$\log_{10}(f - f^*)$")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
