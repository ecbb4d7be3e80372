"""A panel per problem: the rate over the steps."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import WIDTH
from paper_figs.tuning_names import NAMES

TITLE = "The rates that TuningFreeAdamW finds"
ALT = (
    "Three panels, one per problem: the rate over the steps on logarithmic axes. From 1e-4, or 1e-5, it climbs by two "
    "to three decades within about a hundred steps, and falls again like one over the number of steps. A dashed curve, "
    "the best cosine schedule, lies near the top of the climb."
)
CAPTION = (
    "The learned rate over the steps, seed 0: it climbs while the averages lag behind, and anneals once the noise is "
    "what is left to average. Nothing in the rule knows the number of steps. Dashed, the best of the eleven cosine "
    "schedules, which needs it."
)

LOOKS = {
    "TuningFreeAdamW": {"color": "#d55e00", "linestyle": "-"},
    "K": {"color": "#0072b2", "linestyle": "-."},
    "lazy, delayed": {"color": "#009e73", "linestyle": ":"},
}


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Rates, and the best cosine."""
    problems = dict.fromkeys(key.split("/")[0] for key in arrays if "/" in key)
    figure, axes = plt.subplots(len(problems), 1, figsize=(WIDTH, 6.0), sharex=True, squeeze=False)
    for axis, problem, best in zip(axes.flat, problems, arrays["best"], strict=True):
        for method, look in LOOKS.items():
            rates = arrays[f"{problem}/{method}"]
            axis.plot(np.arange(1, rates.size + 1), rates, **look, label=NAMES.get(method, method), linewidth=1.1)
        steps = np.arange(rates.size)
        cosine = best * (1 + np.cos(np.pi * steps / rates.size)) / 2
        axis.plot(steps + 1, cosine, color="#7f7f7f", linestyle="--", linewidth=1.0, label="best cosine, tuned")
        axis.set(xscale="log", yscale="log", title=problem, ylabel="rate", ylim=(5e-6, 2))
    axes[-1, 0].set_xlabel("step")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
