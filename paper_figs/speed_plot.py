"""Updates above, inner products below; in each, the probe is the ceiling."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import METHODS, WIDTH

TITLE = "How near to the memory's speed"
ALT = (
    "Two panels of rates in GB/s over the number of elements. All curves rise by two decades from a thousand elements "
    "to hundreds of thousands, where the time of a launch no longer counts; the kernels keep near their probes, the "
    "steps below."
)
CAPTION = (
    "Memory moved per second by the OpenCL kernels and by whole steps, medians and quartiles, on the device and at "
    "the time named below: other machines, and other hours, differ. A probe reads and writes as many bytes in as many "
    "arrays and computes next to nothing; it is the ceiling of what follows the same pattern. A step of "
    "HypergradientAdamW reads its arrays once more, which is counted. What was timed was checked against the "
    "reference, bit for bit."
)

PANELS = {
    "Updates": {
        "update_traffic": ("probe, same traffic", {"color": "#000000", "linestyle": ":"}),
        "adamw": ("kernel adamw", {"color": "#56b4e9", "linestyle": "-.", "marker": "v"}),
        "AdamW": ("step of AdamW", METHODS["AdamW"] | {"marker": "o"}),
        "HypergradientAdamW": ("step of HypergradientAdamW", METHODS["HypergradientAdamW"] | {"marker": "s"}),
    },
    "Inner products": {
        "read_traffic": ("probe, reads only", {"color": "#000000", "linestyle": ":"}),
        "sums": ("kernel sums", {"color": "#009e73", "linestyle": "-", "marker": "^"}),
    },
}


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Medians and quartiles, or why there are none."""
    if not arrays:
        figure = plt.figure(figsize=(WIDTH, 1.0))
        figure.text(0.5, 0.5, facts["speed"], ha="center", va="center", wrap=True)
        return figure
    figure, axes = plt.subplots(2, 1, figsize=(WIDTH, 5.6), sharex=True, sharey=True)
    for axis, (title, curves) in zip(axes, PANELS.items(), strict=True):
        for name, (label, look) in curves.items():
            low, median, high = arrays[name].T
            axis.fill_between(arrays["sizes"], low, high, color=look["color"], alpha=0.2, linewidth=0)
            axis.plot(arrays["sizes"], median, **look, markersize=3.5, label=label)
        axis.set(title=title, ylabel="GB/s", yscale="log")
        axis.set_xscale("log", base=2)
        axis.legend(loc="lower right")
    axes[-1].set_xlabel("elements, float32")
    return figure
