"""The record of each step in a file, as it is taken: one line of JSON per step, for `hypergrad explain FILE --follow`.

    {"kind": "AdamHD", "fields": ["step", "lr_before", ...]}    a process begins to write
    [1, 0.001, ...]                                             a step
    [[1, 0.001, ...], [1, 0.002, ...]]                          a step of groups that have rates of their own

NaN and infinity, which JSON does not know, are null. A line is written by one call, so that a reader, and a kill, meet
whole lines except for the last.
"""

import json
import os
from pathlib import Path
from typing import Any

from hypergrad._core.files import PathName, find_target
from hypergrad.errors import ArgumentError, RecordError

APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)

BEGIN = b'{"kind":'
"""How a file of records begins."""

ENCODER = json.JSONEncoder(separators=(",", ":"))


class RecordStream:
    """Appends records to a file. A file that is there goes on: so a resumed run leaves one file."""

    def __init__(self, path: PathName, kind: str) -> None:
        """Raises OSError if nothing can be written under this name, ArgumentError if the file holds something else."""
        self.path = find_target(path, "records_to")
        self._kind = kind
        self._fields: tuple[str, ...] = ()
        whole = _find_end(self.path)
        self._handle = os.open(self.path, APPEND, 0o666)
        os.ftruncate(self._handle, whole)  # a process that was killed may have left a part of a line

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)

    def write(self, record: Any, consequence: str = "nothing was changed") -> None:
        """Append the record of a step, or a tuple of those of its groups.

        Raises RecordError, which names the consequence, if that fails.
        """
        fields = record._fields if hasattr(record, "_fields") else record[0]._fields
        lines = "" if fields == self._fields else encode({"kind": self._kind, "fields": fields})
        lines += encode(record)
        try:
            end = os.fstat(self._handle).st_size
            written = os.write(self._handle, lines.encode())
        except OSError as error:
            raise RecordError(self._refuse(error.strerror or str(error), consequence)) from error
        if written < len(lines):
            os.ftruncate(self._handle, end)
            raise RecordError(self._refuse("the disk is full", consequence))
        self._fields = fields

    def _refuse(self, reason: str, consequence: str) -> str:
        return (
            f"records_to={os.fspath(self.path)!r} cannot be written ({reason}); {consequence}, records_to=None goes on "
            "without"
        )


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
