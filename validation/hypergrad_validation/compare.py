"""Comparing arrays by their bits."""

from collections.abc import Mapping

import numpy as np

from hypergrad_reference.types import Vector

UNSIGNED = {"float32": np.uint32, "float64": np.uint64}


def find_differences(got: Mapping[str, Vector], wanted: Mapping[str, Vector]) -> list[str]:
    """Where arrays differ in a bit, one line per array with the first place; all NaNs count as equal.

    got, wanted    arrays by name, of the same shapes and dtypes

    >>> find_differences({"x": np.array([1.0, -0.0, np.nan])}, {"x": np.array([1.0, 0.0, np.nan])})
    ['x: 1 of 3 elements differ, first at 1: got -0.0, wanted 0.0']
    """
    lines = []
    for name, want in wanted.items():
        a, b = got[name].reshape(-1), want.reshape(-1)
        if (a.size, a.dtype) != (b.size, b.dtype):
            lines.append(f"{name}: got {a.dtype}({a.size}), wanted {b.dtype}({b.size})")
            continue
        unsigned = UNSIGNED[a.dtype.name]
        differ = (a.view(unsigned) != b.view(unsigned)) & ~(np.isnan(a) & np.isnan(b))
        if differ.any():
            i = int(differ.argmax())
            lines.append(f"{name}: {differ.sum()} of {a.size} elements differ, first at {i}: got {a[i]}, wanted {b[i]}")
    return lines
