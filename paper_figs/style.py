"""One look for every figure: a method has the same colour and the same line everywhere."""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

# Okabe and Ito's palette, which colour-blind readers distinguish; the dash is the second cue.
METHODS: dict[str, dict[str, Any]] = {
    "AdamW": {"color": "#7f7f7f", "linestyle": "-"},
    "HypergradientAdamW": {"color": "#0072b2", "linestyle": "-"},
    "AutoHypergradientAdamW": {"color": "#d55e00", "linestyle": (0, (5, 1.5))},
    "HypergradientAdamW, log": {"color": "#56b4e9", "linestyle": "-.", "marker": "v"},
    "Auto": {"color": "#d55e00", "linestyle": (0, (5, 1.5))},
    "Auto, gain 10": {"color": "#6b3e00", "linestyle": ":"},
    "Auto, held gain 10": {"color": "#009e73", "linestyle": (0, (3, 1, 1, 1))},
    "Auto, as advised": {"color": "#cc79a7", "linestyle": "-."},
    "Auto, gradient": {"color": "#d55e00", "linestyle": (0, (5, 1.5)), "marker": "s"},
    "Auto, direction": {"color": "#cc79a7", "linestyle": (0, (3, 1, 1, 1)), "marker": "D"},
    "Auto, cosine": {"color": "#009e73", "linestyle": ":", "marker": "^"},
    "SGD": {"color": "#000000", "linestyle": ":"},
    "SGDN": {"color": "#7f7f7f", "linestyle": (0, (3, 1, 1, 1))},
    "Adam": {"color": "#7f7f7f", "linestyle": "-"},
    "SGD-HD": {"color": "#0072b2", "linestyle": "-"},
    "SGDN-HD": {"color": "#d55e00", "linestyle": (0, (5, 1.5))},
    "Adam-HD": {"color": "#009e73", "linestyle": "-."},
    "SGD-HDM": {"color": "#56b4e9", "linestyle": (0, (1, 1))},
    "SGDN-HDM": {"color": "#e69f00", "linestyle": (0, (1, 1))},
    "Adam-HDM": {"color": "#cc79a7", "linestyle": (0, (1, 1))},
    "HDM": {"color": "#0072b2", "linestyle": "-"},
    "HDM, null step": {"color": "#d55e00", "linestyle": (0, (5, 1.5))},
    "HDM, lookahead": {"color": "#009e73", "linestyle": "-."},
    "HDM, clipped": {"color": "#cc79a7", "linestyle": ":"},
    "OSGM-R, lookahead": {"color": "#a06a00", "linestyle": "-."},
    "GD": {"color": "#000000", "linestyle": ":"},
    "AGD": {"color": "#4d4d4d", "linestyle": (0, (3, 1, 1, 1))},
    "SAGD": {"color": "#000000", "linestyle": "-"},
    "BFGS": {"color": "#000000", "linestyle": (0, (6, 2))},
    "L-BFGS": {"color": "#999999", "linestyle": (0, (2, 1))},
    "GD-HB": {"color": "#000000", "linestyle": (0, (1, 3))},
    "L-BFGS-M1": {"color": "#cfcfcf", "linestyle": "-"},
    "L-BFGS-M3": {"color": "#c0c0c0", "linestyle": (0, (5, 1.5))},
    "L-BFGS-M5": {"color": "#adadad", "linestyle": (0, (3, 1, 1, 1))},
    "HDM-Best, fixed": {"color": "#56b4e9", "linestyle": (0, (5, 1.5))},
    "HDM-Best, median": {"color": "#0072b2", "linestyle": ":"},
    "AdaGrad": {"color": "#cc79a7", "linestyle": "-."},
    "OptDiag": {"color": "#009e73", "linestyle": (0, (5, 1.5))},
    "OSGM-G": {"color": "#56b4e9", "linestyle": ":"},
    "OSGM-R": {"color": "#e69f00", "linestyle": "-"},
    "OSGM-H": {"color": "#332288", "linestyle": "-"},
    "OSGM-Best": {"color": "#aa3377", "linestyle": "-"},
    "HDM-Best": {"color": "#009e73", "linestyle": "-"},
}

LOOKS = {"AGD-CVX": "AGD", "AGD-SCVX": "SAGD", "L-BFGS-M10": "L-BFGS"}
"""Where the solver table has another name for a method: that of its look."""

WIDTH = 4.2
"""Inches across every figure: on the narrowest screen, 358 pixels of page, text of 8 points is 9.5 pixels high."""
LABEL = "#404040"
"""The colour of names at curves: the colours of some curves are too light for small text."""
SETTINGS = {
    "figure.constrained_layout.use": True,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "legend.frameon": False,
    "svg.fonttype": "path",
    "svg.hashsalt": "hypergrad",
}


def apply() -> None:
    """Use the settings from now on, without a screen."""
    mpl.use("agg")
    mpl.rcParams.update(SETTINGS)


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str]], gap: float = 8.0) -> None:
    """Write curves' names at their ends, right of the axes, moved apart where they would overlap.

    ends    (x, y, name) of each curve, in data units; call after the limits are final; a curve that ends below the
            axes is named at their lower edge
    gap     least distance between two names, in points
    """
    axes.figure.canvas.draw()
    per_point = axes.figure.dpi / 72
    ends = [(x, max(y, axes.get_ylim()[0]), name) for x, y, name in ends]
    heights = [axes.transData.transform((x, y))[1] / per_point for x, y, _ in ends]
    placed = -math.inf
    for index in sorted(range(len(ends)), key=heights.__getitem__):
        x, y, name = ends[index]
        placed = max(heights[index], placed + gap)
        axes.annotate(
            name, (x, y), xytext=(3, placed - heights[index]), textcoords="offset points",
            color=LABEL, va="center", fontsize=7, annotation_clip=False,
        )  # fmt: skip
