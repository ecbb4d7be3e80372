"""Steps of hypergrad.torch beside those of other optimizers: `python validation/bench_torch.py`, or make bench-torch.

The model has 10 million float32 parameters in 60 tensors, as a transformer divides them; torch runs 2 threads. The two
steps of a ratio take turns, and the figure is the median over the turns, with its quartiles. Rows that begin with
"training:" time the forward and backward passes of a transformer with 3 million parameters, too: after them threads of
torch go on spinning for a while, which takes cores from OpenCL, unless OMP_WAIT_POLICY=PASSIVE is set.

A package that is not installed is named and not measured, as is the engine "opencl" without a device, and compile()
without a compiler.

Each ratio is measured in a process of its own, so that it does not depend on those before. From one process to the next
it may still change by half: the heap decides whether torch's AdamW finds its 39 MB of temporary arrays there, or asks
the system for them in each step, with 10 000 page faults.
"""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from itertools import repeat
from multiprocessing import get_context
from typing import Any, NamedTuple

import torch
from torch._inductor.exc import InductorError

from hypergrad.errors import DeviceNotFoundError
from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW, TuningFreeAdamW
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


def compile_step(kind: type[Any]) -> Make:
    """An optimizer at its defaults whose step is compiled, by the compiler of C++ that torch finds."""

    def make(params: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        optimizer: torch.optim.Optimizer = kind(params)
        optimizer.compile()  # type: ignore[attr-defined]
        return optimizer

    return make


STEPS: dict[str, Make] = {
    "torch foreach AdamW": lambda params: torch.optim.AdamW(params, foreach=True),
    "torch fused AdamW": lambda params: torch.optim.AdamW(params, fused=True),
    "torch foreach SGD": lambda params: torch.optim.SGD(params, lr=1e-3, momentum=0.9, foreach=True),
    "prodigyopt": make_prodigy,
    "schedulefree": make_schedule_free,
    "AutoHypergradientAdamW": AutoHypergradientAdamW,
    "AutoHypergradientAdamW, delay=1": lambda params: AutoHypergradientAdamW(params, delay=1),
    "AutoHypergradientAdamW, propagate": lambda params: AutoHypergradientAdamW(params, nonfinite="propagate"),
    "AutoHypergradientAdamW, opencl": lambda params: AutoHypergradientAdamW(params, engine="opencl"),
    "AutoHypergradientAdamW, opencl, delay=1": lambda params: AutoHypergradientAdamW(params, engine="opencl", delay=1),
    "AutoHypergradientAdamW, compiled": compile_step(AutoHypergradientAdamW),
    "TuningFreeAdamW": TuningFreeAdamW,
    "TuningFreeAdamW, compiled": compile_step(TuningFreeAdamW),
    "TuningFreeAdamW, delay=1": lambda params: TuningFreeAdamW(params, delay=1),
    "TuningFreeAdamW, opencl": lambda params: TuningFreeAdamW(params, engine="opencl"),
    "TuningFreeAdamW, opencl, delay=1": lambda params: TuningFreeAdamW(params, engine="opencl", delay=1),
    "TuningFreeAdamW, opencl, delay=1, propagate": lambda params: TuningFreeAdamW(
        params, engine="opencl", delay=1, nonfinite="propagate"
    ),
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
    trains: bool = False  # with the forward and backward passes


TARGETS = [
    Target("AutoHypergradientAdamW", "torch foreach AdamW", 1.6),
    Target("AutoHypergradientAdamW, delay=1", "torch foreach AdamW", 1.3),
    Target("AutoHypergradientAdamW", "prodigyopt", 0.6),
    Target("AutoHypergradientAdamW, opencl", "prodigyopt", 0.6),
    Target("AutoHypergradientAdamW, opencl, delay=1", "prodigyopt", 0.6),
    Target("AutoHypergradientAdamW, compiled", "prodigyopt", 0.6),
    Target("torch fused AdamW", "prodigyopt"),  # what a step costs that learns nothing
    Target("AutoHypergradientAdamW", "schedulefree", 1.1),
    *(Target(name, "prodigyopt", 0.6) for name in STEPS if name.startswith("TuningFreeAdamW")),
    Target("AutoHypergradientAdamW, propagate", "torch foreach AdamW"),
    Target("HypergradientAdamW", "torch foreach AdamW", 1.6),
    Target("HypergradientAdamW, delay=1", "torch foreach AdamW", 1.3),
    Target("AdamHD", "torch foreach AdamW"),
    Target("SGDHD", "torch foreach SGD"),
    *(
        Target(name, "torch foreach AdamW", trains=True)
        for name in (
            "torch fused AdamW",
            "prodigyopt",
            "AutoHypergradientAdamW",
            "AutoHypergradientAdamW, opencl",
            "AutoHypergradientAdamW, opencl, delay=1",
            "TuningFreeAdamW",
            "TuningFreeAdamW, opencl, delay=1",
        )
    ),
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


def bind_training(make: Make) -> Run:
    """A step of training, past the first ones: a new transformer on a batch of 4 sequences of 32 vectors."""
    torch.manual_seed(0)
    layer = torch.nn.TransformerEncoderLayer(256, 4, 512, dropout=0.0, batch_first=True)
    model, batch = torch.nn.TransformerEncoder(layer, 6), torch.randn(4, 32, 256)
    optimizer = make(list(model.parameters()))

    def train() -> None:
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()

    for _ in range(12):
        train()
    return train


def measure(target: Target, repeats: int) -> Row | None:
    """The ratio of a target; None, with a word of why, where an optimizer is not there."""
    torch.set_num_threads(THREADS)
    over, under, limit, trains = target
    what = f"{'training: ' if trains else ''}{over} / {under}"
    missing = [NEEDS[name] for name in (over, under) if name in NEEDS and find_spec(NEEDS[name]) is None]
    if missing:
        print(f"not measured, {missing[0]} is not installed: {what}", file=sys.stderr)
        return None
    try:
        runs = {name: (bind_training if trains else bind)(STEPS[name]) for name in (over, under)}
    except (DeviceNotFoundError, InductorError) as error:
        print(f"not measured, {str(error).splitlines()[0]}: {what}", file=sys.stderr)
        return None
    times = take_turns(runs, repeats)
    figure = compare(times[over], times[under])
    return Row(what, "-" if limit is None else f"<= {limit:g}", figure, limit is None or figure.median <= limit)


def main(repeats: str = str(REPEATS)) -> None:
    """Print the table. Each ratio has a process of its own."""
    packages = ["torch", *(name for name in NEEDS.values() if find_spec(name))]
    waiting = f"OMP_WAIT_POLICY={os.environ.get('OMP_WAIT_POLICY', '')}"
    print(*(f"{name} {version(name)}" for name in packages), f"{THREADS} threads", waiting, sep=", ")
    print("\n| step / step, time | target | median | quartiles | met |\n|---|---|---|---|---|")
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as process:
        for row in process.map(measure, TARGETS, repeat(int(repeats))):
            if row is not None:
                what, target, (median, low, high), met = row
                print(f"| {what} | {target} | {median:.2f} | {low:.2f} to {high:.2f} | {'yes' if met else 'NO'} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
