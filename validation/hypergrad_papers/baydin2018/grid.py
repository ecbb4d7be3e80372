"""Figure 4: iterations to a loss, by method, initial rate and beta; ours and as printed."""

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from hypergrad_papers.baydin2018.runs import NAMES, RATES, count_steps, grid_row
from hypergrad_papers.claims import Run
from hypergrad_problems import data

Grid = dict[tuple[str, float, float], float]
"""Iterations by method, initial rate and beta; inf where none was enough."""


def is_adapted(method: str) -> bool:
    """Whether beta matters to it."""
    return method.endswith("_hd")


def count_grid(run: Run, seeds: Sequence[int], **others: Any) -> Grid:
    """Figure 4 with the others given, in medians over the seeds; a baseline has the same count for every beta."""
    cells = list(product(NAMES, RATES))
    rows = iter(run(count_steps, [grid_row(method, lr, seed, **others) for method, lr in cells for seed in seeds]))
    grid: Grid = {}
    for method, lr in cells:
        medians = np.median([next(rows) for _ in seeds], axis=0)
        grid |= {(method, lr, beta): float(count) for beta, count in zip(RATES, np.resize(medians, 6), strict=True)}
    return grid


def read_grid() -> Grid:
    """Figure 4 as printed; inf where the paper gave up, after 468,750."""
    columns = data.curve("paper_figures/fig4_grid")
    counts = [math.inf if count.startswith(">") else float(count) for count in columns["iterations"]]
    keys = zip(columns["method"].tolist(), columns["alpha0"].tolist(), columns["beta"].tolist(), strict=True)
    return dict(zip(keys, counts, strict=True))
