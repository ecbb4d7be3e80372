"""Runs in turn, and the figures of their ratios: a median with its quartiles."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

REPEATS = 21

Run = Callable[[], Any]


class Figure(NamedTuple):
    """A median and its quartiles."""

    median: float
    low: float
    high: float


class Row(NamedTuple):
    """A line of the table of targets."""

    what: str
    target: str
    figure: Figure
    met: bool


def judge(met: bool, target: str) -> str:
    """A target, and whether it is met, in words.

    >>> judge(True, "<= 1.1"), judge(False, ">= 0.9")
    ('<= 1.1: yes', '>= 0.9: NO')
    """
    return f"{target}: {'yes' if met else 'NO'}"


def summarize(values: Sequence[float]) -> Figure:
    """The median and the quartiles.

    >>> summarize([1.0, 2.0, 3.0, 4.0, 5.0])
    Figure(median=3.0, low=2.0, high=4.0)
    """
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(median, low, high)


def take_turns(runs: Mapping[str, Run], repeats: int = REPEATS) -> dict[str, list[float]]:
    """Seconds of each run in each of the turns, the first (compiling, touching memory) left out."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - begin)
    return {name: seconds[1:] for name, seconds in times.items()}


def compare(over: Sequence[float], under: Sequence[float]) -> Figure:
    """The ratio of two runs, turn by turn."""
    return summarize([a / b for a, b in zip(over, under, strict=True)])
