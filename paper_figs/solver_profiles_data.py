"""How many problems each solver of HDM-Best's table solves, and its performance profile (Dolan and More 2002)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypergrad_papers.claims import Extent
from hypergrad_papers.hdm2025.solver_grids import DENSE_UP_TO, Case, count_features, run_grids
from hypergrad_papers.hdm2025.solver_table import DIGIT_PAIRS, SOLVERS, TASKS, Record, choose, is_solved
from hypergrad_problems import registry
from hypergrad_problems.data import BUNDLED
from paper_figs.cells import Runner
from paper_figs.sets import choose as choose_sets
from paper_figs.solver_cases import FIXED
from paper_figs.store import Result

FACTORS = np.geomspace(1.0, 1024.0, 200)
"""Times the fewest gradients of any solver."""


def compute(runner: Runner) -> Result:
    """Counts by task, and the share of problems solved within so many times the fewest gradients.

    `nG` profiles count the gradients of the winning run, `all` those of every run of the grid that it took to find it.
    """
    registered = [name for name in registry.REGISTRY if name not in BUNDLED]
    here, missing = choose_sets(runner, registered)
    names = here if runner.extent >= Extent.FULL else [*BUNDLED, *DIGIT_PAIRS, *here]
    grids = run_grids(runner.run, [Case(task, name) for task in TASKS for name in names])
    ng = {case: count_gradients(grid) for case, grid in grids.items()}
    spent = {case: count_all_gradients(grid) for case, grid in grids.items()}
    solvers = [*SOLVERS, "HDM-Best, fixed"]
    arrays: dict[str, NDArray[Any]] = {"factors": FACTORS}
    for kind, costs in (("nG", ng), ("all", spent)):
        for solver, shares in zip(solvers, find_profiles(costs, solvers), strict=True):
            arrays[f"{kind}/{solver}"] = shares
    table = []
    for solver in solvers:
        solved = {task: sum(np.isfinite(c[solver]) for case, c in ng.items() if case.task == task) for task in TASKS}
        first = sum(c[solver] == min(c.values()) < np.inf for c in ng.values())
        table.append(
            {"solver": solver, **{f"solved, {task}": int(n) for task, n in solved.items()}, "fewest nG": first}
        )
        arrays[f"solved/{solver}"] = np.array(list(solved.values()))
    dense = [name for name in names if count_features(name) > DENSE_UP_TO]
    facts = {
        "solvers": solvers,
        "data sets": len(names),
        "problems": len(grids),
        "sets": ", ".join(names),
        "not run: data": missing,
        "not run: BFGS, whose inverse is dense, on": ", ".join(dense) or "none",
        "table": table,
    }
    return Result(arrays, facts)


def count_gradients(grid: Mapping[str, Sequence[Record]]) -> dict[str, float]:
    """The gradients of each solver's winner, infinite if it did not solve the problem, or was not run."""
    costs = dict.fromkeys(SOLVERS, np.inf)
    for solver, records in grid.items():
        row = choose(solver, records)
        costs[solver] = float(row.ng) if row.solved else np.inf
    fixed = grid["HDM-Best"][FIXED]
    costs["HDM-Best, fixed"] = float(fixed.ng) if is_solved(fixed.ng) else np.inf
    return costs


def count_all_gradients(grid: Mapping[str, Sequence[Record]]) -> dict[str, float]:
    """The same with the gradients of all runs of the grid."""
    costs = count_gradients(grid)
    for solver, records in grid.items():
        if np.isfinite(costs[solver]):
            costs[solver] = float(choose(solver, records).spent)
    return costs


def find_profiles(costs: Mapping[Any, Mapping[str, float]], solvers: Sequence[str]) -> NDArray[Any]:
    """(solvers, factors) the share of problems that a solver solves within so many times the least cost of any.

    >>> profile = find_profiles({"easy": {"a": 2.0, "b": 8.0}, "hard": {"a": np.inf, "b": 5.0}}, ["a", "b"])
    >>> profile[:, 0], profile[:, -1]
    (array([0.5, 0.5]), array([0.5, 1. ]))
    """
    table = np.array([[row[solver] for row in costs.values()] for solver in solvers])
    least = table.min(axis=0)
    ratios = np.divide(table, least, out=np.full_like(table, np.inf), where=np.isfinite(least))
    return np.array([[np.mean(row <= factor) for factor in FACTORS] for row in ratios])
