"""One panel per bound: the regret below, the bound above, the room between them shaded."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import METHODS, WIDTH, label_ends

TITLE = "Regret on trial"
ALT = "Four panels, each with a regret curve that stays below the dashed curve of its bound at every K."
CAPTION = (
    "Both sides of four regret bounds after K steps on a rotated quadratic in six variables, condition number 10. "
    "Online gradient descent with 1/(2 L) against I/L; a scalar stepsize in [0, 4/L] against the exact line search of "
    "each step; AdaGrad with 1/L; lookahead with 1/L, which counts what the lookahead gains and whose bound is a "
    "constant. The first three take null steps. A regret below 0 beats its target. The runs stop where the feedback, "
    "a difference of values, has lost half of its digits."
)

PANELS = {
    "static": ("Online gradient descent", "HDM"),
    "dynamic": ("Against a moving target", "HDM, clipped"),
    "AdaGrad": ("AdaGrad", "AdaGrad"),
    "lookahead": ("With lookahead", "HDM, lookahead"),
}


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Four panels."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 4.4))
    for panel, (bound, (title, look)) in zip(axes.flat, PANELS.items(), strict=True):
        left, right = arrays[f"{bound}/left"], arrays[f"{bound}/right"]
        steps = np.arange(1, len(left) + 1)
        color = METHODS[look]["color"]
        panel.fill_between(steps, left, right, color=color, alpha=0.12, linewidth=0)
        panel.plot(steps, left, color=color)
        panel.plot(steps, right, color=color, linestyle=(0, (4, 2)), linewidth=1)
        panel.axhline(0, color="#999999", linewidth=0.6, zorder=0)
        panel.set(title=title, xlim=(1, steps[-1]))
        label_ends(panel, [(steps[-1], left[-1], "regret"), (steps[-1], right[-1], "bound")])
    for panel in axes[1]:
        panel.set_xlabel("K")
    return figure
