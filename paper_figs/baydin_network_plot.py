"""The panels of the logistic regressions, for the network."""

from paper_figs.baydin_logistic_plot import draw

__all__ = ["draw"]
