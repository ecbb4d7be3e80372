"""Errors of float32: of inner products over their length, and of AdamW's update over the steps."""

from typing import Any

import numpy as np

from hypergrad_papers.bounds import ROUNDINGS
from hypergrad_papers.claims import Extent
from hypergrad_papers.rounding import ORDERS, follow_drift, measure_sum
from paper_figs.cells import Runner
from paper_figs.store import Result

POWERS = tuple(range(4, 23, 2))
LARGEST = 24  # power of two that is added with all data sets
SEEDS = 3
STEPS = 20_000
UNIT = 2.0**-24
"""The relative error of rounding to float32."""


def compute(runner: Runner) -> Result:
    """Median errors of three seeds, and quartiles over the weights."""
    sizes = [2**power for power in POWERS + ((LARGEST,) if runner.extent >= Extent.FULL else ())]
    inputs = [{"n": n, "squares": s, "seed": seed} for s in (False, True) for n in sizes for seed in range(SEEDS)]
    errors = np.array(runner.run(measure_sum, inputs)).reshape(2, len(sizes), SEEDS, len(ORDERS))
    products, squares = np.median(errors, axis=2)
    (drift,) = runner.run(follow_drift, [{"steps": STEPS}])
    arrays = {"sizes": np.array(sizes), "products": products, "squares": squares, **drift._asdict()}
    arrays["bound"] = np.array(ROUNDINGS * UNIT)
    facts: dict[str, Any] = {
        "largest error over all sizes, in units of the sum of |terms|": [
            {
                "order": order,
                "inner product": f"{products[:, i].max():.2g}",
                "squared norm": f"{squares[:, i].max():.2g}",
            }
            for i, order in enumerate(ORDERS)
        ],
        "bound of a block's sum": f"{ROUNDINGS} roundings, {ROUNDINGS * UNIT:.3g}",
        "largest error of the size of AdamW's update, median over the weights": [
            {
                "1 - beta2": how,
                "largest": f"{median[np.abs(median).argmax()]:+.2g}",
                "at step": int(drift.step[np.abs(median).argmax()]),
                f"at step {STEPS}": f"{median[-1]:+.2g}",
            }
            for how, median in (
                ("in float32, as the shader does", drift.shader[:, 1]),
                ("in float64, rounded once", drift.exact[:, 1]),
            )
        ],
    }
    return Result(arrays, facts)
