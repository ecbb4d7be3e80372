"""A state in one .npz file: arrays as arrays, the rest as JSON, a checksum over both, no pickle."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from hypergrad._core.files import PathName, find_path, replace_file
from hypergrad._core.states import SCHEMA, Fit, Progress
from hypergrad._core.versions import OLD_NAMES, upgrade, upgrade_record
from hypergrad.errors import CheckpointError, CheckpointWarning

WITHOUT_OPTIONS = 2
"""The oldest schema that is read."""
UNREAD = "grad_grad"
ZIP = b"PK\3\4"
REMEDY = "give one that opt.save wrote; hypergrad explain also reads one of records_to, and in torch that alone"


def save(path: PathName, state: Mapping[str, Any]) -> None:
    """Write a state that has "records", too; see replace_file for what becomes of the file that was there."""
    arrays = {f"histories/{name}": history for name, history in state["histories"].items()}
    plain = []
    for position, entry in enumerate(state["tensors"]):
        arrays.update({f"tensors/{position}/{name}": kept for name, kept in entry["arrays"].items()})
        plain.append({name: value for name, value in entry.items() if name != "arrays"})
    document = json.dumps({**{key: value for key, value in state.items() if key != "histories"}, "tensors": plain})
    with replace_file(path) as file:
        np.savez(file, document=np.array(document), sha256=np.array(_digest(document, arrays)), **arrays)


def load(path: PathName, fit: Fit) -> dict[str, Any]:
    """Read a state for an optimizer from a file that save wrote. What schema 2 lacks is completed from the fit.

    Raises CheckpointError as read does. check_state says whether the state fits.
    """
    state = read(path)
    if state["schema"] == WITHOUT_OPTIONS:
        state = _complete(state, fit, path)
    del state["records"]
    return state


def read(path: PathName) -> dict[str, Any]:
    """Read what save wrote; its records, and except for schema 2 all of it, in the words of this version.

    Raises CheckpointError if the file is not a saved optimizer, damaged, or of an unknown schema; OSError if it
    cannot be read.
    """
    name = find_path(path)
    try:
        file = name.open("rb")
    except IsADirectoryError as error:
        raise CheckpointError(f"{name} is a folder: give the name of a file that save wrote") from error
    with file:
        try:
            return _parse(file)
        except CheckpointError as error:
            raise CheckpointError(f"{name} {error}") from error.__cause__
        except Exception as error:  # there is no end to what the bytes of a file can make a parser raise
            raise CheckpointError(f"{name} is damaged: {type(error).__name__}: {error}; load another copy") from error


def _parse(file: BinaryIO) -> dict[str, Any]:
    if file.read(len(ZIP)) != ZIP:
        raise CheckpointError(f"is not a saved optimizer: it is no .npz file; {REMEDY}")
    file.seek(0)
    with np.load(file, allow_pickle=False) as members:
        if not {"document", "sha256"} <= set(members.files):
            raise CheckpointError(f"is not a saved optimizer: it holds other arrays; {REMEDY}")
        arrays = {member: members[member] for member in members.files}
    document, checksum = str(arrays.pop("document")), str(arrays.pop("sha256"))
    if _digest(document, arrays) != checksum:
        raise CheckpointError("is damaged: its checksum does not match; load another copy")
    state: dict[str, Any] = json.loads(document)
    if state["schema"] not in (WITHOUT_OPTIONS, OLD_NAMES, SCHEMA):
        raise CheckpointError(f"has schema {state['schema']!r}: this version reads {WITHOUT_OPTIONS} to {SCHEMA}")
    if not {"kind", "steps", "skipped", "tensors", "records"} <= set(state):
        raise KeyError(f"of a state there is only {sorted(state)}")
    for entry in state["records"]:
        if not all(isinstance(record, dict) for record in (entry if isinstance(entry, list) else [entry])):
            raise TypeError(f"{entry!r} is not a record")
    if state["schema"] != SCHEMA:
        state["records"] = [_upgrade_entry(state["kind"], entry) for entry in state["records"]]
        state = upgrade(state)
    homes: dict[str, dict[str, Any]] = {"histories": {}}
    for position, entry in enumerate(state["tensors"]):
        entry["arrays"] = homes[f"tensors/{position}"] = {}
    for member, array in arrays.items():
        home, _, name = member.rpartition("/")
        homes[home][name] = array
    state["histories"] = homes["histories"]
    return state


def _upgrade_entry(kind: str, entry: Any) -> Any:
    """The record of a step, or those of its groups."""
    return [upgrade_record(kind, one) for one in entry] if isinstance(entry, list) else upgrade_record(kind, entry)


def _digest(document: str, arrays: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(document.encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _complete(state: dict[str, Any], fit: Fit, name: PathName) -> dict[str, Any]:
    """A state of schema 2, in today's form.

    Of its options it told scalar_convention and amsgrad, or the method, and not which group a tensor is in. Every
    optimizer kept the sums of the last gradient, whether it reads them or not.
    """
    told = {option: state.pop(option) for option in ("scalar_convention", "amsgrad", "method") if option in state}
    method = told.pop("method", None)
    if state["kind"] == fit.kind and method not in (None, _name_method(fit.options)):
        raise CheckpointError(f"{name!r} has method={method!r}, the optimizer {_name_method(fit.options)!r}")
    told = {option: value for option, value in told.items() if option in fit.options}
    taken = ", ".join(f"{option}={value!r}" for option, value in fit.options.items() if option not in told)
    warnings.warn(
        f"{name!r} is of an earlier version, which did not save all options: {taken} are those of this optimizer; make "
        "sure that they are the saved one's too, and save again",
        CheckpointWarning,
        stacklevel=4,
    )
    for entry, tensor in zip(state["tensors"], fit.tensors, strict=False):
        entry["group"] = tensor.group
        if UNREAD not in tensor.list_arrays(Progress(1, True, 1)):
            entry["arrays"].pop(UNREAD, None)
    return {**state, "schema": SCHEMA, "options": {**fit.options, **told}}


def _name_method(options: Mapping[str, Any]) -> str:
    """What schema 2 called the method of SGDHD."""
    return "nesterov" if options.get("nesterov") else "heavy_ball" if options.get("momentum") else "sgd"
