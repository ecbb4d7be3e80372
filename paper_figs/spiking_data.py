"""A spiking network whose neurons fall silent, and one that learns undisturbed: rate, gain and surprise."""

from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from hypergrad_papers.adamw.spiking_runs import (
    METHODS,
    REACH,
    SETTLED,
    SHIFT,
    TRANSITIONS,
    WINDOW,
    Trace,
    compare_times,
    find_transition,
    form_signal,
    run_network,
)
from paper_figs.cells import Runner
from paper_figs.store import Result

SEEDS = 8
FORCED = tuple(name for name in METHODS if name != "AdamW, surprise")
TWINS = ("Auto", "Auto, as advised", "Auto, gain 10")  # those whose rate or gain may answer
NATURAL, NATURAL_SEEDS = "AdamW, surprise", 16
AROUND = 40  # steps of the signal that are kept on either side of a transition
SOON = 10  # steps after the shift at which rates and gains are compared
AWAKE = 0.25  # share of silent neurons below which a network counts as awake again
LEVEL = 0.05  # of significance, shared by all tests on natural transitions


def collect(runner: Runner) -> dict[tuple[str, bool], list[Trace]]:
    """The runs of each method, with and without the shift."""
    keys = [(name, True) for name in FORCED] + [(name, False) for name in TWINS]
    inputs = [{"method": m, "forced": f, "seed": seed} for m, f in keys for seed in range(SEEDS)]
    inputs += [{"method": NATURAL, "forced": False, "seed": seed} for seed in range(NATURAL_SEEDS)]
    found = iter(runner.run(run_network, inputs))
    runs = {key: [next(found) for _ in range(SEEDS)] for key in keys}
    return runs | {(NATURAL, False): list(found)}


def describe_silence(method: str, forced: list[Trace], twins: list[Trace] | None) -> dict[str, str]:
    """What a shift to darker images does, medians over the seeds; and which runs lie above their twins, which below."""
    norms = [run.grad_norm[SHIFT : SHIFT + 5].mean() / run.grad_norm[SHIFT - 5 : SHIFT].mean() for run in forced]

    def find_awake(run: Trace) -> float:
        steps = np.flatnonzero(run.silent[SHIFT:] < AWAKE)
        return float(steps[0]) if steps.size else np.inf

    def compare(field: str) -> str:
        if twins is None:
            return ""
        at = SHIFT + SOON
        pairs = [(getattr(a, field)[at], getattr(b, field)[at]) for a, b in zip(forced, twins, strict=True)]
        higher, lower = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        if higher + lower == 0:
            return "all equal"
        return f"{higher} higher, {lower} lower, p = {binomtest(higher, higher + lower).pvalue:.2g}"

    return {
        "method": method,
        "silent before": f"{np.median([run.silent[SHIFT - 1] for run in forced]):.0%}",
        "and after": f"{np.median([run.silent[SHIFT] for run in forced]):.0%}",
        "gradients, after over before": f"{np.median(norms):.2g}",
        "runs in which they shrink": f"{sum(norm < 1 for norm in norms)} of {len(norms)}",
        f"rate after {SOON} steps against the twin's": compare("lr"),
        f"gain after {SOON} steps against the twin's": compare("gain"),
        f"steps until below {AWAKE:.0%} silent": f"{np.median([find_awake(run) for run in forced]):.0f}",
        "loss at the end": f"{np.median([run.loss[-1] for run in forced]):.2g}",
    }


def mark_transitions(runs: list[Trace]) -> tuple[list[dict[str, Any]], dict[str, NDArray[np.float64]]]:
    """Whether surprise is unusual before or from natural transitions on; and its mean around them."""
    signals = [form_signal(run) for run in runs]
    rows, around = [], {}
    tests = 2 * len(TRANSITIONS)
    for name, (field, sign) in TRANSITIONS.items():
        times = [find_transition(getattr(run, field), sign) for run in runs]
        for when, offset in (("before", -WINDOW), ("from it on", 0)):
            mark = compare_times(signals, [time + offset for time in times])
            rows.append(
                {
                    "transition": name,
                    "median step": f"{np.median(times):.0f}",
                    f"{WINDOW} steps": when,
                    "S - S_bar": f"{mark.signal:+.3f}",
                    "at shifted times": f"{mark.shifted:+.3f}",
                    "p": f"{mark.p:.2g}",
                    f"below {LEVEL} / {tests}": "yes" if mark.p < LEVEL / tests else "no",
                }
            )
        reach = range(-AROUND, AROUND + 1)
        kept = np.full((len(runs), len(reach)), np.nan)
        for row, signal, time in zip(kept, signals, times, strict=True):
            inside = [i for i, offset in enumerate(reach) if SETTLED <= time + offset < signal.size]
            row[inside] = [signal[time + reach[i]] for i in inside]
        around[f"around/{name}"] = np.ma.masked_invalid(kept).mean(axis=0).filled(np.nan)
    return rows, around


def compute(runner: Runner) -> Result:
    """Medians over the seeds, by method; the tables say what became of the author's statements."""
    runs = collect(runner)
    arrays = {
        f"{method}/{'forced' if forced else 'twin'}/{field}": np.median([getattr(r, field) for r in of_key], axis=0)
        for ((method, forced), of_key), field in product(runs.items(), Trace._fields)
        if method != NATURAL
    }
    rows, around = mark_transitions(runs[NATURAL, False])
    facts = {
        "images are darker from step": SHIFT,
        "runs": f"{SEEDS} seeds; {NATURAL_SEEDS} for natural transitions",
        "neurons fall silent": [describe_silence(m, runs[m, True], runs.get((m, False))) for m in FORCED],
        f"natural transitions, shifted by up to {REACH} steps": rows,
    }
    return Result(arrays | around, facts)
