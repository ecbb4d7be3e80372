"""The rates of the runs of `tuning`, step by step, on three problems."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypergrad_problems.arena.contenders import run_untuned
from hypergrad_problems.arena.runs import RATES, run_grid
from paper_figs.cells import Runner
from paper_figs.store import Result

PROBLEMS = ("softmax digits", "network digits", "autoencoder digits")
METHODS = ("TuningFreeAdamW", "K", "lazy, delayed")


def compute(runner: Runner) -> Result:
    """Rates with seed 0, and the best rate of the cosine."""
    inputs = [{"name": name, "seed": 0, "method": method} for name in PROBLEMS for method in METHODS]
    outcomes = runner.run(run_untuned, inputs)
    arrays: dict[str, NDArray[Any]] = {
        f"{one['name']}/{one['method']}": outcome.rates for one, outcome in zip(inputs, outcomes, strict=True)
    }
    grid = [{"name": name, "seed": 0, "rate": rate} for name in PROBLEMS for rate in RATES]
    ends = iter(runner.run(run_grid, grid))
    best = {}
    for name in PROBLEMS:
        losses = [next(ends)["cosine"][0] for _ in RATES]
        best[name] = RATES[int(np.argmin(np.where(np.isfinite(losses), losses, np.inf)))]
    arrays["best"] = np.array([best[name] for name in PROBLEMS])
    facts: dict[str, Any] = {
        "steps to half of the largest rate": [
            {"problem": name} | {m: int(np.argmax(rates >= rates.max() / 2)) + 1 for m in METHODS
                                 for rates in [arrays[f"{name}/{m}"]]}
            for name in PROBLEMS
        ],
    }  # fmt: skip
    return Result(arrays, facts)
