"""Logistic regression by SGD, SGDN and Adam and by their HD: rates, losses, and the authors' logs beside them."""

from paper_figs.baydin import choose, collect
from paper_figs.cells import Runner
from paper_figs.store import Result


def compute(runner: Runner) -> Result:
    """Ten epochs on MNIST, forty on the digits, which are a fortieth of it."""
    return collect(runner, "logreg", "logreg", 10 if choose(runner) == "mnist" else 40)
