"""The solver table of HDM-Best's authors: every solver on one problem, tuned and counted as their drivers do.

    python -m hypergrad_papers.hdm2025.solver_table a1a --task svm

A tuned solver is the best of its grid: fewest iterations, the earliest on a tie, and the first of the grid if none
converges. Its tuning runs are not part of its count; the column `spent` is ours and adds them up.
Source: Chu et al. 2025 (HDM), authors' code, experiment drivers.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache, partial
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import OptimizeResult
from tabulate import tabulate

from hypergrad import minimize
from hypergrad._minimize.driver import LOST
from hypergrad._minimize.table import QUASI_NEWTON
from hypergrad_papers.hdm2025.published import COUNTS
from hypergrad_problems.data import load_two_classes
from hypergrad_problems.linear_models import LinearModel
from hypergrad_problems.newton import find_least_value
from hypergrad_problems.registry import DataError
from hypergrad_problems.set_models import Start, hdm_logistic, hdm_svm, start_a, start_b
from hypergrad_reference.types import Vector

GTOL, MAXITER = 1e-4, 1000
STRONG_CONVEXITY = 1e-4
"""mu that the drivers hand to AGD-SCVX where nothing is regularised."""


def count_baseline(result: OptimizeResult, maxiter: int = MAXITER) -> tuple[int, int]:
    """(nfev, njev) as the authors print them of the baselines.

    Their drivers test at the start of an iteration, count the iterations as gradients, no value, and not the second
    gradient of AGD.
    """
    return 0, min(result.nit + 1, maxiter) if result.success else result.nit


def count_trials(result: OptimizeResult) -> tuple[int, int]:
    """(nfev, njev) as the authors print them of HDM: a value and a gradient per trial, and the first gradient."""
    return result.nit, result.nit + 1


def count_all(result: OptimizeResult) -> tuple[int, int]:
    """(nfev, njev) as they are."""
    return result.nfev, result.njev


class Solver(NamedTuple):
    """A row of the table: a method and the settings that are tried, given L."""

    method: str
    grid: Callable[[float], list[dict[str, float]]]
    budget: Mapping[str, Any] = {"maxiter": MAXITER}
    printed: Callable[[OptimizeResult], tuple[int, int]] = count_baseline  # nF and nG


def _only(**options: Any) -> Callable[[float], list[dict[str, float]]]:
    return lambda smoothness: [{**options, "smoothness": smoothness}]


def _rates(smoothness: float) -> list[dict[str, float]]:
    return [{"lr": lr} for lr in (1e-3, 1e-2, 1e-1, 1.0, 10.0, 1 / smoothness)]


def hdm_grid(smoothness: float) -> list[dict[str, float]]:
    """The 20 settings of HDM-Best, in the drivers' order: hyper_lr outermost."""
    return [
        {"smoothness": smoothness, "hyper_lr": scale / smoothness, "hyper_lr_beta": rate}
        for scale, rate in product((0.1, 1, 10, 100), (1, 3, 5, 10, 100))
    ]


def _memory(pairs: int) -> Callable[[float], list[dict[str, float]]]:
    return lambda smoothness: [{"memory": pairs, "ftol": 1e-25}]


SCIPY_BUDGET = {"maxiter": MAXITER - 1}

SOLVERS: dict[str, Solver] = {
    "GD": Solver("gd", _only()),
    "GD-HB": Solver("gd_hb", lambda L: [{"smoothness": L, "momentum": beta} for beta in (0.1, 0.5, 0.9, 0.99)]),
    "AGD-CVX": Solver("agd_cvx", _only()),
    "AGD-SCVX": Solver("agd_scvx", _only(strong_convexity=STRONG_CONVEXITY)),
    "Adam": Solver("adam", _rates),
    "AdaGrad": Solver("adagrad", _rates),
    "BFGS": Solver("bfgs", lambda L: [{}], SCIPY_BUDGET, count_all),
    "L-BFGS-M1": Solver("l_bfgs", _memory(1), SCIPY_BUDGET, count_all),
    "L-BFGS-M3": Solver("l_bfgs", _memory(3), SCIPY_BUDGET, count_all),
    "L-BFGS-M5": Solver("l_bfgs", _memory(5), SCIPY_BUDGET, count_all),
    "L-BFGS-M10": Solver("l_bfgs", _memory(10), SCIPY_BUDGET, count_all),
    "HDM-Best": Solver("hdm_best", hdm_grid, printed=count_trials),
}

