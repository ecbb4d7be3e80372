"""The step that all optimizers share: look at everything first, then write, and never stop half-way."""

import math
import signal
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hypergrad import checkpoint
from hypergrad.backend import Backend, DeviceWish, open_backend
from hypergrad.device_arrays import is_device_array
from hypergrad.errors import ArgumentError, ArrayTypeError, BrokenOptimizerError, NonFiniteError
from hypergrad.files import PathName
from hypergrad.history import History
from hypergrad.rates import Rates, open_rates, take_written
from hypergrad.states import (
    LARGEST,
    SCHEMA,
    ArrayFit,
    Fit,
    HistoryFit,
    Progress,
    Range,
    TensorFit,
    check_state,
)
from hypergrad.tensors import Tensor, check_memory, collect_groups, find_gradients, flatten_gradient, get_array
from hypergrad_reference.adamw_loops import Operands, Update
from hypergrad_reference.sgd_hd import Move
from hypergrad_reference.types import Vector

if TYPE_CHECKING:
    from hypergrad.backend import DeviceChoice

RECORDS = 1000
BLOCK_SUMS = ("grad_grad",)
"""Kept arrays that hold a number for each block, not one for each element."""

Sums = dict[int, dict[str, Vector]]
"""Block sums by position of the tensor and name of the product."""


class Plan(NamedTuple):
    """What a schedule has decided about the step to come."""

    rates: Rates
    records: Sequence[Any]  # one a base rate: a NamedTuple with `lr` and `hypergradient` that says why it moved
    group_rates: Sequence[float]  # of each group, as rates gives them
    memo: dict[Any, Any]  # what tensors with the same history share, formed once
    state: Any = None  # what else the schedule takes up after the step


def make_plan(rates: Rates, records: Sequence[Any], state: Any = None) -> Plan:
    """The plan for rates whose bases the records have moved."""
    rates = rates._replace(bases=tuple(record.lr for record in records))
    return Plan(rates, records, rates.of_groups(), {}, state)


class SkippedRecord(NamedTuple):
    """A step that was not taken."""

    step: int
    lr: float
    reason: str


def _show_record(record: Any) -> Any:
    """A record as a dict, or those of several groups as a list of dicts."""
    return record._asdict() if hasattr(record, "_asdict") else [_show_record(one) for one in record]


def _make_plain(value: Any) -> Any:
    """An option as JSON has it: a list for a tuple, Python's numbers for those of NumPy."""
    if isinstance(value, (list, tuple)):
        return [_make_plain(member) for member in value]
    return value.item() if isinstance(value, np.generic) else value


@contextmanager
def defer_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[tuple[int, Any]] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: pending.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if pending and callable(previous):
            previous(*pending[0])


def check_range(
    name: str, value: float, low: float, high: float, open_high: bool = False, open_low: bool = False
) -> None:
    """Raise ArgumentError unless value is a finite number from low to high."""
    inside = (
        isinstance(value, (int, float, np.integer, np.floating))
        and math.isfinite(value)
        and (low < value if open_low else low <= value)
        and (value < high if open_high else value <= high)
    )
    if not inside:
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        raise ArgumentError(f"{name}={value!r}: give a number in {left}{low}, {high}{right}")


