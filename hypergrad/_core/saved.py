"""The state of an optimizer as plain numbers and arrays that can be saved, and back."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from hypergrad._core.groups import GroupOptions
from hypergrad._core.keeping import count_kept, open_norms
from hypergrad._core.rates import LARGEST_RATIO, Rates
from hypergrad._core.series import Records, Series
from hypergrad._core.state import RECORDS, Seen, State, edit
from hypergrad._core.states import LARGEST, SCHEMA, ArrayFit, Fit, HistoryFit, Progress, Range, TensorFit
from hypergrad._core.tensors import Tensor
from hypergrad._core.work import place_blocks
from hypergrad_kernels.placing import place_kept
from hypergrad_reference import surprise
from hypergrad_reference.adamw import CONVENTIONS
from hypergrad_reference.loops import Arrays
from hypergrad_reference.rule import History, Rule, Traits
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

SQUARES = ("exp_avg_sq", "max_exp_avg_sq")
"""Arrays that hold no negative number."""

FRACTION, POSITIVE, ANY = Range(0.0, 1.0), Range(5e-324), Range()
NUMBERS = {
    **dict.fromkeys(("b1", "c1", "b2", "c2", "beta1", "beta2", "beta1_t", "beta2_t"), FRACTION),
    **dict.fromkeys(("last_beta1_power", "beta1_power"), FRACTION),
    **dict.fromkeys(("i1", "i2"), Range(1.0)),
    **dict.fromkeys(("eps", "epsilon"), POSITIVE),
    "weight_decay": Range(0.0),
}
"""What the numbers kept of a tensor may be, where that is not any finite number."""

LEARNED = {
    **dict.fromkeys(("look", "q_mean"), Range(-1.0, 1.0)), "q_peak": FRACTION, "target_mean": ANY,
    "target_unit": POSITIVE,
}  # fmt: skip
"""What the numbers that are learned may be, where that is not any number from 0 on."""

OF_HISTORY = ("lr", "weight_decay", "last_beta1_power", "beta1_power")
"""The numbers of a history that a saved state has, beside its scalars."""

Saved = Mapping[str, Any]
ReadGroups = Callable[[Sequence[Saved], Sequence[float]], object]


class Frame(NamedTuple):
    """What of an optimizer stays the same over a run: a state fits it or not."""

    kind: str
    options: Mapping[str, Any]  # of the constructor, except for the device and those of groups
    lr_min: float
    lr_max: float
    finite: bool  # whether arrays hold finite numbers only
    watch: surprise.Watch | None
    rule: Rule[Any]
    group_options: Sequence[str]
    tensors: Sequence[Tensor]

    @property
    def traits(self) -> Traits:
        """Those of the rule."""
        return self.rule.traits

    @property
    def numbers(self) -> tuple[str, ...]:
        """The numbers that a saved state has of a tensor that has taken a step."""
        convention = self.options.get("scalar_convention", "exact")
        if self.traits.averages is not None:  # they follow from what else is there
            return ()
        return () if "direction" in self.traits.keeps else (*CONVENTIONS[convention]._fields, *OF_HISTORY)


def dump(frame: Frame, state: State, groups: Sequence[GroupOptions]) -> dict[str, Any]:
    """The state as plain numbers and copies of arrays."""
    bounds = place_blocks(frame.tensors)
    return {
        "schema": SCHEMA,
        "kind": frame.kind,
        "options": dict(frame.options),
        "steps": state.step,
        "skipped": state.skipped,
        "schedule": _dump_schedule(frame, state),
        "histories": {name: series.read().copy() for name, series in _list_series(frame, state).items()},
        "groups": [
            _dump_group(frame, group._replace(lr=rate))
            for group, rate in zip(groups, state.rates.of_groups(), strict=True)
        ],
        "tensors": [_dump_tensor(frame, state, tensor, bounds[tensor.position]) for tensor in frame.tensors],
    }


def _dump_group(frame: Frame, group: GroupOptions) -> dict[str, Any]:
    options = group._asdict()
    return {name: list(options[name]) if name == "betas" else options[name] for name in frame.group_options}


def _follows_surprise(frame: Frame, state: State) -> bool:
    return "beta1" in state.learned[0]._fields


def _dump_schedule(frame: Frame, state: State) -> dict[str, float | None]:
    numbers: dict[str, float | None] = {f"lr{scope}": one.lr for scope, one in enumerate(state.learned)}
    numbers |= {f"ratio{group}": ratio for group, ratio in enumerate(state.ratios)}
    for scope, one in enumerate(state.learned):
        numbers |= {f"{name}{scope}": number for name, number in list_numbers(one) if name not in ("lr", "beta1")}
    return numbers | state.seen.state._asdict() if _follows_surprise(frame, state) else numbers


def list_numbers(learned: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    """What is learned as numbers with names; those of a NamedTuple inside begin with its name."""
    for name, value in learned._asdict().items():
        if isinstance(value, tuple):
            yield from list_numbers(value, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", float(value)


def read_numbers(learned: Any, saved: Saved, scope: int | None = None, prefix: str = "") -> Any:
    """What is learned, with the saved numbers instead of its own; their names end with the scope, if there is one."""
    end = "" if scope is None else str(scope)
    known = {}
    for name, value in learned._asdict().items():
        if isinstance(value, tuple):
            known[name] = read_numbers(value, saved, scope, f"{prefix}{name}_")
        elif f"{prefix}{name}{end}" in saved:
            known[name] = type(value)(saved[f"{prefix}{name}{end}"])
    return learned._replace(**known)


def _list_series(frame: Frame, state: State) -> dict[str, Series]:
    series = {f"lr{scope}": one["lr"] for scope, one in enumerate(state.series)}
    series |= {f"beta1_{scope}": one["beta1"] for scope, one in enumerate(state.series) if "beta1" in one}
    if _follows_surprise(frame, state):
        series |= {"surprise": state.seen.surprise, "s_bar": state.seen.accumulated}
    return series


def _dump_tensor(frame: Frame, state: State, tensor: Tensor, bounds: tuple[int, int]) -> dict[str, Any]:
    history = state.histories[state.members[tensor.position]]
    numbers = {}
    if history.scalars is not None and frame.numbers:
        known = history._asdict() | history.scalars._asdict()  # type: ignore[attr-defined]
        known |= {name: getattr(history, name) for name in OF_HISTORY}
        numbers = {name: known[name] for name in frame.numbers}
    arrays = {name: kept.copy() for name, kept in state.arrays[tensor.position]._asdict().items() if kept is not None}
    if frame.traits.remembers_norm and history.step:
        arrays["grad_grad"] = state.grad_grad[slice(*bounds)].astype(tensor.theta.dtype)
    return {
        "shape": list(tensor.shape),
        "dtype": tensor.theta.dtype.name,
        "group": tensor.group,
        "step": history.step,
        "moved": history.moved,
        "numbers": numbers,
        "arrays": arrays,
    }


def fit(frame: Frame, state: State, read_groups: ReadGroups) -> Fit:
    """What a state must be so that it can replace this one.

    read_groups    from groups and the rates that they step with; raises ArgumentError for what is out of range
    """
    low, high = max(frame.lr_min, -LARGEST), min(frame.lr_max, LARGEST)
    ranges = {f"lr{scope}": Range(low, high) for scope in range(len(state.learned))}
    ranges |= {
        f"ratio{group}": Range(-LARGEST_RATIO if low < 0 else 0.0, LARGEST_RATIO) for group in range(len(state.ratios))
    }
    for scope, one in enumerate(state.learned):
        names = (name for name, _ in list_numbers(one) if name not in ("lr", "beta1"))
        ranges |= {f"{name}{scope}": LEARNED.get(name, Range(0.0)) for name in names}
    histories = {f"lr{scope}": HistoryFit(Range(min(0.0, low)), 1) for scope in range(len(state.learned))}
    if _follows_surprise(frame, state):
        for scope in range(len(state.learned)):
            histories[f"beta1_{scope}"] = HistoryFit(FRACTION, 1)
        ranges |= dict.fromkeys(("surprise", "accumulated", "gain"), FRACTION)
        ranges["grad_sq_ema"] = Range(0.0, optional=True)
        histories |= dict.fromkeys(("surprise", "s_bar"), HistoryFit(FRACTION, 0))
    return Fit(
        frame.kind, frame.options, ranges, histories, len(state.ratios),
        {name: 2 if name == "betas" else 0 for name in frame.group_options},
        lambda groups, schedule: read_groups(groups, _read_rates(state, schedule).of_groups()),
        [_fit_tensor(frame, tensor) for tensor in frame.tensors], frame.finite,
    )  # fmt: skip


def _read_rates(state: State, schedule: Saved) -> Rates:
    """The rates of a saved schedule that fits, instead of those of a state."""
    bases = tuple(float(schedule[f"lr{scope}"]) for scope in range(len(state.learned)))
    return state.rates._replace(bases=bases, ratios=_read_ratios(state, schedule))


def _read_ratios(state: State, schedule: Saved) -> tuple[float, ...]:
    return tuple(float(schedule[f"ratio{group}"]) for group in range(len(state.ratios)))


def _fit_tensor(frame: Frame, tensor: Tensor) -> TensorFit:
    length, watch, traits = tensor.theta.size, frame.watch, frame.traits

    def list_numbers(progress: Progress) -> dict[str, Range]:
        return {name: NUMBERS.get(name, ANY) for name in frame.numbers} if progress.step else {}

    def list_arrays(progress: Progress) -> dict[str, ArrayFit]:
        arrays = {
            name: ArrayFit(count_kept(name, length, traits), 0.0 if name in SQUARES else -LARGEST)
            for name in traits.keeps
        }
        if "last_grad" in arrays and not progress.step:
            arrays["last_grad"] = ArrayFit(length, required=False)
        if not progress.step:
            return arrays
        if traits.remembers_norm:
            arrays["grad_grad"] = ArrayFit(-(-length // BLOCK), 0.0)
        if watch is not None:  # a tensor that took few steps may have sat out every one that was tracked
            latest = progress.steps if progress.moved else progress.step
            observed = latest > watch.warmup_steps
            arrays["grad_ema"] = ArrayFit(length, required=observed)
        return arrays

    return TensorFit(tensor.shape, tensor.theta.dtype, tensor.group, list_numbers, list_arrays)


def parse(frame: Frame, state: State, saved: Saved) -> tuple[State, list[GroupOptions]]:
    """A saved state that fits, to replace this one, and the options of its groups. Arrays are copied."""
    groups = [_parse_group(group) for group in saved["groups"]]
    schedule = saved["schedule"]
    ratios = _read_ratios(state, schedule)
    learned, series = [], []
    for scope, one in enumerate(state.learned):
        learned.append(read_numbers(one, schedule, scope))
        names = {name: f"beta1_{scope}" if name == "beta1" else f"{name}{scope}" for name in state.series[scope]}
        series.append({name: Series.start(saved["histories"][entry]) for name, entry in names.items()})
    seen = state.seen
    if _follows_surprise(frame, state):
        numbers = [schedule[name] for name in surprise.State._fields]
        observed = surprise.State(*(None if number is None else float(number) for number in numbers))  # type: ignore[arg-type]
        seen = Seen(observed, *(Series.start(saved["histories"][name]) for name in ("surprise", "s_bar")))
    histories: dict[History, int] = {}
    entries = list(zip(frame.tensors, saved["tensors"], strict=True))
    members = tuple(histories.setdefault(_parse_history(frame, t, entry), len(histories)) for t, entry in entries)
    parsed = State(
        int(saved["steps"]), int(saved["skipped"]), state.shared, ratios, tuple(learned), tuple(series), seen,
        tuple(histories), members, tuple(_parse_arrays(frame, t, entry["arrays"]) for t, entry in entries),
        _parse_norms(frame, entries), Records([], 0, RECORDS),
    )  # fmt: skip
    return edit(parsed, frame.rule, groups), groups


def _parse_group(saved: Saved) -> GroupOptions:
    numbers: dict[str, Any] = {
        name: tuple(map(float, value)) if name == "betas" else float(value) for name, value in saved.items()
    }
    return GroupOptions(**numbers)


def _parse_history(frame: Frame, tensor: Tensor, entry: Saved) -> History:
    numbers = {name: float(number) for name, number in entry["numbers"].items()}
    scalars = None
    if numbers:
        kind = CONVENTIONS[frame.options.get("scalar_convention", "exact")]
        scalars = kind(**{name: numbers[name] for name in kind._fields})
    return History(
        tensor.group, int(entry["step"]), bool(entry["moved"]), "grad_ema" in entry["arrays"], scalars=scalars,
        **{name: numbers[name] for name in OF_HISTORY if name in numbers},
    )  # fmt: skip


def _parse_arrays(frame: Frame, tensor: Tensor, saved: Saved) -> Arrays:
    theta, arrays = tensor.theta, dict[str, Vector]()
    for name in Arrays._fields:
        if name in saved:
            arrays[name] = place_kept(name, saved[name].size, theta)
            arrays[name][...] = saved[name]
        elif name in frame.traits.keeps:
            arrays[name] = place_kept(name, count_kept(name, theta.size, frame.traits), theta)
    return Arrays(**arrays)


def _parse_norms(frame: Frame, entries: Sequence[tuple[Tensor, Saved]]) -> Vector:
    norms = open_norms(frame.tensors, frame.traits)
    if norms.size:
        for (start, stop), (_, entry) in zip(place_blocks(frame.tensors), entries, strict=True):
            norms[start:stop] = entry["arrays"].get("grad_grad", 0.0)
    return norms
