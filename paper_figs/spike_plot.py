"""f above, the stepsize below; online gradient descent left, AdaGrad right."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.spike_data import ACTIONS, LEARNERS
from paper_figs.style import METHODS, WIDTH

TITLE = "The spike of hypergradient descent, and its cures"
ALT = (
    "Two columns, online gradient descent and AdaGrad. Without a cure f rises by orders of magnitude in the middle of "
    "the run while the stepsize climbs far past 2/L; with a null step, a lookahead or a clipped stepsize f never "
    "exceeds its first value."
)
CAPTION = (
    "HDM with one stepsize for both variables of f = (x_1^2 + 0.01 x_2^2)/2 from (1, 1), L = 1, P_0 = 0. While the "
    "iterate lies in the flat direction the stepsize climbs towards 1/mu = 100, past 2/L (grey line below), until the "
    "steep one, multiplied at each step, takes over. AdaGrad alone makes the spike larger. A null step refuses a step "
    "that raises f, a lookahead adds a gradient step, clipping keeps P in [0, 2/L]. The toy of Chu et al. 2025 is not "
    "known; this one is ours."
)

TITLES = {"OGD": "Online gradient descent", "AdaGrad": "AdaGrad"}
LIMITS = {"OGD": (1e-10, 1e4), "AdaGrad": (1e-10, 1e23)}
FLOOR = 1e-30
"""A value below every axis, drawn for 0, which has no logarithm."""


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Two columns, one a learner."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 4.6), sharex=True, height_ratios=(3, 2))
    for (above, below), learner in zip(axes.T, LEARNERS, strict=True):
        for action in ACTIONS:
            look = METHODS["HDM" + action]
            label = action.removeprefix(", ") or "vanilla"
            above.plot(np.maximum(arrays[f"{learner}{action}/f"], FLOOR), **look, label=label)
            below.plot(arrays[f"{learner}{action}/P"], **look)
        above.axhline(1, color="#999999", linewidth=0.6, zorder=0)
        below.axhline(2, color="#999999", linewidth=0.6, zorder=0)
        above.set(yscale="log", ylim=LIMITS[learner], title=TITLES[learner])
        below.set(yscale="symlog", ylim=(0, 30), yticks=(0, 1, 2, 10), yticklabels=("0", "1", "2/L", "10"), xlabel="k")
        above.margins(x=0)
    axes[0, 0].set_ylabel(r"$f(x_k)\,/\,f(x_0)$")
    axes[1, 0].set_ylabel("stepsize $P_k$")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
