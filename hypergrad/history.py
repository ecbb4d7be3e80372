"""A series of numbers that grows at its end, and that a user may keep: what was read never changes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class History:
    """Doubles in one array with room to spare, 8 bytes each and an eighth more.

    What `read` has given keeps its values: `append` writes behind them, and `replace` takes other memory.

    >>> history = History([0.5])
    >>> before = history.read()
    >>> history.append(0.25)
    >>> before, history.read()
    (array([0.5]), array([0.5 , 0.25]))
    """

    def __init__(self, values: Sequence[float] = ()) -> None:
        self._memory = np.array(values, np.float64)
        self._length = self._memory.size

    def append(self, value: float) -> None:
        """Add one number."""
        if self._length == self._memory.size:
            memory = np.empty(self._length + self._length // 8 + 64)
            memory[: self._length] = self._memory
            self._memory = memory
        self._memory[self._length] = value
        self._length += 1

    def read(self) -> NDArray[np.float64]:
        """The numbers so far: a read-only view, which costs the same however many there are."""
        view = self._memory[: self._length]
        view.flags.writeable = False
        return view

    def replace(self, memory: NDArray[np.float64]) -> None:
        """Start again from the numbers of an array, which is the history's own from now on."""
        self._memory, self._length = memory, memory.size
