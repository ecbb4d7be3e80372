"""What a step does between what the user gave and what the loops write. Nothing here changes what was there before."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hypergrad._core.backend import SumsTask, UpdateTask
from hypergrad._core.finite import find_stopped, find_trouble, find_unlearned
from hypergrad._core.groups import GroupOptions, name_group
from hypergrad._core.policy import Kind, Policy
from hypergrad._core.state import Blocks, Move, State, advance, observe, plan_moves, schedule
from hypergrad._core.tensors import Gradient, Tensor
from hypergrad.errors import ArgumentError
from hypergrad_kernels.placing import place_kept
from hypergrad_reference.adamw_free_schedule import looks
from hypergrad_reference.loops import STOPPED, Arrays, Operands, Update
from hypergrad_reference.rule import History, Options, Rule, Traits
from hypergrad_reference.sums import total


class Work(NamedTuple):
    """What a step works on."""

    tensors: Sequence[Tensor]  # those that have a gradient
    gradients: Sequence[Gradient]
    groups: Sequence[GroupOptions]

    @property
    def positions(self) -> list[int]:
        """Of the tensors."""
        return [tensor.position for tensor in self.tensors]


class Step(NamedTuple):
    """What a step does, decided before anything of it is done."""

    tasks: Sequence[UpdateTask]
    moves: Mapping[int, Move]  # by the number of a history
    arrays: tuple[Arrays, ...]  # of every tensor
    watching: bool  # whether the surprise of the gradients is followed

    def finish(self, learned: State) -> State:
        """The state after the step, from what was learned."""
        after = advance(learned, self.moves, [task.position for task in self.tasks], self.watching)
        return after._replace(arrays=self.arrays)


class Plan(NamedTuple):
    """A rule, and what else the step is given."""

    rule: Rule[Any]
    traits: Traits  # of the rule
    policy: Policy

    def list_sums(self, state: State, work: Work) -> list[SumsTask]:
        """What loop 1 forms."""
        return self._list_sums(state, work, [self._name_products(state, history) for history in state.histories])

    def list_squares(self, state: State, work: Work) -> list[SumsTask]:
        """The squares of the gradients alone, which show what is not finite before a step forms its other sums."""
        return self._list_sums(state, work, [("grad_grad",)] * len(state.histories))

    def list_other_sums(self, state: State, work: Work) -> list[SumsTask]:
        """What a step with delay 1 forms while it writes."""
        products = [self._name_products(state, history) for history in state.histories]
        if self.policy.looks_ahead:
            products = [tuple(name for name in names if name != "grad_grad") for names in products]
        if self.policy.nonfinite == "stop":
            products = [(*names, STOPPED) for names in products]
        return self._list_sums(state, work, products)

    def _list_sums(self, state: State, work: Work, products: Sequence[tuple[str, ...]]) -> list[SumsTask]:
        traits, tasks = self.traits, []
        for tensor, gradient in zip(work.tensors, work.gradients, strict=True):
            number = state.members[tensor.position]
            history = state.histories[number]
            if products[number]:
                operands = Operands(
                    tensor.theta, gradient.flat, traits.grad_scale, state.arrays[tensor.position],
                    history.scalars if history.moved else None, history.last_beta1_power,
                    work.groups[tensor.group].weight_decay if traits.couples_decay else 0.0, traits.averages,
                )  # fmt: skip
                tasks.append(SumsTask(tensor.position, number, products[number], operands))
        return tasks

    def _name_products(self, state: State, history: History) -> tuple[str, ...]:
        """What loop 1 forms for the tensors of a history: for the rule, for surprise, and for the policy."""
        names = self.rule.products(state.step + 1, history)
        averages = self.traits.averages
        if averages and not looks(state.step + 1, state.find_learned(history.group).next_clock, averages.every):
            names = tuple(name for name in names if name == "grad_grad")
        watching = self._is_watching(state)
        if watching and history.observed:
            names = (*names, "deviation_deviation")
        if (watching or self.policy.looks_ahead) and "grad_grad" not in names:
            return ("grad_grad", *names)  # one NaN or inf in the gradient shows in its norm
        return names

    def _is_watching(self, state: State) -> bool:
        watch = self.policy.watch
        return watch is not None and state.step >= watch.warmup_steps

    def find_trouble(self, state: State, work: Work, sums: Blocks) -> str | None:
        """What of the gradients and the sums is not finite, if it is to be found before anything is written."""
        if not self.policy.looks_ahead:
            return None
        needed = [(*self.rule.products(state.step + 1, history), "deviation_deviation") for history in state.histories]
        return find_trouble(
            (tensor, gradient.flat, sums[tensor.position], needed[state.members[tensor.position]])
            for tensor, gradient in zip(work.tensors, work.gradients, strict=True)
        )

    def learn(self, state: State, work: Work, sums: Blocks) -> State:
        """The state once it is known what a step teaches; nothing of the tensors has changed."""
        watch, traits = self.policy.watch, self.traits
        after = schedule(state, self.rule, sums, self._list_bounds(state, work.groups))
        if watch is not None and self._is_watching(state):
            grad_sq = total(s["grad_grad"] for s in sums.values())
            deviation_sq = total(s.get("deviation_deviation", s["grad_grad"]) for s in sums.values())
            after = observe(after, watch, grad_sq, deviation_sq)
        if traits.remembers_norm:
            # copies: the next sums are written where these are
            norms = [sums[p]["grad_grad"].copy() if p in sums else kept for p, kept in enumerate(state.grad_grad)]
            after = after._replace(grad_grad=tuple(norms))
        return after

    def plan_step(self, state: State, work: Work, sums: Sequence[SumsTask] = ()) -> Step:
        """What a step does with the rates that the state has.

        sums    what is formed in the same pass
        """
        active, watch, watching = work.positions, self.policy.watch, self._is_watching(state)
        moves = plan_moves(state, self.rule, active, self._list_options(state, work.groups))
        asked = {task.position: (task.products, task.operands) for task in sums}
        traits, arrays, tasks = self.traits, list(state.arrays), []
        for tensor, gradient in zip(work.tensors, work.gradients, strict=True):
            position, number = tensor.position, state.members[tensor.position]
            observed = state.histories[number].observed
            if watching and not observed:
                room = place_kept("grad_ema", tensor.theta.size, tensor.theta)
                arrays[position] = arrays[position]._replace(grad_ema=room)
            u = Update(
                tensor.theta, gradient.flat, traits.grad_scale, arrays[position], moves[number].scalars,
                watch.gamma if watch is not None and observed else None,
                work.groups[tensor.group].weight_decay if traits.couples_decay else 0.0,
            )  # fmt: skip
            tasks.append(UpdateTask(position, number, u, *asked.get(position, ())))
        return Step(tasks, moves, tuple(arrays), watching)

    def read_sums(self, squares: Blocks, sums: Blocks) -> tuple[Blocks, dict[int, int]]:
        """The sums of a pass beside those that were formed before it, and how many elements of which tensors stayed.

        No rate learns from a tensor of which elements stayed: none of its sums is a number.
        """
        joined, stopped = {}, {}
        for position in squares or sums:
            blocks = {**squares.get(position, {}), **sums.get(position, {})}
            count = int(blocks.pop(STOPPED).sum()) if STOPPED in blocks else 0
            if count:
                stopped[position] = count
                blocks = {name: np.full_like(values, np.nan) for name, values in blocks.items()}
            joined[position] = blocks
        return joined, stopped

    def find_loss(self, state: State, work: Work, stopped: Mapping[int, int]) -> str | None:
        """What the user is to know of a step that was taken with delay 1: what stayed, or could not be learned."""
        if stopped:
            entries = [  # a kernel counts what pads a tensor, too, where a rate is inf in its dtype
                (t, g.flat, min(stopped.get(t.position, 0), t.theta.size))
                for t, g in zip(work.tensors, work.gradients, strict=True)
            ]
            return f"{find_stopped(entries)}; the rest of step {state.step} was taken"
        trouble = find_unlearned(state) if self.policy.nonfinite in ("raise", "stop") else None
        return trouble and f"{trouble}; step {state.step} was taken, and the rate stays"

    def _list_bounds(self, state: State, groups: Sequence[GroupOptions]) -> list[tuple[float, float]]:
        """The bounds of each learned rate. With averages, decay takes no more than half of a parameter in a step."""
        low, high = self.policy.lr_min, self.policy.lr_max
        if self.traits.averages is not None:
            high = min(high, *(0.5 / group.weight_decay for group in groups if group.weight_decay), high)
        if state.ratios.count(1.0) == len(state.ratios):
            return [(low, high)] * len(state.learned)
        rates = state.rates
        return [rates.bound(scope, low, high) for scope in range(len(rates.bases))]

    def _list_options(self, state: State, groups: Sequence[GroupOptions]) -> list[Options]:
        """What the tensors of each group step with."""
        traits, options = self.traits, []
        for number, (group, lr) in enumerate(zip(groups, state.list_rates(), strict=True)):
            beta1 = state.find_learned(number).beta1 if traits.adapts_beta1 else group.betas[0]
            decay = 0.0 if traits.couples_decay else group.weight_decay
            if traits.decays_hypergradient and lr * decay == 1:  # nothing is left of theta to take the derivative of
                where = name_group(number, len(groups))
                raise ArgumentError(
                    f"{where}weight_decay={decay!r} times lr={lr!r} is 1, where decay_in_hypergradient=True has no "
                    "derivative: write another weight_decay to the group"
                )
            learned = state.find_learned(number) if traits.averages is not None else None
            options.append(Options(lr, beta1, group.betas[1], group.eps, decay, learned))
        return options


def form_plan(kind: Kind, settings: Any) -> Plan:
    """The plan of an optimizer with these options."""
    policy, rule = kind.form_policy(settings), kind.form_rule(settings)
    if policy.nonfinite == "stop" and not policy.delay:
        raise ArgumentError(
            "nonfinite='stop' needs a rule whose one pass looks while it writes, as those with delay=1 that learn from "
            "inner products: give 'raise', which changes nothing"
        )
    return Plan(rule, rule.traits, policy)
