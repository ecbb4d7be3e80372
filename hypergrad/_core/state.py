"""All that a step replaces, as one immutable value, and how it goes from one step to the next.

The functions here see numbers alone; arrays pass through them unread.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hypergrad._core.groups import GroupOptions
from hypergrad._core.keeping import open_arrays, open_norms
from hypergrad._core.overflow import Sizes
from hypergrad._core.policy import Plan
from hypergrad._core.rates import Rates, apply_edits, extend_rates, open_rates
from hypergrad._core.series import Records, Series
from hypergrad._core.tensors import Tensor
from hypergrad._core.work import Work
from hypergrad_reference import surprise
from hypergrad_reference.loops import Arrays
from hypergrad_reference.rule import (
    Averages,
    History,
    Options,
    Record,
    Rule,
    Scalars,
    Sums,
    Term,
    total_over_groups,
    total_with_averages,
)
from hypergrad_reference.types import Vector

RECORDS = 1000

Blocks = Sequence[Mapping[str, Vector]]
"""For each batch the block sums of its tensors, one after another, by name of the product."""

REASONS = {"lr": "hypergradient", "beta1": "beta1_hypergradient"}
"""What is learned, and the field of a record that is finite where it was adapted."""


class Seen(NamedTuple):
    """What is known of the surprise of the gradients."""

    state: surprise.State
    surprise: Series
    accumulated: Series


class State(NamedTuple):
    """What an optimizer knows beside its parameters and the options of their groups."""

    step: int  # number of steps taken
    skipped: int  # number of steps that the policy for numbers that are not finite passed over
    shared: bool  # all groups share one learned rate
    ratios: tuple[float, ...]  # rho of each group, its rate in units of the learned one
    learned: tuple[Any, ...]  # what the rule has learned, once for all groups or for each
    series: tuple[dict[str, Series], ...]  # of each of these, its values at first and after every adaptation, by name
    seen: Seen
    histories: tuple[History, ...]
    members: tuple[int, ...]  # for each tensor, which of the histories is its own
    arrays: tuple[Arrays, ...]  # for each tensor; the loops write to them
    grad_grad: Vector  # block sums of ||g||^2 of all tensors, each at its latest step; empty if no rule asks for them
    records: Records
    sizes: Sizes | None = None  # bounds of all parameters and of what is kept of them; None: to be measured
    broken: str | None = None  # why parameters and state no longer belong together

    def list_rates(self) -> list[float]:
        """The rate of each group."""
        if self.shared:
            base = self.learned[0].lr
            return [ratio * base for ratio in self.ratios]
        return [ratio * one.lr for ratio, one in zip(self.ratios, self.learned, strict=True)]

    @property
    def rates(self) -> Rates:
        """The learned rates, and how the groups share them."""
        bases = tuple(learned.lr for learned in self.learned)
        count = len(self.ratios)
        return Rates(bases, (0,) * count if self.shared else tuple(range(count)), self.ratios, self.shared)

    def find_learned(self, group: int) -> Any:
        """What is learned for a group."""
        return self.learned[0 if self.shared else group]


def open_state(plan: Plan, lr: float, options: Sequence[GroupOptions], tensors: Sequence[Tensor]) -> State:
    """The state before the first step.

    lr         the optimizer's own rate
    options    of each group
    """
    rates = open_rates(plan.policy.lr_scope, lr, [one.lr for one in options])
    learned = tuple(
        plan.rule.init(base, options[rates.members(scope)[0]].betas[0]) for scope, base in enumerate(rates.bases)
    )
    return State(
        0, 0, rates.shared, rates.ratios, learned, tuple(map(start_series, learned)),
        Seen(surprise.State(), Series.start(), Series.start()),
        tuple(History(number) for number in range(len(options))),
        tuple(tensor.group for tensor in tensors),
        tuple(open_arrays(tensor, plan.traits) for tensor in tensors),
        open_norms(tensors, plan.traits), Records([], 0, RECORDS),
    )  # fmt: skip


def add_group(
    state: State, plan: Plan, known: Sequence[GroupOptions], new: GroupOptions, tensors: Sequence[Tensor]
) -> State:
    """The state with one more group, whose tensors start fresh.

    known    the options of the groups that are there
    new      those of the new group
    """
    rule, number = plan.rule, len(state.histories)
    rates = extend_rates(state.rates, new.lr)
    if state.shared:
        learned = tuple(
            rule.edit(one, lr, known[0].betas[0]) for one, lr in zip(state.learned, rates.bases, strict=True)
        )
    else:
        learned = (*state.learned, rule.init(new.lr, new.betas[0]))
    return state._replace(
        ratios=rates.ratios,
        learned=learned,
        series=(*state.series, *map(start_series, learned[len(state.series) :])),
        histories=(*state.histories, History(len(known))),
        members=(*state.members, *[number] * len(tensors)),
        arrays=(*state.arrays, *(open_arrays(tensor, plan.traits) for tensor in tensors)),
        grad_grad=np.concatenate([state.grad_grad, open_norms(tensors, plan.traits)]),
        sizes=None,
    )


class Skipped(NamedTuple):
    """The record of a step that was not taken; its fields are those of `hypergrad_reference.rule.Record`.

    step      the step that would have been taken
    reason    what was not finite
    """

    step: int
    lr_before: float
    lr: float
    hypergradient: float
    reason: str


def skip(state: State, reason: str) -> State:
    """The state after a step that was passed over."""
    records = [Skipped(state.step + 1, one.lr, one.lr, math.nan, reason) for one in state.learned]
    return state._replace(skipped=state.skipped + 1, records=state.records.append(_join(state, records)))


def find_unlearned(state: State) -> str | None:
    """Why a rate could not learn from the latest step, if what it learns from is not finite."""
    record = state.records.last
    for one in (record,) if state.shared else record:
        if one.reason.startswith("non-finite"):
            return f"the rate has a {one.reason} to learn from: scale the loss down"
    return None


def start_series(learned: Any) -> dict[str, Series]:
    """The first entries of the series of what is learned."""
    return {name: Series.start([getattr(learned, name)]) for name in REASONS if name in learned._fields}


def edit(state: State, rule: Rule[Any], groups: Sequence[GroupOptions]) -> State:
    """The state with the rates and beta1 that stand in the groups, where the user may have written others."""
    rates = apply_edits(state.rates, [one.lr for one in groups])
    learned = tuple(
        rule.edit(one, lr, groups[rates.members(scope)[0]].betas[0])
        for scope, (one, lr) in enumerate(zip(state.learned, rates.bases, strict=True))
    )
    return state._replace(learned=learned, ratios=rates.ratios)


def schedule(state: State, plan: Plan, work: Work, sums: Blocks, bounds: Sequence[tuple[float, float]]) -> State:
    """The state once the rates of the step to come are known, with its records; nothing of the tensors has changed."""
    rule, averages = plan.rule, plan.traits.averages
    terms = _collect_terms(state, work, sums) if averages is None else []
    learned, records, series = [], [], []
    for scope, one in enumerate(state.learned):
        if averages is None:
            totals = total_over_groups([term for group, term in terms if state.shared or group == scope])
        else:
            totals = _total_with_averages(state, sums, averages)
        one, record = rule.schedule(state.step + 1, one, totals, bounds[scope])
        learned.append(one)
        records.append(record)
        series.append({
            name: known.append(getattr(one, name)) if math.isfinite(getattr(record, REASONS[name])) else known
            for name, known in state.series[scope].items()
        })  # fmt: skip
    together = state.records.append(_join(state, records))
    return state._replace(learned=tuple(learned), series=tuple(series), records=together)


def _join(state: State, records: Sequence[Record]) -> Record | tuple[Record, ...]:
    """The record of a step: one where all groups share a rate, else one per group."""
    return records[0] if state.shared else tuple(records)


def _collect_terms(state: State, work: Work, sums: Blocks) -> list[tuple[int, Term]]:
    """For each batch that moved at t-1, its group, and what its tensors have in sum."""
    terms = []
    for number, columns, blocks in zip(work.histories, work.columns, sums, strict=True):
        history = state.histories[number]
        if history.moved and "grad_direction" in blocks:
            last = [state.grad_grad[columns]] if state.grad_grad.size else []
            ratio = state.ratios[history.group]
            terms.append((history.group, Term(ratio, history.lr, history.weight_decay, [blocks], last)))
    return terms


def _total_with_averages(state: State, sums: Blocks, averages: Averages) -> Sums | None:
    """What a rule with averages learns from: the sums of this step or, delayed, those that the step before left."""
    left: list[Mapping[str, Vector]] = []
    for number, arrays in zip(state.members, state.arrays, strict=True):
        if state.histories[number].moved and arrays.left is not None:
            left.append(dict(zip(averages.left, arrays.left.reshape(len(averages.left), -1), strict=True)))
    formed = left if len(averages.left) > 1 else [blocks for blocks in sums if blocks]
    return total_with_averages(formed, left)


def observe(state: State, watch: surprise.Watch, grad_sq: float, deviation_sq: float) -> State:
    """The state once the surprise of the step's gradients is known."""
    seen = watch.observe(state.seen.state, grad_sq, deviation_sq)
    _, series, accumulated = state.seen
    return state._replace(seen=Seen(seen, series.append(seen.surprise), accumulated.append(seen.accumulated)))


