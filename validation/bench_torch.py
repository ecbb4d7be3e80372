"""Steps of hypergrad.torch beside those of other optimizers: `python validation/bench_torch.py`, or make bench-torch.

The model has 10 million float32 parameters in 60 tensors, as a transformer divides them; torch runs 2 threads. The two
steps of a ratio take turns, and the figure is the median over the turns, with its quartiles. A package that is not
installed is named and not measured.
"""

import sys
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch

from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad_validation.timing import REPEATS, Row, Run, compare, take_turns

THREADS = 2
SHAPES = [(400, 1600), (1600,), (1600, 400), (400,), (400,), (400,)] * 8 + [(400,)] * 12
"""8 blocks of a transformer, about 1.3 million parameters each, and 12 vectors: 60 tensors, 10.3 million."""

Make = Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]


def make_prodigy(params: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """Prodigy at its defaults."""
    from prodigyopt import Prodigy

    return Prodigy(params)


def make_schedule_free(params: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
    """AdamWScheduleFree at its defaults, which are foreach, in the mode in which it trains."""
    from schedulefree import AdamWScheduleFree

    optimizer = AdamWScheduleFree(params)
    optimizer.train()
    return optimizer


STEPS: dict[str, Make] = {
    "torch foreach AdamW": lambda params: torch.optim.AdamW(params, foreach=True),
    "torch foreach SGD": lambda params: torch.optim.SGD(params, lr=1e-3, momentum=0.9, foreach=True),
    "prodigyopt": make_prodigy,
    "schedulefree": make_schedule_free,
    "AutoHypergradientAdamW": AutoHypergradientAdamW,
    "AutoHypergradientAdamW, delay=1": lambda params: AutoHypergradientAdamW(params, delay=1),
    "AutoHypergradientAdamW, propagate": lambda params: AutoHypergradientAdamW(params, nonfinite="propagate"),
    "HypergradientAdamW": HypergradientAdamW,
    "HypergradientAdamW, delay=1": lambda params: HypergradientAdamW(params, delay=1),
    "AdamHD": AdamHD,
    "SGDHD": lambda params: SGDHD(params, momentum=0.9),
}
"""The optimizers by name."""

NEEDS = {"prodigyopt": "prodigyopt", "schedulefree": "schedulefree"}
"""The package that an optimizer comes from, where it is not torch or this one."""


class Target(NamedTuple):
    """A ratio of two steps, and the largest that is asked for; None asks for nothing."""

    over: str
    under: str
    limit: float | None = None


TARGETS = [
    Target("AutoHypergradientAdamW", "torch foreach AdamW", 1.6),
    Target("AutoHypergradientAdamW, delay=1", "torch foreach AdamW", 1.3),
    Target("AutoHypergradientAdamW", "prodigyopt", 0.6),
    Target("AutoHypergradientAdamW", "schedulefree", 1.1),
    Target("AutoHypergradientAdamW, propagate", "torch foreach AdamW"),
    Target("HypergradientAdamW", "torch foreach AdamW", 1.6),
    Target("HypergradientAdamW, delay=1", "torch foreach AdamW", 1.3),
    Target("AdamHD", "torch foreach AdamW"),
    Target("SGDHD", "torch foreach SGD"),
]


def bind(make: Make) -> Run:
    """A step of a new optimizer on a new model, past what is done only in the first steps."""
    torch.manual_seed(0)
    params = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    for p in params:
        p.grad = torch.randn_like(p)
    optimizer = make(params)
    for _ in range(12):  # the first ten steps of AutoHypergradientAdamW adapt nothing
        optimizer.step()
    step: Callable[[], Any] = optimizer.step
    return step


def measure(repeats: int) -> list[Row]:
    """The ratios of TARGETS."""
    rows = []
    for over, under, limit in TARGETS:
        what = f"{over} / {under}"
        missing = [NEEDS[name] for name in (over, under) if name in NEEDS and find_spec(NEEDS[name]) is None]
        if missing:
            print(f"not measured, {missing[0]} is not installed: {what}", file=sys.stderr)
            continue
        times = take_turns({name: bind(STEPS[name]) for name in (over, under)}, repeats)
        figure = compare(times[over], times[under])
        rows.append(
            Row(what, "-" if limit is None else f"<= {limit:g}", figure, limit is None or figure.median <= limit)
        )
    return rows


def main(repeats: str = str(REPEATS)) -> None:
    """Print the table."""
    torch.set_num_threads(THREADS)
    packages = ["torch", *(name for name in NEEDS.values() if find_spec(name))]
    print(*(f"{name} {version(name)}" for name in packages), f"{torch.get_num_threads()} threads", sep=", ")
    rows = measure(int(repeats))
    print("\n| step / step, time | target | median | quartiles | met |\n|---|---|---|---|---|")
    for what, target, (median, low, high), met in rows:
        print(f"| {what} | {target} | {median:.2f} | {low:.2f} to {high:.2f} | {'yes' if met else 'NO'} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
