"""What a step does between what the user gave and what the loops write. Nothing here changes what was there before."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hypergrad._core.backend import SumsTask, UpdateTask
from hypergrad._core.finite import find_trouble
from hypergrad._core.groups import GroupOptions, name_group
from hypergrad._core.policy import Kind, Policy
from hypergrad._core.rates import Rates
from hypergrad._core.state import Blocks, State, advance, observe, plan_moves, schedule
from hypergrad._core.tensors import Gradient, Tensor
from hypergrad.errors import ArgumentError
from hypergrad_reference.adamw_free_schedule import looks
from hypergrad_reference.loops import Operands, Update
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


class Plan(NamedTuple):
    """A rule, and what the step is told beside it."""

    rule: Rule[Any]
    traits: Traits  # of the rule
    policy: Policy

    def list_sums(self, state: State, work: Work) -> list[SumsTask]:
        """What loop 1 forms."""
        traits, tasks = self.traits, []
        products = [self._name_products(state, history) for history in state.histories]
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
        if (watching or self.policy.nonfinite != "propagate") and "grad_grad" not in names:
            return ("grad_grad", *names)  # one NaN or inf in the gradient shows in its norm
        return names

    def _is_watching(self, state: State) -> bool:
        watch = self.policy.watch
        return watch is not None and state.step >= watch.warmup_steps

    def find_trouble(self, state: State, work: Work, sums: Blocks) -> str | None:
        """What of the gradients and the sums is not finite."""
        if self.policy.nonfinite == "propagate":
            return None
        needed = [(*self.rule.products(state.step + 1, history), "deviation_deviation") for history in state.histories]
        return find_trouble(
            (tensor, gradient.flat, sums[tensor.position], needed[state.members[tensor.position]])
            for tensor, gradient in zip(work.tensors, work.gradients, strict=True)
        )

    def decide(self, state: State, work: Work, sums: Blocks) -> tuple[State, list[UpdateTask]]:
        """The state after the step, and the updates that lead there."""
        watch, watching = self.policy.watch, self._is_watching(state)
        after = schedule(state, self.rule, sums, self._list_bounds(state.rates, work.groups))
        if watch is not None and watching:
            grad_sq = total(s["grad_grad"] for s in sums.values())
            deviation_sq = total(s.get("deviation_deviation", s["grad_grad"]) for s in sums.values())
            after = observe(after, watch, grad_sq, deviation_sq)
        active = work.positions
        moves = plan_moves(after, self.rule, active, self._list_options(after, work.groups))
        traits, arrays, tasks = self.traits, list(state.arrays), []
        for tensor, gradient in zip(work.tensors, work.gradients, strict=True):
            position, number = tensor.position, state.members[tensor.position]
            observed = state.histories[number].observed
            if watching and not observed:
                empty = np.empty(tensor.theta.size, tensor.theta.dtype)
                arrays[position] = arrays[position]._replace(grad_ema=empty)
            u = Update(
                tensor.theta, gradient.flat, traits.grad_scale, arrays[position], moves[number].scalars,
                watch.gamma if watch is not None and observed else None,
                work.groups[tensor.group].weight_decay if traits.couples_decay else 0.0,
            )  # fmt: skip
            tasks.append(UpdateTask(position, number, u))
        if traits.remembers_norm:
            norms = [sums[p]["grad_grad"] if p in sums else kept for p, kept in enumerate(state.grad_grad)]
            after = after._replace(grad_grad=tuple(norms))
        return advance(after, moves, active, watching)._replace(arrays=tuple(arrays)), tasks

    def _list_bounds(self, rates: Rates, groups: Sequence[GroupOptions]) -> list[tuple[float, float]]:
        """The bounds of each learned rate. With averages, decay takes no more than half of a parameter in a step."""
        low, high = self.policy.lr_min, self.policy.lr_max
        if self.traits.averages is not None:
            high = min(high, *(0.5 / group.weight_decay for group in groups if group.weight_decay), high)
        if rates.ratios.count(1.0) == len(rates.ratios):
            return [(low, high)] * len(rates.bases)
        return [rates.bound(scope, low, high) for scope in range(len(rates.bases))]

    def _list_options(self, state: State, groups: Sequence[GroupOptions]) -> list[Options]:
        """What the tensors of each group step with."""
        traits, options = self.traits, []
        for number, (group, lr) in enumerate(zip(groups, state.rates.of_groups(), strict=True)):
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
    return Plan(rule, rule.traits, policy)
