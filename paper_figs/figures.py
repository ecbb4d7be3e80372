"""Every figure, in the order of the report."""

from typing import NamedTuple


class Figure(NamedTuple):
    """NAME_data.py computes it, NAME_plot.py draws it."""

    name: str
    title: str
    alt: str  # for readers who do not see the picture
    caption: str  # stands alone


FIGURES = (
    Figure(
        "rates",
        "A rate that finds itself",
        "Two columns of curves: loss and learning rate over 400 steps on a quadratic and on logistic regression. Fixed "
        "rates that are too low hardly lower the loss; the adapted rates climb by three decades and reach the losses "
        "of good fixed rates.",
        "AdamW at five fixed rates (grey, the rate at each curve's end) against HypergradientAdamW (beta_hyper = 1e-3) "
        "and AutoHypergradientAdamW, both from a rate of 1e-4. Left: a rotated quadratic in 50 variables, condition "
        "number 100. Right: logistic regression on scikit-learn's breast_cancer, regularised by 1e-3. Full batch, "
        "float32, no weight decay.",
    ),
)
