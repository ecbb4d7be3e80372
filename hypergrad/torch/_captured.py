"""A step in which the host waits for nothing: the numbers between the loops stay on the device.

The order is that of `_host_step`. The numbers that `_numbers` keeps as plain Python are float64 tensors here, written
in place, so that a captured graph can be replayed. Which tensors moved in the step before is known to the host.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from hypergrad._core.array_schedules import CODES, SCHEDULES, Outcome
from hypergrad.errors import ArgumentError
from hypergrad.torch._device_sums import Term, add_rows, total
from hypergrad.torch._items import Batch, Item, collect, form_batches
from hypergrad.torch._loops import Loops
from hypergrad.torch._numbers import Numbers, name_learned
from hypergrad.torch._plan import Plan, Present, read_group
from hypergrad.torch._reduce import form_rows, tabulate
from hypergrad.torch._ring import COLUMNS, RECORDS, to_device
from hypergrad_reference.adamw import exact_scalars
from hypergrad_reference.rule import History, Options


def check_capturable(plan: Plan, groups: Sequence[Mapping[str, Any]]) -> None:
    """Raise ArgumentError for options with which the host would have to look at numbers."""
    for holds, words in (
        (plan.nonfinite == "raise", "nonfinite='raise' looks at every gradient: give nonfinite='skip' or 'propagate'"),
        (plan.watch is not None, "track_surprise=True keeps its numbers on the host: leave it out"),
        (plan.reach.process_group is not None, "process_group is added up on the host: shard with DTensors instead"),
        (plan.traits.averages is not None, "TuningFreeAdamW decides on the host: leave it out; with delay=1 and "
         "nonfinite='propagate' no step waits for a sum of its own"),
        (plan.delay == 1, "delay=1 is worth nothing where the host does not wait: leave it out"),
        (bool(plan.stochastic_rounding), "stochastic_rounding=True draws by a step number of the host: leave it out"),
        (not all(group["base_lr"] for group in groups), "lr=0 has no base rate: give the rate, and a scheduler that "
         "begins with 0"),
    ):  # fmt: skip
        if holds:
            raise ArgumentError(f"capturable=True: {words}")


SHARED = ("step", "beta1_power", "last_beta1_power")
"""What tensors that have always stepped together share: one tensor, which is how they are recognised."""


class Captured(NamedTuple):
    """One step."""

    numbers: Numbers
    ring: Tensor  # of records; (RECORDS, scopes, COLUMNS)
    loops: Loops

    def take(self) -> None:
        """Take the step."""
        numbers = self.numbers
        items = collect(numbers.groups, numbers.states)
        if not items:
            return
        present = [self._read(number, group, items[0].theta.device) for number, group in enumerate(numbers.groups)]
        fresh = ["step" not in item.state for item in items]
        self._open(items, present)
        table, columns = self._sum(items, present)
        outcomes = {scope: self._schedule(scope, items, table, columns) for scope in numbers.list_scopes(items, [])}
        fine = self._judge(table, columns, outcomes)
        for scope, outcome in outcomes.items():
            self._learn(scope, outcome, fine)
        scalars = self._advance(items, present, fresh, fine)
        self._apply(items, present, scalars, fine)
        self._keep(items, present, table, columns, fine)
        numbers.mark_moved(items)

    # What is kept, as tensors.

    def _read(self, number: int, group: dict[str, Any], device: torch.device) -> Present:
        names = ["effective_lr", "last_lr", "last_ratio", "last_beta1", "last_weight_decay", "steps", "skipped"]
        if not self.numbers.has_rate_per_tensor:
            names += [name_learned(field) for field in self._learned_fields]
        to_device(group, names, device)
        return read_group(number, group)

    @property
    def _learned_fields(self) -> tuple[str, ...]:
        fields: tuple[str, ...] = type(self.numbers.plan.rule.init(0.0, 0.0))._fields
        return fields

    def _open(self, items: Sequence[Item], present: Sequence[Present]) -> None:
        """Make the states complete. New tensors share what is SHARED; those that leave others behind get their own."""
        numbers, plan = self.numbers, self.numbers.plan
        stepping = {id(item.state) for item in items}
        left = {id(state["step"]) for state in numbers.states.values() if "step" in state and id(state) not in stepping}
        made: dict[int, dict[str, Tensor]] = {}
        for item in items:
            state, device, key = item.state, item.theta.device, id(item.state.get("step"))
            if "step" not in state or key in left:
                if key not in made:
                    known = {"step": 0.0, "beta1_power": 1.0, "last_beta1_power": 1.0} | {
                        name: state[name] for name in SHARED if name in state
                    }
                    made[key] = {name: torch.as_tensor(known[name]).clone().double().to(device) for name in SHARED}
                    made[key]["step"] = made[key]["step"].float()
                state.update(made[key])
            numbers.open(item.param, numbers.groups[item.group], plan.adapt(present[item.group].momentum).traits.keeps)
            names = ["beta1_power", "last_beta1_power"]
            if plan.traits.remembers_norm:
                known_sq = state.setdefault("grad_sq", 0.0)
                if isinstance(known_sq, Tensor) and known_sq.dim():  # of blocks, as an engine leaves it
                    state["grad_sq"] = known_sq.double().sum()
                names.append("grad_sq")
            if numbers.has_rate_per_tensor:
                state.setdefault("last_lr", 0.0)
                state.setdefault("last_beta1", 0.0)
                names += ["last_lr", "last_beta1", *(name_learned(field) for field in self._learned_fields)]
            state.setdefault("beta1_power", 1.0)  # of a state that was saved without capturable=True
            state.setdefault("last_beta1_power", 1.0)
            to_device(state, names, device)
            state["step"] = state["step"].to(device)

    def _find_home(self, scope: int) -> dict[str, Any]:
        numbers = self.numbers
        return numbers.states[numbers.find_param(scope)[0]] if numbers.has_rate_per_tensor else numbers.groups[scope]

    def _load(self, scope: int) -> Any:
        home = self._find_home(scope)
        return type(self.numbers.plan.rule.init(0.0, 0.0))(
            *(home[name_learned(field)] for field in self._learned_fields)
        )

    # Loop 1.

    def _sum(self, items: Sequence[Item], present: Sequence[Present]) -> tuple[Tensor, tuple[str, ...]]:
        """The inner products, a row per item, on the device."""
        plan = self.numbers.plan
        first = 1 << 62  # the inner products of a step that adapts: whether it is one, only the device knows
        columns = plan.name_columns(first)
        recalled: dict[Any, Any] = {}

        def select(item: Item) -> Any:
            names = plan.name_products(first, item.moved, False)
            key = (item.group, id(item.state["step"]), item.position if self.numbers.has_rate_per_tensor else -1)
            if item.moved and plan.uses_moments and key not in recalled:
                recalled[key] = self._recall(item)
            return (
                names,
                self.numbers.plan.form_gradient(present[item.group]),
                key if item.moved and plan.uses_moments else None,
            )

        cells: dict[int, dict[str, list[Tensor]]] = {}
        batches = form_batches(items, select, lambda key: plan.name_operands(key[0]), self.loops.limit)
        for (names, gradient, key), batch in batches:
            scalars, power = recalled.get(key, (None, 1.0))
            for name, pieces in self.loops.inner_products(names, batch, gradient, scalars, power).items():
                for owner, piece in zip(batch.owners, pieces, strict=True):
                    cells.setdefault(owner, {}).setdefault(name, []).append(piece)
        rows = form_rows(items, self.numbers.groups, True, plan.reach)
        if not columns:
            return torch.zeros(len(items), 0, dtype=torch.float64, device=items[0].theta.device), columns
        return tabulate(items, cells, rows, columns, plan.reach, items[0].theta.device), columns

    def _recall(self, item: Item) -> tuple[Any, Any]:
        """The scalars of the latest step of a tensor, and the product of the beta1 that it had used before."""
        group, state = self.numbers.groups[item.group], item.state
        beta1 = state.get("last_beta1", group["last_beta1"])
        scalars = self._form(group["last_lr"], beta1, group["last_beta2"], group["last_eps"], 0.0, state)
        return scalars, state["last_beta1_power"]

    def _form(
        self, lr: Any, beta1: Any, beta2: float, eps: float, weight_decay: float, state: Mapping[str, Any]
    ) -> Any:
        """The scalars of AdamW for the step that `state` has counted already."""
        traits, step = self.numbers.plan.traits, state["step"].double()
        published = traits.adapts_beta1 and not self.numbers.plan.derives_beta1
        power = beta1**step if published else state["beta1_power"]
        return exact_scalars(lr, beta1, beta2, eps, weight_decay, power, beta2**step)

    # The scalars between the loops.

    def _schedule(self, scope: int, items: Sequence[Item], table: Tensor, columns: Sequence[str]) -> Outcome:
        """What a scope learns."""
        numbers, plan = self.numbers, self.numbers.plan
        learned, step = self._load(scope), numbers.groups[0]["steps"] + 1
        movers: dict[int, list[int]] = {}
        for index, item in enumerate(items):
            if item.moved and numbers.find_scope(item.group, item.position) == scope:
                movers.setdefault(item.group, []).append(index)
        if not movers:
            code = torch.full_like(step, CODES["no direction"])
            warmup = getattr(getattr(plan.rule, "constants", None), "warmup_steps", 0)
            return Outcome(learned, torch.full_like(step, math.nan), torch.where(step <= warmup, CODES["warmup"], code))
        sums = total([self._form_term(group, found, items, table, columns) for group, found in movers.items()])
        return SCHEDULES[type(plan.rule)](torch, plan.rule, step, learned, sums, (plan.lr_min, plan.lr_max))

    def _form_term(
        self, number: int, found: Sequence[int], items: Sequence[Item], table: Tensor, columns: Sequence[str]
    ) -> Term:
        group, state = self.numbers.groups[number], items[found[0]].state
        values = dict(zip(columns, add_rows(table, found).unbind(), strict=True))
        norm = torch.zeros_like(table[0, 0])
        if self.numbers.plan.traits.remembers_norm:
            norm = torch.stack([items[index].state["grad_sq"] for index in found]).sum()
        lr = state["last_lr"] if self.numbers.has_rate_per_tensor else group["last_lr"]
        return Term(group["last_ratio"], lr, group["last_weight_decay"], values, norm)

    def _judge(self, table: Tensor, columns: Sequence[str], outcomes: Mapping[int, Outcome]) -> Tensor | None:
        """Whether all is finite; None where nobody asks."""
        if self.numbers.plan.nonfinite == "propagate":
            return None
        fine = torch.isfinite(table[:, columns.index("grad_grad")].sum())
        for outcome in outcomes.values():
            fine = fine & (outcome.code != CODES["non-finite sum"]) & (outcome.code != CODES["non-finite rate"])
        return fine

    def _learn(self, scope: int, outcome: Outcome, fine: Tensor | None) -> None:
        """Write what was learned, and a record of it."""
        numbers, before = self.numbers, self._load(scope)
        learned, code = outcome.learned, outcome.code
        if fine is not None:
            learned = [torch.where(fine, new, old) for new, old in zip(learned, before, strict=True)]
            code = torch.where(fine, code, CODES["not finite: skipped"])
        step = numbers.groups[0]["steps"] + 1
        record = torch.stack([step, before.lr.clone(), learned[0], outcome.hypergradient, code])
        place = ((step - 1) % RECORDS).long().view(1)
        self.ring[:, scope].index_copy_(0, place, record.view(1, COLUMNS))
        homes = numbers.groups if numbers.shares_rate else [self._find_home(scope)]
        for home in homes:
            for field, value in zip(self._learned_fields, learned, strict=True):
                home[name_learned(field)].copy_(value)

    def _advance(
        self, items: Sequence[Item], present: Sequence[Present], fresh: Sequence[bool], fine: Tensor | None
    ) -> list[Any]:
        """Count the step of each tensor, and form its scalars; items that are alike share them."""
        known: dict[Any, Any] = {}
        counted: set[int] = set()
        scalars = []
        for item, new in zip(items, fresh, strict=True):
            state, now = item.state, present[item.group]
            scope = self.numbers.find_scope(item.group, item.position)
            learned = self._load(scope)
            beta1 = learned.beta1 if self.numbers.plan.traits.adapts_beta1 else now.beta1
            if id(state["step"]) not in counted:
                counted.add(id(state["step"]))
                one = 1.0 if fine is None else fine.to(state["step"].dtype)
                state["step"].add_(one)
                power = state["beta1_power"] * beta1
                if fine is not None:
                    power = torch.where(fine, power, state["beta1_power"])
                    state["last_beta1_power"].copy_(torch.where(fine, state["beta1_power"], state["last_beta1_power"]))
                else:
                    state["last_beta1_power"].copy_(state["beta1_power"])
                state["beta1_power"].copy_(power)
            key = (item.group, scope, id(state["step"]), new)
            if key not in known:
                known[key] = self._form_scalars(learned.lr * now.ratio, beta1, now, state, new)
            scalars.append(known[key])
        return scalars

    def _form_scalars(self, lr: Tensor, beta1: Any, now: Present, state: Mapping[str, Any], fresh: bool) -> Any:
        plan = self.numbers.plan.adapt(now.momentum)
        if plan.uses_moments:
            decay = 0.0 if plan.traits.couples_decay else now.weight_decay
            return self._form(lr, beta1, now.beta2, now.eps, decay, state)
        return plan.rule.scalars(Options(cast(Any, lr)), History(0, 0 if fresh else 1))

    # Loop 2.

    def _apply(
        self, items: Sequence[Item], present: Sequence[Present], scalars: Sequence[Any], fine: Tensor | None
    ) -> None:
        order = {id(item): index for index, item in enumerate(items)}
        keeps = [self.numbers.plan.adapt(now.momentum).traits.keeps for now in present]

        def select(item: Item) -> Any:
            index = order[id(item)]
            return id(scalars[index]), self.numbers.plan.form_gradient(present[item.group]), keeps[item.group], index

        alike: dict[int, Any] = {id(one): one for one in scalars}
        batches = form_batches(items, lambda item: select(item)[:3], lambda key: key[2], self.loops.limit)
        for (key, gradient, _), batch in batches:
            before = _copy(batch) if fine is not None else {}
            self.loops.update(batch, gradient, alike[key], None)
            if fine is not None:
                _restore(batch, before, fine)

    def _keep(
        self, items: Sequence[Item], present: Sequence[Present], table: Tensor, columns: Sequence[str],
        fine: Tensor | None,
    ) -> None:  # fmt: skip
        """The numbers that the next step asks for."""
        numbers, traits = self.numbers, self.numbers.plan.traits
        one = 1.0 if fine is None else fine.double()
        for index, item in enumerate(items):
            state, now = item.state, present[item.group]
            if traits.remembers_norm:
                _write(state["grad_sq"], table[index, columns.index("grad_grad")], fine)
            if numbers.has_rate_per_tensor:
                learned = self._load(item.position)
                _write(state["last_lr"], learned.lr * now.ratio, fine)
                _write(state["last_beta1"], learned.beta1 if traits.adapts_beta1 else now.beta1, fine)
        for number, (group, now) in enumerate(zip(numbers.groups, present, strict=True)):
            if not numbers.has_rate_per_tensor:
                learned = self._load(numbers.find_scope(number, 0))
                _write(group["last_lr"], learned.lr * now.ratio, fine)
                _write(group["last_beta1"], learned.beta1 if traits.adapts_beta1 else now.beta1, fine)
                _write(group["effective_lr"], learned.lr * now.ratio, fine)
            _write(group["last_ratio"], now.ratio, fine)
            _write(group["last_weight_decay"], 0.0 if traits.couples_decay else now.weight_decay, fine)
            group["last_beta2"], group["last_eps"] = now.beta2, now.eps
            group["steps"].add_(one)
            group["skipped"].add_(1.0 - one)


def _copy(batch: Batch) -> dict[str, list[Tensor]]:
    return {name: [x.clone() for x in arrays] for name, arrays in (("theta", batch.theta), *batch.arrays.items())}


def _restore(batch: Batch, before: Mapping[str, list[Tensor]], fine: Tensor) -> None:
    """Undo what was written, unless all is finite."""
    for name, old in before.items():
        for target, kept in zip(batch.theta if name == "theta" else batch.arrays[name], old, strict=True):
            target.copy_(torch.where(fine, target, kept))


def _write(target: Tensor, value: Any, fine: Tensor | None) -> None:
    value = torch.as_tensor(value, dtype=target.dtype, device=target.device) if not isinstance(value, Tensor) else value
    target.copy_(value if fine is None else torch.where(fine, value, target))
