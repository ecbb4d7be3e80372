"""What a run has seen, in order: series that grow at their end, and that a user may keep."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Series(NamedTuple):
    """Doubles, 8 bytes each and an eighth more. Appending gives a new series and changes nothing that was read.

    >>> series = Series.start([0.5])
    >>> longer = series.append(0.25)
    >>> series.read(), longer.read()
    (array([0.5]), array([0.5 , 0.25]))
    """

    memory: NDArray[np.float64]  # with room to spare; only what lies behind `length` is ever written
    length: int

    @classmethod
    def start(cls, values: Any = ()) -> "Series":
        """A series of its own."""
        memory = np.array(values, np.float64)
        return cls(memory, memory.size)

    def append(self, value: float) -> "Series":
        """The series with one number more. Of two that were appended to the same series, the later one counts."""
        memory = self.memory
        if self.length == memory.size:
            memory = np.empty(self.length + self.length // 8 + 64)
            memory[: self.length] = self.memory
        memory[self.length] = value
        return Series(memory, self.length + 1)

    def read(self) -> NDArray[np.float64]:
        """The numbers: a read-only view, which costs the same however many there are."""
        view = self.memory[: self.length]
        view.flags.writeable = False
        return view


class Records(NamedTuple):
    """The latest records, `most` of them.

    >>> Records([], 0, 2).append("a").append("b").append("c").read()
    ['b', 'c']
    """

    memory: list[Any]  # twice as many at most; only what lies behind `length` is ever written
    length: int
    most: int

    def append(self, record: Any) -> "Records":
        """The records with one more; as `Series.append`."""
        if self.length >= 2 * self.most:
            return Records([*self.read()[1:], record], self.most, self.most)
        del self.memory[self.length :]
        self.memory.append(record)
        return Records(self.memory, self.length + 1, self.most)

    @property
    def last(self) -> Any:
        """The latest; None if there is none."""
        return self.memory[self.length - 1] if self.length else None

    def read(self) -> list[Any]:
        """A copy of the latest."""
        return self.memory[max(0, self.length - self.most) : self.length]
