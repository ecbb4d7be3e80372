"""A state in one .npz file: arrays as arrays, the rest as JSON, a checksum over both, no pickle."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from hypergrad.errors import CheckpointError

if TYPE_CHECKING:
    from hypergrad.optimizer import AdamWFamily

SCHEMA = 1
ARRAYS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "grad_grad", "grad_ema", "last_grad")


def check_state(optimizer: "AdamWFamily", state: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless the state fits the optimizer."""
    own = optimizer.state_dict()
    missing = set(own) - set(state)
    if missing:
        raise CheckpointError(f"the state has no {sorted(missing)}: give what state_dict returned")
    for key in ("kind", "scalar_convention"):
        if state[key] != own[key]:
            raise CheckpointError(f"the state has {key}={state[key]!r}, the optimizer {own[key]!r}: make them alike")
    for key in ("groups", "tensors"):
        if len(state[key]) != len(own[key]):
            raise CheckpointError(
                f"the state has {len(state[key])} {key}, the optimizer {len(own[key])}: give the same"
            )
    for key in ("schedule", "histories"):
        if set(state[key]) != set(own[key]):
            raise CheckpointError(f"the state has {key} {sorted(state[key])}, the optimizer {sorted(own[key])}")
    for position, (saved, here) in enumerate(zip(state["tensors"], own["tensors"], strict=True)):
        for name in ARRAYS:
            if name in ("exp_avg", "exp_avg_sq", "max_exp_avg_sq") and (name in saved) != (name in here):
                raise CheckpointError(
                    f"params[{position}]: {name} is in one of state and optimizer only: check amsgrad"
                )
            if name in saved and saved[name].dtype != here["exp_avg"].dtype:
                raise CheckpointError(
                    f"params[{position}] is {here['exp_avg'].dtype}, its saved {name} {saved[name].dtype}"
                )
            if name in saved and name != "grad_grad" and saved[name].shape != here["exp_avg"].shape:
                raise CheckpointError(
                    f"params[{position}] has shape {here['exp_avg'].shape}, its saved {name} {saved[name].shape}"
                )


def _digest(document: str, arrays: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(document.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def save(path: str | os.PathLike[str], state: Mapping[str, Any]) -> None:
    """Write the state to a temporary file beside path, sync it, and rename it to path."""
    arrays = {f"histories/{name}": history for name, history in state["histories"].items()}
    plain = []
    for position, entry in enumerate(state["tensors"]):
        arrays.update({f"tensors/{position}/{name}": entry[name] for name in ARRAYS if name in entry})
        plain.append({name: value for name, value in entry.items() if name not in ARRAYS})
    rest = {key: value for key, value in state.items() if key != "histories"}
    document = json.dumps({"schema": SCHEMA, **rest, "tensors": plain})
    target = Path(path)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez(file, document=np.array(document), sha256=np.array(_digest(document, arrays)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a state that save wrote. Raises CheckpointError if the file is damaged or of another schema."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        document, checksum = str(arrays.pop("document")), str(arrays.pop("sha256"))
        state: dict[str, Any] = json.loads(document)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise CheckpointError(f"{os.fspath(path)} is not a saved optimizer, or damaged: {error}") from error
    if _digest(document, arrays) != checksum:
        raise CheckpointError(f"{os.fspath(path)} is damaged: its checksum does not match")
    if state.pop("schema", None) != SCHEMA:
        raise CheckpointError(f"{os.fspath(path)} has another schema than {SCHEMA}: save it anew with this version")
    state["histories"] = {}
    for name, array in arrays.items():
        kind, *place = name.split("/")
        if kind == "histories":
            state["histories"][place[0]] = array
        else:
            state["tensors"][int(place[0])][place[1]] = array
    return state
