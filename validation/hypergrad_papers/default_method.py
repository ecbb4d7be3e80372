"""Which method `hypergrad.minimize` takes when none is named: every method, without an option, on every problem.

    python -m hypergrad_papers.default_method
    python -m hypergrad_papers.default_method --on classic --method osgm_best_corrected --method hdm_hb

A problem is solved when the largest entry of the gradient is below 1e-4, as the authors of HDM-Best have it, within
1000 evaluations of the gradient. Work is the larger of the counts of values and of gradients, those that estimate the
smoothness included. The rank of a method on a problem is its place by work, from 1; who does not solve it is last.
The problems: the smoothed SVM and the logistic regression of the solver table on the sets of LIBSVM that are available
and on those that scikit-learn brings, and the classic test functions, in other units too.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

import hypergrad
from hypergrad.errors import ArgumentError
from hypergrad.methods import NAMES
from hypergrad_papers.hdm2025.solver_table import DIGIT_PAIRS, GTOL, MAXITER, TASKS, make_problem
from hypergrad_problems import data
from hypergrad_problems.classic_functions import CLASSICS, Classic
from hypergrad_reference.types import Vector

DENSE_UP_TO = 1000
"""Variables up to which BFGS, which stores a dense inverse, is run."""


FAMILIES = ("classic", "scaled", "bundled", "libsvm")

UNITS = (1e-4, 1e4)
"""The units of the scaled problems."""


class Problem(NamedTuple):
    """A function to minimise, as `hypergrad.minimize` takes it with jac=True."""

    family: str  # one of FAMILIES
    name: str
    fun: Callable[[Vector], tuple[float, Vector]]
    x0: Any


class Trial(NamedTuple):
    """How a method did on a problem."""

    method: str
    problem: str
    solved: bool
    work: int  # the larger of nfev and njev


class Row(NamedTuple):
    """A method over all problems."""

    method: str
    solved: float  # the share of the problems
    work: float  # the median over the problems, inf where not solved
    rank: float  # the median
    mean_rank: float


def scale(name: str, classic: Classic, unit: float) -> Problem:
    """A classic function in other units of x and f: u f(x / u), whose gradients are as large as before."""

    def fun(x: Vector) -> tuple[float, Vector]:
        value, gradient = classic.fun(x / unit)
        return unit * value, gradient

    return Problem("scaled", f"{name} in units of {unit:g}", fun, unit * np.array(classic.x0))


def list_problems(families: Iterable[str] = FAMILIES) -> Iterator[Problem]:
    """The problems of some families, one after the other; sets that are not available are left out."""
    families = tuple(families)
    for name, classic in CLASSICS.items():
        if "classic" in families:
            yield Problem("classic", name, classic.fun, classic.x0)
        if "scaled" in families:
            yield from (scale(name, classic, unit) for unit in UNITS)
    bundled = ("breast_cancer", *DIGIT_PAIRS)
    sets = {"bundled": bundled, "libsvm": [name for name in SETS if data.has(name)]}
    for family in families:
        for name in sets.get(family, ()):
            for task in TASKS:
                problem = make_problem(name, task)
                yield Problem(family, f"{task} {name}", problem.value_and_gradient, problem.x0)


SETS = (
    "a1a", "a2a", "a3a", "a4a", "a6a", "a7a", "a8a", "a9a", "australian_scale", "fourclass_scale",
    "german.numer_scale", "heart_scale", "ionosphere_scale", "leu", "liver-disorders_scale", "mushrooms", "phishing",
    "skin_nonskin", "sonar_scale", "splice_scale", "svmguide1", "svmguide3", "w1a", "w2a", "w3a", "w5a", "w7a", "w8a",
)  # fmt: skip
"""The sets of the solver table."""


def try_method(method: str, problem: Problem) -> Trial:
    """Run a method with its defaults. A method that refuses to run without an option has not solved the problem."""
    if method == "bfgs" and len(problem.x0) > DENSE_UP_TO:
        return Trial(method, problem.name, False, 0)
    options = {"gtol": GTOL, "maxiter": MAXITER, "maxjev": MAXITER}
    try:
        result = hypergrad.minimize(problem.fun, problem.x0, jac=True, method=method, options=options)
    except ArgumentError:
        return Trial(method, problem.name, False, 0)
    solved = bool(result.success) and float(np.abs(result.jac).max()) <= GTOL
    return Trial(method, problem.name, solved, max(result.nfev, result.njev))


def rank(trials: Sequence[Trial]) -> list[Row]:
    """The methods: first who solves the most, then the better mean rank."""
    methods = list(dict.fromkeys(trial.method for trial in trials))
    problems = list(dict.fromkeys(trial.problem for trial in trials))
    work = {(trial.method, trial.problem): trial.work if trial.solved else np.inf for trial in trials}
    ranks = {
        (method, problem): 1 + sum(work[other, problem] < work[method, problem] for other in methods)
        if work[method, problem] < np.inf
        else len(methods)
        for method in methods
        for problem in problems
    }
    rows = []
    for method in methods:
        own = np.array([work[method, problem] for problem in problems])
        places = np.array([ranks[method, problem] for problem in problems])
        # the lower median: the mean of inf and a number says nothing
        middle = float(np.sort(own)[(len(own) - 1) // 2])
        rows.append(Row(method, float(np.isfinite(own).mean()), middle, float(np.median(places)), float(places.mean())))
    return sorted(rows, key=lambda row: (-row.solved, row.mean_rank, row.method))


def render(rows: Iterable[Row]) -> str:
    """The table as text."""
    lines = [
        (row.method, f"{row.solved:.0%}", f"{row.work:.0f}", f"{row.rank:g}", f"{row.mean_rank:.1f}") for row in rows
    ]
    headers = ("method", "solved", "median work", "median rank", "mean rank")
    return tabulate(lines, headers, disable_numparse=True, colalign=("left", *["right"] * 4))


def main(arguments: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m hypergrad_papers.default_method", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--on", choices=FAMILIES, action="append", help="a family of problems; default: all")
    parser.add_argument("--method", choices=NAMES, action="append", help="a method; default: all")
    wanted = parser.parse_args(arguments)
    trials = [
        try_method(method, problem)
        for problem in list_problems(wanted.on or FAMILIES)
        for method in wanted.method or NAMES
    ]
    print(f"{len({trial.problem for trial in trials})} problems")
    print(render(rank(trials)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
