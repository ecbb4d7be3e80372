"""The experiments of Baydin et al. 2018 in cells, by names: MNIST as the authors ran it, or scikit-learn's digits."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypergrad_papers.baydin2018.mnist_runs import BATCH, Columns, methods, run
from hypergrad_problems import data
from hypergrad_problems.data import Mnist

PAPER = "baydin2018"
NAMES = {"sgd": "SGD", "sgd_hd": "SGD-HD", "sgdn": "SGDN", "sgdn_hd": "SGDN-HD", "adam": "Adam", "adam_hd": "Adam-HD"}
"""The paper's names of its methods; SGDN is SGD with Nesterov momentum."""
HYPER_LR = {"sgd": 0.0, "sgd_hd": 1e-3, "sgdn": 0.0, "sgdn_hd": 1e-3, "adam": 0.0, "adam_hd": 1e-7}
"""The six published methods, and beta of each on MNIST."""
RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Figure 4's initial rates, and its values of beta, both."""
THRESHOLD = 0.29
"""The loss of a minibatch that ends a run of Figure 4."""
CAP = 5000
"""Steps after which a run of the grid is given up; the paper goes on to 468,750."""
SEEDS = (1, 123, 0)
"""For the paper's figures, whose own seed is unknown."""
TRAIN_DIGITS = 1500
"""So many of the 1797 digits are trained on, in the order of the set; the rest are for validation."""


@cache
def load_images(dataset: str) -> Mnist:
    """MNIST ("mnist"), or scikit-learn's 1797 images of 8 x 8 ("digits") with pixels from 0 to 255 as there."""
    if dataset == "mnist":
        return data.mnist()
    digits = data.load("digits")
    images = np.rint(255 * digits.features).astype(np.uint8).reshape(-1, 8, 8)
    labels = digits.labels.astype(np.uint8)
    return Mnist(images[:TRAIN_DIGITS], labels[:TRAIN_DIGITS], images[TRAIN_DIGITS:], labels[TRAIN_DIGITS:])


def settings(method: str, **others: Any) -> dict[str, Any]:
    """Inputs of `train`: those of the published logistic regressions, except for the others given."""
    return {
        "dataset": "mnist", "model": "logreg", "method": method, "hyper_lr": HYPER_LR.get(method, 0.0), "epochs": 10,
        "lr": 1e-3, "seed": 1, "dtype": "float32", "max_steps": math.inf,
    } | others  # fmt: skip


def train(
    dataset: str,
    model: str,
    method: str,
    hyper_lr: float,
    epochs: int,
    lr: float,
    seed: int,
    dtype: str,
    max_steps: float,
) -> Columns:
    """A cell: the log of one run; dataset as in `load_images`, the rest as in `mnist_runs.methods` and `run`."""
    return run(load_images(dataset), model, methods(hyper_lr)[method], epochs, lr, seed, dtype, max_steps)


def grid_row(method: str, lr: float, seed: int, **others: Any) -> dict[str, Any]:
    """Inputs of `count_steps`: a row of Figure 4, except for the others given; a baseline has one entry for every beta.

    The figure's Adam has a rate of lr / sqrt(t), its Adam-HD starts from lr.
    """
    return {
        "dataset": "mnist", "method": "adam_inverse_sqrt" if method == "adam" else method, "lr": lr,
        "hyper_lrs": RATES if method.endswith("_hd") else (0.0,), "seed": seed, "threshold": THRESHOLD, "cap": CAP,
    } | others  # fmt: skip


def count_steps(
    dataset: str, method: str, lr: float, hyper_lrs: Sequence[float], seed: int, threshold: float, cap: int
) -> NDArray[np.float64]:
    """A cell: number of the first minibatch, from 1, with a loss <= threshold, for each beta; inf beyond cap.

    Logistic regression. The loss is that before the minibatch's step, as in the authors' program.
    """
    digits = load_images(dataset)
    epochs = math.ceil((cap + 1) / math.ceil(len(digits.train_images) / BATCH))
    counts = []
    for hyper_lr in hyper_lrs:
        # a run that diverges never comes down to the threshold
        with np.errstate(over="ignore", invalid="ignore"):
            log = run(digits, "logreg", methods(hyper_lr)[method], epochs, lr, seed, max_steps=cap, target=threshold)
        steps = len(log["loss"]) - 1
        counts.append(steps + 1 if steps < cap else math.inf)
    return np.array(counts)


def epoch_means(log: Columns, column: str) -> NDArray[np.float64]:
    """What is logged once an epoch; entry 0 is before training."""
    return log[column][~np.isnan(log[column])]
