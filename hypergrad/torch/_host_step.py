"""A step whose schedule is decided on the host: sums, schedule, update, and only then what is kept of it.

exact     loop 1, the host reads the sums and decides; then loop 2
delay=1   loop 2 forms the sums of each batch before it writes to it, one pass over the arrays; then the host decides
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hypergrad.torch._array_engine import ArrayEngine, Change, Sum, total_left
from hypergrad.torch._elements import Gradient
from hypergrad.torch._items import Batch, Item, collect, form_batches
from hypergrad.torch._left import Left, send
from hypergrad.torch._loops import Loops
from hypergrad.torch._numbers import Move, Numbers
from hypergrad.torch._plan import Plan, Present, read_group
from hypergrad.torch._reduce import Reading, Row, form_rows, read_back, tabulate
from hypergrad.torch._sums import Lag
from hypergrad.torch._updates import Rounding
from hypergrad_reference.adamw_free_schedule import looks
from hypergrad_reference.sums import total

OwnCells = dict[int, dict[str, Any]]
"""For the index of an item and the name of an inner product, a list of its pieces; of an engine its block sums."""

NOTHING: tuple[str, ...] = ()
LOOK = ("grad_grad",)
"""What shows NaN and infinity in a gradient."""


class Taken(NamedTuple):
    """What came of a step."""

    learned: Mapping[int, Any] | None = None  # by scope; None of a step that was not taken
    records: Mapping[int, Any] = {}
    trouble: str = ""  # what is not finite, if something is
    left: Left | None = None


class Ready(NamedTuple):
    """The tensors that step, and what they step with."""

    items: list[Item]
    present: list[Present]  # of each group
    gradients: list[Gradient]  # of each group
    moves: Sequence[Move] = ()
    keeps: Sequence[tuple[str, ...]] = ()  # arrays, of each group
    observed: Sequence[bool] = ()  # whether an item has a running mean already


class HostStep(NamedTuple):
    """One step."""

    numbers: Numbers
    loops: Loops
    engine: ArrayEngine | None  # the loops of the NumPy classes, where they are asked for

    @property
    def plan(self) -> Plan:
        """What the optimizer was told."""
        return self.numbers.plan

    @property
    def steps(self) -> int:
        """How many steps were taken before."""
        steps: int = self.numbers.groups[0]["steps"]
        return steps

    def take(self) -> Taken | None:
        """Take the step; None where no tensor has a gradient."""
        items = collect(self.numbers.groups, self.numbers.states)
        if not items and self.plan.reach.process_group is None:
            return None
        self.numbers.find_bases()
        present = [read_group(number, group) for number, group in enumerate(self.numbers.groups)]
        ready = Ready(items, present, [self.plan.form_gradient(now) for now in present])
        if self.plan.delay:
            return self._take_delayed(ready)
        readings, norms = self._sum(ready, self._name_columns())
        trouble = self._find_trouble(readings)
        decided = {} if trouble else self._decide(ready, readings)
        trouble = trouble or self._find_bad_record(decided)
        if trouble:
            return Taken(trouble=trouble)
        learned = {scope: own for scope, (own, _) in decided.items()}
        ready = self._open(ready, learned)
        cells = self._update(ready)
        left = self._leave(items, cells) if self.plan.left else None
        return self._keep(ready, readings, norms, decided, learned)._replace(left=left)

    def _take_delayed(self, ready: Ready) -> Taken:
        if self.plan.nonfinite != "propagate":
            readings, _ = self._sum(ready, LOOK)
            trouble = self._find_trouble(readings)
            if trouble:
                return Taken(trouble=trouble)
        scopes = self.numbers.list_scopes(ready.items, ())
        ready = self._open(ready, {scope: self.numbers.load(scope) for scope in scopes})
        readings, norms = self._read(ready.items, self._update(ready), self._name_columns())
        decided = self._decide(ready, readings)
        used = {scope: self.numbers.load(scope) for scope in decided}
        taken = self._keep(ready, readings, norms, decided, used)
        return taken._replace(trouble=self._find_bad_record(decided))

    def _decide(self, ready: Ready, readings: Sequence[Reading]) -> dict[int, Any]:
        """What each scope learns, and the record of it."""
        scopes = self.numbers.list_scopes(ready.items, readings)
        return {scope: self.numbers.schedule(scope, self.steps, readings, ready.present) for scope in scopes}

    def _open(self, ready: Ready, used: Mapping[int, Any]) -> Ready:
        """Plan how each item moves, and what is kept of it."""
        moves = self.numbers.plan_moves(ready.items, ready.present, used)
        keeps = [self.plan.adapt(now.momentum).traits.keeps for now in ready.present]
        observed = ["grad_ema" in item.state for item in ready.items]
        if self.plan.is_watching(self.steps):
            keeps = [(*names, "grad_ema") for names in keeps]
        return ready._replace(moves=moves, keeps=keeps, observed=observed)

    def _keep(
        self, ready: Ready, readings: Sequence[Reading], norms: Sequence[Any], decided: Mapping[int, Any],
        used: Mapping[int, Any],
    ) -> Taken:  # fmt: skip
        """Write down what the next step asks for."""
        learned = {scope: own for scope, (own, _) in decided.items()}
        steps = self.steps
        self.numbers.keep(ready.items, ready.moves, norms)
        self.numbers.observe(readings, steps)
        self.numbers.publish(ready.present, learned, used, steps)
        return Taken(learned, {scope: record for scope, (_, record) in decided.items()})

    # Loop 1.

    def _name_columns(self) -> tuple[str, ...]:
        """All inner products that may be formed in this step."""
        return self.plan.name_columns(self.steps, self._is_looking())

    def _is_looking(self) -> bool:
        """Whether this step looks at the averages, of a rule that has some."""
        averages = self.plan.traits.averages
        return averages is None or looks(self.steps + 1, self.numbers.load(0).next_clock, averages.every)

    @property
    def _lag(self) -> Lag | None:
        """How a rule with averages forms the way towards the past."""
        averages = self.plan.traits.averages
        return None if averages is None else Lag(averages.interpolation, averages.rho)

    def _find_sum(
        self, item: Item, gradient: Gradient, columns: Iterable[str], observed: bool, known: dict[Any, Sum]
    ) -> Sum:
        """What loop 1 is asked for, of one item; items that are alike share one, which is `known`."""
        key = (self.numbers.liken(item), observed)
        if key not in known:
            plan, looking = self.plan, self._is_looking()
            names = plan.name_products(self.steps, item.moved, observed, "step" in item.state, looking)
            last = self.numbers.recall(item) if item.moved and plan.rebuilds_direction else (self._lag, 1.0)
            wanted = tuple(name for name in names if name in columns)
            known[key] = Sum(wanted, gradient, *last)
        return known[key]

    def _sum(self, ready: Ready, columns: Sequence[str]) -> tuple[list[Reading], list[Any]]:
        """The inner products, read back, and ||g||^2 of this rank's part of each item."""
        if not columns:
            return [], []
        known: dict[Any, Sum] = {}

        def select(item: Item) -> Sum:
            return self._find_sum(item, ready.gradients[item.group], columns, "grad_ema" in item.state, known)

        if self.engine is not None:
            return self._read(ready.items, self.engine.sum(ready.items, select), columns)
        cells: OwnCells = {}
        for key, batch in form_batches(
            ready.items, select, lambda key: self.plan.name_operands(key.products), self.loops.limit
        ):
            _put(cells, batch, self.loops.inner_products(key.products, batch, *key[1:]))
        return self._read(ready.items, cells, columns)

    def _read(self, items: Sequence[Item], cells: OwnCells, columns: Sequence[str]) -> tuple[list[Reading], list[Any]]:
        """Inner products over all ranks, read back: the host waits for the devices."""
        if not columns:
            return [], []
        if self.plan.is_watching(self.steps):
            for found in cells.values():
                found.setdefault("deviation_deviation", found["grad_grad"])
        if self.engine is not None:
            return self._read_blocks(items, cells)
        rows = form_rows(items, self.numbers.groups, self.numbers.has_rate_per_tensor, self.plan.reach)
        return read_back(items, cells, rows, columns, self.plan.reach, self._home)

    @property
    def _home(self) -> torch.device:
        """The device that numbers are collected on."""
        device: torch.device = next(p.device for group in self.numbers.groups for p in group["params"])
        return device

    def _read_blocks(self, items: Sequence[Item], cells: OwnCells) -> tuple[list[Reading], list[Any]]:
        readings, norms = [], []
        for index, item in enumerate(items):
            blocks = cells.get(index, {})
            readings.append(Reading(Row(item.group, item.position, item.moved, [index]), {}, blocks))
            norms.append(torch.from_numpy(blocks["grad_grad"]) if "grad_grad" in blocks else None)
        return readings, norms

    # Loop 2.

    def _update(self, ready: Ready) -> OwnCells:
        """Run loop 2 with complete states; what was added to them goes again if it raises. Returns as `_run_update`."""
        sizes = [len(item.state) for item in ready.items]
        try:
            for item in ready.items:
                self.numbers.open(item.param, self.numbers.groups[item.group], ready.keeps[item.group])
            return self._run_update(ready)
        except BaseException:
            for item, size in zip(ready.items, sizes, strict=True):
                while len(item.state) > size:
                    item.state.popitem()
            raise

    def _run_update(self, ready: Ready) -> OwnCells:
        """Write the parameters, and the arrays that are kept of them. Returns the sums that are formed on the way."""
        plan, watch = self.plan, self.plan.watch
        order = {id(item): index for index, item in enumerate(ready.items)}
        columns = self._name_columns() if plan.delay else NOTHING
        known: dict[Any, Sum] = {}

        def select(item: Item) -> tuple[Change, Sum | None]:
            index = order[id(item)]
            observed = ready.observed[index]
            gamma = watch.gamma if watch is not None and observed else None
            gradient = ready.gradients[item.group]
            change = Change(gradient, ready.moves[index].scalars, gamma, ready.keeps[item.group])
            return change, self._find_sum(item, gradient, columns, observed, known) if columns else None

        if self.engine is not None:
            return self.engine.update(ready.items, select)
        cells: OwnCells = {}
        roundings: dict[torch.device, Rounding] = {}
        batches = form_batches(ready.items, select, lambda key: plan.choose_keeps(key[0].keeps), self.loops.limit)
        for (change, sums), batch in batches:
            if sums is not None:
                _put(cells, batch, self.loops.inner_products(sums.products, batch, *sums[1:]))
            self._leave_sums(cells, batch, change)
            squares = self.loops.update(batch, *change[:3], self._round(batch, roundings))
            if squares is not None:
                _put(cells, batch, {"step_step": squares})
        return cells

    def _leave_sums(self, cells: OwnCells, batch: Batch, change: Change) -> None:
        """The sums that a delayed rule with averages leaves behind for the next step."""
        delayed = self.plan.left[1:]
        if delayed:
            names = delayed if change.scalars.keep_slow != 1 else delayed[:1]
            _put(cells, batch, self.loops.inner_products(names, batch, change.gradient, self._lag, 1.0))

    def _leave(self, items: Sequence[Item], cells: OwnCells) -> Left:
        """The totals of what loop 2 left behind, over all ranks."""
        names = self.plan.left
        if self.engine is not None:
            return Left(torch.tensor(total_left(names, items), dtype=torch.float64))
        rows = form_rows(items, self.numbers.groups, False, self.plan.reach)
        return send(tabulate(items, cells, rows, names, self.plan.reach, self._home).sum(0))

    def _round(self, batch: Batch, known: dict[torch.device, Rounding]) -> Rounding:
        """How results become 16-bit parameters: at random, but alike on every replica and after a resume."""
        if not self.plan.stochastic_rounding or batch.theta[0].dtype != torch.bfloat16:
            return Rounding()
        device = batch.theta[0].device
        if device not in known:
            generator = torch.Generator(device)
            generator.manual_seed(self.steps)
            known[device] = Rounding(generator)
        return known[device]

    # What is not finite.

    def _find_trouble(self, readings: Sequence[Reading]) -> str:
        """What of the gradients is not finite, or too large for its square."""
        if self.plan.nonfinite == "propagate":
            return ""
        for row, values, blocks in readings:
            if not math.isfinite(values["grad_grad"] if blocks is None else total([blocks["grad_grad"]])):
                where = f"of group {row.group}" if row.position < 0 else f"of parameter {self._name(row.position)}"
                return f"the gradient {where} is not finite, or its square overflows"
        return ""

    def _name(self, position: int) -> str:
        names = [name for group in self.numbers.groups for name in group.get("param_names", ())]
        return names[position] if names else str(position)

    def _find_bad_record(self, decided: Mapping[int, Any]) -> str:
        if self.plan.nonfinite != "propagate":
            for _, record in decided.values():
                if record.reason.startswith("non-finite"):
                    return f"the rate has a {record.reason} to learn from: scale the loss down"
        return ""


def _put(cells: OwnCells, batch: Batch, found: Mapping[str, Sequence[Tensor]]) -> None:
    """Sort the sums of a batch by its items."""
    for name, pieces in found.items():
        for owner, piece in zip(batch.owners, pieces, strict=True):
            cells.setdefault(owner, {}).setdefault(name, []).append(piece)
