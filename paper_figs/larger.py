"""Larger models, through torch: `python -m paper_figs.larger`, in the environment of `make arena`.

Prints losses over those of the best cosine schedule, task by task. A run that is done is kept, and not run again.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence

import numpy as np

from hypergrad_problems import data
from hypergrad_problems.arena.torch.runs import COSINES, METHODS, Ending, Outcome, run
from hypergrad_problems.arena.torch.tasks import TASKS
from paper_figs.cells import Runner

GUESS = "cosine 0.001"
SHOWN = [name for name in METHODS if name not in COSINES] + [GUESS]
"""The rows of the table."""


def main() -> int:
    """Run what is missing, then print the table."""
    parser = argparse.ArgumentParser(prog="python -m paper_figs.larger", description=__doc__)
    parser.add_argument("--task", action="append", choices=TASKS, help="this task; may be repeated")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="runs of each (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument("--path", action="store_true", help="losses at every tenth of the steps, too")
    given = parser.parse_args()
    runner = Runner(jobs=given.jobs)
    for name in given.task or TASKS:
        missing = [need for need in TASKS[name].needs if not data.has(need)]
        if missing:
            print(f"{name}: not run, it needs {data.describe(missing)} in HYPERGRAD_DATA")
            continue
        inputs = [{"name": name, "method": method, "seed": seed} for method in METHODS for seed in range(given.seeds)]
        outcomes = runner.run(run, inputs)
        found = {method: [one for one, wanted in zip(outcomes, inputs, strict=True) if wanted["method"] == method]
                 for method in METHODS}  # fmt: skip
        print("\n".join(describe(name, found, given.path)), flush=True)
    return 0


def average(runs: Sequence[Outcome]) -> Ending:
    """The means over the seeds."""
    return Ending(*np.mean([one.ending for one in runs], axis=0).tolist())


def describe(name: str, found: Mapping[str, Sequence[Outcome]], path: bool = False) -> list[str]:
    """The lines of a task: what every optimizer reaches over the best cosine, chosen by training loss."""
    ends = {method: average(runs) for method, runs in found.items()}
    best = min(COSINES, key=lambda method: ends[method].train if np.isfinite(ends[method].train) else np.inf)
    task, first = TASKS[name].task, found[best][0]
    lines = [
        f"{name}: {first.parameters} parameters, {task.steps} steps; best {best}, loss {ends[best].train:.4g} in "
        f"training and {ends[best].validation:.4g} in validation, {100 * ends[best].validation_misses:.2f} % wrong",
        f"  {'':22}train  validation  wrong in validation  largest rate",
    ]
    for method in SHOWN:
        end, largest = ends[method], np.mean([one.rates.max() for one in found[method]])
        lines.append(
            f"  {method:22}{end.train / ends[best].train:5.2f}  {end.validation / ends[best].validation:10.2f}  "
            f"{100 * end.validation_misses:17.2f} %  {largest:12.2g}"
        )
    for method in (*SHOWN, best) if path else ():
        steps = ", ".join(f"{one.train:.3g}/{one.validation:.3g}" for one in found[method][0].path)
        lines.append(f"  {method:22}{steps}")
    return lines


if __name__ == "__main__":
    sys.exit(main())
