"""Names for the arrays that the rules work on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.floating[Any]]
"""A float32 or float64 array; rules that take a tensor flatten nothing, any shape will do unless they say (n,)."""
