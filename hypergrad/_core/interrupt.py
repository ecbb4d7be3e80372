"""Ctrl-C waits until what is being written is whole."""

import _signal  # the functions of signal look every handler up in an enum, which takes as long as two launches
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIGINT = int(signal.SIGINT)


@contextmanager
def defer_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done, where it could stop it: in the main thread."""
    in_main = threading.current_thread() is threading.main_thread()
    previous = _signal.getsignal(SIGINT) if in_main else None
    if previous is None or previous == signal.SIG_IGN:  # None: a handler written in C, which Python cannot put back
        yield
        return
    pending: list[tuple[int, Any]] = []
    try:
        _signal.signal(SIGINT, lambda number, frame: pending.append((number, frame)))
        yield
    finally:
        _signal.signal(SIGINT, previous)
        if pending:
            if callable(previous):
                previous(*pending[0])
            else:
                signal.raise_signal(signal.SIGINT)
