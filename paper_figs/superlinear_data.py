"""Superlinear convergence of a full stepsize on a quadratic."""

import numpy as np

from hypergrad_papers.hdm2025.superlinear import SUPERLINEAR, gradient_descent_gaps, superlinear_cell
from paper_figs.cells import Runner
from paper_figs.store import Result

RULES = ("hypergradient", "hypergradient, lookahead", "ratio", "ratio, lookahead")
LEVEL = 1e-30


def compute(runner: Runner) -> Result:
    """Gap and bound by K, over the first gap; how many steps each takes to 1e-30."""
    sides = dict(zip(RULES, runner.run(superlinear_cell, [{"rule": rule} for rule in RULES]), strict=True))
    (plain,) = runner.run(gradient_descent_gaps, [{}])
    arrays = {"GD/gap": plain}
    table = []
    for rule, (gap, bound) in sides.items():
        arrays |= {f"{rule}/gap": gap, f"{rule}/bound": bound}
        rate, power = SUPERLINEAR[rule].rate, SUPERLINEAR[rule].power
        table.append(
            {
                "feedback, action": rule, "eta": f"{rate:g}/L" + ("^2" if power == 2 else ""),
                "steps to 1e-30": count(gap), "by the bound": count(bound),
                "largest gap / bound": f"{(gap / bound).max():.2g}",
            }
        )  # fmt: skip
    return Result(arrays, {"table": table})


def count(values: np.ndarray) -> str:
    """The first K at which a curve is below LEVEL."""
    below = np.flatnonzero(values < LEVEL)
    return str(below[0] + 1) if below.size else f"more than {len(values)}"
