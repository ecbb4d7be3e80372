"""What happens where neurons fall silent, and what surprise does around the transitions of an undisturbed run."""

from collections.abc import Mapping
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from paper_figs.style import METHODS, WIDTH

TITLE = "Spiking neurons that fall silent"
ALT = (
    "Six panels. At the step from which images are dark most neurons fall silent and wake again within tens of steps, "
    "those of the advised settings last; the norm of the gradient rises at once but under the advised settings, where "
    "it falls; rates rise or stay at their bound; the gain falls. In the last panel surprise wanders about zero "
    "around three kinds of transition."
)
CAPTION = (
    "Digits, a network of 64 leaky integrate-and-fire neurons, trained by a surrogate gradient. The author of "
    "AutoHypergradientAdamW (Auto) states that when neurons fall silent, gradients vanish and the rate is raised, and "
    "that the gain of surprise, on the input, helps to wake them (Grillcheese-AI/grilly, "
    "docs/auto_hypergradient_snn.md). Here every image has 2 % of its light from one step on; thin lines are twins "
    "that keep it; medians over eight seeds. As advised: the author's settings for such neurons, with which the rate "
    "is at its bound. Gain 10: the input is x (1 + 10 gain), held: with a constant gain. Bottom right: surprise S "
    "above its running mean around transitions in 16 undisturbed runs at a fixed rate of 1e-3. The tables test each "
    "statement."
)

SHOWN = ("AdamW", "Auto", "Auto, as advised", "Auto, gain 10", "Auto, held gain 10")
PANELS = {
    "silent": ("silent neurons", {"ylim": (-0.03, 1.03)}),
    "grad_norm": ("norm of the gradient", {"yscale": "log", "ylim": (3e-2, 2.0)}),
    "lr": ("learning rate", {"yscale": "log", "ylim": (1e-3, 1e-1)}),
    "gain": ("gain", {}),
    "loss": ("loss", {"yscale": "log", "ylim": (1e-2, 4.0)}),
}
"""By field: the label and the settings of its axes."""
WINDOW = slice(-25, 100)
"""Steps from the shift that are shown."""
LOOKS = {
    "steepest drop of the loss": {"color": "#000000", "linestyle": "-"},
    "steepest rise of the accuracy": {"color": "#0072b2", "linestyle": (0, (5, 1.5))},
    "largest change of the firing rate": {"color": "#d55e00", "linestyle": ":"},
}


def draw(arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Figure:
    """Medians over the seeds; thin lines are the twins that keep their light."""
    figure, axes = plt.subplots(3, 2, figsize=(WIDTH, 6.8))
    shift = facts["images are darker from step"]
    steps = np.arange(WINDOW.start, WINDOW.stop)
    for axis, (field, (label, settings)) in zip(axes.flat, PANELS.items(), strict=False):
        for method in SHOWN:
            twin = arrays.get(f"{method}/twin/{field}")
            if twin is not None:
                axis.plot(steps, twin[shift + steps], **METHODS[method] | {"linewidth": 0.6, "linestyle": "-"})
            axis.plot(steps, arrays[f"{method}/forced/{field}"][shift + steps], **METHODS[method], label=method)
        axis.axvline(0, color="#b0b0b0", linewidth=0.7, zorder=0)
        axis.set(ylabel=label, xlabel="step from the shift", **settings)
        axis.margins(x=0)
    last = axes[2, 1]
    for name, look in LOOKS.items():
        signal = arrays[f"around/{name}"]
        offsets = np.arange(signal.size) - signal.size // 2
        last.plot(offsets, signal, **look, linewidth=1.0, label=name)
    last.axvline(0, color="#b0b0b0", linewidth=0.7, zorder=0)
    last.axhline(0, color="#b0b0b0", linewidth=0.7, zorder=0)
    last.set(ylabel="S $-$ S_bar", xlabel="step from the transition")
    last.margins(x=0)
    above, below = axes[0, 0].get_legend_handles_labels(), last.get_legend_handles_labels()
    figure.legend(above[0] + below[0], above[1] + below[1], loc="outside lower center", ncols=2)
    return figure
