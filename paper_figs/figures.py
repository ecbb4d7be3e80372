"""Every figure, in the order of the report."""

from importlib import import_module
from typing import NamedTuple

NAMES = (
    "rates",
    "baydin_logistic",
    "baydin_network",
    "baydin_grid",
    "baydin_multiplicative",
    "spike",
    "superlinear",
    "regret",
    "solver_gaps",
    "solver_profiles",
    "least_squares",
    "near_diagonal",
    "osgm_svm",
    "osgm_best",
    "sweep",
    "sweep_options",
    "delay",
    "surprise",
    "spiking",
    "numbers",
    "speed",
)


APART = ("tuning", "tuning_rates")
"""Those of `make arena`: they are computed where they are asked for by name."""


class Figure(NamedTuple):
    """NAME_data.py computes it, NAME_plot.py draws it and says what is seen."""

    name: str
    title: str
    alt: str  # for readers who do not see the picture
    caption: str  # stands alone


def read_figure(name: str) -> Figure:
    """The texts that stand beside the plot."""
    plot = import_module(f"paper_figs.{name}_plot")
    return Figure(name, plot.TITLE, plot.ALT, plot.CAPTION)


FIGURES = tuple(map(read_figure, NAMES))
ARENA = tuple(map(read_figure, APART))
