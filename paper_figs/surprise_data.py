"""Surprise, learning rate and loss on a stream of batches that stays as it is, and on streams that change."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypergrad_papers.adamw.surprise_runs import EVERY, METHODS, SHIFT, SHIFTS, Trace, run_stream
from paper_figs.cells import Runner
from paper_figs.store import Result

SEEDS = 5
SETTLED = slice(SHIFT - 100, SHIFT)  # steps before the shift, long after the start
LATER = 52  # steps after the shift
LEVEL = 0.3  # of the loss, below which a run counts as recovered


def compute(runner: Runner) -> Result:
    """Medians and quartiles over the seeds, by method and shift."""
    keys = [(shift, method) for shift in SHIFTS for method in METHODS]
    inputs = [{"shift": shift, "method": method, "seed": seed} for shift, method in keys for seed in range(SEEDS)]
    found = runner.run(run_stream, inputs)
    runs = {key: found[i * SEEDS : (i + 1) * SEEDS] for i, key in enumerate(keys)}
    arrays = {
        f"{shift}/{method}/{field}": np.quantile([getattr(run, field) for run in of_key], (0.25, 0.5, 0.75), axis=0)
        for (shift, method), of_key in runs.items()
        for field in Trace._fields
    }
    facts: dict[str, Any] = {"seeds": SEEDS, "the stream changes at step": SHIFT}
    for shift in SHIFTS:
        alike = all(
            np.array_equal(plain.lr, tracked.lr) and np.array_equal(plain.loss, tracked.loss)
            for plain, tracked in zip(runs[shift, "Auto"], runs[shift, "Auto, surprise"], strict=True)
        )
        facts[f"{shift}: rates and losses with tracking alone"] = (
            "equal those without, bit for bit" if alike else "differ from those without"
        )
    facts["surprise around the step of the shift, medians"] = [
        {"shift": shift, **describe_surprise(runs[shift, "Auto, surprise"])} for shift in SHIFTS
    ]
    facts["loss and rate around the step of the shift, medians"] = [
        {"shift": shift, "method": method, **describe_loss(of_key)} for (shift, method), of_key in runs.items()
    ]
    return Result(arrays, facts)


def describe_surprise(runs: list[Trace]) -> dict[str, str]:
    """S over the settled steps, at the shift and later; and how often S is as high as there without any shift."""
    surprise = np.array([run.surprise for run in runs])
    settled, at = surprise[:, SETTLED], surprise[:, SHIFT]
    return {
        "settled, mean": f"{np.median(settled.mean(axis=1)):.3f}",
        "settled, 95 %": f"{np.median(np.quantile(settled, 0.95, axis=1)):.3f}",
        "at the shift": f"{np.median(at):.4f}",
        "settled steps as high": f"{np.mean(settled >= at[:, None]):.1%}",
        f"{LATER} steps later": f"{np.median(surprise[:, SHIFT + LATER]):.3f}",
        "S_bar settled": f"{np.median([run.accumulated[SETTLED].mean() for run in runs]):.3f}",
        "S_bar, highest after": f"{np.median([run.accumulated[SHIFT:].max() for run in runs]):.3f}",
        "S_bar, lowest after": f"{np.median([run.accumulated[SHIFT:].min() for run in runs]):.3f}",
    }


def describe_loss(runs: list[Trace]) -> dict[str, str]:
    """Loss and rate just before the shift, later, and at the end; and when the loss is low again."""

    def find_return(loss: NDArray[np.float64]) -> float:
        back = np.flatnonzero(loss[SHIFT // EVERY :] <= LEVEL)
        return float(back[0] * EVERY) if back.size else np.inf

    def take(index: int) -> str:
        return f"{np.median([run.loss[index] for run in runs]):.3g}"

    return {
        "loss before": take(SHIFT // EVERY - 1),
        f"{LATER} steps later": take((SHIFT + LATER) // EVERY),
        "at the end": take(-1),
        f"steps until below {LEVEL}": f"{np.median([find_return(run.loss) for run in runs]):.0f}",
        "rate before": f"{np.median([run.lr[SHIFT - 1] for run in runs]):.2g}",
        "highest rate after": f"{np.median([run.lr[SHIFT:].max() for run in runs]):.2g}",
    }
