"""One row of panels per task: loss, rate, and the distance of the rates beside what is proven of it."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import METHODS, WIDTH
from paper_figs.sweeps import FLOOR

TITLE = "Learning a step later"
ALT = (
    "Three rows of three panels over 300 steps: loss, rate, distance of the rates. The delayed curves of the additive "
    "rule and of Auto follow the exact ones. Those of the logarithmic rule part from them, and on the network its "
    "delayed rate jumps to 100 and the loss stays high. Every distance lies below its bound, on many steps just below."
)
CAPTION = (
    "The exact rules (full lines) and their forms with delay=1 (dotted), in which h moves the rate of the next step, "
    "from a rate of 1e-3, full batch. Right: the distance of the two rates, of their logarithms for the logarithmic "
    "rule (full), and the bound that hypergrad_reference.delay_bounds proves from what both runs show (dashed). "
    "hyper_lr is 1e-3, on the logarithmic scale 0.1, and all else a default but the bounds of the rate, 1e-7 and 100; "
    "float32, no weight decay. A move that is too large is followed by one more step before it is corrected: on the "
    "network the logarithmic rule, at this hyper_lr, does not recover from that. The tables count the distances."
)

TITLES = {"logistic": "Logistic", "softmax": "Softmax", "mlp": "Network"}
SHOWN = ("HypergradientAdamW", "HypergradientAdamW, log", "Auto, gradient")


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Every rule in its colour."""
    figure, axes = plt.subplots(len(TITLES), 3, figsize=(WIDTH, 5.4), sharex=True, squeeze=False)
    for row, (task, title) in zip(axes, TITLES.items(), strict=True):
        for name in SHOWN:
            color, run = METHODS[name]["color"], f"{task}/{name}"
            steps = np.arange(1, len(arrays[f"{run}/lr"]) + 1)
            for kind, line, label in (("", "-", name), ("delayed_", ":", None)):
                gap = np.maximum(arrays[f"{run}/{kind}loss"] - arrays[f"{task}/least"], FLOOR)
                row[0].plot(steps, gap, color=color, linestyle=line, label=label)
                row[1].plot(steps, arrays[f"{run}/{kind}lr"], color=color, linestyle=line)
            row[2].plot(steps, arrays[f"{run}/distance"], color=color, linewidth=1)
            row[2].plot(steps, arrays[f"{run}/bound"], color=color, linewidth=0.8, linestyle="--")
        row[0].set_ylabel(title)
        for axis in row:
            axis.set(yscale="log", xticks=(1, 150, 300))
            axis.tick_params(labelsize=6)
        row[2].set_ylim(1e-6, 100)
    for axis, title in zip(axes[0], ("loss above least", "rate", "distance, bound"), strict=True):
        axis.set_title(title, fontsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("step")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
