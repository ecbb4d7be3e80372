"""One row of panels per task: loss at the end, and rate at the end, over the initial rate."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import METHODS, WIDTH
from paper_figs.sweeps import FLOOR, TITLES

TITLE = "From any initial rate"
ALT = (
    "Three rows of two panels over the initial rate, from 1e-6 to 10. AdamW's loss falls by decades towards one good "
    "rate and rises again; the adapted methods end far below it from every lower rate, and their rates at the end lie "
    "within three decades. From a rate of 10 hardly any comes back."
)
CAPTION = (
    "Loss, median of the last ten, and learning rate after 300 full-batch steps from eight initial rates. Auto is "
    "AutoHypergradientAdamW with what it divides its hypergradient by (gradient is the published rule). The hyper_lr "
    "of HypergradientAdamW is 1e-3, on the logarithmic scale 0.1, and all else a default but the bounds of the rate, "
    "1e-7 and 100. float32, no weight decay. The network's minimum is taken as 0; gaps below 1e-9 are drawn there. On "
    "the two convex tasks AdamW at its best rate is as good as any; from that rate, and from rates far too high, "
    "adapting the rate can cost. The tables count both."
)

SHOWN = ("AdamW", "HypergradientAdamW", "HypergradientAdamW, log", "Auto, gradient", "Auto, direction", "Auto, cosine")


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """The methods that keep beta1."""
    figure, axes = plt.subplots(len(TITLES), 2, figsize=(WIDTH, 6.6), sharex=True, squeeze=False)
    rates, methods = arrays["rates"], arrays["methods"].tolist()
    for (left, right), (task, title) in zip(axes, TITLES.items(), strict=True):
        for name in SHOWN:
            row = methods.index(name)
            look = METHODS[name] | {"markersize": 3.5}
            gap = np.maximum(arrays[f"{task}/loss"][row] - arrays[f"{task}/least"], FLOOR)
            left.plot(rates, gap, **look, label=name)
            right.plot(rates, arrays[f"{task}/lr"][row], **look)
        left.set(xscale="log", yscale="log", title=title)
        right.set(xscale="log", yscale="log", ylim=(5e-7, 60))
        right.set_yticks([1e-6, 1e-4, 1e-2, 1.0])
        right.set_xticks([1e-6, 1e-4, 1e-2, 1.0])
        left.set_ylabel("loss above its minimum")
        right.set_ylabel("rate at the end")
    for axis in axes[-1]:
        axis.set_xlabel("initial rate")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
