"""The answer of an optimizer with averages: read, lent to the parameters for a while, or put there to stay."""

import copy
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import torch
from torch import Tensor

from hypergrad.errors import ArgumentError, AveragesWarning
from hypergrad.torch._dtypes import find_work_dtype
from hypergrad.torch._items import localize
from hypergrad.torch._numbers import LEARNED
from hypergrad.torch._optimizer import Optimizer

HINT = (
    "the parameters hold points of training, and the answer is their average: save opt.averaged_state_dict(model), or "
    "the model inside `with opt.averaged_weights():`, or call opt.use_averages() at the end of training"
)


class AveragingOptimizer(Optimizer):
    """Parameters hold y, where gradients are taken; the answer is their average x = y + (1-b) E2."""

    _lent: list[Tensor] | None = None  # the points, while the parameters hold the answer
    _hinted = False

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        """Take one step, as `Optimizer.step` says. Raises ArgumentError inside `averaged_weights`."""
        self._check_not_lent("step")
        return super().step(closure)

    def _list_params(self) -> list[Tensor]:
        return [param for group in self.param_groups for param in group["params"]]

    @torch.no_grad()
    def averages(self) -> list[Tensor]:
        """The answer: the average of each parameter, in their order, as copies in its shape, dtype and layout."""
        return [self._average(param) for param in self._list_params()]

    def _average(self, param: Tensor) -> Tensor:
        averages = self._plan.traits.averages
        assert averages is not None  # of every rule that this class drives
        answer = param.detach().clone()
        fast = self.state.get(param, {}).get("lag_fast")
        if fast is not None and self._lent is None:
            x = localize(answer)
            wide = x.to(find_work_dtype(x.dtype))
            x.copy_(wide + localize(fast) * (1 - averages.interpolation))
        return answer

    @contextmanager
    def averaged_weights(self) -> Iterator[Self]:
        """Lend the averages to the parameters: `with opt.averaged_weights(): evaluate(model)`.

        Afterwards, and after an exception, the parameters hold what they held before, in every bit; what was written
        to them inside is lost. Buffers, as the statistics of batch normalisation, stay as they are:
        `torch.optim.swa_utils.update_bn(batches, model)` inside the block makes those of the averages. Raises
        ArgumentError inside another such block, as a step inside does.
        """
        self._check_not_lent("averaged_weights")
        points = [param.detach().clone() for param in self._list_params()]
        answers = self.averages()
        self._lent = points
        try:
            self._fill(answers)
            yield self
        finally:
            self._fill(points)
            self._lent = None

    @torch.no_grad()
    def use_averages(self) -> None:
        """Put the averages into the parameters, at the end of training.

        The averages begin again from there, should more steps follow; moments and rate are kept.
        """
        self._check_not_lent("use_averages")
        self._settle()
        self._fill(self.averages())
        for param in self._list_params():
            state = self.state.get(param, {})
            for name in ("lag_slow", "lag_fast", "left"):
                if name in state:
                    state[name].zero_()
            if "average_slow" in state:
                state["average_slow"].copy_(param.detach())
        start = {f"{LEARNED}clock": 0.0, f"{LEARNED}next_clock": 0.0, f"{LEARNED}look": 1.0, f"{LEARNED}gap": 0.0}
        for group in self.param_groups:
            group.update({**start, **{f"left_{name}": 0.0 for name in self._plan.left}})

    def averaged_state_dict(self, model: torch.nn.Module) -> dict[str, Any]:
        """`model.state_dict()` with the averages instead of the parameters, as copies: what is to be saved.

        Buffers are as they stand in the model; for the statistics of batch normalisation see `averaged_weights`.
        """
        if self._lent is not None:
            return _copy(model.state_dict())
        with self.averaged_weights():
            return _copy(model.state_dict())

    @torch.no_grad()
    def _fill(self, values: list[Tensor]) -> None:
        for param, value in zip(self._list_params(), values, strict=True):
            localize(param).copy_(localize(value))

    def _check_not_lent(self, what: str) -> None:
        if self._lent is not None:
            raise ArgumentError(
                f"{what} inside `with averaged_weights():`, where the parameters hold averages: leave the block first"
            )

    def state_dict(self) -> dict[str, Any]:
        """The state, as `Optimizer.state_dict` gives it. Once, an AveragesWarning says which weights are the answer."""
        found = super().state_dict()
        at_points = self._lent is None and any(group[f"{LEARNED}next_clock"] for group in self.param_groups)
        if at_points and not self._hinted:
            self._hinted = True
            warnings.warn(HINT, AveragesWarning, stacklevel=2)
        return found

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what state_dict gave, as `Optimizer.load_state_dict` says.

        The parameters to restore are the points of training, not the averages. A state without averages, as that of
        torch.optim.AdamW, is refused.
        """
        self._check_not_lent("load_state_dict")
        super().load_state_dict(state_dict)

    def load_numpy_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what state_dict() of the NumPy class gave, as `Optimizer.load_numpy_state_dict` says."""
        self._check_not_lent("load_numpy_state_dict")
        super().load_numpy_state_dict(state)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Take up more parameters, at any time, with averages of their own; a group has no "lr" of its own."""
        self._check_not_lent("add_param_group")
        super().add_param_group(param_group)

    def __repr__(self) -> str:
        return f"{super().__repr__()}\nthe weights to use are averages()"


def _copy(state: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in state.items()
    }