class Move(NamedTuple):
    """What the tensors of one history step with."""

    options: Options
    scalars: Scalars


def advance(state: State, moves: Mapping[int, Move], work: Work, observing: bool, sizes: Sizes | None) -> State:
    """The state after the step of the tensors of some work. Tensors whose histories have become equal share one.

    sizes    bounds of what the step leaves behind
    """
    numbers: dict[History, int] = {}
    after: dict[tuple[int, bool], int] = {}
    for number, move in moves.items():
        history = state.histories[number].advance(move.options, move.scalars, observing)
        after[number, True] = numbers.setdefault(history, len(numbers))
    if len(work.given.tensors) == len(state.members):
        kept = [number for number, _ in after] == list(after.values())
        members = state.members if kept else tuple([after[number, True] for number in state.members])
    else:
        moving = {tensor.position for tensor in work.given.tensors}
        for number, history in enumerate(state.histories):
            after[number, False] = numbers.setdefault(history._replace(moved=False), len(numbers))
        members = tuple([after[number, position in moving] for position, number in enumerate(state.members)])
        members, numbers = _drop_unused(members, numbers)
    return state._replace(step=state.step + 1, histories=tuple(numbers), members=members, sizes=sizes)


def forget_directions(state: State) -> State:
    """The state after a step in which elements stayed: the next step learns nothing from where they did not go.

    Squares of a gradient that are not finite are not kept.
    """
    histories = tuple(history._replace(moved=False) for history in state.histories)
    return state._replace(histories=histories, grad_grad=np.where(np.isfinite(state.grad_grad), state.grad_grad, 0))


def _drop_unused(members: Sequence[int], numbers: Mapping[History, int]) -> tuple[tuple[int, ...], dict[History, int]]:
    used = set(members)
    kept = {history: number for history, number in numbers.items() if number in used}
    renumber = {number: new for new, number in enumerate(kept.values())}
    return tuple([renumber[number] for number in members]), {h: renumber[number] for h, number in kept.items()}
