"""The record of each step in a file, as it is taken: one line of JSON per step, for `hypergrad explain FILE --follow`.

    {"kind": "AdamHD", "fields": ["step", "lr_before", ...]}    a process begins to write
    [1, 0.001, ...]                                             a step
    [[1, 0.001, ...], [1, 0.002, ...]]                          a step of groups that have rates of their own

NaN and infinity, which JSON does not know, are null. Lines are written by one call, so that a reader, and a kill, meet
whole lines except for the last. A record is written before its step is taken, or waits for those that follow while a
write would cost more than a small part of the steps. What waits is lost by a kill alone. No thread writes it: Python
warns of a fork beside one.
"""

import atexit
import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from threading import RLock
from typing import Any
from weakref import WeakSet

from hypergrad._core.files import PathName, find_target
from hypergrad.errors import ArgumentError, RecordError

APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)

BEGIN = b'{"kind":'
"""How a file of records begins."""

ENCODER = json.JSONEncoder(separators=(",", ":"))

TIMES = 1000
"""Records wait this many times as long as a write takes: writes take less than 0.1 % of the time of a run."""

INTERVAL = 0.1
"""Seconds after which the record of the next step is written at once, however long a write takes."""


class RecordStream:
    """Appends records to a file. A file that is there goes on: so a resumed run leaves one file."""

    def __init__(self, path: PathName, kind: str) -> None:
        """Raises OSError if nothing can be written under this name, ArgumentError if the file holds something else."""
        self.path = find_target(path, "records_to")
        self._kind = kind
        self._fields: tuple[str, ...] = ()
        self._due = 0.0  # when the next record is written at once
        self._failed = False  # the latest write has, and the user knows
        self.forget()
        whole = _find_end(self.path)
        self._handle = os.open(self.path, APPEND, 0o666)
        os.ftruncate(self._handle, whole)  # a process that was killed may have left a part of a line
        OPEN.add(self)

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            try:
                self.close()
            finally:
                if hasattr(self, "_handle"):
                    os.close(self._handle)

    def forget(self) -> None:
        """What waits is another's to write: a forked process has no part in the records of its parent."""
        self._waiting: list[Any] = []
        self._lock = RLock()

    def write(self, record: Any, consequence: str = "nothing was changed") -> None:
        """Append the record of a step, or a tuple of those of its groups: now, or with those of later steps.

        Raises RecordError, which names the consequence, if that fails, or has failed with the records before.
        """
        with self._lock:
            if self._failed or time.monotonic() >= self._due:
                self._append([*self._waiting, record], consequence)
            else:
                self._waiting.append(record)

    def flush(self, consequence: str = "nothing was changed") -> None:
        """Write what waits. Raises RecordError if that fails; then it still waits."""
        with self._lock:
            if self._waiting:
                self._append(self._waiting, consequence)

    def close(self) -> None:
        """Write what waits, and close the file. Raises RecordError if that fails and has not failed just before."""
        with self._lock:
            failed = self._failed
            try:
                self.flush("records_to is what it was")
            except RecordError:
                if not failed:
                    raise
            self._waiting = []
            os.close(self._handle)
            del self._handle

    def _append(self, records: list[Any], consequence: str) -> None:
        """Write records, of which the first wait; all or none of them."""
        fields, lines = self._fields, []
        for record in records:
            own = record._fields if hasattr(record, "_fields") else record[0]._fields
            if own != fields:
                lines.append(encode({"kind": self._kind, "fields": own}))
                fields = own
            lines.append(encode(record))
        text = "".join(lines).encode()
        self._failed, began = True, time.monotonic()
        try:
            end = os.fstat(self._handle).st_size
            written = os.write(self._handle, text)
        except OSError as error:
            raise RecordError(self._refuse(error.strerror or str(error), consequence)) from error
        if written < len(text):
            os.ftruncate(self._handle, end)
            raise RecordError(self._refuse("the disk is full", consequence))
        self._fields, self._failed, self._waiting = fields, False, []
        now = time.monotonic()
        self._due = now + min(TIMES * (now - began), INTERVAL)

    def _refuse(self, reason: str, consequence: str) -> str:
        return (
            f"records_to={os.fspath(self.path)!r} cannot be written ({reason}); {consequence}, records_to=None goes on "
            "without"
        )


OPEN: WeakSet[RecordStream] = WeakSet()


def show_path(stream: RecordStream | None) -> Path | None:
    """The file of a stream, with all its records; None for none. Raises RecordError if they cannot be written."""
    if stream is None:
        return None
    stream.flush("what waits is tried again")
    return stream.path


def open_instead(known: RecordStream | None, path: PathName | None, kind: str) -> RecordStream | None:
    """Another stream, once the known one is whole and closed; None for no path. Raises as both do."""
    stream = None if path is None else RecordStream(path, kind)
    if known is not None:
        known.close()
    return stream


@atexit.register
def _flush_all() -> None:
    with ExitStack() as stack:  # each, whatever becomes of the others
        for stream in list(OPEN):
            stack.callback(stream.flush)


def _forget_all() -> None:
    for stream in list(OPEN):
        stream.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)


def _find_end(path: Path) -> int:
    """Where the whole lines of a file end that goes on; 0 for a new one. Raises ArgumentError if it is no such file."""
    content = path.read_bytes() if path.exists() else b""
    whole = content.rfind(b"\n") + 1
    if content and not (content.startswith(BEGIN) or BEGIN.startswith(content)):
        raise ArgumentError(f"records_to={os.fspath(path)!r} holds something else: give the name of a new file")
    return whole


def encode(document: Any) -> str:
    r"""A line of JSON.

    >>> encode([1, 0.5, float("nan"), "warmup"])
    '[1,0.5,null,"warmup"]\n'
    """
    line = ENCODER.encode(document)
    for name in ("NaN", "-Infinity", "Infinity"):  # the reasons of no rule contain one of these
        line = line.replace(name, "null")
    return f"{line}\n"
