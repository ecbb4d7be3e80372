"""The table of 28 data sets of LIBSVM, both tasks."""

from hypergrad_papers.checks import Check, near
from hypergrad_papers.claims import Extent, Run, claim
from hypergrad_papers.hdm2025.authors_counts import MEASURED, Count
from hypergrad_papers.hdm2025.published import MEASURED_BY, PAPER
from hypergrad_papers.hdm2025.solver_grids import Case, measured, winners
from hypergrad_papers.hdm2025.solver_table import (
    GTOL,
    SOLVERS,
    Row,
)

SETS = tuple(MEASURED["svm", "a"])
SMOOTH = ("GD", "GD-HB", "AGD-CVX", "AGD-SCVX", "Adam", "AdaGrad")
LATE = 800
"""A flag is compared unless both counts are beyond: near the 999 gradients where a run starts to count as unsolved."""
FAR = 10 * GTOL
"""It is compared all the same where a run of ours is unsolved and its gradient ends above this."""


def rows_of_28(run: Run, solvers: list[str]) -> dict[tuple[Case, str], Row]:
    """The rows of 28 sets and both tasks from start A."""
    return winners(run, [Case(task, name) for task in ("svm", "logistic") for name in SETS], solvers)


def agrees(solver: str, count: Count, row: Row) -> bool:
    """Whether the gradients of a row are those of the authors' code."""
    if solver == "HDM-Best":
        return abs(row.ng - count.ng) <= (1 if count.ng < 10 else 0.2 * count.ng)
    return abs(row.ng - count.ng) <= 0.01 * count.ng


@claim(
    PAPER, "18", source=MEASURED_BY, needs=SETS, extent=Extent.FULL,
    reason="GD, GD-HB, AGD, Adam and AdaGrad have no branches; HDM-Best's counts spread under last-bit changes of L; "
    "SciPy's methods are compared by the flag alone, which is open where both counts are beyond 800 and ours near",
)  # fmt: skip
def solver_table_of_28_sets(run: Run) -> list[Check]:
    """Solved flag and gradients of every solver on 28 data sets, both tasks."""
    rows = rows_of_28(run, list(SOLVERS))
    flags: dict[tuple[str, str], list[tuple[str, bool]]] = {}
    counts: dict[tuple[str, str], list[tuple[str, bool]]] = {}
    for (case, solver), row in rows.items():
        count, which = measured(case)[solver], (case.task, solver)
        late = min(count.ng, row.ng) >= LATE and (row.solved or row.gnorm < FAR)
        flags.setdefault(which, []).append((case.name, late or row.solved == count.solved))
        if solver == "HDM-Best" or solver in SMOOTH:
            counts.setdefault(which, []).append((case.name, agrees(solver, count, row)))
    return [
        *(_count_agreement(f"{task} {solver}: solved flags equal", pairs) for (task, solver), pairs in flags.items()),
        *(_count_agreement(f"{task} {solver}: gradients agree", pairs) for (task, solver), pairs in counts.items()),
    ]


def _count_agreement(what: str, pairs: list[tuple[str, bool]]) -> Check:
    others = [name for name, agree in pairs if not agree]
    return near(f"{what}{', not on ' + ', '.join(others) if others else ''}", len(pairs), len(pairs) - len(others))


SOLVED = {
    "HDM-Best": {"svm": 27, "logistic": 21},
    "L-BFGS-M10": {"svm": 26, "logistic": 17},
    "Adam": {"svm": 23, "logistic": 10},
}


@claim(
    PAPER, "18b", source=MEASURED_BY, needs=SETS, extent=Extent.FULL,
    reason="where a run ends not far below the limit of 1000 gradients, the last bits of L decide on its flag",
)  # fmt: skip
def solved_of_28_sets(run: Run) -> list[Check]:
    """How many of 28 data sets are solved."""
    rows = rows_of_28(run, list(SOLVED))
    return [
        near(
            f"{task}: {solver}", published,
            sum(row.solved for (case, name), row in rows.items() if (case.task, name) == (task, solver)),
            abs=1 if task == "svm" else 2,
        )
        for solver, by_task in SOLVED.items()
        for task, published in by_task.items()
    ]  # fmt: skip


@claim(
    PAPER, "19", source="Chu et al. 2025, figures of section 5", has_value=False,
    reason="the published pixels are not available: the figures are drawn in their layout and compared by eye",
)  # fmt: skip
def solver_figures(run: Run) -> list[Check]:
    """The shapes of the gap and gradient-norm curves."""
    return []
