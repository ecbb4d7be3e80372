"""`hypergrad explain FILE`: why a rate moved, from a saved optimizer or from the records that one streams."""

import json
import math
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hypergrad._core import checkpoint
from hypergrad._core.files import find_path
from hypergrad.errors import CheckpointError

Record = Mapping[str, Any]
"""A record by the names of its fields; None where it had NaN."""

BASE = ("step", "lr_before", "lr", "hypergradient", "reason")
"""The fields of every record."""


class Run(NamedTuple):
    """What a file tells of a run."""

    kind: str  # the class of the optimizer
    steps: int
    skipped: int | None  # None where the file does not tell
    records: list[list[Record]]  # of each step, those of its groups or the one that all share


def read_run(path: str) -> Run:
    """Read what opt.save wrote, or what an optimizer streams (`records_to=`).

    Raises CheckpointError if the file is neither, OSError if it cannot be read.
    """
    name = find_path(path)
    with name.open("rb") as file:
        begin = file.read(1)
    if begin == b"{":
        run = Stream(name).read()
        if not run.kind:  # an optimizer writes its first line whole
            raise CheckpointError(f"{name} holds no whole line of records: give a file of records_to or of save")
        return run
    state = checkpoint.read(path)
    records = [entry if isinstance(entry, list) else [entry] for entry in state["records"]]
    if not all(_is_record(record) for step in records for record in step):
        raise CheckpointError(f"{name} has records that no optimizer wrote: give a file of records_to or of save")
    return Run(state["kind"], state["steps"], state["skipped"], records)


def _is_record(record: Record) -> bool:
    """Whether a record has the fields of every record, each of its kind."""
    if not set(BASE) <= set(record) or not all(isinstance(name, str) for name in record):
        return False
    *numbers, reason = (record[name] for name in BASE)
    return isinstance(reason, str) and isinstance(numbers[0], int) and all(map(_is_number, numbers))


def _is_number(value: Any) -> bool:
    """Whether it is None or a number that a float can hold."""
    return value is None or isinstance(value, float) or (type(value) is int and abs(value) < LARGEST)


LARGEST = 2**63


class Stream:
    """A file that an optimizer appends to; reading again reads what is new.

    A run that was resumed from an earlier step writes some steps twice: the later records count. A step that was passed
    over has the number of the next one, and a record of another form: both stay.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0
        self._kind, self._fields = "", [""]
        self._records: list[list[Record]] = []

    def read(self) -> Run:
        """Everything so far. A last line that is not whole yet is left for the next time."""
        if self._path.stat().st_size < self._place:  # begun again
            self.__init__(self._path)  # type: ignore[misc]
        with self._path.open("rb") as file:
            file.seek(self._place)
            for line in file:
                if line.endswith(b"\n"):
                    self._place += len(line)
                    self._take(line)
        return Run(self._kind, self._records[-1][0]["step"] if self._records else 0, None, list(self._records))

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            if isinstance(entry, dict):
                self._kind, self._fields = str(entry["kind"]), list(entry["fields"])
                return
            rows = entry if isinstance(entry[0], list) else [entry]
            records: list[Record] = [dict(zip(self._fields, row, strict=True)) for row in rows]
            if not all(map(_is_record, records)):
                raise ValueError("a record lacks a field")
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise CheckpointError(
                f"{self._path} is not what an optimizer streams (line {line[:40]!r}): give a file of records_to or of "
                "save"
            ) from error
        while self._records and _is_repeated(self._records[-1][0], records[0]):
            self._records.pop()
        self._records.append(records)


def _is_repeated(known: Record, new: Record) -> bool:
    return known["step"] > new["step"] or (known["step"] == new["step"] and known.keys() == new.keys())


# In the terminal, while the run goes on.

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.-~=+*#"
WAIT = 0.5
"""Seconds between two looks at the file."""


def follow(path: str, last: int) -> None:
    """Show a run that is going on, until Ctrl-C. A file that is not there yet is waited for.

    Raises ImportError if rich is not installed.
    """
    try:
        from rich.console import Console
        from rich.live import Live
    except ImportError as error:
        raise ImportError("--follow needs rich: pip install 'hypergrad-opencl[explain]'") from error
    name, console, stream = find_path(path), Console(), None
    with Live(console=console, auto_refresh=False, screen=False) as live:
        try:
            while True:
                if stream is None and name.exists() and name.stat().st_size:
                    read_run(path)  # refuses what is neither
                    stream = Stream(name)
                if stream is None:
                    live.update(f"waiting for {name}", refresh=True)
                else:
                    run = stream.read() if _is_stream(name) else read_run(path)
                    live.update(show(run, last, console.width, _find_bars(console.encoding)), refresh=True)
                time.sleep(WAIT)
        except KeyboardInterrupt:  # how a reader says that he has seen enough
            return


def _is_stream(name: Path) -> bool:
    with name.open("rb") as file:
        return file.read(1) in (b"{", b"")


def _find_bars(encoding: str) -> str:
    """Bars that a terminal can show."""
    try:
        BARS.encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return ASCII_BARS
    return BARS


def show(run: Run, last: int, width: int, bars: str = BARS) -> Any:
    """A screen: the rate as a line of bars, how often each reason came, the latest records."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    firsts = [records[0] for records in run.records]
    rates = [record["lr"] for record in firsts if record["lr"]]
    reasons = Counter(record["reason"] for record in firsts[-1000:])
    head = f"{run.kind}, step {run.steps}"
    if rates:
        head += f", rate {rates[-1]:.4g} (least {min(rates):.3g}, largest {max(rates):.3g})"
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("step", "rate", "hypergradient", "reason"):
        table.add_column(title, justify="right" if title != "reason" else "left", no_wrap=True)
    for record in firsts[-last:] if last else []:
        table.add_row(str(record["step"]), _shorten(record["lr"]), _shorten(record["hypergradient"]), record["reason"])
    counts = "  ".join(f"{reason} {count}" for reason, count in reasons.most_common())
    latest = f"of the latest {min(len(firsts), 1000)}: {counts}"
    return Group(Text(head), Text(draw_bars(rates, width, bars)), Text(latest), table)


def is_missing(value: Any) -> bool:
    """Whether a field was not formed in its step."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _shorten(value: Any) -> str:
    return "" if is_missing(value) else f"{value:.4g}"


def draw_bars(values: Sequence[float], width: int, bars: str = BARS) -> str:
    """The magnitudes of some numbers on a logarithmic scale, in at most `width` characters.

    >>> draw_bars([1e-4, 1e-3, 1e-2, 1e-1], 80), draw_bars([1.0] * 8, 4), draw_bars([], 9)
    ('▁▃▅█', '▁▁▁▁', '')
    """
    logs = [math.log10(abs(value)) for value in values if value and math.isfinite(value)]
    count = min(width, len(logs))
    if count < 1:
        return ""
    shown = [logs[(index + 1) * len(logs) // count - 1] for index in range(count)]
    low, span = min(shown), max(shown) - min(shown)
    return "".join(bars[int((value - low) / span * (len(bars) - 1))] if span else bars[0] for value in shown)


def list_scopes(run: Run) -> Iterator[list[Record]]:
    """The records of each group that has a rate of its own, step by step."""
    for scope in range(max(map(len, run.records), default=0)):
        yield [records[scope] for records in run.records if scope < len(records)]
