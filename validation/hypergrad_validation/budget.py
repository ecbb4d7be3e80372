"""Seconds that measurements may take together; what does not fit into them is left out, and named."""

import time


class Budget:
    """What is left of a number of seconds.

    >>> budget = Budget(100.0)
    >>> budget.allows("a second", 1.0), budget.allows("an hour", 3600.0)
    (True, False)
    >>> budget.left_out[0][:28]
    'an hour: would take 3600 s, '
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self.left_out: list[str] = []

    @property
    def left(self) -> float:
        """Seconds."""
        return self._end - time.monotonic()

    def allows(self, what: str, seconds: float) -> bool:
        """Whether so many seconds are left; if not, `what` is named among what was left out."""
        if seconds <= self.left:
            return True
        left = self.left
        why = "the seconds were over" if left <= 0 else f"would take {seconds:.0f} s, {left:.0f} s are left"
        self.leave_out(f"{what}: {why}")
        return False

    def leave_out(self, why: str) -> None:
        """Name something that was not measured."""
        self.left_out.append(why)
