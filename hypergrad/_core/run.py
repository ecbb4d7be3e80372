"""A run: parameters in their groups, who runs the loops, and the state, which every change replaces as a whole.

A step, from top to bottom: look at everything, sum, learn, prepare, then write, and take up the new state.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hypergrad._core.backend import Backend, UpdateTask
from hypergrad._core.gradients import Places, list_gradients, look_at
from hypergrad._core.groups import (
    GroupOptions,
    check_members,
    complete_group,
    is_as_shown,
    read_groups,
    show_options,
)
from hypergrad._core.interrupt import defer_interrupt
from hypergrad._core.opening import DeviceWish, open_backend
from hypergrad._core.overflow import find_overflows
from hypergrad._core.policy import Plan
from hypergrad._core.readings import list_places
from hypergrad._core.state import (
    Blocks,
    State,
    add_group,
    advance,
    edit,
    find_unlearned,
    forget_directions,
    open_state,
    skip,
)
from hypergrad._core.step import (
    Step,
    explain_stopped,
    form_sums,
    learn,
    name_other_products,
    name_products,
    name_squares,
    open_step,
    plan_moves,
    plan_update,
    read_sums,
    refuse_sums,
)
from hypergrad._core.stream import RecordStream
from hypergrad._core.tensors import Tensor, check_memory, collect_groups, find_moved
from hypergrad._core.work import NO_WORK, Work, exchange_gradients, gather, place_blocks
from hypergrad.errors import ArrayTypeError, BrokenOptimizerError, BusyOptimizerError, NonFiniteError

if TYPE_CHECKING:
    from hypergrad._core.backend import Device

OWN = ("backend", "work", "places", "stream")
"""Members that a copy does not take over."""


class Run:
    """What an optimizer works with. Of two calls that change it, the second to do so is refused.

    params      the parameters, as a user gives them
    defaults    the options of a group that says nothing else
    device      who runs the loops, see `open_backend`
    """

    places: Places | None = None  # what a step writes to; None: to be listed again
    work: Work = NO_WORK  # of the latest step
    stream: RecordStream | None = None  # where records are written to

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any], plan: Plan, device: "Device") -> None:
        self.plan, self.defaults = plan, defaults
        self.groups = collect_groups(params)
        for number, group in enumerate(self.groups):
            complete_group(number, group, defaults)
        self.members = [list(group["params"]) for group in self.groups]
        self.tensors: list[Tensor] = []
        for number, members in enumerate(self.members):
            self.tensors += [Tensor(owner, len(self.tensors) + i, number) for i, owner in enumerate(members)]
        thetas = {tensor.name: tensor.theta for tensor in self.tensors}
        check_memory(thetas)
        self.state_was_read = False
        options = self.read_groups(self.groups, known=())
        self.device_wish = DeviceWish(device)
        self.backend = open_backend(self.device_wish.device, thetas)
        self.state = open_state(plan, defaults["lr"], options, self.tensors)
        self.show(self.state, options)

    def step(self, gradients: Sequence[Any] | Mapping[int, Any] | None) -> None:
        """Take one step, as `Optimizer.step` says."""
        self.check_whole()
        check_members(self.groups, self.members)
        given = list_gradients(self.tensors, gradients)  # may run code of the user, which may take a step
        self.check_whole()
        known = self.follow_memory() if given else self.state
        options, state = self.read_edits()
        if not given:
            return
        work = self._collect(given, state)
        self.backend.begin()
        step = open_step(self.plan, state, options, work)
        if self.plan.policy.delay:
            self._step_delayed(known, step)
        else:
            self._step_exact(known, step)

    def _step_exact(self, known: State, step: Step) -> None:
        """Sum, learn, and step with what was learned."""
        policy, state, sizes = self.plan.policy, step.state, None
        sums = form_sums(step, self.backend, name_products(step))  # loop 1
        trouble = refuse_sums(step, sums)
        if trouble is None:
            learned = learn(step, sums)  # the scalars between the loops
            moves = plan_moves(step, learned)
            tasks = plan_update(step, moves)
            trouble = find_unlearned(learned) if policy.looks_ahead else None
        if trouble is None and policy.looks_ahead:
            sizes, trouble = find_overflows(known.sizes, self.tensors, known.arrays, tasks, sums, self.backend)
        if trouble is not None:
            self._pass_over(known, state, trouble)
            return
        after = advance(learned, moves, step.work, step.watch is not None, sizes)

        def write() -> State:
            self._update(tasks, step.work)  # loop 2
            self.show(after, step.groups)
            return after

        self.backend.prepare(tasks, policy.clear_grad)
        self._write_record(after)  # the last thing that may fail: a step whose record cannot be written is not taken
        self.commit(known, write)

    def _step_delayed(self, known: State, step: Step) -> None:
        """Step with what was learned before, sum in the same pass, and learn for the step to come."""
        policy, state, sizes = self.plan.policy, step.state, None
        squares = form_sums(step, self.backend, name_squares(step))
        trouble = refuse_sums(step, squares)
        if trouble is None:
            moves = plan_moves(step, state)
            tasks = plan_update(step, moves, name_other_products(step))
        if trouble is None and policy.looks_ahead:
            sizes, trouble = find_overflows(known.sizes, self.tensors, known.arrays, tasks, squares, self.backend)
        if trouble is not None:
            self._pass_over(known, state, trouble)
            return
        stopped: dict[int, int] = {}

        def write() -> State:
            sums, counts = read_sums(step, squares, self._update(tasks, step.work))  # both loops
            stopped.update(counts)
            learned = learn(step, sums)
            after = advance(learned, moves, step.work, step.watch is not None, sizes)
            after = forget_directions(after) if stopped else after
            self.show(after, step.groups)
            return after

        self.backend.prepare(tasks, policy.clear_grad)
        after = self.commit(known, write)
        self._write_record(after, f"step {after.step} was taken")  # what it learned is known by now only
        if stopped:
            raise NonFiniteError(explain_stopped(step, stopped))
        trouble = find_unlearned(after) if policy.nonfinite in ("raise", "stop") else None
        if trouble is not None:
            raise NonFiniteError(f"{trouble}; step {after.step} was taken, and the rate stays")

    def add_group(self, group: Mapping[str, Any]) -> None:
        """Take up more parameters, as `Optimizer.add_param_group` says."""
        self.check_whole()
        if not isinstance(group, Mapping):
            raise ArrayTypeError(f'group is {type(group).__name__}: give a dict, {{"params": [...]}}')
        number, first, known = len(self.groups), len(self.tensors), self.state
        groups, state = self.read_edits()
        (entry,) = collect_groups([group])
        complete_group(number, entry, self.defaults)
        tensors = [Tensor(owner, first + i, number) for i, owner in enumerate(entry["params"])]
        together = [*self.tensors, *tensors]
        check_memory({tensor.name: tensor.theta for tensor in together})
        self.backend.check_parameters({tensor.name: tensor.theta for tensor in tensors})
        options = self.read_groups([*self.groups, entry], [one.lr for one in groups], together)
        after = add_group(state, self.plan, groups, options[-1], tensors)

        def take_up() -> State:
            self.groups.append(entry)
            self.members.append(list(entry["params"]))
            self.tensors += tensors
            self.places = None
            self.show(after, options)
            return after

        self.commit(known, take_up)

    def check_whole(self) -> None:
        """Raise BrokenOptimizerError if parameters and state no longer belong together."""
        if self.state.broken is not None:
            raise BrokenOptimizerError(self.state.broken)

    def _swap(self, known: State, after: State) -> None:
        """Replace the state. Raises BusyOptimizerError if it is not `known`, since another call has replaced it."""
        if self.state is not known:
            raise BusyOptimizerError(
                "nothing was done, since another call has changed the optimizer meanwhile: let a signal handler set "
                "a flag, and look at it after the step"
            )
        self.state = after  # no call between the look and this: a signal handler could take a step there

    def commit(self, known: State, write: Callable[[], State]) -> State:
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
                self.state = known._replace(broken=broken)
                raise BrokenOptimizerError(broken) from error
        return after

    def _update(self, tasks: Sequence[UpdateTask], work: Work) -> Blocks:
        """Loop 2, and with delay 1 loop 1 in the same pass."""
        clear_grad = self.plan.policy.clear_grad
        sums = self.backend.update(tasks, clear_grad)
        if clear_grad:
            for gradient in work.given.gradients:
                if gradient.original is not None:  # the loops saw a copy
                    gradient.original[...] = gradient.flat.reshape(gradient.original.shape)
        return sums

    def follow_memory(self) -> State:
        """Take up parameters whose memory was replaced. Raises ArgumentError if they cannot serve."""
        known, moved = self.state, find_moved(self.tensors)
        if moved:
            check_memory({tensor.name: moved.get(tensor, tensor.theta) for tensor in self.tensors})
            after = known._replace(sizes=None)
            self.places, self.work = None, NO_WORK
            self._swap(known, after)
            for tensor, theta in moved.items():
                tensor.theta = theta
            return after
        return known

    def _collect(self, given: Sequence[Any], state: State) -> Work:
        """The tensors that have a gradient, in batches. Nothing is looked at again that has not changed."""
        work, places = self.work, self.places
        if places is None or places.kept is not state.arrays:
            places = self.places = list_places(self.tensors, state, self.state_was_read)
        looked = work.given
        if not looked.serves(given, places):
            clear_grad = self.plan.policy.clear_grad
            looked = look_at(self.tensors, given, places, clear_grad, self.backend)
        stays = work.members is state.members and work.arrays is state.arrays
        if not stays or looked is not work.given:
            other = exchange_gradients(work, looked) if stays else None
            self.work = other or gather(looked, state.members, state.arrays, place_blocks(self.tensors))
        return self.work

    def read_edits(self) -> tuple[Sequence[GroupOptions], State]:
        """The options of the groups as they are now, and the state with the rates and betas that stand there."""
        check_members(self.groups, self.members)
        if all(map(is_as_shown, self.groups, self.shown)):
            return self.shown, self.state
        groups = self.read_groups(self.groups, self.state.list_rates())
        return groups, edit(self.state, self.plan.rule, groups)

    def _pass_over(self, known: State, state: State, trouble: str) -> None:
        """Raise NonFiniteError, or count a step that is not taken."""
        if self.plan.policy.nonfinite == "raise":
            raise NonFiniteError(f"{trouble}; nothing was changed, nonfinite='skip' passes over such a step")
        record = skip(state, trouble)
        self._write_record(record)
        self._swap(known, known._replace(skipped=record.skipped, records=record.records))

    def _write_record(self, after: State, consequence: str = "nothing was changed") -> None:
        """Append the record of a step to the file of records, if there is one. Raises RecordError if that fails."""
        if self.stream is not None:
            self.stream.write(after.records.last, consequence)

    def show(self, state: State, groups: Sequence[GroupOptions]) -> None:
        """Write the options as they are now, and what is learned, to where the user reads them."""
        adapts = self.plan.traits.adapts_beta1
        beta1s = [state.find_learned(number).beta1 for number in range(len(groups))] if adapts else None
        self.shown = show_options(self.groups, tuple(self.defaults), groups, state.list_rates(), beta1s)
        self.defaults["lr"] = state.learned[0].lr
        if adapts:
            self.defaults["betas"] = self.shown[0].betas

    def read_groups(
        self, groups: Sequence[Mapping[str, Any]], known: Sequence[float], tensors: Sequence[Tensor] | None = None
    ) -> list[GroupOptions]:
        """The options of groups as they are now; raises as `groups.read_groups` does."""
        own = self.tensors if tensors is None else tensors
        return read_groups(groups, self.defaults, own, self.plan.policy, self.plan.traits, known)

    @cached_property
    def backend(self) -> Backend:
        """Who runs the loops. For a copy the device is opened again when it is needed."""
        return open_backend(self.device_wish.device, {tensor.name: tensor.theta for tensor in self.tensors})

    def fetch(self) -> None:
        """Bring to the host what a device has newer values of."""
        if "backend" in self.__dict__:
            self.backend.fetch()

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over, all on the host."""
        self.fetch()
        return {name: value for name, value in self.__dict__.items() if name not in OWN}