UNTUNED: dict[str, Solver] = {"OSGM-Best": Solver("osgm_best", lambda L: [{}], {"maxjev": MAXITER}, count_all)}
"""Not in the table. The authors count all values and gradients, those that estimate L too; the limit is 1000 gradients.

Source: Gao et al. 2025 (OSGM, Part II), authors' code.
"""

DIGIT_PAIRS = tuple(f"digits {digit} {(digit + 1) % 10}" for digit in range(10))
"""Problems made of `digits`: each digit against the next."""

TASKS = {"svm": hdm_svm, "logistic": hdm_logistic}
LATER_SEED = 20250701
"""The seed of later scripts of OSGM-Best (authors' code)."""

STARTS: dict[str, Start] = {"a": start_a, "b": start_b, "later": partial(start_a, seed=LATER_SEED)}


class Row(NamedTuple):
    """What the authors print of a solver, and what it cost to find."""

    solver: str
    solved: bool  # nG < MAXITER - 1
    nf: int
    ng: int
    setting: dict[str, float]  # the winning options
    value: float  # f at the end
    gnorm: float  # largest entry of the gradient there
    spent: int  # gradients over the whole grid


def run_setting(
    solver: str, problem: LinearModel, setting: Mapping[str, float], history: bool = False
) -> OptimizeResult:
    """One run, counted as the authors count: `nfev`, `njev`."""
    return _run(solver, problem.value_and_gradient, problem.x0, setting, history)


def _run(
    solver: str,
    fun: Callable[[Vector], tuple[float, Vector]],
    x0: Vector,
    setting: Mapping[str, float],
    history: bool,
) -> OptimizeResult:
    method, _, budget, count = find_solver(solver)
    options = {"gtol": GTOL, "history": history, **setting, **budget}
    result = minimize(fun, x0, jac=True, method=method, options=options)
    result.nfev, result.njev = count(result)
    if method in QUASI_NEWTON and (not result.success or np.abs(result.jac).max() > 1.1 * GTOL):
        result.nfev = result.njev = MAXITER
    elif result.status == LOST:  # the authors' run goes on with NaN to the end
        result.nfev, result.njev = MAXITER if result.nfev else 0, MAXITER
    return result


def find_solver(name: str) -> Solver:
    """A solver of the table, or one beside it."""
    return (SOLVERS | UNTUNED)[name]


class Record(NamedTuple):
    """One run of one setting, in plain numbers."""

    setting: dict[str, float]
    nf: int  # counted as the authors do
    ng: int
    value: float  # f at the end
    gnorm: float  # largest entry of the gradient there
    values: Vector  # f at the start and after each iteration
    gnorms: Vector  # the largest entry of the gradient there
    least: Vector  # the least f seen after 1, 2, ... evaluations of f and its gradient


def least_cell(name: str, task: str) -> float:
    """The least value of a problem of the table, or its infimum, by Newton's method."""
    return find_least_value(_keep_problem(name, task, "a"))


def record(solver: str, problem: LinearModel, index: int) -> Record:
    """Run the setting `index` of a solver's grid."""
    setting = find_solver(solver).grid(problem.smoothness_estimate)[index]
    seen: list[float] = []

    def watch(x: Vector) -> tuple[float, Vector]:
        value, gradient = problem.value_and_gradient(x)
        seen.append(value)
        return value, gradient

    result = _run(solver, watch, problem.x0, setting, history=True)
    return Record(
        setting, int(result.nfev), int(result.njev), float(result.fun), float(np.abs(result.jac).max()),
        result.history["fun"], result.history["gnorm"], np.fmin.accumulate(seen),
    )  # fmt: skip


