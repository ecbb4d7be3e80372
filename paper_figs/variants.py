"""What each part of TuningFreeAdamW is good for: `python -m paper_figs.variants`.

Prints, for the rule with a part left out or another constant, training losses over those of the best of eleven cosine
schedules, on the problems of the arena whose data are bundled; and what these schedules reach with the rule's beta2. A
run that is done is kept, and not run again.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from hypergrad_problems.arena.problems import PROBLEMS
from hypergrad_problems.arena.runs import RATES, run_grid
from hypergrad_problems.arena.variants import VARIANTS, run_cosine, run_variant
from paper_figs.cells import Runner
from paper_figs.tuning_data import describe

SHORT = 500
COSINE = "the best cosine, with this beta2"
CHOSEN = [name for name, entry in PROBLEMS.items() if not entry.needs and entry.group != "later"]
"""Those of T1 to T3, and the exact fits, whose data are bundled."""


def main() -> int:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(prog="python -m paper_figs.variants", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes (default: %(default)s)"
    )
    given = parser.parse_args()
    runner = Runner(jobs=given.jobs)
    whole = find_ratios(runner, given.seeds, None)
    short = find_ratios(runner, given.seeds, SHORT)
    exact = np.array([PROBLEMS[name].group == "exact" for name in CHOSEN])
    print("\n".join(tabulate(whole, short, exact)))
    return 0


def find_ratios(runner: Runner, seeds: int, steps: int | None) -> dict[str, NDArray[np.float64]]:
    """The loss of every variant, and of COSINE, over that of the best cosine, by problem; of means over the seeds."""
    pairs = [(name, seed) for name in CHOSEN for seed in range(seeds)]
    length = {"steps": steps} if steps else {}
    grid = [{"name": name, "seed": seed, "rate": rate, **length} for name, seed in pairs for rate in RATES]
    best = _find_best([ends["cosine"][0] for ends in runner.run(run_grid, grid)], seeds)
    others = _find_best([ending.train for ending in runner.run(run_cosine, grid)], seeds)
    runs = [{"name": name, "seed": seed, "variant": variant, **length} for variant in VARIANTS for name, seed in pairs]
    losses = np.array([ending.train for ending in runner.run(run_variant, runs)])
    ratios = losses.reshape(len(VARIANTS), len(CHOSEN), seeds).mean(axis=2) / best
    return dict(zip(VARIANTS, ratios, strict=True)) | {COSINE: others / best}


def _find_best(losses: Sequence[float], seeds: int) -> NDArray[np.float64]:
    """For each problem that of the best rate."""
    at_rates = np.array(losses).reshape(len(CHOSEN), seeds, len(RATES)).mean(axis=1)
    least: NDArray[np.float64] = np.where(np.isfinite(at_rates), at_rates, np.inf).min(axis=1)
    return least


def tabulate(
    whole: dict[str, NDArray[np.float64]], short: dict[str, NDArray[np.float64]], exact: NDArray[np.bool_]
) -> Iterable[str]:
    """The lines of the table, in Markdown."""
    yield f"| | T1 to T3: worst | geometric mean | {SHORT} steps: worst | geometric mean | exact fits: worst |"
    yield "|---|---|---|---|---|---|"
    for variant in whole:
        all_steps, few = describe(whole[variant][~exact]), describe(short[variant][~exact])
        cells = (all_steps["worst"], all_steps["mean"], few["worst"], few["mean"], f"{whole[variant][exact].max():.3f}")
        yield f"| {variant} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
