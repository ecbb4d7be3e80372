"""Loss above, learning rate below, over the steps."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import METHODS, WIDTH, label_ends

TITLE = "A rate that finds itself"
ALT = (
    "Two columns of curves: loss and learning rate over 400 steps on a quadratic and on logistic regression. Fixed "
    "rates that are too low hardly lower the loss; the adapted rates climb by two to four decades; the best fixed "
    "rate still ends lower, on logistic regression by far."
)
CAPTION = (
    "AdamW at five fixed rates (grey, the rate at each curve's end) against HypergradientAdamW (hyper_lr = 1e-3) "
    "and AutoHypergradientAdamW, both from a rate of 1e-4. Left: a rotated quadratic in 50 variables, condition "
    "number 100. Right: logistic regression on scikit-learn's breast_cancer, regularised by 1e-3. Full batch, "
    "float32, no weight decay. On logistic regression the fixed rate of 1 wins by far; it is the default lr_max of "
    "AutoHypergradientAdamW, which gets there late."
)

PANELS = {
    "quadratic": ("Quadratic, condition 100", (1e-17, 1e3)),
    "breast_cancer": ("Logistic, breast_cancer", (1e-8, 3e0)),
}
"""Title and limits of the loss: in float32 no run gets below the lower one."""


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Two columns of panels, one per problem."""
    figure, axes = plt.subplots(2, 2, figsize=(WIDTH, 3.8), sharex=True, height_ratios=(3, 2))
    for column, (problem, (title, limits)) in enumerate(PANELS.items()):
        above, below = axes[:, column]
        gaps, rates = [], []
        for key in arrays:
            name, method, lr, kind = key.split("/")
            if name != problem or kind != "gap":
                continue
            look, gap, rate = METHODS[method], arrays[key], arrays[key.removesuffix("gap") + "lr"]
            fixed = method == "AdamW"
            extra = {"linewidth": 0.8} if fixed else {"label": f"{method}, from {float(lr):g}", "zorder": 3}
            above.plot(gap, **look, **extra)
            below.plot(rate, **look, **extra)
            if fixed:
                gaps.append((len(gap) - 1, gap[-1], f"{float(lr):g}"))
                rates.append((len(rate) - 1, rate[-1], f"{float(lr):g}"))
        above.plot([], [], **METHODS["AdamW"], linewidth=0.8, label="AdamW, at its rate")
        above.set(yscale="log", title=title, ylim=limits)
        below.set(yscale="log", xlabel="step", ylim=(3e-5, 3))
        above.margins(x=0)
        label_ends(above, gaps)
        label_ends(below, rates)
    axes[0, 0].set_ylabel("loss above its minimum")
    axes[1, 0].set_ylabel("learning rate")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center")
    return figure
