"""What all optimizers of this package share: groups, what can be read, records, and saved states."""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hypergrad._core.checks import Choice, bound_rate
from hypergrad._core.files import PathName
from hypergrad._core.interrupt import defer_interrupt
from hypergrad._core.options import check_options
from hypergrad._core.series import Records, Series
from hypergrad._core.state import RECORDS, Skipped
from hypergrad._core.stream import RecordStream, open_instead, show_path
from hypergrad.errors import ArgumentError, NonFiniteError
from hypergrad.torch import _exchange, _saved
from hypergrad.torch._array_engine import ArrayEngine, check_engine
from hypergrad.torch._captured import Captured, check_capturable
from hypergrad.torch._dtypes import check_dtypes, check_rounding
from hypergrad.torch._host_step import HostStep
from hypergrad.torch._left import Left
from hypergrad.torch._loops import compile_loops, make_loops
from hypergrad.torch._numbers import Numbers, name_learned
from hypergrad.torch._plan import Plan, check_eps
from hypergrad.torch._ring import COLUMNS, read_records
from hypergrad.torch._ring import RECORDS as RING

OWN = ("_plan", "_records", "_series", "_ring")
"""What a copy takes along, beside what torch's own optimizers have."""


class Optimizer(torch.optim.Optimizer):
    """A rule as an optimizer of torch. What a class of this package adds is its signature and its options."""

    _stream: RecordStream | None = None

    def __init__(self, params: Any, defaults: dict[str, Any], plan: Plan) -> None:
        self._plan = plan
        if plan.nonfinite == "stop":
            raise ArgumentError("nonfinite='stop' is for the NumPy classes, whose one pass can stop: give 'raise'")
        check_options(**{**defaults, "lr": read_rate(defaults["lr"])}, nonfinite=plan.nonfinite)
        Choice(("global", "group", "tensor"))("lr_scope", plan.lr_scope)
        self._records = Records([], 0, RECORDS)
        self._series: dict[int, Series] = {}
        self._ring: Tensor | None = None
        self._left: Left | None = None
        self._loops = make_loops()
        super().__init__(params, {**defaults, "capturable": plan.capturable})
        self._adopt(self.param_groups)
        for number, group in enumerate(self.param_groups):
            check_eps(number, group)
        check_rounding(plan.stochastic_rounding, {p.dtype for group in self.param_groups for p in group["params"]})
        if plan.capturable:
            check_capturable(plan, self.param_groups)
        if plan.engine != "torch":
            check_engine(plan, self.param_groups)
            _ = self._array_engine  # what it cannot take is refused now

    @property
    def _numbers(self) -> Numbers:
        return Numbers(self._plan, self.param_groups, self.state)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take up more parameters, at any time.

        Under lr_scope="global" they step with the learned rate in the proportion of their "lr" to the base rate; under
        "group" and "tensor" their learned rates start at their "lr". Raises ArgumentError for options out of range.
        """
        if isinstance(param_group, Mapping):
            for name in inspect.signature(type(self)).parameters.keys() & param_group.keys():
                if name not in ("params", *self.defaults):
                    raise ArgumentError(f"{name}={param_group[name]!r} in a group: give it to {type(self).__name__}")
            given = {name: value for name, value in param_group.items() if name in self.defaults}
            check_options(**{name: read_rate(value) if name == "lr" else value for name, value in given.items()})
        super().add_param_group(param_group)
        try:
            check_dtypes(self.param_groups[-1]["params"])
            if "steps" in self.param_groups[0]:
                self._adopt(self.param_groups[-1:])
        except ArgumentError:
            del self.param_groups[-1]
            raise

    def _adopt(self, groups: Sequence[dict[str, Any]]) -> None:
        """Give groups the numbers that they lack. Raises ArgumentError for a rate that none can be learned from."""
        self._numbers.adopt(groups)
        for group in groups:
            if group["base_lr"]:  # of groups that share a rate, that of the first
                bound_rate(self._plan.lr_min, self._plan.lr_max)("lr", group["base_lr"])

    # What can be read.

    @property
    def last_record(self) -> Any:
        """Why the rate moved, or did not, at the latest step; None before the first.

        Under lr_scope="group" a tuple with one record per group; under "tensor" one per parameter, None for those that
        had no gradient.
        """
        return self.records[-1] if self._plan.capturable and self.records else self._records.last

    @property
    def records(self) -> list[Any]:
        """The latest 1000 records; with capturable=True they are read from the device."""
        if self._ring is not None:
            return read_records(self._ring, int(self.param_groups[0]["steps"]), self._numbers.shares_rate)
        return self._records.read()

    @property
    def steps(self) -> int:
        """How many steps were taken, those before `load_state_dict` included; skipped steps do not count."""
        return int(self.param_groups[0]["steps"])

    @property
    def records_to(self) -> Path | None:
        """The file to which each step appends its record, for `hypergrad explain FILE --follow`; None for none.

        It is set between steps: `opt.records_to = "run.jsonl"`. A file that is there goes on, as a resumed run does;
        copies write to no file. Records of short steps wait for the next; reading this writes them. Raises
        ArgumentError with capturable=True, where they stay on the device, and under lr_scope="tensor", where a step has
        some of them only.
        """
        return show_path(self._stream)

    @records_to.setter
    def records_to(self, path: PathName | None) -> None:
        for holds, name in (
            (self._plan.capturable, "capturable=True"), (self._numbers.has_rate_per_tensor, "lr_scope='tensor'"),
        ):  # fmt: skip
            if path is not None and holds:
                raise ArgumentError(f"records_to={path!r} with {name}: read `records` instead")
        self._stream = open_instead(self._stream, path, type(self).__name__)

    @property
    def skipped(self) -> int:
        """How many steps were passed over because of nonfinite="skip"."""
        return int(self.param_groups[0]["skipped"])

    @property
    def learned_lr(self) -> Any:
        """The learned rate; a list under lr_scope="group" (per group) and "tensor" (per parameter)."""
        rates = [float(self._numbers.load(scope).lr) for scope in self._list_scopes()]
        return rates[0] if self._numbers.shares_rate else rates

    @property
    def lr_histories(self) -> list[NDArray[np.float64]]:
        """Each learned rate after every step that adapted it, the latest last; read-only."""
        return [self._series.get(scope, Series.start()).read() for scope in self._list_scopes()]

    def _list_scopes(self) -> range:
        if self._numbers.has_rate_per_tensor:
            return range(sum(len(group["params"]) for group in self.param_groups))
        return range(1 if self._numbers.shares_rate else len(self.param_groups))

    def effective_lrs(self) -> list[Any]:
        """The rate that acted at the latest step, per group; under lr_scope="tensor" a list per group."""
        if not self._numbers.has_rate_per_tensor:
            return [float(group["effective_lr"]) for group in self.param_groups]
        return [
            [float(self.state.get(p, {}).get("last_lr", group["base_lr"])) for p in group["params"]]
            for group in self.param_groups
        ]

    def set_rate(self, value: float, group: int | None = None) -> None:
        """Set the learned rate, of all or of one group; group["lr"] stays the scheduler's.

        value    within [lr_min, lr_max]
        group    its number, under lr_scope="group" or "tensor"

        Raises ArgumentError for a value out of range, or a group under lr_scope="global", where all share one rate.
        """
        rate = bound_rate(self._plan.lr_min, self._plan.lr_max)("value", value)
        if group is not None and self._numbers.shares_rate:
            raise ArgumentError(f"group={group!r}: all groups share one rate, call set_rate({value!r})")
        if group is not None and group not in range(len(self.param_groups)):
            raise ArgumentError(f"group={group!r}: give the number of a group, from 0 to {len(self.param_groups) - 1}")
        for entry in self.param_groups if group is None else [self.param_groups[group]]:
            per_tensor = self._numbers.has_rate_per_tensor
            for home in [self._numbers.open(p, entry) for p in entry["params"]] if per_tensor else [entry]:
                home[name_learned("lr")] = rate
                if name_learned("lr_peak") in home:  # the search goes on from here
                    home[name_learned("lr_peak")] = rate

    # The step.

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # type: ignore[override]
        """Take one step.

        closure    called first, with gradients enabled; its value is returned

        Parameters without a gradient sit the step out; where none has one, nothing changes. Raises SparseGradientError
        for a sparse gradient, ArgumentError for a group with an option out of range, and NonFiniteError for NaN or inf
        in a gradient or in what the rate learns from, unless `nonfinite` says otherwise; a step that raises has changed
        nothing.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        if self._plan.capturable:
            self._take_captured_step()
        elif self._plan.engine == "torch":
            self._take_step()
        else:
            with defer_interrupt():  # other loops keep what they prepared, and it must agree with what they wrote
                self._take_step()
        return loss

    def compile(self, **options: Any) -> None:
        """Compile the two loops of the step, as nn.Module.compile does a model; the rest is not worth a graph.

        options    of torch.compile. The graphs get rates and other numbers as tensors, which cause no recompilation.

        There is one graph of all tensors that share their numbers; under lr_scope="tensor" one that each goes through,
        of any length. Rounding at random is not compiled. A model that has other gradients in each step is compiled for
        64 kinds of steps; the rest go on without a graph, after a UserWarning. Raises ArgumentError with an engine
        other than "torch".
        """
        if self._plan.engine != "torch":
            raise ArgumentError(
                f"compile() with engine={self._plan.engine!r}, which torch does not compile: give 'torch'"
            )
        self._loops = compile_loops(options, self._numbers.has_rate_per_tensor)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _take_captured_step(self) -> None:
        if self._ring is None:
            device = next(p.device for group in self.param_groups for p in group["params"])
            self._ring = torch.zeros(RING, len(self._list_scopes()), COLUMNS, dtype=torch.float64, device=device)
        Captured(self._numbers, self._ring, self._loops).take()

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _take_step(self) -> None:
        steps = self.param_groups[0]["steps"]
        self._settle()
        taken = HostStep(self._numbers, self._loops, self._array_engine).take()
        if taken is None:
            return
        if taken.learned is None:
            self._pass_over(taken.trouble, steps)
            return
        self._left = taken.left
        self._remember(taken.learned, taken.records)
        if taken.trouble and self._plan.nonfinite == "raise":
            raise NonFiniteError(f"{taken.trouble}; the step is taken, and the rate stays as it is")

    @cached_property
    def _array_engine(self) -> ArrayEngine | None:
        """The loops of the NumPy classes, if they are asked for; opened again for a copy."""
        params = [p for group in self.param_groups for p in group["params"]]
        averages = self._plan.traits.averages
        return None if self._plan.engine == "torch" else ArrayEngine(self._plan.engine, params, averages)

    def _settle(self) -> None:
        """What the step before left behind becomes numbers of the groups."""
        if self._left is None:
            return
        known = {f"left_{name}": value for name, value in zip(self._plan.left, self._left.read(), strict=True)}
        for group in self.param_groups:
            group.update(known)
        self._left = None

    def _pass_over(self, trouble: str, steps: int) -> None:
        if self._plan.nonfinite == "raise":
            raise NonFiniteError(f"{trouble}; nothing was changed, nonfinite='skip' passes over such a step")
        for group in self.param_groups:
            group["skipped"] += 1
        rates = [self._numbers.load(scope).lr for scope in self._list_scopes()]
        self._record([Skipped(steps + 1, rate, rate, math.nan, trouble) for rate in rates])

    def _remember(self, learned: Mapping[int, Any], records: Mapping[int, Any]) -> None:
        """Append to the records and histories."""
        self._record([records.get(scope) for scope in self._list_scopes()])
        for scope, record in records.items():
            if math.isfinite(record.hypergradient):
                self._series[scope] = self._series.get(scope, Series.start()).append(learned[scope].lr)

    def _record(self, found: Sequence[Any]) -> None:
        record = found[0] if self._numbers.shares_rate else tuple(found)
        self._records = self._records.append(record)
        if self._stream is not None:
            self._stream.write(record, "the step is taken")

    # Copies and saved states.

    def __getstate__(self) -> dict[str, Any]:
        """For copy.deepcopy and pickle."""
        self._settle()
        return {**super().__getstate__(), **{name: self.__dict__[name] for name in OWN}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy is not compiled."""
        self.__dict__.setdefault("_loops", make_loops())
        self.__dict__.setdefault("_left", None)
        super().__setstate__(state)
        for group in self.param_groups:  # an older state lacks the options that came later
            for name in inspect.signature(type(self)).parameters.keys() & self.defaults.keys():
                group.setdefault(name, self.defaults[name])

    def state_dict(self) -> dict[str, Any]:
        """The state, as torch's optimizers give it: plain numbers and tensors."""
        self._settle()
        return super().state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what state_dict gave; records and histories start again.

        A state of torch.optim.AdamW or Adam with the same groups is taken over too: the learned rate then starts at the
        rate that stands in it. Arrays get the dtype that a step works in: float32 for parameters of 16 bits, else that
        of the parameters. Raises CheckpointError, with nothing changed, for a state of another rule or scope.
        """
        _saved.load(self, lambda: self._numbers, super().load_state_dict, state_dict)
        self._forget()

    def load_numpy_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what state_dict() of the NumPy class of the same name gave.

        The options are the caller's to give alike. Raises CheckpointError for a state of another class, scope or model.
        """
        _exchange.take(type(self).__name__, self._numbers, state)
        self._forget()

    def numpy_state_dict(self, like: Mapping[str, Any]) -> dict[str, Any]:
        """A state for load_state_dict of the NumPy class of the same name.

        like    state_dict() of such an optimizer, new, for parameters of the same shapes; its options stay as they are

        Raises CheckpointError if `like` is of another class, scope or model. Histories are those of `like`.
        """
        self._settle()
        return _exchange.give(type(self).__name__, self._numbers, like)

    def _forget(self) -> None:
        """Records and histories start again."""
        self._left = None
        self._records, self._series, self._ring = Records([], 0, RECORDS), {}, None


def read_rate(value: Any) -> float:
    """The "lr" of a group, which may be a tensor with one element."""
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ArgumentError(f"lr has {value.numel()} elements: give a number, or a tensor with one")
        return float(value)
    return value  # type: ignore[no-any-return]
