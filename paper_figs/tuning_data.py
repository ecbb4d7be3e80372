"""What is lost without tuning: optimizers at their defaults against the best of eleven tuned cosine schedules."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hypergrad_papers.claims import Extent, name_command
from hypergrad_problems import data
from hypergrad_problems.arena.contenders import OURS, run_untuned
from hypergrad_problems.arena.packages import PACKAGES, find_missing
from hypergrad_problems.arena.problems import PROBLEMS
from hypergrad_problems.arena.runs import RATES, run_grid
from paper_figs.cells import Runner
from paper_figs.store import Result

SEEDS = {Extent.BUNDLED: 3, Extent.FULL: 10, Extent.NETWORKS: 10}
HINDSIGHT = ("cosine", "constant", "averaged", "schedule-free")
"""Tuned: the best of the rates, by training loss, chosen for each problem after the runs."""
GUESSES = {"cosine at 0.01": ("cosine", 1e-2), "constant at 0.001": ("constant", 1e-3)}
"""One rate for all problems."""
GROUPS = {
    "T1": "development, first",
    "T2": "development",
    "T3": "seen at two choices",
    "exact": "fitted exactly",
    "later": "added later",
}


class Loss(NamedTuple):
    """The losses of one method on one problem, means over the seeds."""

    train: float
    test: float


def average(losses: Sequence[tuple[float, float]]) -> Loss:
    """The means of (train, test) over the seeds."""
    train, test = np.mean(losses, axis=0)
    return Loss(float(train), float(test))


def choose_problems(runner: Runner) -> tuple[list[str], str]:
    """The problems that are run, and what it takes to run the others."""
    full = runner.extent >= Extent.FULL
    here = [name for name, entry in PROBLEMS.items() if not entry.needs or (full and all(map(data.has, entry.needs)))]
    needs = {need for name, entry in PROBLEMS.items() if name not in here for need in entry.needs}
    if not needs:
        return here, "none"
    command = name_command(max(runner.extent, Extent.FULL), fetch=not all(map(data.has, needs)))
    command = command.replace("make figures", "make arena")
    return here, f"{len(PROBLEMS) - len(here)} problems on {data.describe(needs)}: {command}"


def list_methods() -> list[str]:
    """Those at their defaults that can be run here."""
    missing = find_missing()
    return [*OURS, *(name for name in PACKAGES if name not in missing)]


def compute(runner: Runner) -> Result:
    """Losses of every method on every problem, over those of the best cosine."""
    problems, others = choose_problems(runner)
    seeds = runner.seeds or SEEDS[runner.extent]
    found = collect(runner, problems, seeds)
    methods = [name for name in next(iter(found.values())) if name != "cosine"]
    arrays: dict[str, NDArray[Any]] = {
        f"{part}/{method}": np.array(
            [getattr(found[name][method], part) / getattr(found[name]["cosine"], part) for name in problems]
        )
        for method in methods
        for part in Loss._fields
    }
    groups = np.array([PROBLEMS[name].group for name in problems])
    arrays |= {"problems": np.array(problems), "methods": np.array(methods), "groups": groups}
    facts: dict[str, Any] = {"seeds": seeds, "problems": len(problems), "problems not run": others}
    facts["packages not run"] = ", ".join(find_missing()) or "none"
    for group, title in GROUPS.items():
        chosen = groups == group
        if chosen.any():
            facts[f"{group}, {title}: loss over that of the best cosine"] = [
                {"method": method, "problems": int(chosen.sum())}
                | {f"{part}, {word}": text for part in Loss._fields
                   for word, text in describe(arrays[f"{part}/{method}"][chosen]).items()}
                for method in methods
            ]  # fmt: skip
    facts["training loss over that of the best cosine"] = [
        {"problem": name, **{method: f"{arrays[f'train/{method}'][i]:.3f}" for method in methods}}
        for i, name in enumerate(problems)
    ]
    return Result(arrays, facts)


def describe(ratios: NDArray[np.float64]) -> dict[str, str]:
    """The worst, the median and the geometric mean; problems without such a loss do not count."""
    known = ratios[~np.isnan(ratios)]
    if not known.size:
        return {"worst": "-", "median": "-", "mean": "-"}
    geometric = float(np.exp(np.mean(np.log(known))))
    return {"worst": f"{known.max():.3f}", "median": f"{np.median(known):.3f}", "mean": f"{geometric:.3f}"}


def collect(runner: Runner, problems: list[str], seeds: int) -> dict[str, dict[str, Loss]]:
    """The losses of every method, by problem; tuned ones at their best rate."""
    pairs = [(name, seed) for name in problems for seed in range(seeds)]
    grid = [{"name": name, "seed": seed, "rate": rate} for name, seed in pairs for rate in RATES]
    tuned = {
        (one["name"], one["seed"], one["rate"]): ends
        for one, ends in zip(grid, runner.run(run_grid, grid), strict=True)
    }
    methods = list_methods()
    runs = [{"name": name, "seed": seed, "method": method} for name, seed in pairs for method in methods]
    ended = {
        (one["name"], one["seed"], one["method"]): outcome.endings[str(one["method"])]
        for one, outcome in zip(runs, runner.run(run_untuned, runs), strict=True)
    }
    found: dict[str, dict[str, Loss]] = {}
    for name in problems:
        at_rates = {
            method: [average([tuned[name, seed, rate][method] for seed in range(seeds)]) for rate in RATES]
            for method in HINDSIGHT
        }
        best = {method: min(losses, key=lambda loss: loss.train if np.isfinite(loss.train) else np.inf)
                for method, losses in at_rates.items()}  # fmt: skip
        untuned = {method: average([ended[name, seed, method] for seed in range(seeds)]) for method in methods}
        guesses = {guess: at_rates[method][RATES.index(rate)] for guess, (method, rate) in GUESSES.items()}
        found[name] = {**untuned, **guesses, **best}
    return found
