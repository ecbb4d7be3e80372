"""Runs of the six methods of Baydin et al. 2018, on MNIST or the digits, and the authors' logs beside them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypergrad_papers.baydin2018.runs import HYPER_LR, NAMES, settings, train
from hypergrad_problems import data
from paper_figs import sets
from paper_figs.cells import Runner
from paper_figs.store import Result

BINS = 90
"""Iterations are averaged in so many bins of equal width on a logarithmic axis."""


def average(iterations: NDArray[np.float64], values: NDArray[np.float64], last: int) -> NDArray[np.float64]:
    """Means of what is logged in each bin up to the last iteration: iteration (row 0) and value (row 1)."""
    edges = np.unique(np.geomspace(1, last + 1, BINS).round())
    bins = np.digitize(iterations, edges)
    inside = (iterations >= 1) & (iterations <= last)
    filled = np.unique(bins[inside])
    return np.array([[column[inside & (bins == b)].mean() for b in filled] for column in (iterations, values)])


def choose(runner: Runner) -> str:
    """MNIST where everything is asked for and it is there, else the digits that come with scikit-learn."""
    here, _ = sets.choose(runner, ["mnist"])
    return here[0] if here else "digits"


def name_data(runner: Runner) -> dict[str, Any]:
    """Which data it is, and what it would take to run MNIST."""
    if choose(runner) == "mnist":
        return {"data": "MNIST"}
    _, missing = sets.choose(runner, ["mnist"])
    return {"data": "scikit-learn's digits", "not run: data": missing}


def read_log(name: str, last: int) -> dict[str, NDArray[Any]]:
    """A log of the authors up to a step, or the epochs read off their plot; empty if there is none."""
    if name not in data.curve_names() or not data.has(f"baydin2018/{name}"):
        return {}
    log = data.curve(name)
    if "Iteration" not in log:
        return log
    return {column: values[log["Iteration"] <= last + 1] for column, values in log.items()}


def collect(runner: Runner, model: str, log: str, epochs: int, **others: Any) -> Result:
    """The six methods on one model.

    log    the folder of the authors' logs, which are drawn beside runs on MNIST
    """
    dataset = choose(runner)
    inputs = [settings(method, dataset=dataset, model=model, epochs=epochs, **others) for method in HYPER_LR]
    arrays: dict[str, NDArray[Any]] = {}
    facts = name_data(runner)
    for method, run in zip(HYPER_LR, runner.run(train, inputs), strict=True):
        step, last = run["iteration"] - 1, len(run["iteration"]) - 1
        arrays[f"{method}/alpha"] = average(step, run["alpha"], last)
        arrays[f"{method}/loss"] = average(step, run["loss"], last)
        ends = ~np.isnan(run["valid_loss_epoch"])
        arrays[f"{method}/validation"] = np.array([run["epoch"][ends], run["valid_loss_epoch"][ends]])
        if dataset != "mnist":
            continue
        if published := read_log(f"{log}/{method}", last):
            arrays |= {
                f"{method}/published {what}": average(published["Iteration"] - 1, published[column], last)
                for what, column in (("alpha", "Alpha"), ("loss", "Loss"))
            }
            same = np.searchsorted(run["iteration"], published["Iteration"])
            facts[f"{NAMES[method]}, largest deviation from the authors' log"] = ", ".join(
                f"{np.abs(run[ours][same] - published[theirs]).max():.1e} ({what})"
                for what, ours, theirs in (("loss of a step", "loss", "Loss"), ("rate", "alpha", "Alpha"))
            )
        if ends := published or read_log(f"{log}/{method}_epochs_recovered", last):
            there = ~np.isnan(ends["ValidLossEpoch"]) & (ends["Epoch"] <= epochs)
            arrays[f"{method}/published validation"] = np.array([ends["Epoch"][there], ends["ValidLossEpoch"][there]])
    return Result(arrays, facts)
