"""The solver table's grids as cells, for the claims and figures that need many of them."""

from collections.abc import Iterable
from typing import NamedTuple

from hypergrad_papers.claims import Run
from hypergrad_papers.hdm2025.authors_counts import MEASURED, Count
from hypergrad_papers.hdm2025.solver_table import SOLVERS, Record, Row, cell, choose, count_settings
from hypergrad_problems.registry import REGISTRY

ADULT = ("a1a", "a2a", "a3a")
STARTS = ("a", "b")
"""Those of the published runs, see `solver_table.STARTS`."""

DENSE_UP_TO = 3000
"""Features up to which BFGS, which keeps a dense inverse, is run."""


class Case(NamedTuple):
    """A problem of the table by its names."""

    task: str
    name: str
    start: str = "a"

    @property
    def label(self) -> str:
        """As the tables have it: the published start is not named."""
        return f"{self.task} {self.name}" + (f", start {self.start.upper()}" if self.start != "a" else "")


def run_grids(
    run: Run, cases: Iterable[Case], solvers: Iterable[str] = tuple(SOLVERS)
) -> dict[Case, dict[str, list[Record]]]:
    """Every setting of every solver on every case, each a cell; BFGS up to DENSE_UP_TO features."""
    wanted = [
        (case, solver, index)
        for case in cases
        for solver in solvers
        if solver != "BFGS" or count_features(case.name) <= DENSE_UP_TO
        for index in range(count_settings(solver))
    ]
    inputs = [{**case._asdict(), "solver": solver, "index": index} for case, solver, index in wanted]
    grids: dict[Case, dict[str, list[Record]]] = {}
    for (case, solver, _), result in zip(wanted, run(cell, inputs), strict=True):
        grids.setdefault(case, {}).setdefault(solver, []).append(result)
    return grids


def count_features(name: str) -> int:
    """The columns of a data set, from the registry."""
    return REGISTRY[name.split()[0]].features


def winners(run: Run, cases: list[Case], solvers: list[str]) -> dict[tuple[Case, str], Row]:
    """The row of the table of every solver on every case."""
    grids = run_grids(run, cases, solvers)
    return {(case, solver): choose(solver, records) for case, grid in grids.items() for solver, records in grid.items()}


def measured(case: Case) -> dict[str, Count]:
    """What the authors' code gives on a case, by solver."""
    return MEASURED[case.task, case.start][case.name]
