"""OSGM-Best against HDM-Best, BFGS and L-BFGS with 10 pairs: the gap by evaluations of f and its gradient."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypergrad_papers.hdm2025 import solver_table
from hypergrad_papers.hdm2025.published import COUNTS
from hypergrad_papers.hdm2025.solver_grids import ADULT, Case, run_grids
from hypergrad_papers.hdm2025.solver_table import Record, find_best
from paper_figs.cells import Runner
from paper_figs.gaps import POINTS
from paper_figs.solver_cases import name_case
from paper_figs.store import Result

METHODS = {"BFGS": "BFGS", "L-BFGS": "L-BFGS-M10", "HDM-Best": "HDM-Best", "OSGM-Best": "OSGM-Best"}
"""The name of the look, and that in the solver table."""

LAST = 1050
"""Evaluations drawn: the limit is 1000 gradients, and OSGM-Best also asks for values alone."""

FLOOR = 1e-9
"""Least gap drawn: least values are known to about that, relative to the first gap."""


def compute(runner: Runner) -> Result:
    """The least gap seen after so many evaluations, over the gap at the start, and where the run ended."""
    cases = [Case(task, name) for name in ADULT for task in solver_table.TASKS]
    least = runner.run(solver_table.least_cell, [{"name": case.name, "task": case.task} for case in cases])
    grids = run_grids(runner.run, cases, METHODS.values())
    arrays: dict[str, NDArray[Any]] = {"evaluations": choose_drawn()}
    facts: dict[str, Any] = {"problems": [name_case(case) for case in cases]}
    for case, bottom in zip(cases, least, strict=True):
        title, words = name_case(case), []
        bottom = min(bottom, *(float(record.least[-1]) for grid in grids[case].values() for record in grid))
        for look, solver in METHODS.items():
            grid = grids[case][solver]
            best = find_best(grid)
            arrays[f"{title}/{look}/setting"] = find_gaps([best], bottom)[0]
            arrays[f"{title}/{look}/grid"] = np.percentile(find_gaps(grid, bottom), (25, 75), axis=0)
            arrays[f"{title}/{look}/end"] = find_end(best, bottom)
            published = COUNTS.get((case.task, case.name), {}).get(solver)
            words.append(describe(look, best, grid, published))
        facts[f"gradients, {title}"] = ", ".join(words)
    return Result(arrays, facts)


def choose_drawn() -> NDArray[Any]:
    """The numbers of evaluations that are drawn."""
    return np.unique(np.linspace(1, LAST, POINTS).round().astype(int))


def find_gaps(records: Sequence[Record], bottom: float) -> NDArray[Any]:
    """(records, evaluations) the gap over that at the start; a run that ended keeps its last one."""
    return np.array(
        [
            np.maximum(record.least[np.minimum(choose_drawn(), len(record.least)) - 1] - bottom, 0.0)
            / (record.least[0] - bottom)
            for record in records
        ]
    )


def find_end(record: Record, bottom: float) -> NDArray[Any]:
    """(2,) evaluations and gap where the stopping test was met; NaN if it was not."""
    if not record.gnorm < solver_table.GTOL:
        return np.full(2, np.nan)
    return np.array([len(record.least), (record.least[-1] - bottom) / (record.least[0] - bottom)])


def describe(look: str, best: Record, grid: Sequence[Record], published: tuple[int, int] | None) -> str:
    """The gradients that it took, those published, and those of the whole grid."""
    solved = best.gnorm < solver_table.GTOL
    spent = f", the best of {len(grid)} runs with {sum(record.ng for record in grid)}" if len(grid) > 1 else ""
    beside = f" (published: {published[1]})" if published else ""
    return f"{look} {best.ng if solved else 'unsolved'}{beside}{spent}"
