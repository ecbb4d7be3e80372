"""Why TuningFreeAdamW fits better than it validates: `python -m paper_figs.lag`.

Two networks on scikit-learn's digits that fit every training row: all digits, and 5 to 9 after 0 to 4. Prints, for each
optimizer, the losses at the end, and what validation would be otherwise. A run that is done is kept, and not run again.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from hypergrad_problems.arena.lag import METHODS, TASKS, Seen, follow
from paper_figs.cells import Runner

FITTED = 0.03
"""The training loss at which optimizers are compared."""


def main() -> int:
    """Run what is missing, then print a table for each task."""
    parser = argparse.ArgumentParser(prog="python -m paper_figs.lag", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    given = parser.parse_args()
    inputs = [{"name": name, "method": method, "seed": seed}
              for name in TASKS for method in METHODS for seed in range(given.seeds)]  # fmt: skip
    ran = list(zip(inputs, Runner(jobs=given.jobs).run(follow, inputs), strict=True))
    for name in TASKS:
        found = {method: [seen for one, seen in ran if (one["name"], one["method"]) == (name, method)]
                 for method in METHODS}  # fmt: skip
        print("\n".join([f"{name}, {given.seeds} runs", *tabulate(found)]), flush=True)
    return 0


def tabulate(found: Mapping[str, Sequence[Seen]]) -> Iterator[str]:
    """The lines of a table, in Markdown; means over the runs.

    rescaled: with all scores times the best number. points: at the points of training instead of the averages. least:
    the least on the way. at 0.03, after: where the training loss first falls below that, and the share of the steps.
    """
    yield f"| | training | validation | wrong | rescaled | points | least | at {FITTED}, after | largest rate | norm |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for method, runs in found.items():
        train, validation, wrong, rescaled, norm = np.mean([one.answers[-1] for one in runs], axis=0)
        rate, points = np.mean([[one.largest, one.points[-1].validation] for one in runs], axis=0)
        least = np.mean([min(look.validation for look in one.answers) for one in runs])
        fitted, after = np.mean([find_fitted(one) for one in runs], axis=0)
        yield (
            f"| {method} | {train:.2g} | {validation:.3f} | {100 * wrong:.1f} % | {rescaled:.3f} | {points:.3f} | "
            f"{least:.3f} | {fitted:.3f}, {100 * after:.0f} % | {rate:.2g} | {norm:.1f} |"
        )


def find_fitted(seen: Seen) -> tuple[float, float]:
    """The validation loss where the training loss first falls below FITTED, and after which share of the steps."""
    count = len(seen.answers)
    found = ((look.validation, i / count) for i, look in enumerate(seen.answers, 1) if look.train < FITTED)
    return next(found, (float("nan"), float("nan")))


if __name__ == "__main__":
    sys.exit(main())
