"""What a user may read of an optimizer."""

from collections.abc import Mapping, Sequence
from typing import Any

from hypergrad._core.gradients import Places
from hypergrad._core.settings import ReadOnly
from hypergrad._core.state import State
from hypergrad._core.tensors import Tensor

STATE_REFUSAL = (
    "state can only be read, its arrays excepted: write into one, as in opt.state[id(x)]['exp_avg'][...] = 0, give "
    "load_state_dict an edited state_dict(), or make a new optimizer to start again"
)


def show_state(tensors: Sequence[Tensor], state: State) -> Mapping[int, Mapping[str, Any]]:
    """By id(param), for each that has taken a step: its step and what the rule keeps, in the parameter's shape."""
    entries = {}
    for tensor in tensors:
        history = state.histories[state.members[tensor.position]]
        if history.step:
            kept = state.arrays[tensor.position]._asdict()
            arrays = {
                name: array.reshape(tensor.shape)
                for name, array in kept.items()
                if array is not None and name != "left"
            }
            entries[id(tensor.owner)] = ReadOnly({"step": history.step, **arrays}, STATE_REFUSAL)
    return ReadOnly(entries, STATE_REFUSAL)


def list_places(tensors: Sequence[Tensor], state: State, seen: bool) -> Places:
    """Where a step writes: parameters, and where the user has seen them, the arrays kept of them."""
    arrays = {tensor.name: tensor.theta for tensor in tensors}
    for tensor in tensors if seen else ():
        kept = state.arrays[tensor.position]._asdict()
        arrays |= {f"{name} of {tensor.name}": array for name, array in kept.items() if array is not None}
    return Places(arrays, state.arrays)


def show_record(record: Any) -> Any:
    """A record as a dict, or those of several groups as a list of dicts."""
    return record._asdict() if hasattr(record, "_asdict") else [show_record(one) for one in record]
