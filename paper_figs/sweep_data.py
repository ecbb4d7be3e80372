"""The AdamW family from eight initial rates, a factor of ten apart: where each run ends."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypergrad_papers.adamw.runs import METHODS, PROBLEMS, RATES, TASKS, Ending, run_from
from paper_figs.cells import Runner
from paper_figs.rates_data import find_minimum
from paper_figs.store import Result

TIE = 1e-3
"""Losses that differ by less, relative to the larger, count as equal: on the convex tasks all good rates do."""


def collect(runner: Runner) -> dict[str, NDArray[Any]]:
    """For each task: loss and lr at the end, (methods, rates), and the least loss there is."""
    inputs = [{"task": task, "method": method, "lr": lr} for task in TASKS for method in METHODS for lr in RATES]
    endings = np.array(runner.run(run_from, inputs)).reshape(len(TASKS), len(METHODS), len(RATES), len(Ending._fields))
    arrays = {"rates": np.array(RATES), "methods": np.array(list(METHODS))}
    for task, ending in zip(TASKS, endings, strict=True):
        arrays |= {f"{task}/{field}": ending[..., index] for index, field in enumerate(Ending._fields)}
        # no cross-entropy is below 0
        arrays[f"{task}/least"] = np.array(find_minimum(PROBLEMS[task]()) if task in PROBLEMS else 0.0)
    return arrays


def tabulate(loss: NDArray[np.float64], lr: NDArray[np.float64]) -> list[dict[str, Any]]:
    """One row per method; AdamW is the first."""
    plain = loss[0]
    return [
        {
            "method": name,
            "best": f"{row.min():.3g}",
            "median": f"{np.median(row):.3g}",
            "worst": f"{row.max():.3g}",
            "below AdamW from": f"{is_below(row, plain).sum()} of {row.size}",
            "above AdamW from": f"{is_below(plain, row).sum()} of {row.size}",
            "decades of rates at the end": f"{np.log10(rates.max() / rates.min()):.1f}",
        }
        for name, row, rates in zip(METHODS, loss, lr, strict=True)
    ]


def is_below(loss: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where the loss is lower, by more than a tie."""
    return loss < other * (1 - TIE)


def describe_best(loss: NDArray[np.float64]) -> str:
    """AdamW at the best rate of the sweep, and who ends elsewhere than there from its own best rate."""
    best = loss.min(axis=1)
    below, above = (
        [name for name, differs in zip(METHODS, where, strict=True) if differs]
        for where in (is_below(best, best[0]), is_below(best[0], best))
    )
    return (
        f"{best[0]:.4g}, from {RATES[int(loss[0].argmin())]:g}; from their own best rates {TIE:.1%} or more below: "
        f"{'; '.join(below) or 'none'}. Above: {'; '.join(above) or 'none'}"
    )


def compute(runner: Runner) -> Result:
    """Losses and rates at the end, and who is better where."""
    arrays = collect(runner)
    facts: dict[str, Any] = {}
    for task in TASKS:
        loss = arrays[f"{task}/loss"]
        facts[f"{task}: AdamW's least loss at the end"] = describe_best(loss)
        facts[f"{task}: loss at the end over the initial rates"] = tabulate(loss, arrays[f"{task}/lr"])
    return Result(arrays, facts)