def cell(name: str, task: str, start: str, solver: str, index: int) -> Record:
    """Run the setting `index` of a solver's grid on a data set, "a1a", for a task, "svm", from a start, "a"."""
    return record(solver, _keep_problem(name, task, start), index)


def is_solved(ng: int) -> bool:
    """The column S: a run that needed 999 gradients or more counts as unsolved even if it converged."""
    return ng < MAXITER - 1


def find_best(records: Iterable[Record]) -> Record:
    """The winner of a grid: fewest iterations, the earliest of equals."""
    return min(records, key=lambda record: record.ng)


def tune(run: Callable[..., list[Record]], name: str, task: str, solver: str, start: str = "a") -> Record:
    """The winner of a solver's grid; `run` runs cells."""
    which = {"name": name, "task": task, "start": start, "solver": solver}
    return find_best(run(cell, [{**which, "index": index} for index in range(count_settings(solver))]))


def choose(solver: str, records: Sequence[Record]) -> Row:
    """The row of a solver from the runs of its grid."""
    best = find_best(records)
    return Row(
        solver, is_solved(best.ng), best.nf, best.ng, best.setting, best.value, best.gnorm,
        sum(record.ng for record in records),
    )  # fmt: skip


def solve(solver: str, problem: LinearModel) -> Row:
    """Run a solver's grid. Every method is given the authors' L, `smoothness_estimate`."""
    return choose(solver, [record(solver, problem, index) for index in range(count_settings(solver))])


def count_settings(solver: str) -> int:
    """How many settings a solver's grid has."""
    return len(find_solver(solver).grid(1.0))


def make_problem(name: str, task: str, start: str = "a", folder: str | None = None) -> LinearModel:
    """The problem of the drivers, from `load_two_classes`. Raises DataError if the set is not to be had."""
    return TASKS[task](load_two_classes(name, folder), STARTS[start])


_keep_problem = lru_cache(maxsize=1)(make_problem)


def render(rows: Iterable[Row], published: Mapping[str, tuple[int, int]]) -> str:
    """The table as text; published counts beside ours, where there are any."""
    lines = []
    for row in rows:
        counts = published.get(row.solver, ("", ""))
        lines.append((row.solver, int(row.solved), row.nf, row.ng, *counts, row.spent, f"{row.value:.9f}"))
    headers = ("solver", "S", "nF", "nG", "nF publ.", "nG publ.", "spent", "f")
    return tabulate(lines, headers, disable_numparse=True, colalign=("left", *["right"] * 7))


def main(arguments: list[str] | None = None) -> int:
    """Print the table of one problem."""
    parser = argparse.ArgumentParser(
        prog="python -m hypergrad_papers.hdm2025.solver_table", description=__doc__.splitlines()[0]
    )
    parser.add_argument("name", help="a data set of the registry, e.g. a1a or breast_cancer")
    parser.add_argument("--task", choices=sorted(TASKS), default="svm", help="default: %(default)s")
    parser.add_argument(
        "--start",
        choices=sorted(STARTS),
        default="a",
        help="a is the published one (default), later that of the OSGM-Best scripts",
    )
    parser.add_argument("--data", metavar="FOLDER", help="where data sets are; default: what HYPERGRAD_DATA names")
    wanted = parser.parse_args(arguments)
    try:
        problem = make_problem(wanted.name, wanted.task, wanted.start, wanted.data)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    published = COUNTS.get((wanted.task, wanted.name), {}) if wanted.start == "a" else {}
    m, n = problem.rows.shape
    print(f"{problem.name}: {m} rows, {n} weights, L = {problem.smoothness_estimate:.9g}")
    print(render((solve(solver, problem) for solver in SOLVERS), published))
    return 0


if __name__ == "__main__":
    sys.exit(main())
