"""What all optimizers show: options, readings, the step, saving and copies. The work itself is done by `run.Run`."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from threading import RLock
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from hypergrad._core import checkpoint, saved
from hypergrad._core.checks import bound_rate
from hypergrad._core.defaults import choose_device, choose_name
from hypergrad._core.device_arrays import is_device_array
from hypergrad._core.files import PathName
from hypergrad._core.groups import Group, check_members
from hypergrad._core.options import OF_GROUPS, OPTIONS, check_options
from hypergrad._core.policy import Kind, form_plan
from hypergrad._core.readings import show_record, show_state
from hypergrad._core.run import Run
from hypergrad._core.settings import Guarded, ReadOnly
from hypergrad._core.state import State
from hypergrad._core.states import Fit, check_state
from hypergrad._core.stream import open_instead, show_path
from hypergrad._core.tensors import get_array
from hypergrad._core.versions import upgrade
from hypergrad._core.work import NO_WORK
from hypergrad.errors import ArrayTypeError
from hypergrad_reference.rule import Record


class Optimizer(Guarded):
    """Parameters, their groups, and the two-phase step of a rule. Users make one of its subclasses.

    params    the parameters, as a subclass takes them
    given     the arguments of the subclass by name; entries that are none are passed over
    kind      what the subclass tells the step of its options
    """

    settable: tuple[str, ...] = ("nonfinite",)
    aliases: Mapping[str, str] = MappingProxyType({})  # an option's other name, and its name

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
        defaults = {name: options.pop(name) for name in OF_GROUPS if name in options}
        self._kind, self._settings = kind, kind.settings(**options)
        plan = form_plan(kind, self._settings)
        bound_rate(plan.policy.lr_min, plan.policy.lr_max)("lr", defaults["lr"])
        self._run = Run(params, defaults, plan, choose_device(given.get("use_gpu"), given.get("device")))
        self.records_to = given.get("records_to")

    # Options, which are read, and some of them written, under the names of the constructor.

    if not TYPE_CHECKING:  # a class has its Options as a base, so that a type checker knows which there are

        def __getattr__(self, name: str) -> Any:
            """The value of an option."""
            option = self.aliases.get(name, name)
            for options in () if name.startswith("_") else (self._settings, self._run.plan.policy):
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
        self._settings, self._run.plan = settings, form_plan(self._kind, settings)

    # What can be read.

    @property
    def device(self) -> str:
        """Who runs the loops: "numpy", or "opencl: PLATFORM: DEVICE"."""
        return self._run.backend.name

    @property
    def param_groups(self) -> list[Group]:
        """The groups: dicts of "params" and options, which may be written to between steps; see add_param_group."""
        return self._run.groups

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The options of a group that gives none, "lr" as it is now."""
        return ReadOnly(
            self._run.defaults,
            "defaults can only be read: write to param_groups, as in opt.param_groups[0]['lr'] = 0.1",
        )

    @property
    def group_options(self) -> tuple[str, ...]:
        """The names of the options that each group has."""
        return tuple(self._run.defaults)

    @property
    def current_lr(self) -> float:
        """The base rate, which is learned (in AdamW the rate); of the first group where each group has its own."""
        lr: float = self._run.state.learned[0].lr
        return lr

    @property
    def lr_history(self) -> NDArray[np.float64]:
        """The base rate at first and after every adaptation; of the first group where each group has its own.

        A read-only array as of now. It may be kept: no later step or load changes it.
        """
        return self.lr_histories[0]

    @property
    def lr_histories(self) -> list[NDArray[np.float64]]:
        """The base rates at first and after every adaptation: one, or that of each group under lr_scope="group"."""
        return [series["lr"].read() for series in self._run.state.series]

    @property
    def steps(self) -> int:
        """How many steps were taken, those before a `load` included; skipped steps do not count."""
        return self._run.state.step

    @property
    def skipped(self) -> int:
        """How many steps were passed over because of nonfinite="skip"."""
        return self._run.state.skipped

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
        return self._run.state.records.read()

    @property
    def last_record(self) -> Any:
        """The record of the latest step; None before the first."""
        return self._run.state.records.last

    @property
    def records_to(self) -> Path | None:
        """The file to which each step appends its record, for `hypergrad explain FILE --follow`; None for none.

        It may be changed between steps. A file that is there goes on. Copies of an optimizer write to no file. Records
        of short steps wait for the next; reading this writes them, and a kill loses them.
        """
        return show_path(self._run.stream)

    @records_to.setter
    def records_to(self, path: PathName | None) -> None:
        self._run.stream = open_instead(self._run.stream, path, type(self).__name__)

    @property
    def state(self) -> Mapping[int, Mapping[str, Any]]:
        """By id(param), for each that has taken a step: its step and what the rule keeps, in the parameter's shape.

        The arrays are those of the optimizer, and may be written to; the rest can only be read.
        """
        run = self._run
        run.backend.fetch()
        if not run.state_was_read:
            run.state_was_read, run.places = True, None
        return show_state(run.tensors, run.state)

    # What can be done.

    def zero_grad(self) -> None:
        """Set the `.grad` of every parameter that has one to None."""
        check_members(self._run.groups, self._run.members)
        self._run.work = NO_WORK  # which would keep their memory
        for tensor in self._run.tensors:
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
        A step that raises has changed nothing, with two exceptions: after BrokenOptimizerError something has failed
        while the step was writing, and a class with delay=1 says what it learns after the step only. Ctrl-C meanwhile
        is answered after the step. Threads that step the same optimizer, or take its state, wait for each other.
        """
        if closure is not None and not callable(closure):
            raise ArrayTypeError(f"closure is {type(closure).__name__}: give gradients by name, step(gradients=[...])")
        loss = None
        if closure is not None:
            with self._turn:
                self._run.check_whole()
            loss = closure()
        with self._turn:
            self._run.step(gradients)
        return loss

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Take up more parameters, at any time; they start fresh, in step 1 of their own.

        group    a dict with "params", and options where they are not the present defaults

        Under lr_scope="global" the group steps in the proportion of its "lr" to the base rate as it is now.
        Raises what the constructor raises, with nothing changed.
        """
        with self._turn:
            self._run.add_group(group)

    # Saving.

    def state_dict(self) -> dict[str, Any]:
        """Everything a run needs to go on bit for bit, parameters excepted: copies of arrays, and plain numbers.

        Keys "schema", "kind", "options" (of the constructor, except for the device and those of groups), "steps",
        "skipped", "schedule" (scalars), "histories" (float64 arrays), "groups" (options, in the order of
        param_groups), "tensors" (a dict for each parameter, in order: "shape", "dtype", "group", "step", "moved",
        "numbers", "arrays", these flat). `records` are not part of it.
        """
        with self._turn:
            options, state = self._run.read_edits()
            self._run.fetch()
            return saved.dump(self._frame(), state, options)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that state_dict gave. The parameters are the caller's to restore; `records` start again.

        Raises CheckpointError, which names the entry, with nothing changed, if the state is damaged, or of another
        optimizer, other options or other parameters. To go on with other options, write them to state["options"]; what
        is written to state["groups"] counts as if it were written to param_groups after the load.
        """
        with self._turn:
            self._take_up(state)

    def _take_up(self, entries: Mapping[str, Any]) -> None:
        run, known = self._run, self._run.state
        check_members(run.groups, run.members)
        entries = upgrade(entries)
        check_state(entries, self._fit())
        after, options = saved.parse(self._frame(), known, entries)

        def take_up() -> State:
            run.backend.forget()
            run.show(after, options)
            return after

        run.commit(known, take_up)

    def save(self, path: PathName) -> None:
        """Write state_dict, and the latest records for `hypergrad explain`, to one .npz file, whole or not at all.

        path    the name as it is: no ".npz" is added, "~" is the home folder, and a symbolic link is followed

        A file that is there keeps its mode; a new one gets what the umask leaves. Raises OSError, with the file that
        was there untouched, if the folder is missing or cannot be written to, or the disk is full; ArgumentError if
        param_groups holds an option that is out of range; BrokenOptimizerError if a step has failed while it was
        writing.
        """
        self._run.check_whole()
        show_path(self._run.stream)
        checkpoint.save(path, {**self.state_dict(), "records": [show_record(record) for record in self.records]})

    def load(self, path: PathName) -> None:
        """Go on from a file that save wrote, as load_state_dict does.

        path    the name as it is; "~" is the home folder

        Raises CheckpointError, with nothing changed, if it is damaged or no such file, and OSError if it cannot be
        read. Files of earlier versions load; one of schema 2 holds no options: they are taken to be those of this
        optimizer, with a CheckpointWarning.
        """
        self.load_state_dict(checkpoint.load(path, self._fit()))

    def _frame(self) -> saved.Frame:
        rule, _, policy = self._run.plan
        return saved.Frame(
            type(self).__name__, self._settings._asdict(), policy.lr_min, policy.lr_max,
            policy.nonfinite != "propagate", policy.watch, rule, tuple(self._run.defaults), self._run.tensors,
        )  # fmt: skip

    def _fit(self) -> Fit:
        return saved.fit(self._frame(), self._run.state, self._run.read_groups)

    # Copies.

    def __getstate__(self) -> dict[str, Any]:
        """For copy.deepcopy and pickle: a twin has parameters of its own, which are those of a model copied with it."""
        for tensor in self._run.tensors:
            if is_device_array(get_array(tensor.owner, tensor.name)):
                raise ArrayTypeError(
                    f"{tensor.name} is a pyopencl array, which cannot be copied or pickled with its optimizer: make a "
                    "new optimizer for copies of the parameters, and give its load_state_dict this one's state_dict()"
                )
        return {name: value for name, value in self.__dict__.items() if name != "_turn"}

    def __copy__(self) -> Self:
        """A twin with a state of its own for the same parameters."""
        twin = object.__new__(type(self))
        members = {name: value for name, value in self.__dict__.items() if name != "_turn"}
        twin.__setstate__(deepcopy(members, {id(tensor.owner): tensor.owner for tensor in self._run.tensors}))
        return twin

    def __setstate__(self, members: dict[str, Any]) -> None:
        self.__dict__.update(members, _turn=RLock())
