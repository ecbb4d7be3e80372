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
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

import numpy as np
from numpy.typing import NDArray

from hypergrad import checkpoint
from hypergrad.backend import Backend, DeviceWish, open_backend
from hypergrad.checks import ANY_NUMBER, OPTIONS, Number, check_options
from hypergrad.device_arrays import is_device_array
from hypergrad.errors import ArgumentError, ArrayTypeError, BrokenOptimizerError, NonFiniteError
from hypergrad.files import PathName
from hypergrad.history import History
from hypergrad.overflow import Sizes, bring_to_host, find_overflow, foresee, measure
from hypergrad.rates import Rates, add_group, open_rates, take_written
from hypergrad.settings import Guarded, ReadOnly
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
from hypergrad.tensors import (
    Gradient,
    Places,
    Tensor,
    check_memory,
    collect_groups,
    find_gradients,
    flatten_gradient,
    get_array,
    separate,
)
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
    """Hold Ctrl-C back until the block is done, where it could stop it: in the main thread."""
    in_main = threading.current_thread() is threading.main_thread()
    previous = signal.getsignal(signal.SIGINT) if in_main else None
    if previous is None or previous is signal.SIG_IGN:  # None: a handler written in C, which Python cannot put back
        yield
        return
    pending: list[tuple[int, Any]] = []
    signal.signal(signal.SIGINT, lambda number, frame: pending.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if pending:
            if callable(previous):
                previous(*pending[0])
            else:
                signal.raise_signal(signal.SIGINT)


def _is_finite(blocks: Vector) -> bool:
    return math.isfinite(blocks.item()) if blocks.size == 1 else bool(np.isfinite(blocks).all())


def _find_largest(blocks: Vector) -> float:
    """The largest of sums of squares; NaN if there is one."""
    return float(blocks.item()) if blocks.size == 1 else float(blocks.max(initial=0.0))


class Optimizer(Guarded, ABC):
    """Parameters, rates and the two-phase step; a rule says what is summed, how rates move and tensors are updated."""

    group_options: tuple[str, ...] = ("lr",)
    options: tuple[str, ...]  # of the constructor, all but the device and those of groups
    settable: tuple[str, ...] = ("nonfinite",)

    _places: Places | None = None  # what a step writes to; None: to be listed again

    nonfinite: str
    lr_scope: str
    lr_min: float
    lr_max: float
    clear_grad: bool

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
        self._take(lr_scope=lr_scope, nonfinite=nonfinite, clear_grad=clear_grad)
        vars(self).update(lr_min=lr_min, lr_max=lr_max)
        self._defaults = check_options(**defaults)
        self._skipped = 0
        self._records: deque[Any] = deque(maxlen=RECORDS)
        self._steps = 0
        self._broken: str | None = None
        self._tensors: list[Tensor] = []
        self._param_groups = collect_groups(params)
        for number, group in enumerate(self._param_groups):
            self._complete_group(number, group)
            for owner in group["params"]:
                self._tensors.append(Tensor(owner, len(self._tensors), number))
        thetas = {tensor.name: tensor.theta for tensor in self._tensors}
        check_memory(thetas)
        self._state_was_read = False
        self._members: list[list[Any]] = []
        self._dtypes: list[set[Any]] = []
        for number, group in enumerate(self._param_groups):
            self._note_members(group, [tensor for tensor in self._tensors if tensor.group == number])
        self._options: list[dict[str, Any]] = []
        self._options = self._read_groups()
        for group, options in zip(self._param_groups, self._options, strict=True):
            group.update(options)
        self._device_wish = DeviceWish(check_options(use_gpu=use_gpu)["use_gpu"], device)
        self._backend = open_backend(self._device_wish.use_gpu, device, thetas)
        for tensor in self._tensors:
            self._open_tensor(tensor)
        rates = [options["lr"] for options in self._options]
        for number, rate in enumerate(rates):
            self._check_written_rate(number, rate, self._dtypes[number])
        self._rates = open_rates(self.lr_scope, self._defaults["lr"], rates)
        self._lr_histories = [History([base]) for base in self._rates.bases]

    def _take(self, **options: Any) -> None:
        """Keep checked options as attributes."""
        vars(self).update(check_options(**options))

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
    def param_groups(self) -> list[dict[str, Any]]:
        """The groups: dicts of "params" and options, which may be written to between steps; see add_param_group."""
        return self._param_groups

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The options of a group that says nothing else, "lr" as it is now."""
        return ReadOnly(self._defaults)

    @property
    def skipped(self) -> int:
        """How many steps were passed over because of nonfinite="skip"."""
        return self._skipped

    @property
    def records(self) -> deque[Any]:
        """Why the rate moved, or did not, on the latest steps."""
        return self._records

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
        return self._records[-1] if self._records else None

    @property
    def state(self) -> dict[int, dict[str, Any]]:
        """By id(param), for each that has taken a step: its step and what the rule keeps, in the parameter's shape."""
        self._backend.fetch()
        self._state_was_read = True
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
        self._read_groups()
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

        A gradient may have any strides; a float64 gradient of a float32 parameter is rounded to float32. It may share
        memory with parameters or with another gradient: what counts is the value that it had when it was given.
        Raises ArgumentError or ArrayTypeError for a gradient of the wrong kind or a group that was changed, and
        NonFiniteError for NaN or inf in a gradient or in what the step would write (unless nonfinite says otherwise).
        A step that raises has changed nothing, with one exception: after BrokenOptimizerError something has failed
        while the step was writing. Ctrl-C meanwhile is answered after the step.
        """
        if self._broken is not None:
            raise BrokenOptimizerError(self._broken)
        if closure is not None and not callable(closure):
            raise ArrayTypeError(f"closure is {type(closure).__name__}: give gradients by name, step(gradients=[...])")
        loss = None if closure is None else closure()
        self._options = self._read_groups()
        rates = self._take_written_rates()
        found = find_gradients(self._tensors, gradients)
        if not found:
            return loss
        self._follow_memory()
        given = [(tensor, flatten_gradient(tensor, gradient, self.clear_grad)) for tensor, gradient in found]
        for tensor, gradient in given:
            if not isinstance(gradient.flat, np.ndarray):
                self._backend.check_device_array(gradient.flat, f"the gradient of {tensor.name}")
        given = separate(given, self._list_places(), self.clear_grad)
        active = [(tensor, gradient.flat) for tensor, gradient in given]

        self._backend.begin()
        sums = self._sum(active)
        trouble = self._find_trouble(active, sums)
        if trouble is not None:
            self._pass_over(rates, trouble)
            return loss
        plan = self._schedule(rates, sums)
        work = [(tensor, self._make_update(tensor, grad, plan)) for tensor, grad in active]
        sizes, trouble = self._foresee(work, plan, sums)
        if trouble is not None:
            self._pass_over(rates, trouble)
            return loss
        placed = [(tensor.position, u) for tensor, u in work]
        self._backend.prepare(placed, self.clear_grad)

        def write() -> None:
            self._backend.update(placed, self.clear_grad)
            self._commit(work, sizes, sums, plan)
            if self.clear_grad:
                self._clear_originals(gradient for _, gradient in given)

        self._write_whole(write)
        return loss

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Take up more parameters, at any time; they start fresh, in step 1 of their own.

        group    a dict with "params", and options where they are not the present defaults

        Under lr_scope="global" the group steps in the proportion of its "lr" to the base rate as it is now.
        Raises what the constructor raises, with nothing changed.
        """
        if self._broken is not None:
            raise BrokenOptimizerError(self._broken)
        if not isinstance(group, Mapping):
            raise ArrayTypeError(f'group is {type(group).__name__}: give a dict, {{"params": [...]}}')
        self._options = self._read_groups()
        rates = self._take_written_rates()
        number = len(self._param_groups)
        (entry,) = collect_groups([group])
        self._complete_group(number, entry)
        first = len(self._tensors)
        tensors = [Tensor(owner, first + index, number) for index, owner in enumerate(entry["params"])]
        check_memory({tensor.name: tensor.theta for tensor in (*self._tensors, *tensors)})
        self._backend.check_parameters({tensor.name: tensor.theta for tensor in tensors})
        dtypes = {tensor.theta.dtype for tensor in tensors}
        options = self._check_groups([*self._param_groups, entry], [*self._dtypes, dtypes])[-1]
        self._check_written_rate(number, options["lr"], dtypes)
        entry.update(options)
        rates = add_group(rates, options["lr"])

        def write() -> None:
            self._param_groups.append(entry)
            self._note_members(entry, tensors)
            self._options.append(options)
            for tensor in tensors:
                self._tensors.append(tensor)
                self._open_tensor(tensor)
            self._rates = rates
            self._places = None
            if not rates.shared:
                self._open_scope(len(rates.bases) - 1)

        self._write_whole(write)

    def _open_scope(self, scope: int) -> None:
        """Begin what is kept of a base rate."""
        self._lr_histories.append(History([self._rates.bases[scope]]))

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
        """What of the gradients and the sums is not finite."""
        if self.nonfinite == "propagate":
            return None
        for tensor, grad in active:
            for name, blocks in sums[tensor.position].items():
                if _is_finite(blocks):
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

    def _foresee(
        self, work: Sequence[tuple[Tensor, Any]], plan: Plan, sums: Sums
    ) -> tuple[list[Sizes | None], str | None]:
        """Bounds of each tensor after the step, and what of the step is not finite."""
        if self.nonfinite == "propagate":
            return [None] * len(work), None
        for record in plan.records:
            if record.reason.startswith("non-finite"):
                return [], f"the rate has a {record.reason} to learn from: scale the loss down"
        after: list[Sizes | None] = []
        for tensor, u in work:
            known = tensor.sizes
            if known is None:
                self._backend.fetch()
                known = measure(bring_to_host(u))
            sizes, finite = foresee(known, _find_largest(sums[tensor.position]["grad_grad"]), u)
            if not finite:
                self._backend.fetch()
                sizes, trouble = find_overflow(bring_to_host(u), tensor.name, tensor.shape)
                if trouble is not None:
                    return [], trouble
            after.append(sizes)
        return after, None

    def _pass_over(self, rates: Rates, trouble: str) -> None:
        """Raise NonFiniteError, or count a step that is not taken."""
        if self.nonfinite == "raise":
            raise NonFiniteError(f"{trouble}; nothing was changed, nonfinite='skip' passes over such a step")
        record = SkippedRecord(self._steps + 1, rates.bases[0], trouble)

        def write() -> None:
            self._records.append(record)
            self._skipped += 1

        self._write_whole(write)

    def _list_places(self) -> Places:
        """Where a step writes: parameters, and where the user has seen them, the arrays kept of them."""
        if self._places is None or self._state_was_read:
            arrays = {tensor.name: tensor.theta for tensor in self._tensors}
            if self._state_was_read:
                for tensor in self._tensors:
                    arrays |= {f"{name} of {tensor.name}": kept for name, kept in tensor.arrays.items()}
            self._places = Places(arrays)
        return self._places

    def _follow_memory(self) -> None:
        """Take up parameters whose memory was replaced. Raises ArgumentError if they cannot serve."""
        moved = {tensor.position: theta for tensor in self._tensors if (theta := tensor.find_moved()) is not None}
        if moved:
            check_memory({tensor.name: moved.get(tensor.position, tensor.theta) for tensor in self._tensors})
            for position, theta in moved.items():
                self._tensors[position].theta, self._tensors[position].sizes = theta, None
            self._places = None

    def _find_movers(self, rates: Rates, scope: int, sums: Sums) -> list[Tensor]:
        """The tensors of a scope that moved at t-1 and have a gradient at t: only they tell how the rate did."""
        members = set(rates.members(scope))
        return [
            tensor for tensor in self._tensors if tensor.group in members and tensor.moved and tensor.position in sums
        ]

    def _write_whole(self, write: Callable[[], None]) -> None:
        """Do what changes the optimizer, Ctrl-C held back; if anything stops it before its end, it is broken."""
        remedy = f"the last good step is {self._steps}: restore the parameters and load a state saved then"
        with defer_interrupt():
            self._broken = f"step {self._steps + 1} was stopped while it was writing; {remedy}"
            try:
                write()
            except BaseException as error:
                self._broken = f"step {self._steps + 1} failed while it was writing ({error}); {remedy}"
                raise BrokenOptimizerError(self._broken) from error
            self._broken = None

    def _commit(
        self, work: Sequence[tuple[Tensor, Any]], sizes: Sequence[Sizes | None], sums: Sums, plan: Plan
    ) -> None:
        """Take up what a step leaves behind, after the arrays were written."""
        for tensor in self._tensors:
            tensor.moved = False
        for (tensor, u), bounds in zip(work, sizes, strict=True):
            self._keep(tensor, u, sums.get(tensor.position, {}), plan)
            tensor.sizes = bounds
            tensor.moved = True
            tensor.step += 1
        self._steps += 1
        self._settle(plan)
        self._records.append(plan.records[0] if plan.rates.shared else tuple(plan.records))

    def _clear_originals(self, gradients: Iterable[Gradient]) -> None:
        """Leave zeros where the step worked with a copy."""
        for gradient in gradients:
            if gradient.original is not None:
                gradient.original.fill(0)

    def _settle(self, plan: Plan) -> None:
        """Take the plan's scalars into the optimizer's state, after the tensors were written."""
        self._rates = plan.rates
        self._show_rates()
        for history, record in zip(self._lr_histories, plan.records, strict=True):
            if math.isfinite(record.hypergradient):
                history.append(record.lr)

    def _show_rates(self) -> None:
        self._defaults["lr"] = self._rates.bases[0]
        for group, options, rate in zip(self._param_groups, self._options, self._rates.of_groups(), strict=True):
            options["lr"] = rate
            group.update(options)

    # Groups.

    def _complete_group(self, number: int, group: dict[str, Any]) -> None:
        unknown = set(group) - {"params", *self.group_options}
        if unknown:
            raise ArgumentError(
                f"params[{number}] has unknown keys {sorted(map(str, unknown))}: known are {self.group_options}"
            )
        for option in self.group_options:
            group.setdefault(option, self._defaults[option])

    def _note_members(self, group: Mapping[str, Any], tensors: Sequence[Tensor]) -> None:
        """Remember what a group was made with."""
        self._members.append(list(group["params"]))
        self._dtypes.append({tensor.theta.dtype for tensor in tensors})

    def _read_groups(self) -> list[dict[str, Any]]:
        """The options of every group as they are now, checked. Raises ArgumentError if groups are not those made."""
        groups = self._param_groups
        for number, group in enumerate(groups):
            if number >= len(self._members) or not self._is_as_made(group, self._members[number]):
                self._refuse_group(number)
        if len(groups) < len(self._members):
            self._refuse_group(len(groups))
        if self._is_untouched():
            return self._options
        for number, group in enumerate(groups):
            if len(group) != 1 + len(self.group_options) or not group.keys() >= set(self.group_options):
                options = ", ".join(self.group_options)
                raise ArgumentError(
                    f"{self._name_group(number)}has the keys {sorted(map(str, group))}: give params, {options}, "
                    "and no other"
                )
        return self._check_groups(groups)

    def _is_untouched(self) -> bool:
        """Whether groups hold the very options that were checked, or written by a step, last."""
        groups, options = self._param_groups, self._options
        return len(options) == len(groups) and all(
            len(group) == 1 + len(checked) and all(group.get(name) is value for name, value in checked.items())
            for group, checked in zip(groups, options, strict=True)
        )

    def _is_as_made(self, group: Any, members: Sequence[Any]) -> bool:
        params = group.get("params") if isinstance(group, dict) else None
        return isinstance(params, list) and len(params) == len(members) and all(map(is_, params, members))

    def _refuse_group(self, number: int) -> NoReturn:
        raise ArgumentError(
            f"param_groups[{number}] does not hold the parameters that it was made with: put them back. "
            "add_param_group takes up more; a gradient of None lets a parameter rest; a .data may become another array "
            "of its shape; anything else takes a new optimizer"
        )

    def _check_groups(
        self, groups: Sequence[Mapping[str, Any]], dtypes: Sequence[set[Any]] | None = None
    ) -> list[dict[str, Any]]:
        """The options of groups as plain values.

        Raises ArgumentError for options that are out of range, or at odds with each other.
        """
        dtypes = self._dtypes if dtypes is None else dtypes
        checked = [self._check_group(number, group, dtypes[number]) for number, group in enumerate(groups)]
        if self.lr_scope == "global" and not any(options["lr"] for options in checked):
            Number(self.lr_min, self.lr_max)(f"{self._name_group(0)}lr", 0.0)
        return checked

    def _check_group(self, number: int, group: Mapping[str, Any], dtypes: set[Any]) -> dict[str, Any]:
        """The options of a group as plain values. Raises ArgumentError for one that is out of range."""
        where = self._name_group(number)
        checked = {option: OPTIONS[option](where + option, group[option]) for option in self.group_options[1:]}
        lr = ANY_NUMBER(f"{where}lr", group["lr"])
        if lr or self.lr_scope == "group":  # a group that shares the base rate may stand still
            lr = Number(self.lr_min, self.lr_max)(f"{where}lr", group["lr"])
        return {"lr": lr, **checked}

    def _take_written_rates(self) -> Rates:
        """The rates as the user has left them. Raises ArgumentError for one that a step could not apply."""
        written = [options["lr"] for options in self._options]
        for number, (rate, shown) in enumerate(zip(written, self._rates.of_groups(), strict=True)):
            if rate != shown:
                self._check_written_rate(number, rate, self._dtypes[number])
        return take_written(self._rates, written)

    def _check_written_rate(self, number: int, rate: float, dtypes: set[Any]) -> None:
        """Raise ArgumentError for a rate that a tensor of the group could not tell from 0."""
        for dtype in dtypes:
            if rate and dtype.itemsize == 4 and abs(rate) <= 2.0**-150:
                raise ArgumentError(f"{self._name_group(number)}lr={rate!r} is 0 in {dtype}: give 0, or more")

    def _bound_rate(self, rates: Rates, scope: int) -> tuple[float, float]:
        """The bounds of a base rate."""
        return rates.bound(scope, self.lr_min, self.lr_max)

    def _name_group(self, number: int) -> str:
        return "" if number == 0 and len(self._param_groups) == 1 else f"param_groups[{number}]: "

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
        return {name: value for name, value in self.__dict__.items() if name not in ("_backend", "_places")}

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
        self._defaults["lr"] = self._rates.bases[0]

    def _list_numbers(self, progress: Progress) -> dict[str, Range]:
        """The numbers that the rule keeps of a tensor."""
        return {}

    @abstractmethod
    def _list_arrays(self, tensor: Tensor, progress: Progress) -> dict[str, ArrayFit]:
        """The arrays that the rule keeps of a tensor."""

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
            len(self._param_groups),
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
        groups = self._read_groups()
        if "_backend" in self.__dict__:
            self._backend.fetch()
        return {
            "schema": SCHEMA,
            "kind": type(self).__name__,
            "options": self._dump_options(),
            "steps": self._steps,
            "skipped": self._skipped,
            "schedule": self._dump_schedule(),
            "histories": {name: history.read().copy() for name, history in self._histories().items()},
            "groups": [{name: _make_plain(group[name]) for name in self.group_options} for group in groups],
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
                tensor.sizes = None
            for group, saved in zip(self._param_groups, state["groups"], strict=True):
                for name, value in saved.items():
                    group[name] = tuple(map(float, value)) if isinstance(value, (list, tuple)) else float(value)
            self._options = self._read_groups()
            self._load_schedule(state["schedule"])
            for name, history in self._histories().items():
                history.replace(histories[name])
            self._steps, self._skipped, self._broken = int(state["steps"]), int(state["skipped"]), None
            self._records.clear()

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
        checkpoint.save(path, {**self.state_dict(), "records": [_show_record(record) for record in self._records]})

    def load(self, path: PathName) -> None:
        """Go on from a file that save wrote, as load_state_dict does.

        Raises CheckpointError, with nothing changed, if it is damaged or no such file, and OSError if it cannot be
        read. A file of schema 2 holds no options: they are taken to be those of this optimizer, with a
        CheckpointWarning.
        """
        self.load_state_dict(checkpoint.load(path, self._make_fit()))
