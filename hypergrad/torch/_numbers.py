"""The numbers between the loops: where they are kept, and how a step moves them.

Per group stand the options, "base_lr", what is learned ("learned_lr", ...) and what the latest step used ("last_lr",
...); per parameter "step", "moved" and what differs from one parameter to another. All are plain numbers, so that
they survive every way of saving a state. With a learned rate per tensor, what is learned stands with the parameters.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hypergrad._core.keeping import count_kept
from hypergrad._core.saved import list_numbers, read_numbers
from hypergrad.torch._array_engine import as_blocks
from hypergrad.torch._dtypes import find_kept_dtype
from hypergrad.torch._items import Item
from hypergrad.torch._plan import Plan, Present, extend_power
from hypergrad.torch._reduce import LAST, Reading
from hypergrad_reference import surprise
from hypergrad_reference.loops import INNER_PRODUCTS
from hypergrad_reference.rule import Options, Scalars, Sums, Term, total_over_groups, total_with_averages
from hypergrad_reference.sums import total

LAST_STEP = {"ratio": 0.0, "lr": 0.0, "weight_decay": 0.0, "beta1": 0.0, "beta2": 0.0, "eps": 1.0}
"""What is kept per group of its latest step, and what stands there before the first."""

LEARNED = "learned_"
"""What the keys of learned numbers begin with."""

Group = dict[str, Any]


def name_learned(field: str) -> str:
    """The key of a learned number."""
    return f"{LEARNED}{field}"


class Move(NamedTuple):
    """What a tensor steps with."""

    options: Options
    scalars: Scalars
    power_before: float  # product of the beta1 of its steps, without this one and with it
    power: float


class Numbers(NamedTuple):
    """The numbers of an optimizer."""

    plan: Plan
    groups: list[Group]
    states: dict[Tensor, dict[str, Any]]

    # Where they are kept.

    @property
    def shares_rate(self) -> bool:
        """All groups share one learned rate."""
        return self.plan.lr_scope == "global"

    @property
    def has_rate_per_tensor(self) -> bool:
        """Each parameter has a learned rate."""
        return self.plan.lr_scope == "tensor"

    def adopt(self, groups: Sequence[Group]) -> None:
        """Give groups the numbers that they lack: those of a start, or where all share a rate, of the first group."""
        first = self.groups[0]
        for group in groups:
            model = first if self.shares_rate and "base_lr" in first else group
            base = model.get("base_lr", float(model["lr"]))
            fresh = {"base_lr": base, "effective_lr": float(group["lr"])}
            fresh |= {name: first.get(name, 0) for name in ("steps", "skipped")}
            fresh |= {f"last_{name}": value for name, value in LAST_STEP.items()}
            if not self.has_rate_per_tensor:
                for name, value in list_numbers(self.start(group, base), LEARNED):
                    fresh[name] = model.get(name, value)
            fresh |= {f"left_{name}": first.get(f"left_{name}", 0.0) for name in self.plan.left}
            if self.plan.watch is not None:
                for name, value in surprise.State()._asdict().items():
                    fresh[f"surprise_{name}"] = first.get(f"surprise_{name}", value)
            for name, value in fresh.items():
                group.setdefault(name, value)

    def start(self, group: Group, base: float) -> Any:
        """What is learned before the first step."""
        return self.plan.rule.init(base, float(group.get("betas", (0.0, 0.0))[0]))

    def open(self, param: Tensor, group: Group, keeps: Sequence[str] = ()) -> dict[str, Any]:
        """The state of a parameter, made complete where something is missing."""
        state = self.states[param]
        if "step" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32)
        dtype = find_kept_dtype(param)
        for name in self.plan.choose_keeps(tuple(keeps)):
            if name not in state:
                state[name] = self._make_array(name, param, dtype)
        if self.has_rate_per_tensor and name_learned("lr") not in state:
            state.update(list_numbers(self.start(group, group["base_lr"]), LEARNED))
        return state

    def _make_array(self, name: str, param: Tensor, dtype: torch.dtype) -> Tensor:
        """What is kept of a parameter, before its first step: zeros, and for an average the parameter."""
        if name == "left":
            return torch.zeros(count_kept(name, param.numel(), self.plan.traits), dtype=dtype)
        array = torch.zeros_like(param, dtype=dtype, memory_format=torch.preserve_format)
        return array.copy_(param.detach()) if name == "average_slow" else array

    def find_param(self, position: int) -> tuple[Tensor, Group]:
        """A parameter by its position among all, and its group."""
        for group in self.groups:
            if position < len(group["params"]):
                return group["params"][position], group
            position -= len(group["params"])
        raise IndexError(position)

    def find_scope(self, group: int, position: int) -> int:
        """The number of a learned rate: 0, of the group, or of the parameter."""
        if self.has_rate_per_tensor:
            return position
        return 0 if self.shares_rate else group

    def list_scopes(self, items: Sequence[Item], readings: Sequence[Reading]) -> list[int]:
        """The learned rates that a step moves; of a tensor also where another rank has the part with a gradient."""
        if self.has_rate_per_tensor:
            return sorted({item.position for item in items} | {reading.row.position for reading in readings})
        return [0] if self.shares_rate else list(range(len(self.groups)))

    def load(self, scope: int) -> Any:
        """What is learned, by one scope."""
        home: Mapping[str, Any] = self.groups[0] if self.has_rate_per_tensor else self.groups[scope]
        if self.has_rate_per_tensor:
            param, group = self.find_param(scope)
            home = self.states.get(param, {})
            if name_learned("lr") not in home:
                return self.start(group, group["base_lr"])
        return read_numbers(self.plan.rule.init(0.0, 0.0), home, prefix=LEARNED)

    def find_bases(self) -> None:
        """A base rate of 0 gives way to the first rate that is not: of any group that shares it, or of the group."""
        for group in self.groups:
            if not group["base_lr"]:
                sharing = self.groups if self.shares_rate else [group]
                base = next((rate for other in sharing if (rate := float(other["lr"]))), 0.0)
                group["base_lr"] = base
                if not self.has_rate_per_tensor:
                    group[name_learned("lr")] = base

    # From the sums to what the tensors step with.

    def liken(self, item: Item) -> Any:
        """What two tensors have in common when loop 1 is told the same of both, except for a running mean."""
        state = item.state
        powers = (state.get("beta1_power"), state.get("last_beta1_power"))
        position = item.position if self.has_rate_per_tensor else -1
        return item.group, position, read_steps(state), powers, item.moved

    def recall(self, item: Item) -> tuple[Scalars, float]:
        """The scalars of the latest step of a tensor, and the product of the beta1 that it had used before."""
        group, state = self.groups[item.group], item.state
        last: Mapping[str, Any] = {**group, **state}  # with a rate per tensor, lr and beta1 stand with the tensor
        options = Options(**{name: last[f"last_{name}"] for name in LAST_STEP if name != "ratio"})
        before = state.get("last_beta1_power", 1.0)
        return self.plan.form_scalars(options, read_steps(state) - 1, before, state["beta1_power"]), before

    def schedule(
        self, scope: int, steps: int, readings: Sequence[Reading], present: Sequence[Present]
    ) -> tuple[Any, Any]:
        """What a scope learns at the step after so many, and the record of it."""
        mine = [one for one in readings if self.find_scope(one.row.group, one.row.position) == scope]
        sums = self._total(mine) if self.plan.traits.averages is None else self._total_with_averages(mine, steps)
        return self.plan.rule.schedule(steps + 1, self.load(scope), sums, self.plan.bound(present))

    def _total_with_averages(self, readings: Sequence[Reading], steps: int) -> Sums | None:
        """The sums of this step and of what loop 2 of the step before left; delayed, of the latter alone."""
        known = {name: as_blocks(self.groups[0][f"left_{name}"]) for name in self.plan.left}
        left = [known] if steps else []
        if len(known) > 1:
            return total_with_averages(left, left)
        formed = [
            reading.blocks
            or {name: as_blocks(value) for name, value in reading.values.items() if name in INNER_PRODUCTS}
            for reading in readings
        ]
        return total_with_averages(formed, left)

    def _total(self, readings: Sequence[Reading]) -> Sums | None:
        """The sums over the tensors that moved at t-1 and have a gradient at t."""
        found: dict[int, list[Reading]] = {}
        for reading in readings:
            if reading.row.moved and "grad_direction" in (reading.blocks or reading.values):
                found.setdefault(reading.row.group, []).append(reading)
        return total_over_groups([self._form_term(group, members) for group, members in found.items()])

    def _form_term(self, number: int, readings: Sequence[Reading]) -> Term:
        group, (row, values, _) = self.groups[number], readings[0]
        blocks: list[Any] = [reading.blocks for reading in readings if reading.blocks is not None]
        if not blocks:
            names = [name for name in values if name in INNER_PRODUCTS]
            blocks = [{name: np.array([reading.values[name] for reading in readings]) for name in names}]
        norms: list[Any] = []
        if self.plan.traits.remembers_norm:
            norms = [as_blocks(self._find_last_norm(reading)) for reading in readings]
        lr = self._find_state(row.position)["last_lr"] if self.has_rate_per_tensor else group["last_lr"]
        return Term(group["last_ratio"], lr, group["last_weight_decay"], blocks, norms)

    def _find_last_norm(self, reading: Reading) -> Any:
        """||g_{t-1}||^2 of the tensors of a row."""
        if LAST in reading.values:
            return reading.values[LAST]
        return self._find_state(reading.row.position)["grad_sq"]

    def _find_state(self, position: int) -> dict[str, Any]:
        return self.states[self.find_param(position)[0]]

    def plan_moves(self, items: Sequence[Item], present: Sequence[Present], learned: Mapping[int, Any]) -> list[Move]:
        """What each item steps with; items that are alike share one."""
        known: dict[Any, Move] = {}
        moves = []
        for item in items:
            steps, power = read_steps(item.state), item.state.get("beta1_power", 1.0)
            scope = self.find_scope(item.group, item.position)
            key = (item.group, scope, steps, power)
            if key not in known:
                known[key] = self._plan_move(item.group, present[item.group], learned[scope], steps, power)
            moves.append(known[key])
        return moves

    def _plan_move(self, number: int, present: Present, learned: Any, steps: int, power: float) -> Move:
        plan, traits = self.plan.adapt(present.momentum), self.plan.traits
        beta1 = self._find_beta1(learned, present)
        options = present.form_options(learned.lr * present.ratio, beta1, traits.couples_decay)
        if traits.averages is not None:
            options = options._replace(learned=learned)
        plan.check_decay(f"group {number}: ", options.lr, options.weight_decay)
        last = self.groups[number]["last_beta1"]
        after = power * beta1 if traits.adapts_beta1 else extend_power(power, steps, last, beta1)
        return Move(options, plan.form_scalars(options, steps, power, after), power, after)

    # What a step leaves behind.

    def mark_moved(self, items: Sequence[Item]) -> None:
        """Note which tensors took this step, for the sums of the next."""
        for state in self.states.values():
            if "step" in state:
                state["moved"] = False
        for item in items:
            item.state["moved"] = True

    def keep(self, items: Sequence[Item], moves: Sequence[Move], norms: Sequence[Any]) -> None:
        """The numbers of each tensor after its step."""
        torch._foreach_add_([item.state["step"] for item in items], 1.0)
        self.mark_moved(items)
        plan = self.plan
        uses_moments, derives_beta1, remembers = plan.uses_moments, plan.derives_beta1, plan.traits.remembers_norm
        for index, (item, move) in enumerate(zip(items, moves, strict=True)):
            state = item.state
            if uses_moments:
                state["beta1_power"] = move.power
            if derives_beta1:
                state["last_beta1_power"] = move.power_before
            if remembers:
                state["grad_sq"] = norms[index]

    def publish(
        self, present: Sequence[Present], learned: Mapping[int, Any], used: Mapping[int, Any], steps: int
    ) -> None:
        """The numbers of each group after the step, and what was learned.

        used    what the step was taken with: what was learned, or with delay 1 what had been learned before
        """
        for position, own in learned.items() if self.has_rate_per_tensor else ():
            param, group = self.find_param(position)
            now = present[next(n for n, one in enumerate(self.groups) if one is group)]
            state = self.open(param, group)
            self._write(state, own)
            state["last_lr"] = used[position].lr * now.ratio
            state["last_beta1"] = self._find_beta1(used[position], now)
        first = 0
        for number, (group, now) in enumerate(zip(self.groups, present, strict=True)):
            options = now.form_options(group["last_lr"], now.beta1, self.plan.traits.couples_decay)
            if self.has_rate_per_tensor:
                members = [position for position in learned if 0 <= position - first < len(group["params"])]
                rates = [used[position].lr * now.ratio for position in members]
                group["effective_lr"] = max(rates, default=group["effective_lr"])
                first += len(group["params"])
            else:
                own = used[self.find_scope(number, 0)]
                self._write(group, learned[self.find_scope(number, 0)])
                group["effective_lr"] = own.lr * now.ratio
                options = options._replace(lr=group["effective_lr"], beta1=self._find_beta1(own, now))
            group["steps"], group["last_ratio"] = steps + 1, now.ratio
            group.update({f"last_{name}": value for name, value in options._asdict().items() if name in LAST_STEP})

    def _find_beta1(self, learned: Any, present: Present) -> float:
        beta1: float = learned.beta1 if self.plan.traits.adapts_beta1 else present.beta1
        return beta1

    def _write(self, home: dict[str, Any], learned: Any) -> None:
        home.update(list_numbers(learned, LEARNED))

    def observe(self, readings: Sequence[Reading], steps: int) -> None:
        """Follow the surprise of the gradients, where it is asked for."""
        watch = self.plan.watch
        if watch is None or not self.plan.is_watching(steps):
            return
        state = surprise.State(*(self.groups[0][f"surprise_{name}"] for name in surprise.State._fields))
        grad_sq, deviation_sq = (
            total(as_blocks((reading.blocks or reading.values)[name]) for reading in readings)
            for name in ("grad_grad", "deviation_deviation")
        )
        seen = watch.observe(state, grad_sq, deviation_sq)
        for group in self.groups:
            group.update({f"surprise_{name}": value for name, value in seen._asdict().items()})


def read_steps(state: Mapping[str, Any]) -> int:
    """How many steps a parameter has taken."""
    return int(state["step"].item()) if "step" in state else 0
