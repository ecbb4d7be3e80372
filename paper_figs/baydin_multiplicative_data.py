"""The additive and the multiplicative rule from rates that are good, too low, and 0: logistic regression."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

from hypergrad_papers.baydin2018.runs import NAMES, settings, train
from hypergrad_problems import data
from paper_figs.baydin import average, choose, name_data
from paper_figs.cells import Runner
from paper_figs.store import Result

BETA = 1e-4
FACTOR = 0.02
"""beta and beta' of Figure 2."""
STARTS = {"sgd": (0.0, 1e-3, 1e-1), "sgdn": (0.0, 1e-3, 1e-1), "adam": (0.0, 1e-4, 1e-2)}
EPOCHS = {"mnist": 10, "digits": 40}
RULES = {"hd": BETA, "hdm": FACTOR}


def compute(runner: Runner) -> Result:
    """Rates by step, and beside those of MNIST the means of the epochs that Figure 2 shows."""
    dataset = choose(runner)
    epochs = EPOCHS[dataset]
    runs = [(method, rule, lr) for method, rule in product(STARTS, RULES) for lr in STARTS[method]]
    inputs = [
        settings(f"{method}_{rule}", dataset=dataset, hyper_lr=RULES[rule], epochs=epochs, lr=lr)
        for method, rule, lr in runs
    ]
    arrays = {}
    facts = name_data(runner) | {"beta": BETA, "beta'": FACTOR}
    for (method, rule, lr), run in zip(runs, runner.run(train, inputs), strict=True):
        last = len(run["alpha"]) - 1
        arrays[f"{method}_{rule}/{lr:g}"] = average(run["iteration"] - 1, run["alpha"], last)
        name = f"{NAMES[method]}-{rule.upper()} from {lr:g}"
        means = run["alpha_epoch"][~np.isnan(run["alpha_epoch"])]
        if lr:
            facts[name] = f"validation loss {run['valid_loss_epoch'][-1]:.3g}, last mean rate {means[-1]:.2g}"
        read = read_means(method, rule, lr, epochs) if dataset == "mnist" else None
        if read is not None:
            middles = (np.arange(1, epochs + 1) - 0.5) * last / epochs
            arrays[f"published {method}_{rule}/{lr:g}"] = np.array([middles, read])
            facts[name] += f"; epoch means off Figure 2 by at most {np.abs(means[1:] / read - 1).max():.0%}"
    return Result(arrays, facts)


def read_means(method: str, rule: str, lr: float, epochs: int) -> NDArray[np.float64] | None:
    """Mean rates of epochs 1 to `epochs` as Figure 2 shows them; None if it does not, or is missing."""
    if not data.has("baydin2018/paper_figures/fig2_epochs"):
        return None
    read = data.curve("paper_figures/fig2_epochs")
    variant = {"hd": "additive", "hdm": "multiplicative"}[rule]
    chosen = (read["problem"] == "logreg") & (read["base"] == method) & (read["variant"] == variant)
    chosen &= (read["alpha0"] == lr) & (read["epoch"] >= 1) & (read["epoch"] <= epochs)
    return read["alpha"][chosen] if chosen.any() else None
