"""A state in one .npz file: arrays as arrays, the rest as JSON, a checksum over both, no pickle."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from hypergrad.errors import CheckpointError

SCHEMA = 2
BLOCK_SUMS = ("grad_grad",)
"""Kept arrays that hold a number a block, not one an element."""


def check_state(own: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Raise CheckpointError unless a state fits the optimizer whose present state is `own`."""
    missing = set(own) - set(state)
    if missing:
        raise CheckpointError(f"the state has no {sorted(missing)}: give what state_dict returned")
    for key in set(own) - {"steps", "skipped", "schedule", "histories", "groups", "tensors"}:
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
        alike = [entry["dtype"] + str(tuple(entry["shape"])) for entry in (saved, here)]
        if alike[0] != alike[1]:
            raise CheckpointError(
                f"params[{position}] is {alike[1]}, in the state {alike[0]}: give the same parameters"
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
        arrays.update({f"tensors/{position}/{name}": kept for name, kept in entry["arrays"].items()})
        plain.append({name: value for name, value in entry.items() if name != "arrays"})
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
    for entry in state["tensors"]:
        entry["arrays"] = {}
    for name, array in arrays.items():
        kind, *place = name.split("/")
        if kind == "histories":
            state["histories"][place[0]] = array
        else:
            state["tensors"][int(place[0])]["arrays"][place[1]] = array
    return state
