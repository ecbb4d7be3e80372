"""Iterations to a loss of 0.29 from six initial rates with six values of beta: Figure 4 of Baydin et al. 2018."""

import math

import numpy as np

from hypergrad_papers.baydin2018.grid import Grid, count_grid, is_adapted, read_grid
from hypergrad_papers.baydin2018.runs import CAP, NAMES, RATES, SEEDS
from paper_figs.baydin import choose, name_data
from paper_figs.cells import Runner
from paper_figs.store import Result

CAP_DIGITS = 1000
"""Steps on the digits, 12 of which are an epoch."""


def compute(runner: Runner) -> Result:
    """MNIST in medians of three seeds, as the claim has it; the digits from one seed, with a lower cap."""
    dataset = choose(runner)
    ours = (
        count_grid(runner.run, SEEDS)
        if dataset == "mnist"
        else count_grid(runner.run, SEEDS[:1], dataset=dataset, cap=CAP_DIGITS)
    )
    arrays = {method: tabulate(ours, method) for method in NAMES}
    facts = name_data(runner) | {"cap": CAP if dataset == "mnist" else CAP_DIGITS}
    for method in filter(is_adapted, NAMES):
        mine, baseline = arrays[method], arrays[method.removesuffix("_hd")]
        ended = np.isfinite(np.minimum(mine, baseline))
        faster = f"{np.sum(ended & (mine <= baseline))} of the {ended.sum()} cells where either ended"
        facts[f"{NAMES[method]} as fast as its baseline or faster"] = faster
    if dataset == "mnist":
        published = read_grid()
        arrays |= {f"published {method}": tabulate(published, method) for method in NAMES}
        inside = [
            max(mine, theirs) <= 1.5 * min(mine, theirs)
            for key, theirs in published.items()
            if math.isfinite(mine := ours[key]) and is_adapted(key[0])
        ]
        facts["within a factor 1.5 of the printed count"] = f"{sum(inside)} of {len(inside)} cells that ended"
    return Result(arrays, facts)


def tabulate(grid: Grid, method: str) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Rows by initial rate, columns by beta, both from the highest down."""
    return np.array([[grid[method, lr, beta] for beta in RATES] for lr in RATES])
