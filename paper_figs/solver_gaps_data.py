"""Every solver of HDM-Best's table: gap and largest entry of the gradient by iteration, and the table itself."""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypergrad_papers.hdm2025.published import COUNTS
from hypergrad_papers.hdm2025.solver_grids import ADULT, Case, run_grids
from hypergrad_papers.hdm2025.solver_table import (
    MAXITER,
    TASKS,
    Record,
    choose,
    find_best,
    is_solved,
)
from paper_figs.cells import Runner
from paper_figs.solver_cases import FIXED, name_case
from paper_figs.store import Result

POINTS = 160
"""The points of a curve: there are many curves."""
BELOW = 1e-10
"""The authors draw the gap to the least value that any solver ends with, less this."""


def compute(runner: Runner) -> Result:
    """The curves of every solver's winner, of one fixed setting of HDM-Best and the median over its grid."""
    grids = run_grids(runner.run, [Case(task, name) for name in ADULT for task in TASKS])
    arrays: dict[str, NDArray[Any]] = {"iterations": choose_drawn()}
    facts: dict[str, Any] = {"problems": [name_case(case) for case in grids]}
    for case, grid in grids.items():
        least = min(find_best(records).value for records in grid.values()) - BELOW
        runs = {solver: [find_best(records)] for solver, records in grid.items()} | {
            "HDM-Best, fixed": [grid["HDM-Best"][FIXED]], "HDM-Best, median": grid["HDM-Best"],
        }  # fmt: skip
        for solver, records in runs.items():
            arrays[f"{name_case(case)}/{solver}/gap"] = take_median([r.values for r in records]) - least
            arrays[f"{name_case(case)}/{solver}/gnorm"] = take_median([r.gnorms for r in records])
        facts[name_case(case)] = tabulate(grid, COUNTS.get((case.task, case.name), {}))
    return Result(arrays, facts)


def choose_drawn() -> NDArray[Any]:
    """The iterations that are drawn."""
    return np.unique(np.linspace(0, MAXITER - 1, POINTS).round().astype(int))


def take_median(curves: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """The median at each iteration; a run that has ended keeps its last value."""
    return np.median([curve[np.minimum(choose_drawn(), len(curve) - 1)] for curve in curves], axis=0)


def tabulate(grid: dict[str, list[Record]], published: dict[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """The authors' table, what they publish beside it, and what their way of choosing leaves out."""
    table = []
    for solver, records in grid.items():
        row = choose(solver, records)
        beside = {"published": "/".join(map(str, published[solver]))} if published else {}
        table.append(
            {"solver": solver, "S": int(row.solved), "nF": row.nf, "nG": row.ng}
            | beside
            | {"runs": len(records), "nG of all runs": row.spent}
        )
    runs = grid["HDM-Best"]
    fixed, counts = runs[FIXED], [(record.nf, record.ng) for record in runs]
    nf, ng = (statistics.median(column) for column in zip(*counts, strict=True))
    beside = {"published": ""} if published else {}
    table.append(
        {"solver": "HDM-Best, 10/L and 10", "S": int(is_solved(fixed.ng)), "nF": fixed.nf, "nG": fixed.ng}
        | beside
        | {"runs": 1, "nG of all runs": fixed.ng}
    )
    solved = sum(is_solved(record.ng) for record in runs)
    table.append(
        {"solver": "HDM-Best, median", "S": f"{solved} of {len(runs)}", "nF": f"{nf:g}", "nG": f"{ng:g}"}
        | beside
        | {"runs": len(runs), "nG of all runs": ""}
    )
    return table
