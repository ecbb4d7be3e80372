"""The step that all optimizers share: look at everything first, then write, then take up the new state as a whole."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from pathlib import Path
from threading import RLock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from hypergrad._core import checkpoint, saved
from hypergrad._core.backend import Backend, DeviceWish, SumsTask, open_backend
from hypergrad._core.checks import Number
from hypergrad._core.defaults import choose_device, choose_name
from hypergrad._core.device_arrays import is_device_array
from hypergrad._core.files import PathName
from hypergrad._core.finite import find_overflows, find_unlearned
from hypergrad._core.groups import (
    Group,
    GroupOptions,
    check_members,
    complete_group,
    is_as_shown,
    read_groups,
)
from hypergrad._core.interrupt import defer_interrupt
from hypergrad._core.keeping import open_arrays
from hypergrad._core.options import OF_GROUPS, OPTIONS, check_options
from hypergrad._core.overflow import Sizes
from hypergrad._core.plan import Step, Work, form_plan
from hypergrad._core.policy import Kind
from hypergrad._core.rates import add_group, open_rates
from hypergrad._core.series import Records, Series
from hypergrad._core.settings import Guarded, ReadOnly
from hypergrad._core.state import (
    RECORDS,
    Blocks,
    Seen,
    State,
    edit,
    forget_directions,
    skip,
    start_series,
)
from hypergrad._core.states import Fit, check_state
from hypergrad._core.stream import RecordStream
from hypergrad._core.tensors import (
    NOTHING,
    Given,
    Places,
    Tensor,
    check_memory,
    collect_groups,
    find_gradients,
    flatten_gradient,
    get_array,
    keep_given,
    separate,
)
from hypergrad._core.versions import upgrade
from hypergrad.errors import ArrayTypeError, BrokenOptimizerError, BusyOptimizerError, NonFiniteError
from hypergrad_reference import surprise
from hypergrad_reference.loops import Arrays
from hypergrad_reference.rule import History, Record

STATE_REFUSAL = (
    "state can only be read, its arrays excepted: write into one, as in opt.state[id(x)]['exp_avg'][...] = 0, give "
    "load_state_dict an edited state_dict(), or make a new optimizer to start again"
)

OWN = ("_backend", "_given", "_places", "_stream", "_turn")
"""Members that a copy does not take over."""


class Optimizer(Guarded):
    """Parameters, their groups, and the two-phase step of a rule. Users make one of its subclasses.

    params    the parameters, as a subclass takes them
    given     the arguments of the subclass by name; entries that are none are passed over
    kind      what the subclass tells the step of its options
    """

    settable: tuple[str, ...] = ("nonfinite",)
    aliases: Mapping[str, str] = MappingProxyType({})  # an option's other name, and its name

    _places: Places | None = None  # what a step writes to; None: to be listed again
    _given: Given = NOTHING  # the gradients of the latest step
    _stream: RecordStream | None = None

    def __init__(
        self,
        params: Iterable[Any],
        given: Mapping[str, Any],
        kind: Kind,
    ) -> None:
        self._turn = RLock()
        options = {name: given[name] for name in given if name in OPTIONS}
        for alias, name in self.aliases.items():
            options[name] = choose_name(name, options[name], alias, given[alias])
        options = check_options(**options)
        self._defaults = {name: options.pop(name) for name in OF_GROUPS if name in options}
        self._kind, self._settings = kind, kind.settings(**options)
        self._plan = form_plan(kind, self._settings)
        Number(self._plan.policy.lr_min, self._plan.policy.lr_max)("lr", self._defaults["lr"])
        self._groups = collect_groups(params)
        for number, group in enumerate(self._groups):
            complete_group(number, group, self._defaults)
        self._members = [list(group["params"]) for group in self._groups]
        self._tensors: list[Tensor] = []
        for number, members in enumerate(self._members):
            self._tensors += [Tensor(owner, len(self._tensors) + i, number) for i, owner in enumerate(members)]
        thetas = {tensor.name: tensor.theta for tensor in self._tensors}
        check_memory(thetas)
        self._state_was_read = False
        groups = self._read_groups(self._groups, known=())
        self._device_wish = DeviceWish(choose_device(given.get("use_gpu"), given.get("device")))
        self._backend = open_backend(self._device_wish.device, thetas)
        self._state = self._open_state(groups)
        self._show(self._state, groups)
        self.records_to = given.get("records_to")

    def _open_state(self, options: Sequence[GroupOptions]) -> State:
        rates = open_rates(self._plan.policy.lr_scope, self._defaults["lr"], [one.lr for one in options])
        learned = tuple(
            self._plan.rule.init(lr, options[rates.members(scope)[0]].betas[0]) for scope, lr in enumerate(rates.bases)
        )
        return State(
            0, 0, rates.shared, rates.ratios, learned, tuple(map(start_series, learned)),
            Seen(surprise.State(), Series.start(), Series.start()),
            tuple(History(number) for number in range(len(options))),
            tuple(tensor.group for tensor in self._tensors),
            tuple(self._open_arrays(tensor) for tensor in self._tensors),
            (None,) * len(self._tensors), Records([], 0, RECORDS),
        )  # fmt: skip

    def _open_arrays(self, tensor: Tensor) -> Arrays:
        return open_arrays(tensor, self._plan.traits)

    # Options, which are read, and some of them written, under the names of the constructor.

    if not TYPE_CHECKING:  # a class has its Options as a base, so that a type checker knows which there are

        def __getattr__(self, name: str) -> Any:
            """The value of an option."""
            option = self.aliases.get(name, name)
            for options in () if name.startswith("_") else (self._settings, self._plan.policy):
                if option in options._fields:
                    return getattr(options, option)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        """Take an option that may change between steps; it is checked as in the constructor."""
        if name[0] == "_":
            object.__setattr__(self, name, value)  # as Guarded would, without another call in each step
            return
        option = self.aliases.get(name, name)
        if option not in self.settable:
            super().__setattr__(name, value)
            return
        settings = self._settings._replace(**{option: OPTIONS[option].check(name, value)})
        self._settings, self._plan = settings, form_plan(self._kind, settings)

    # What can be read.

    @property
    def device(self) -> str:
        """Who runs the loops: "numpy", or "opencl: PLATFORM: DEVICE"."""
        return self._backend.name

    @property
    def param_groups(self) -> list[Group]:
        """The groups: dicts of "params" and options, which may be written to between steps; see add_param_group."""
        return self._groups

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The options of a group that says nothing else, "lr" as it is now."""
        return ReadOnly(
            self._defaults, "defaults can only be read: write to param_groups, as in opt.param_groups[0]['lr'] = 0.1"
        )

    @property
    def group_options(self) -> tuple[str, ...]:
        """The names of the options that each group has."""
        return tuple(self._defaults)

    @property
    def current_lr(self) -> float:
        """The base rate; of the first group where each group has its own."""
        lr: float = self._state.learned[0].lr
        return lr

    @property
    def lr_history(self) -> NDArray[np.float64]:
        """The base rate at first and after every adaptation; of the first group where each group has its own.

        A read-only array as of now. It may be kept: no later step or load changes it.
        """
        return self.lr_histories[0]

    @property
    def lr_histories(self) -> list[NDArray[np.float64]]:
        """The same for each base rate: of each group under lr_scope="group"."""
        return [series["lr"].read() for series in self._state.series]

    @property
    def steps(self) -> int:
        """How many steps were taken, those before a `load` included; skipped steps do not count."""
        return self._state.step

    @property
    def skipped(self) -> int:
        """How many steps were passed over because of nonfinite="skip"."""
        return self._state.skipped

    @property
    def records(self) -> list[Record | tuple[Record, ...]]:
        """Why the rate moved, or did not, on the latest 1000 steps: a NamedTuple per step.

        Where groups have rates of their own, as in AdamW or by lr_scope="group", a tuple of NamedTuples per step. The
        first fields are the same for every optimizer, and for a step that was skipped:

        step             the step of the optimizer, from 1
        lr_before, lr    the learned rate before and after
        hypergradient    the derivative of the loss at this step with respect to the rate of the step before, in units
                         of loss / lr; negative: a larger rate would have helped. nan where none was formed
        reason           what was done with it, or why nothing was, in a few words

        What an optimizer adds is said by `help(type(opt.last_record))`.
        """
        return self._state.records.read()

    @property
    def last_record(self) -> Any:
        """The record of the latest step; None before the first."""
        return self._state.records.last

    @property
    def records_to(self) -> Path | None:
        """The file to which each step appends its record, for `hypergrad explain FILE --follow`; None for none.

        It may be changed between steps. A file that is there goes on. Copies of an optimizer write to no file.
        """
        return None if self._stream is None else self._stream.path

    @records_to.setter
    def records_to(self, path: PathName | None) -> None:
        self._stream = None if path is None else RecordStream(path, type(self).__name__)

    @property
    def state(self) -> Mapping[int, Mapping[str, Any]]:
        """By id(param), for each that has taken a step: its step and what the rule keeps, in the parameter's shape.

        The arrays are those of the optimizer, and may be written to; the rest can only be read.
        """
        self._backend.fetch()
        self._state_was_read = True
        entries = {}
        for tensor in self._tensors:
            history = self._state.histories[self._state.members[tensor.position]]
            if history.step:
                kept = self._state.arrays[tensor.position]._asdict()
                arrays = {
                    name: array.reshape(tensor.shape)
                    for name, array in kept.items()
                    if array is not None and name != "left"
                }
                entries[id(tensor.owner)] = ReadOnly({"step": history.step, **arrays}, STATE_REFUSAL)
        return ReadOnly(entries, STATE_REFUSAL)

    # What can be done.

    def zero_grad(self) -> None:
        """Set the `.grad` of every parameter that has one to None."""
        check_members(self._groups, self._members)
        self._given = NOTHING  # which would keep their memory
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
        while the step was writing. Ctrl-C meanwhile is answered after the step. Threads that step the same optimizer,
        or take its state, wait for each other.
        """
        if closure is not None and not callable(closure):
            raise ArrayTypeError(f"closure is {type(closure).__name__}: give gradients by name, step(gradients=[...])")
        with self._turn:
            self._check_whole()
        loss = None if closure is None else closure()
        with self._turn:
            self._step(gradients)
        return loss

    def _step(self, gradients: Sequence[Any] | Mapping[int, Any] | None) -> None:
        check_members(self._groups, self._members)
        found = find_gradients(self._tensors, gradients)  # may run code of the user, which may take a step
        self._check_whole()
        if found:
            self._follow_memory()
        known = self._state
        groups, state = self._read_edits()
        work = self._collect(found, groups)
        if not work.tensors:
            return
        self._backend.begin()
        if self._plan.policy.delay:
            self._step_delayed(known, state, work)
        else:
            self._step_exact(known, state, work)

    def _step_exact(self, known: State, state: State, work: Work) -> None:
        """Sum, learn, and step with what was learned."""
        plan = self._plan
        sums = self._sum(plan.list_sums(state, work))  # loop 1
        trouble = plan.find_trouble(state, work, sums)
        if trouble is None:
            learned = plan.learn(state, work, sums)  # the scalars between the loops
            step = plan.plan_step(learned, work)
            trouble = find_unlearned(learned) if plan.policy.looks_ahead else None
        if trouble is None:
            sizes, trouble = self._check_writes(step, sums)
        if trouble is not None:
            self._pass_over(known, state, trouble)
            return
        after = step.finish(learned)._replace(sizes=sizes)

        def write() -> State:
            self._write(step, work)  # loop 2
            self._show(after, work.groups)
            return after

        self._backend.prepare(step.tasks, plan.policy.clear_grad)
        self._write_record(after)  # the last thing that may fail: a step whose record cannot be written is not taken
        self._commit(known, write)

    def _step_delayed(self, known: State, state: State, work: Work) -> None:
        """Step with what was learned before, sum in the same pass, and learn for the step to come."""
        plan = self._plan
        squares = self._sum(plan.list_squares(state, work)) if plan.policy.looks_ahead else {}
        trouble = plan.find_trouble(state, work, squares)
        if trouble is None:
            step = plan.plan_step(state, work, plan.list_other_sums(state, work))
            sizes, trouble = self._check_writes(step, squares)
        if trouble is not None:
            self._pass_over(known, state, trouble)
            return
        stopped: dict[int, int] = {}

        def write() -> State:
            sums, counts = plan.read_sums(squares, self._write(step, work))  # both loops
            stopped.update(counts)
            after = step.finish(plan.learn(state, work, sums))._replace(sizes=sizes)
            after = forget_directions(after) if stopped else after
            self._show(after, work.groups)
            return after

        self._backend.prepare(step.tasks, plan.policy.clear_grad)
        after = self._commit(known, write)
        self._write_record(after, f"step {after.step} was taken")  # what it learned is known by now only
        trouble = plan.find_loss(after, work, stopped)
        if trouble is not None:
            raise NonFiniteError(trouble)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Take up more parameters, at any time; they start fresh, in step 1 of their own.

        group    a dict with "params", and options where they are not the present defaults

        Under lr_scope="global" the group steps in the proportion of its "lr" to the base rate as it is now.
        Raises what the constructor raises, with nothing changed.
        """
        with self._turn:
            self._check_whole()
            self._add_group(group)

    def _add_group(self, group: Mapping[str, Any]) -> None:
        if not isinstance(group, Mapping):
            raise ArrayTypeError(f'group is {type(group).__name__}: give a dict, {{"params": [...]}}')
        number, first, known = len(self._groups), len(self._tensors), self._state
        groups, state = self._read_edits()
        (entry,) = collect_groups([group])
        complete_group(number, entry, self._defaults)
        tensors = [Tensor(owner, first + i, number) for i, owner in enumerate(entry["params"])]
        check_memory({tensor.name: tensor.theta for tensor in (*self._tensors, *tensors)})
        self._backend.check_parameters({tensor.name: tensor.theta for tensor in tensors})
        plan, rates_now = self._plan, [one.lr for one in groups]
        options = read_groups(
            [*self._groups, entry], self._defaults, [*self._tensors, *tensors], plan.policy, plan.traits, rates_now
        )
        rates = add_group(state.rates, options[-1].lr)
        learned = tuple(self._plan.rule.edit(one, lr, groups[0].betas[0]) if state.shared else one
                        for one, lr in zip(state.learned, rates.bases, strict=False))  # fmt: skip
        if not state.shared:
            learned = (*learned, self._plan.rule.init(options[-1].lr, options[-1].betas[0]))
        after = state._replace(
            ratios=rates.ratios,
            learned=learned,
            series=(*state.series, *map(start_series, learned[len(state.series) :])),
            histories=(*state.histories, History(number)),
            members=(*state.members, *[len(state.histories)] * len(tensors)),
            arrays=(*state.arrays, *map(self._open_arrays, tensors)),
            grad_grad=(*state.grad_grad, *[None] * len(tensors)),
            sizes=None,
        )

        def take_up() -> State:
            self._groups.append(entry)
            self._members.append(list(entry["params"]))
            self._tensors += tensors
            self._places = None
            self._show(after, options)
            return after

        self._commit(known, take_up)

    # The parts of a step.

    def _check_whole(self) -> None:
        if self._state.broken is not None:
            raise BrokenOptimizerError(self._state.broken)

    def _swap(self, known: State, after: State) -> None:
        """Replace the state. Raises BusyOptimizerError if it is not `known`, since another call has replaced it."""
        if self._state is not known:
            raise BusyOptimizerError(
                "nothing was done, since another call has changed the optimizer meanwhile: let a signal handler set "
                "a flag, and look at it after the step"
            )
        self.__dict__["_state"] = after  # by way of __setattr__ a signal handler could take a step after the look

    def _commit(self, known: State, write: Callable[[], State]) -> State:
        """Write, then take up the new state. If anything stops it before that is done, the optimizer is broken.

        known    what `write` works on. Raises BusyOptimizerError if it is the state no longer
        write    gives the new state
        """
        step = known.step
        remedy = f"the last good step is {step}: restore the parameters and load a state saved then"
        writing = known._replace(broken=f"step {step + 1} was stopped while it was writing; {remedy}")
        with defer_interrupt():
            self._swap(known, writing)
            try:
                after = write()
                self._swap(writing, after)
            except BaseException as error:
                broken = f"step {step + 1} failed while it was writing ({error}); {remedy}"
                self._state = known._replace(broken=broken)
                raise BrokenOptimizerError(broken) from error
        return after

    def _write(self, step: Step, work: Work) -> Blocks:
        """Loop 2, and with delay 1 loop 1 in the same pass."""
        results = self._backend.update(step.tasks, self._plan.policy.clear_grad)
        if self._plan.policy.clear_grad:
            for gradient in work.gradients:
                if gradient.original is not None:  # the loops saw a copy
                    gradient.original[...] = gradient.flat.reshape(gradient.original.shape)
        return {task.position: blocks for task, blocks in zip(step.tasks, results, strict=True) if blocks}

    def _collect(self, found: Sequence[tuple[Tensor, Any]], groups: Sequence[GroupOptions]) -> Work:
        """Look at the gradients that the user gave."""
        places = self._list_places()
        if not self._given.serves(found, places):
            self._given = self._look_at(found, places)
        return Work(self._given.tensors, self._given.gradients, groups)

    def _look_at(self, found: Sequence[tuple[Tensor, Any]], places: Places) -> Given:
        given = [(t, flatten_gradient(t, gradient, self._plan.policy.clear_grad)) for t, gradient in found]
        for tensor, gradient in given:
            if not isinstance(gradient.flat, np.ndarray):
                self._backend.check_device_array(gradient.flat, f"the gradient of {tensor.name}")
        separated = separate(given, places, self._plan.policy.clear_grad)
        return keep_given(found, separated, places, self._plan.policy.clear_grad)

    def _follow_memory(self) -> None:
        """Take up parameters whose memory was replaced. Raises ArgumentError if they cannot serve."""
        known = self._state
        moved = {tensor.position: theta for tensor in self._tensors if (theta := tensor.find_moved()) is not None}
        if moved:
            check_memory({tensor.name: moved.get(tensor.position, tensor.theta) for tensor in self._tensors})
            self._places = None
            self._swap(known, known._replace(sizes=None))
            for position, theta in moved.items():
                self._tensors[position].theta = theta

    def _list_places(self) -> Places:
        """Where a step writes: parameters, and where the user has seen them, the arrays kept of them."""
        if self._places is None or self._state_was_read:
            arrays = {tensor.name: tensor.theta for tensor in self._tensors}
            if self._state_was_read:
                for tensor in self._tensors:
                    kept = self._state.arrays[tensor.position]._asdict()
                    arrays |= {f"{name} of {tensor.name}": a for name, a in kept.items() if a is not None}
            self._places = Places(arrays)
        return self._places

    def _read_edits(self) -> tuple[Sequence[GroupOptions], State]:
        """The options of the groups as they are now, and the state with the rates and betas that stand there."""
        check_members(self._groups, self._members)
        if all(map(is_as_shown, self._groups, self._shown)):
            return self._shown, self._state
        groups = self._read_groups(self._groups, self._state.list_rates())
        return groups, edit(self._state, self._plan.rule, groups)

    def _sum(self, tasks: Sequence[SumsTask]) -> Blocks:
        """Loop 1."""
        results = self._backend.inner_products(tasks) if tasks else []
        return {task.position: result for task, result in zip(tasks, results, strict=True)}

    def _check_writes(self, step: Step, sums: Blocks) -> tuple[Sizes | None, str | None]:
        """Bounds of what the step leaves behind, and what of it is not finite."""
        if not self._plan.policy.looks_ahead:
            return None, None
        state = self._state
        return find_overflows(state.sizes, self._tensors, state.arrays, step.tasks, sums, self._backend)

    def _pass_over(self, known: State, state: State, trouble: str) -> None:
        """Raise NonFiniteError, or count a step that is not taken."""
        if self._plan.policy.nonfinite == "raise":
            raise NonFiniteError(f"{trouble}; nothing was changed, nonfinite='skip' passes over such a step")
        record = skip(state, trouble)
        self._write_record(record)
        self._swap(known, known._replace(skipped=record.skipped, records=record.records))

    def _write_record(self, after: State, consequence: str = "nothing was changed") -> None:
        """Append the record of a step to the file of records, if there is one. Raises RecordError if that fails."""
        if self._stream is not None:
            self._stream.write(after.records.last, consequence)

    def _show(self, state: State, groups: Sequence[GroupOptions]) -> None:
        """Write the options as they are now, and what is learned, to where the user reads them."""
        adapts, names, shown = self._plan.traits.adapts_beta1, tuple(self._defaults), []
        for number, (group, own, rate) in enumerate(zip(self._groups, groups, state.list_rates(), strict=True)):
            betas = (state.find_learned(number).beta1, own.betas[1]) if adapts else own.betas
            now = GroupOptions(rate, own.weight_decay, betas, own.eps)
            for name in names:
                group[name] = getattr(now, name)
            shown.append(now)
        self._shown = shown
        self._defaults["lr"] = state.learned[0].lr
        if adapts:
            self._defaults["betas"] = shown[0].betas

    def _read_groups(self, groups: Sequence[Mapping[str, Any]], known: Sequence[float]) -> list[GroupOptions]:
        return read_groups(groups, self._defaults, self._tensors, self._plan.policy, self._plan.traits, known)

    # Saving.

    def state_dict(self) -> dict[str, Any]:
        """Everything a run needs to go on bit for bit, parameters excepted: copies of arrays, and plain numbers.

        Keys "schema", "kind", "options" (of the constructor, except for the device and those of groups), "steps",
        "skipped", "schedule" (scalars), "histories" (float64 arrays), "groups" (options, in the order of
        param_groups), "tensors" (a dict for each parameter, in order: "shape", "dtype", "group", "step", "moved",
        "numbers", "arrays", these flat). `records` are not part of it.
        """
        with self._turn:
            groups, state = self._read_edits()
            self._fetch()
            return saved.dump(self._frame(), state, groups)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that state_dict gave. The parameters are the caller's to restore; `records` start again.

        Raises CheckpointError, which names the entry, with nothing changed, if the state is damaged, or of another
        optimizer, other options or other parameters. To go on with other options, write them to state["options"]; what
        is written to state["groups"] counts as if it were written to param_groups after the load.
        """
        with self._turn:
            self._take_up(state)

    def _take_up(self, entries: Mapping[str, Any]) -> None:
        known = self._state
        check_members(self._groups, self._members)
        entries = upgrade(entries)
        check_state(entries, self._fit())
        after, groups = saved.parse(self._frame(), known, entries)

        def take_up() -> State:
            self._backend.forget()
            self._show(after, groups)
            return after

        self._commit(known, take_up)

    def save(self, path: PathName) -> None:
        """Write state_dict, and the latest records for `hypergrad explain`, to one .npz file, whole or not at all.

        path    the name as it is: no ".npz" is added, "~" is the home folder, and a symbolic link is followed

        A file that is there keeps its mode; a new one gets what the umask leaves. Raises OSError, with the file that
        was there untouched, if the folder is missing or cannot be written to, or the disk is full; ArgumentError if
        param_groups holds an option that is out of range; BrokenOptimizerError if a step has failed while it was
        writing.
        """
        self._check_whole()
        checkpoint.save(path, {**self.state_dict(), "records": [_show_record(record) for record in self.records]})

    def load(self, path: PathName) -> None:
        """Go on from a file that save wrote, as load_state_dict does.

        path    the name as it is; "~" is the home folder

        Raises CheckpointError, with nothing changed, if it is damaged or no such file, and OSError if it cannot be
        read. Files of earlier versions load; one of schema 2 holds no options: they are taken to be those of this
        optimizer, with a CheckpointWarning.
        """
        self.load_state_dict(checkpoint.load(path, self._fit()))

    def _frame(self) -> saved.Frame:
        policy = self._plan.policy
        return saved.Frame(
            type(self).__name__, self._settings._asdict(), policy.lr_min, policy.lr_max,
            policy.nonfinite != "propagate", policy.watch, self._plan.rule, tuple(self._defaults), self._tensors,
        )  # fmt: skip

    def _fit(self) -> Fit:
        return saved.fit(self._frame(), self._state, self._read_groups)

    # Copies.

    @cached_property
    def _backend(self) -> Backend:
        """Who runs the loops. For a copy the device is opened again when it is needed."""
        return open_backend(self._device_wish.device, {t.name: t.theta for t in self._tensors})

    def _fetch(self) -> None:
        """Bring to the host what a device has newer values of."""
        if "_backend" in self.__dict__:
            self._backend.fetch()

    def _list_members(self) -> dict[str, Any]:
        """What a copy is made of, all on the host."""
        self._fetch()
        return {name: value for name, value in self.__dict__.items() if name not in OWN}

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
        twin.__setstate__(deepcopy(self._list_members(), owners))
        return twin

    def __setstate__(self, members: dict[str, Any]) -> None:
        self.__dict__.update(members, _turn=RLock())


def _show_record(record: Any) -> Any:
    """A record as a dict, or those of several groups as a list of dicts."""
    return record._asdict() if hasattr(record, "_asdict") else [_show_record(one) for one in record]
