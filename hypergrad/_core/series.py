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
    filled: list[int]  # one entry: how much of the memory is in use, by this series or by one that grew out of it

    @classmethod
    def start(cls, values: Any = ()) -> "Series":
        """A series of its own."""
        memory = np.array(values, np.float64)
        return cls(memory, memory.size, [memory.size])

    def append(self, value: float) -> "Series":
        """The series with one number more."""
        memory, length, filled = self
        if length == memory.size or length != filled[0]:  # no room, or another number is there
            memory, filled = np.empty(length + length // 8 + 64), [length]
            memory[:length] = self.memory[:length]
        filled[0] = length + 1
        memory[length] = value
        return Series(memory, length + 1, filled)

    def read(self) -> NDArray[np.float64]:
        """The numbers: a view that cannot be made writable, which costs the same however many there are."""
        return np.asarray(self.memory[: self.length].data.toreadonly())


class Records(NamedTuple):
    """The latest records, `most` of them.

    >>> Records([], 0, 2).append("a").append("b").append("c").read()
    ['b', 'c']
    """

    memory: list[Any]  # twice as many at most; those behind `length` are of records that grew out of these
    length: int
    most: int

    def append(self, record: Any) -> "Records":
        """The records with one more."""
        memory, length, most = self
        if length == 2 * most or length != len(memory):
            memory = memory[max(0, length - most + 1) : length]
            length = len(memory)
        memory.append(record)
        return Records(memory, length + 1, most)

    @property
    def last(self) -> Any:
        """The latest; None if there is none."""
        return self.memory[self.length - 1] if self.length else None

    def read(self) -> list[Any]:
        """A copy of the latest."""
        return self.memory[max(0, self.length - self.most) : self.length]