class Optimizer(ABC):
    """Parameters, rates and the two-phase step; a rule says what is summed, how rates move and tensors are updated."""

    group_options: tuple[str, ...] = ("lr",)
    options: tuple[str, ...]  # of the constructor, all but the device and those of groups

    def __init__(
        self,
        params: Iterable[Any],
        defaults: Mapping[str, Any],
        *,
        lr_scope: str,
        lr_min: float,
        lr_max: float,
        nonfinite: str,
        use_gpu: bool,
        device: "DeviceChoice",
        clear_grad: bool = False,
    ) -> None:
        if nonfinite not in ("raise", "skip", "propagate"):
            raise ArgumentError(f"nonfinite={nonfinite!r}: give 'raise', 'skip' or 'propagate'")
        self.defaults = dict(defaults)
        self.lr_scope, self.lr_min, self.lr_max = lr_scope, lr_min, lr_max
        self.nonfinite = nonfinite
        self.clear_grad = clear_grad
        self.skipped = 0
        self.records: deque[Any] = deque(maxlen=RECORDS)
        self._steps = 0
        self._broken: str | None = None
        self._tensors: list[Tensor] = []
        self.param_groups = collect_groups(params)
        for number, group in enumerate(self.param_groups):
            self._complete_group(number, group)
            for owner in group["params"]:
                self._tensors.append(Tensor(owner, len(self._tensors), number))
        check_memory(self._tensors)
        self._device_wish = DeviceWish(use_gpu, device)
        self._backend = open_backend(use_gpu, device, {t.name: t.theta for t in self._tensors})
        for tensor in self._tensors:
            self._open_tensor(tensor)
        self._rates = open_rates(lr_scope, float(self.defaults["lr"]), self.param_groups)
        self._lr_histories = [History([base]) for base in self._rates.bases]

    # What a rule says.

    @abstractmethod
    def _open_tensor(self, tensor: Tensor) -> None:
        """Allocate what the rule keeps of a tensor."""

    @abstractmethod
    def _name_products(self, tensor: Tensor) -> tuple[str, ...]:
        """The inner products that the schedule needs of a tensor that has a gradient."""

    @abstractmethod
    def _make_operands(self, tensor: Tensor, grad: Vector) -> Operands:
        """What the inner products are made of."""

    @abstractmethod
    def _schedule(self, rates: Rates, sums: Sums) -> Plan:
        """Decide the rates of this step; sums are finite unless nonfinite is "propagate"."""

    @abstractmethod
    def _make_update(self, tensor: Tensor, grad: Vector, plan: Plan) -> Update | Move:
        """What the update is made of; arrays that it writes are allocated here."""

    @abstractmethod
    def _keep(self, tensor: Tensor, update: Any, sums: Mapping[str, Vector], plan: Plan) -> None:
        """Take up what the update of a tensor leaves behind, beside what it wrote."""

    # What every optimizer has.

    @property
    def device(self) -> str:
        """Who runs the loops: "numpy", or "opencl: PLATFORM: DEVICE"."""
        return self._backend.name

    @property
    def current_lr(self) -> float:
        """The base rate; of the first group where each group has its own."""
        return self._rates.bases[0]

    @property
    def lr_history(self) -> NDArray[np.float64]:
        """The base rate at first and after every adaptation; of the first group where each group has its own.

        A read-only array as of now. It may be kept: no later step or load changes it.
        """
        return self._lr_histories[0].read()

    @property
    def lr_histories(self) -> list[NDArray[np.float64]]:
        """The same for each base rate: of each group under lr_scope="group"."""
        return [history.read() for history in self._lr_histories]

    @property
    def last_record(self) -> Any:
        """Why the rate moved, or did not, on the latest step; None before the first."""
        return self.records[-1] if self.records else None

    @property
    def state(self) -> dict[int, dict[str, Any]]:
        """By id(param), for each that has taken a step: its step and what the rule keeps, in the parameter's shape."""
        self._backend.fetch()
        return {
            id(tensor.owner): {
                "step": tensor.step,
                **{
                    name: kept.reshape(tensor.shape)
                    for name, kept in tensor.arrays.items()
                    if kept.size == tensor.theta.size and name not in BLOCK_SUMS
                },
            }
            for tensor in self._tensors
            if tensor.step
        }

    def zero_grad(self) -> None:
        """Set the `.grad` of every parameter that has one to None."""
        for tensor in self._tensors:
            if getattr(tensor.owner, "grad", None) is not None:
                tensor.owner.grad = None  # type: ignore[attr-defined]

    def step(
        self,
        closure: Callable[[], Any] | None = None,
        gradients: Sequence[Any] | Mapping[int, Any] | None = None,
    ) -> Any:
        """Take one step.

        closure      called first; its value is returned. It may compute the `.grad` of the parameters.
        gradients    a list in the order of the parameters, or a dict keyed by id(param); where it has none, the
                     `.grad` of a parameter counts. A tensor without any gradient sits the step out entirely, and a
                     step in which all do changes nothing.

        A gradient may have any strides; a float64 gradient of a float32 parameter is rounded to float32.
        Raises ArgumentError or ArrayTypeError for a gradient of the wrong kind and NonFiniteError for one that holds
        NaN or inf (unless nonfinite says otherwise). A step that raises has changed nothing, with one exception: after
        BrokenOptimizerError a device has failed while it was writing.
        """
        if self._broken is not None:
            raise BrokenOptimizerError(self._broken)
        loss = None if closure is None else closure()
        found = find_gradients(self._tensors, gradients)
        if not found:
            return loss
        for tensor, _ in found:
            tensor.refresh()
        for number, group in enumerate(self.param_groups):
            self._check_group(number, group)
        rates = take_written(self._rates, self.param_groups)
        active = [(tensor, flatten_gradient(tensor, gradient, self.clear_grad)) for tensor, gradient in found]
        for tensor, grad in active:
            if not isinstance(grad, np.ndarray):
                self._backend.check_device_array(grad, f"the gradient of {tensor.name}")

        self._backend.begin()
        sums = self._sum(active)
        trouble = self._find_trouble(active, sums)
        if trouble is not None:
            if self.nonfinite == "raise":
                raise NonFiniteError(f"{trouble}; nothing was changed, nonfinite='skip' passes over such a step")
            self.skipped += 1
            self.records.append(SkippedRecord(self._steps + 1, rates.bases[0], trouble))
            return loss
        plan = self._schedule(rates, sums)
        work = [(tensor, self._make_update(tensor, grad, plan)) for tensor, grad in active]
        placed = [(tensor.position, u) for tensor, u in work]
        self._backend.prepare(placed, self.clear_grad)
        with defer_interrupt():
            self._write(work, placed, sums, plan)
            if self.clear_grad:
                for (_, grad), (_, gradient) in zip(active, found, strict=True):
                    original = get_array(gradient, "a gradient")
                    if isinstance(grad, np.ndarray) and not np.may_share_memory(grad, original):
                        original[...] = 0
        return loss

    def _sum(self, active: Sequence[tuple[Tensor, Vector]]) -> Sums:
        work = []
        for tensor, grad in active:
            names = self._name_products(tensor)
            if self.nonfinite != "propagate" and "grad_grad" not in names:
                names = ("grad_grad", *names)  # one NaN or inf in the gradient shows in its norm
            if names:
                work.append((tensor.position, names, self._make_operands(tensor, grad)))
        results = self._backend.inner_products(work) if work else []
        return {position: result for (position, _, _), result in zip(work, results, strict=True)}

    def _find_trouble(self, active: Sequence[tuple[Tensor, Vector]], sums: Sums) -> str | None:
        if self.nonfinite == "propagate":
            return None
        for tensor, grad in active:
            for name, blocks in sums[tensor.position].items():
                if np.isfinite(blocks).all():
                    continue
                values = grad if isinstance(grad, np.ndarray) else grad.get()
                finite = np.isfinite(values)
                if not finite.all():
                    first = int(np.argmin(finite))
                    place = ", ".join(map(str, np.unravel_index(first, tensor.shape)))
                    return f"the gradient of {tensor.name} holds {values[first]} at [{place}]"
                if name in self._name_products(tensor):
                    return f"the sum {name} of {tensor.name} is not finite though its gradient is: scale the loss down"
        return None

    def _find_movers(self, rates: Rates, scope: int, sums: Sums) -> list[Tensor]:
        """The tensors of a scope that moved at t-1 and have a gradient at t: only they tell how the rate did."""
        members = set(rates.members(scope))
        return [
            tensor for tensor in self._tensors if tensor.group in members and tensor.moved and tensor.position in sums
        ]

    def _write(
        self, work: Sequence[tuple[Tensor, Any]], placed: Sequence[tuple[int, Any]], sums: Sums, plan: Plan
    ) -> None:
        try:
            self._backend.update(placed, self.clear_grad)
        except BaseException as error:
            self._broken = (
                f"step {self._steps + 1} failed while it was writing ({error}); the last good step is {self._steps}: "
                "restore the parameters and load a state saved then"
            )
            raise BrokenOptimizerError(self._broken) from error
        for tensor in self._tensors:
            tensor.moved = False
        for tensor, u in work:
            self._keep(tensor, u, sums.get(tensor.position, {}), plan)
            tensor.moved = True
            tensor.step += 1
        self._steps += 1
        self._settle(plan)
        self.records.append(plan.records[0] if plan.rates.shared else tuple(plan.records))

    def _settle(self, plan: Plan) -> None:
        """Take the plan's scalars into the optimizer's state, after the tensors were written."""
        self._rates = plan.rates
        self._show_rates()
        for history, record in zip(self._lr_histories, plan.records, strict=True):
            if math.isfinite(record.hypergradient):
                history.append(record.lr)

    def _show_rates(self) -> None:
        self.defaults["lr"] = self._rates.bases[0]
        for group, rate in zip(self.param_groups, self._rates.of_groups(), strict=True):
            group["lr"] = rate

    # Groups.

    def _complete_group(self, number: int, group: dict[str, Any]) -> None:
        unknown = set(group) - {"params", *self.group_options}
        if unknown:
            raise ArgumentError(f"params[{number}] has unknown keys {sorted(unknown)}: known are {self.group_options}")
        for option in self.group_options:
            group.setdefault(option, self.defaults[option])
        self._check_group(number, group)

    def _check_group(self, number: int, group: Mapping[str, Any]) -> None:
        """Raise ArgumentError for an option of a group that is out of range."""
        low, high = self.lr_min, self.lr_max
        if self.lr_scope == "global":  # the bounds are those of the base rate
            low, high = min(0.0, self.lr_min), math.inf
        check_range(f"{self._name_group(number)}lr", group["lr"], low, high, open_high=math.isinf(high))

    def _name_group(self, number: int) -> str:
        return "" if len(self.param_groups) == 1 else f"param_groups[{number}]: "

    # Copies.

    @cached_property
    def _backend(self) -> Backend:
        """Who runs the loops. For a copy the device is opened again when it is needed."""
        wish = self._device_wish
        return open_backend(wish.use_gpu, wish.device, {t.name: t.theta for t in self._tensors})

    def _list_members(self) -> dict[str, Any]:
        """What a copy is made of, all on the host."""
        if "_backend" in self.__dict__:
            self._backend.fetch()
        return {name: value for name, value in self.__dict__.items() if name != "_backend"}

    def __getstate__(self) -> dict[str, Any]:
        """For copy.deepcopy and pickle: a twin has parameters of its own, which are those of a model copied with it."""
        for tensor in self._tensors:
            if is_device_array(get_array(tensor.owner, tensor.name)):
                raise ArrayTypeError(
                    f"{tensor.name} is a pyopencl array, which cannot be copied or pickled with its optimizer: make a "
                    "new optimizer for copies of the parameters, and give its load_state_dict this one's state_dict()"
                )
        return self._list_members()

    def __copy__(self) -> Self:
        """A twin with a state of its own for the same parameters."""
        owners = {id(tensor.owner): tensor.owner for tensor in self._tensors}
        twin = object.__new__(type(self))
        twin.__dict__.update(deepcopy(self._list_members(), owners))
        return twin

    # Saving.

    def _histories(self) -> dict[str, History]:
        return {f"lr{scope}": history for scope, history in enumerate(self._lr_histories)}

    def _list_history_fits(self) -> dict[str, HistoryFit]:
        numbers = Range(max(min(0.0, self.lr_min), -LARGEST))
        return {f"lr{scope}": HistoryFit(numbers, 1) for scope in range(len(self._lr_histories))}

    def _dump_schedule(self) -> dict[str, float | None]:
        """The schedule's scalars, by name."""
        bases: dict[str, float | None] = {f"lr{scope}": base for scope, base in enumerate(self._rates.bases)}
        return bases | {f"ratio{group}": ratio for group, ratio in enumerate(self._rates.ratios)}

    def _list_ranges(self) -> dict[str, Range]:
        """What the schedule's scalars may be, by name."""
        low, high = max(self.lr_min, -LARGEST), min(self.lr_max, LARGEST)
        bases = {f"lr{scope}": Range(low, high) for scope in range(len(self._rates.bases))}
        return bases | {f"ratio{group}": Range(min(0.0, low)) for group in range(len(self._rates.ratios))}

    def _load_schedule(self, scalars: Mapping[str, Any]) -> None:
        """Take up what _dump_schedule gave; the options of the groups are taken up already."""
        self._rates = self._rates._replace(
            bases=tuple(float(scalars[f"lr{scope}"]) for scope in range(len(self._rates.bases))),
            ratios=tuple(float(scalars[f"ratio{group}"]) for group in range(len(self._rates.ratios))),
        )
        self.defaults["lr"] = self._rates.bases[0]

    def _list_numbers(self, progress: Progress) -> dict[str, Range]:
        """The numbers that the rule keeps of a tensor."""
        return {}

    @abstractmethod
    def _list_arrays(self, tensor: Tensor, progress: Progress) -> dict[str, ArrayFit]:
        """The arrays that the rule keeps of a tensor."""

    def _check_groups(self, groups: Sequence[Mapping[str, Any]]) -> None:
        """Raise ArgumentError for options of groups that are out of range, or at odds with each other."""
        for number, group in enumerate(groups):
            self._check_group(number, group)

    def _dump_options(self) -> dict[str, Any]:
        """What the constructor was told, except for the device and what is an option of groups."""
        return {name: _make_plain(getattr(self, name)) for name in self.options}

    def _make_fit(self) -> Fit:
        """What a state must be to be taken up."""
        return Fit(
            type(self).__name__,
            self._dump_options(),
            self._list_ranges(),
            self._list_history_fits(),
            len(self.param_groups),
            {name: 2 if name == "betas" else 0 for name in self.group_options},
            self._check_groups,
            [
                TensorFit(
                    tensor.shape, tensor.theta.dtype, tensor.group, self._list_numbers,
                    partial(self._list_arrays, tensor),
                )
                for tensor in self._tensors
            ],
            finite=self.nonfinite != "propagate",
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """Everything a run needs to go on bit for bit, parameters excepted: copies of arrays, and plain numbers.

        Keys "schema", "kind", "options" (of the constructor, except for the device and those of groups), "steps",
        "skipped", "schedule" (scalars), "histories" (float64 arrays), "groups" (options, in the order of
        param_groups), "tensors" (a dict for each parameter, in order: "shape", "dtype", "group", "step", "moved",
        "numbers", "arrays", these flat). `records` are not part of it.
        """
        if "_backend" in self.__dict__:
            self._backend.fetch()
        return {
            "schema": SCHEMA,
            "kind": type(self).__name__,
            "options": self._dump_options(),
            "steps": self._steps,
            "skipped": self.skipped,
            "schedule": self._dump_schedule(),
            "histories": {name: history.read().copy() for name, history in self._histories().items()},
            "groups": [{name: _make_plain(group[name]) for name in self.group_options} for group in self.param_groups],
            "tensors": [
                {
                    "shape": list(tensor.shape),
                    "dtype": tensor.theta.dtype.name,
                    "group": tensor.group,
                    "step": tensor.step,
                    "moved": tensor.moved,
                    "numbers": dict(tensor.numbers),
                    "arrays": {name: kept.copy() for name, kept in tensor.arrays.items()},
                }
                for tensor in self._tensors
            ],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that state_dict gave. The parameters are the caller's to restore; `records` start again.

        Raises CheckpointError, which names the entry, with nothing changed, if the state is damaged, or of another
        optimizer, other options or other parameters. To go on with other options, write them to state["options"].
        """
        check_state(state, self._make_fit())
        arrays = [{name: np.array(kept) for name, kept in entry["arrays"].items()} for entry in state["tensors"]]
        histories = {name: np.array(history) for name, history in state["histories"].items()}
        with defer_interrupt():
            self._backend.forget()
            for tensor, entry, kept in zip(self._tensors, state["tensors"], arrays, strict=True):
                tensor.step, tensor.moved, tensor.arrays = int(entry["step"]), entry["moved"], kept
                tensor.numbers, tensor.scalars = {name: float(n) for name, n in entry["numbers"].items()}, None
            for group, saved in zip(self.param_groups, state["groups"], strict=True):
                for name, value in saved.items():
                    group[name] = tuple(map(float, value)) if isinstance(value, (list, tuple)) else float(value)
            self._load_schedule(state["schedule"])
            for name, history in self._histories().items():
                history.replace(histories[name])
            self._steps, self.skipped, self._broken = int(state["steps"]), int(state["skipped"]), None
            self.records.clear()

    def save(self, path: PathName) -> None:
        """Write state_dict, and the latest records for `hypergrad explain`, to one .npz file, whole or not at all.

        path    the name as it is: no ".npz" is added, "~" is the home folder, and a symbolic link is followed

        A file that is there keeps its mode; a new one gets what the umask leaves. Raises OSError, with the file that
        was there untouched, if the folder is missing or cannot be written to, or the disk is full; ArgumentError if
        param_groups holds an option that is out of range; BrokenOptimizerError if a step has failed while it was
        writing.
        """
        if self._broken is not None:
            raise BrokenOptimizerError(self._broken)
        self._check_groups(self.param_groups)
        checkpoint.save(path, {**self.state_dict(), "records": [_show_record(record) for record in self.records]})

    def load(self, path: PathName) -> None:
        """Go on from a file that save wrote, as load_state_dict does.

        Raises CheckpointError, with nothing changed, if it is damaged or no such file, and OSError if it cannot be
        read. A file of schema 2 holds no options: they are taken to be those of this optimizer, with a
        CheckpointWarning.
        """
        self.load_state_dict(checkpoint.load(path, self._make_fit()))
