"""The parts of `hypergrad bench`, by name; each gives what goes into its document, and its rows of targets."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hypergrad_kernels.device import Device
from hypergrad_validation import bench, on_device, small_models
from hypergrad_validation.budget import Budget
from hypergrad_validation.conformance import LONG_RUN
from hypergrad_validation.timing import Figure, Row

Tables = Mapping[str, Any]
"""What goes into the document beside the targets, by name; mostly lists of rows."""


class Wish(NamedTuple):
    """What is measured."""

    device: Device
    named: str  # as it was asked for
    budget: Budget
    powers: Sequence[int] | None = None  # 2^POWER elements; None: those that a part takes by itself
    steps: int = LONG_RUN  # of a long run


class Findings(NamedTuple):
    """What a part has found."""

    targets: Sequence[Row] = ()
    tables: Tables = {}  # noqa: RUF012


class Part(NamedTuple):
    """A part, and whether it is measured where none is named."""

    about: str
    measure: Callable[[Wish], Findings]
    usual: bool = True


def _measure_large(wish: Wish) -> Findings:
    powers = wish.powers or (20, 24)
    return Findings([row for power in powers for row in bench.measure_large(wish.device, 1 << power)])


def _measure_tuning_free(wish: Wish) -> Findings:
    powers = wish.powers or (24,)
    return Findings([row for power in powers for row in bench.measure_tuning_free(wish.device, 1 << power)])


def _measure_sizes(wish: Wish) -> Findings:
    return Findings(tables={"sizes": list(bench.measure_sizes(wish.device))})


def _compare_bits(wish: Wish) -> Findings:
    return Findings(tables={"bits": list(on_device.compare_bits(wish.device, wish.budget, wish.steps))})


def _measure_copies(wish: Wish) -> Findings:
    (power,) = (wish.powers or (24 if wish.device.is_cpu else 26,))[:1]
    found = on_device.measure_copies(wish.device, wish.budget, 1 << power)
    return Findings(tables={"copies": [_flatten(row) for row in found]})


def _measure_steps(wish: Wish) -> Findings:
    found = on_device.measure_steps(wish.device, wish.budget, wish.powers or on_device.POWERS)
    return Findings(tables={"steps": [_flatten(row) for row in found]})


def _flatten(row: NamedTuple) -> dict[str, Any]:
    """The fields of a row, with the median and the quartiles of each figure."""
    flat: dict[str, Any] = {}
    for name, value in row._asdict().items():
        figures = value if isinstance(value, Mapping) else {"": value} if isinstance(value, Figure) else None
        if figures is None:
            flat[name] = value
            continue
        for key, figure in figures.items():
            what = f"{key}, {name}" if key else name
            flat[what] = figure.median
            flat[f"{what}, quartiles"] = [figure.low, figure.high]
    return flat


PARTS: dict[str, Part] = {
    "large": Part("kernels, steps and rivals on one large tensor", _measure_large),
    "tuning-free": Part("TuningFreeAdamW beside AdamW", _measure_tuning_free),
    "many": Part("many tensors beside one", lambda wish: Findings(bench.measure_many(wish.device))),
    "small": Part(
        "small models beside torch, where it is installed",
        lambda wish: Findings(small_models.measure_small(wish.device)),
    ),
    "iteration": Part("an iteration of HDM-Best", lambda wish: Findings(bench.measure_iteration(wish.device))),
    "long": Part("memory and builds of a long run", lambda wish: Findings(bench.measure_long(wish.device))),
    "builds": Part(
        "the first step of a process",
        lambda wish: Findings(tables={"first step, seconds": bench.measure_builds(wish.named)}),
    ),
    "sizes": Part("GB/s from 2^10 to 2^26 elements", _measure_sizes, usual=False),
    "bits": Part("every kernel case and two long runs, as hypergrad conform", _compare_bits, usual=False),
    "copies": Part("each kernel beside a copy of the same bytes on the device", _measure_copies, usual=False),
    "steps": Part("steps from 2^10 to 2^28 elements, all of it on the device", _measure_steps, usual=False),
}
"""In the order in which they are measured."""


def measure(wish: Wish, names: Sequence[str]) -> Iterator[tuple[str, Findings]]:
    """Parts, one after the other; what the budget has no time for is named there."""
    for name in PARTS:
        if name in names and wish.budget.allows(name, 0.0):
            yield name, PARTS[name].measure(wish)
