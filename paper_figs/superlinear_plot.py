"""Gaps with their bounds above, the ratios of successive gaps below."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import METHODS, WIDTH
from paper_figs.superlinear_data import RULES

TITLE = "Superlinear convergence beside its bound"
ALT = (
    "Three panels. The gaps of hypergradient and ratio feedback bend downwards on the logarithmic scale, below their "
    "bounds, with lookahead fastest, while gradient descent falls in a straight line; the ratios of successive gaps "
    "keep falling, that of gradient descent does not."
)
CAPTION = (
    "HDM (hypergradient) and OSGM-R (ratio) with a full stepsize from P_1 = I/L on a rotated quadratic in four "
    "variables, eigenvalues 1, 0.8, 0.6, 0.5: gaps after K steps (thick) and the bounds (c L^2 ||P_1 - 1/A||^2 / K)^K "
    "(thin, same dash), c = 4, with lookahead 1. Gradient descent (dotted) has the rate 1/L. The theorem for the "
    "ratio is that of Gao et al. 2025 (COLT), the other bounds are derived here; the constants of Chu et al. 2025 are "
    "not known."
)

LOOKS = dict(zip(RULES, ("HDM", "HDM, lookahead", "OSGM-R", "OSGM-R, lookahead"), strict=True))


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """A panel for each feedback, and one for both."""
    figure = plt.figure(figsize=(WIDTH, 4.8))
    axes = figure.subplot_mosaic([["hypergradient", "ratio"], ["ratios", "ratios"]], height_ratios=(3, 2))
    steps = np.arange(1, len(arrays["GD/gap"]) + 1)
    for feedback in ("hypergradient", "ratio"):
        panel = axes[feedback]
        panel.plot(steps, arrays["GD/gap"], **METHODS["GD"])
        for rule in (rule for rule in RULES if rule.startswith(feedback)):
            look = METHODS[LOOKS[rule]]
            panel.plot(steps, arrays[f"{rule}/gap"], **look)
            panel.plot(steps, arrays[f"{rule}/bound"], **look | {"linewidth": 0.7, "alpha": 0.7})
        panel.set(yscale="log", ylim=(1e-40, 1e3), xlim=(0, 40), yticks=(1, 1e-10, 1e-20, 1e-30, 1e-40))
        panel.set(title=f"Feedback: {feedback}", xlabel="K")
    for rule in RULES:
        gap = arrays[f"{rule}/gap"]
        axes["ratios"].plot(steps[1:], gap[1:] / gap[:-1], **METHODS[LOOKS[rule]], label=rule)
    plain = arrays["GD/gap"]
    axes["ratios"].plot(steps[1:], plain[1:] / plain[:-1], **METHODS["GD"], label="gradient descent")
    axes["ratios"].set(yscale="log", title="Each gap over the gap before it", xlabel="K", xlim=(0, 40), ylim=(1e-8, 2))
    axes["ratios"].plot([], [], color="#7f7f7f", linewidth=0.7, label="bounds, each in its line's dash")
    axes["hypergradient"].set_ylabel("gap / first gap")
    figure.legend(*axes["ratios"].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
