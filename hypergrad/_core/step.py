"""What a step does between what the user gave and what the loops write. Nothing here changes what was there before.

The functions stand in the order in which `Optimizer.step` calls them.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hypergrad._core.backend import Backend, SumsTask, UpdateTask
from hypergrad._core.finite import find_stopped, find_trouble
from hypergrad._core.groups import GroupOptions, name_group
from hypergrad._core.overflow import is_finite
from hypergrad._core.policy import Plan
from hypergrad._core.state import Blocks, Move, State, observe, schedule
from hypergrad._core.work import Work, split
from hypergrad.errors import ArgumentError
from hypergrad_kernels.placing import place_kept
from hypergrad_reference.adamw_free_schedule import looks
from hypergrad_reference.loops import STOPPED, Operands, Update
from hypergrad_reference.rule import History, Options
from hypergrad_reference.sums import total
from hypergrad_reference.surprise import Watch
from hypergrad_reference.types import Vector

Products = Sequence[tuple[str, ...]]
"""Names of inner products, for each batch."""


class Step(NamedTuple):
    """What a step goes by, before anything of it is done."""

    plan: Plan
    state: State  # with what the user has written to the groups
    groups: Sequence[GroupOptions]
    work: Work
    watch: Watch | None  # how the surprise of the gradients is followed in this step, if it is


def open_step(plan: Plan, state: State, groups: Sequence[GroupOptions], work: Work) -> Step:
    """A step whose gradients and options have been looked at, with room for the means of gradients that it begins."""
    watch = plan.policy.watch
    if watch is None or state.step < watch.warmup_steps:
        return Step(plan, state, groups, work, None)
    if all(state.histories[number].observed for number in work.histories):
        return Step(plan, state, groups, work, watch)
    arrays = list(state.arrays)
    for tensor in work.given.tensors:
        if not state.histories[state.members[tensor.position]].observed:
            room = place_kept("grad_ema", tensor.theta.size, tensor.theta)
            arrays[tensor.position] = arrays[tensor.position]._replace(grad_ema=room)
    batches = [batch._replace(arrays=[arrays[position] for position in batch.positions]) for batch in work.batches]
    return Step(plan, state._replace(arrays=tuple(arrays)), groups, work._replace(batches=batches), watch)


def name_products(step: Step) -> Products:
    """What loop 1 forms over each batch."""
    histories = step.state.histories
    return [_name_products(step, histories[number]) for number in step.work.histories]


def _name_products(step: Step, history: History) -> tuple[str, ...]:
    """What the rule asks for, and surprise, and the policy."""
    plan, state = step.plan, step.state
    names, averages = plan.rule.products(state.step + 1, history), plan.traits.averages
    if averages and not looks(state.step + 1, state.find_learned(history.group).next_clock, averages.every):
        names = tuple(name for name in names if name == "grad_grad")
    if step.watch is not None and history.observed:
        names = (*names, "deviation_deviation")
    if (step.watch is not None or plan.policy.looks_ahead) and "grad_grad" not in names:
        return ("grad_grad", *names)  # one NaN or inf in the gradient shows in its norm
    return names


def name_squares(step: Step) -> Products:
    """With delay 1, what shows that a gradient is not finite before the step forms its other sums, if anything does."""
    return [("grad_grad",) if step.plan.policy.looks_ahead else ()] * len(step.work.batches)


def name_other_products(step: Step) -> Products:
    """With delay 1, what is formed while loop 2 writes."""
    products = name_products(step)
    if step.plan.policy.looks_ahead:
        products = [tuple(name for name in names if name != "grad_grad") for names in products]
    if step.plan.policy.nonfinite == "stop":
        products = [(*names, STOPPED) for names in products]
    return products


def form_sums(step: Step, backend: Backend, products: Products) -> Blocks:
    """Loop 1: the block sums of the products over each batch."""
    if not any(products):
        return [{} for _ in products]
    tasks = [
        SumsTask(batch, names, operands)
        for batch, names, operands in zip(step.work.batches, products, _list_operands(step), strict=True)
        if names
    ]
    sums = iter(backend.inner_products(tasks))
    return [next(sums) if names else {} for names in products]


def _list_operands(step: Step) -> list[Operands]:
    """Those of the first tensor of each batch."""
    (_, traits, _), state, operands = step.plan, step.state, []
    for number, (_, thetas, grads, arrays) in zip(step.work.histories, step.work.batches, strict=True):
        history = state.histories[number]
        operands.append(Operands(
            thetas[0], grads[0], traits.grad_scale, arrays[0],
            history.scalars if history.moved else None, history.last_beta1_power,
            step.groups[history.group].weight_decay if traits.couples_decay else 0.0, traits.averages,
        ))  # fmt: skip
    return operands


def refuse_sums(step: Step, sums: Blocks) -> str | None:
    """What of the gradients and the sums is not finite, if it is to be found before anything is written."""
    if not step.plan.policy.looks_ahead or False not in [is_finite(b) for own in sums for b in own.values()]:
        return None
    entries = []
    for number, batch, own in zip(step.work.histories, step.work.batches, sums, strict=True):
        needed = (*step.plan.rule.products(step.state.step + 1, step.state.histories[number]), "deviation_deviation")
        parts = {name: split(batch, blocks) for name, blocks in own.items()}
        for index, tensor in enumerate(step.work.find_tensors(batch)):
            blocks = {name: part[index] for name, part in parts.items()}
            entries.append((tensor, batch.grads[index], blocks, needed))
    return find_trouble(sorted(entries, key=lambda entry: entry[0].position))


def learn(step: Step, sums: Blocks) -> State:
    """The state once it is known what a step teaches; nothing of the tensors has changed."""
    plan, state, _, work, watch = step
    after = schedule(state, plan, work, sums, _list_bounds(step))
    if watch is not None:
        grad_sq = total(own["grad_grad"] for own in sums)
        deviation_sq = total(own.get("deviation_deviation", own["grad_grad"]) for own in sums)
        after = observe(after, watch, grad_sq, deviation_sq)
    if plan.traits.remembers_norm:
        norms = state.grad_grad.copy()  # of this step alone
        for columns, own in zip(work.columns, sums, strict=True):
            norms[columns] = own["grad_grad"]
        after = after._replace(grad_grad=norms)
    return after


def _list_bounds(step: Step) -> list[tuple[float, float]]:
    """The bounds of each learned rate. With averages, decay takes no more than half of a parameter in a step."""
    (_, traits, policy), state = step.plan, step.state
    low, high = policy.lr_min, policy.lr_max
    if traits.averages is not None:
        high = min(high, *(0.5 / group.weight_decay for group in step.groups if group.weight_decay), high)
    if state.ratios.count(1.0) == len(state.ratios):
        return [(low, high)] * len(state.learned)
    rates = state.rates
    return [rates.bound(scope, low, high) for scope in range(len(rates.bases))]


def plan_moves(step: Step, rates: State) -> dict[int, Move]:
    """What the tensors of each history step with, by its number, at the rates that a state has."""
    histories, options = rates.histories, _list_options(step, rates)
    moves = {}
    for number in dict.fromkeys(step.work.histories):
        own = options[histories[number].group]
        moves[number] = Move(own, step.plan.rule.scalars(own, histories[number]))
    return moves


def _list_options(step: Step, rates: State) -> list[Options]:
    """What the tensors of each group step with."""
    traits, groups, options = step.plan.traits, step.groups, []
    for number, (group, lr) in enumerate(zip(groups, rates.list_rates(), strict=True)):
        learned = rates.find_learned(number)
        beta1 = learned.beta1 if traits.adapts_beta1 else group.betas[0]
        decay = 0.0 if traits.couples_decay else group.weight_decay
        if traits.decays_hypergradient and lr * decay == 1:  # nothing is left of theta to take the derivative of
            where = name_group(number, len(groups))
            raise ArgumentError(
                f"{where}weight_decay={decay!r} times lr={lr!r} is 1, where decay_in_hypergradient=True has no "
                "derivative: write another weight_decay to the group"
            )
        averaged = None if traits.averages is None else learned
        options.append(Options(lr, beta1, group.betas[1], group.eps, decay, averaged))
    return options


def plan_update(step: Step, moves: Mapping[int, Move], products: Products | None = None) -> list[UpdateTask]:
    """What loop 2 does to each batch.

    products    what is formed in the same pass
    """
    (_, traits, policy), state, tasks = step.plan, step.state, []
    operands = _list_operands(step) if products is not None else []
    for index, (number, batch) in enumerate(zip(step.work.histories, step.work.batches, strict=True)):
        history = state.histories[number]
        update = Update(
            batch.thetas[0], batch.grads[0], traits.grad_scale, batch.arrays[0], moves[number].scalars,
            policy.watch.gamma if policy.watch is not None and history.observed else None,
            step.groups[history.group].weight_decay if traits.couples_decay else 0.0,
        )  # fmt: skip
        summed = (products[index], operands[index]) if products is not None and products[index] else ()
        tasks.append(UpdateTask(batch, update, *summed))
    return tasks


def read_sums(step: Step, squares: Blocks, sums: Blocks) -> tuple[Blocks, dict[int, int]]:
    """The sums of a pass beside those formed before it, and by position how many elements stayed of which tensors.

    No rate learns from a tensor of which elements stayed: none of its sums is a number.
    """
    joined: list[dict[str, Vector]] = []
    stopped: dict[int, int] = {}
    for batch, before, within in zip(step.work.batches, squares, sums, strict=True):
        blocks = {**before, **within}
        stays = blocks.pop(STOPPED, None)
        if stays is not None and stays.any():
            counts = np.array([part.sum() for part in split(batch, stays)])
            stopped |= {p: int(count) for p, count in zip(batch.positions, counts, strict=True) if count}
            lost = np.repeat(counts > 0, batch.blocks)
            blocks = {name: np.where(lost, np.nan, values).astype(values.dtype) for name, values in blocks.items()}
        joined.append(blocks)
    return joined, stopped


def explain_stopped(step: Step, stopped: Mapping[int, int]) -> str:
    """Which elements stayed in a step that was taken, and why."""
    given = step.work.given
    entries = [  # a kernel counts what pads a tensor, too, where a rate is inf in its dtype
        (tensor, gradient.flat, min(stopped.get(tensor.position, 0), tensor.theta.size))
        for tensor, gradient in zip(given.tensors, given.gradients, strict=True)
    ]
    return f"{find_stopped(entries)}; the rest of step {step.state.step + 1} was taken"
