"""Three panels of rates by step, one a base method."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from hypergrad_papers.baydin2018.runs import NAMES
from paper_figs.baydin_panels import MARKS
from paper_figs.style import METHODS, WIDTH

TITLE = "The multiplicative rule, and a start from 0"
ALT = (
    "Three panels of learning rates by step. The additive rule leaves 0 at the second step and meets the runs from "
    "higher rates within some tens of steps; the multiplicative rule stays at 0 forever, climbs slowly from a low "
    "rate, and comes down from a high one where the additive rule hardly moves."
)
CAPTION = (
    "Logistic regression from three initial rates by the additive rule (HD, beta = 1e-4) and by the multiplicative "
    "one (HDM, beta' = 0.02): alpha (1 + beta' cos(g, d)) cannot leave 0 and moves by 2 % a step at most, whatever "
    "the scale of the loss. Linear below 1e-5. On MNIST circles are mean rates of epochs, read off Figure 2 of the "
    "paper, whose weights and minibatches are not known."
)

LOWEST = 1e-5
"""Rates below are drawn on a linear scale, down to 0."""


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Lines are ours, circles the paper's."""
    figure, axes = plt.subplots(3, 1, figsize=(WIDTH, 7.4), sharex=True)
    for panel, base in zip(axes, ("sgd", "sgdn", "adam"), strict=True):
        for rule in ("hd", "hdm"):
            name = f"{NAMES[base]}-{rule.upper()}"
            curves = {key: curve for key, curve in arrays.items() if f"{base}_{rule}/" in key}
            for key, (x, y) in curves.items():
                if key.startswith("published"):
                    panel.plot(x, y, **MARKS, color=METHODS[name]["color"])
                else:
                    panel.plot(x, y, **METHODS[name])
            panel.plot([], [], **METHODS[name], label=name)
        panel.set_yscale("symlog", linthresh=LOWEST, linscale=0.5)
        panel.axhline(0, color="0.8", linewidth=0.6, zorder=0)
        panel.set(xscale="log", ylabel="learning rate")
        panel.legend(loc=(0.68, 0.15))
    axes[-1].set_xlabel("step")
    if any(key.startswith("published") for key in arrays):
        marks = [Line2D([], [], **MARKS, color="0.3")]
        figure.legend(marks, ["Figure 2 of the paper, mean of an epoch"], loc="outside lower center")
    return figure
