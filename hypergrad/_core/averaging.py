"""The answer of an optimizer with averages: read, lent to the parameters for a while, or put there to stay."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from hypergrad._core.keeping import fetch
from hypergrad._core.optimizer import Optimizer
from hypergrad._core.state import State
from hypergrad.errors import ArgumentError
from hypergrad_reference.types import Vector


class AveragingOptimizer(Optimizer):
    """Parameters hold y, where gradients are taken; the answer is their average x = y + (1-b) E2."""

    _lent: list[Vector] | None = None  # the points, while the parameters hold the answer

    def step(self, closure: Any = None, gradients: Any = None) -> Any:
        """Take one step, as `Optimizer.step` says. Raises ArgumentError inside `averaged_weights`."""
        self._check_not_lent("step")
        return super().step(closure, gradients)

    def averages(self) -> list[Vector]:
        """The answer: the average of each parameter, in their order, as copies in its shape and dtype."""
        with self._turn:
            return [x.reshape(t.shape) for t, x in zip(self._run.tensors, self._find_averages(), strict=True)]

    @contextmanager
    def averaged_weights(self) -> Iterator[Self]:
        """Lend the averages to the parameters: `with opt.averaged_weights(): evaluate(model)`.

        Afterwards, and after an exception, the parameters hold what they held before, in every bit; what was written
        to them inside is lost. Raises ArgumentError inside another such block, as a step inside does.
        """
        with self._turn:
            self._check_not_lent("averaged_weights")
            answers = self._find_averages()
            points = [fetch(tensor.theta).copy() for tensor in self._run.tensors]
            self._lent = points
            self._fill(answers)
        try:
            yield self
        finally:
            with self._turn:
                self._fill(points)
                self._lent = None

    def use_averages(self) -> None:
        """Put the averages into the parameters, at the end of training.

        The averages begin again from there, should more steps follow; moments and rate are kept.
        """
        with self._turn:
            self._run.check_whole()
            self._check_not_lent("use_averages")
            answers, known = self._find_averages(), self._run.state
            learned = tuple(one._replace(clock=0.0, next_clock=0.0, look=True, gap=0) for one in known.learned)

            def write() -> State:
                self._fill(answers)
                for arrays, x in zip(known.arrays, answers, strict=True):
                    for name in ("lag_slow", "lag_fast", "left", "average_slow"):
                        array = getattr(arrays, name)
                        if array is not None:
                            array[...] = x if name == "average_slow" else 0
                self._run.backend.forget()
                return known._replace(learned=learned, sizes=None)

            self._run.commit(known, write)

    def _find_averages(self) -> list[Vector]:
        """The answer for each tensor, flat, as copies."""
        averages = self._run.plan.traits.averages
        assert averages is not None  # of every rule that this class drives
        if self._lent is not None:
            return [fetch(tensor.theta).copy() for tensor in self._run.tensors]
        self._run.follow_memory()
        self._run.fetch()
        answers: list[Vector] = []
        for tensor, arrays in zip(self._run.tensors, self._run.state.arrays, strict=True):
            share = tensor.theta.dtype.type(1 - averages.interpolation)
            answers.append(fetch(tensor.theta) + share * np.asarray(arrays.lag_fast))
        return answers

    def _fill(self, values: Sequence[Vector]) -> None:
        for tensor, value in zip(self._run.tensors, values, strict=True):
            theta: Any = tensor.theta
            if isinstance(theta, np.ndarray):
                theta[...] = value
            elif value.size:
                theta.set(value)

    def _check_not_lent(self, what: str) -> None:
        if self._lent is not None:
            raise ArgumentError(
                f"{what} inside `with averaged_weights():`, where the parameters hold averages: leave the block first"
            )
