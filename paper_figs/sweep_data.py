"""The AdamW family from eight initial rates, a factor of ten apart: where each run ends."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypergrad_papers.adamw.runs import METHODS, RATES, TASKS
from paper_figs.cells import Runner
from paper_figs.store import Result
from paper_figs.sweeps import collect

TIE = 1e-3
"""Losses that differ by less, relative to the larger, count as equal: on the convex tasks all good rates do."""


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
