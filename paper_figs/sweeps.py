"""The runs of both figures of the sweep, and the names of its tasks."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hypergrad_papers.adamw.runs import METHODS, PROBLEMS, RATES, TASKS, Ending, run_from
from hypergrad_problems.newton import find_minimum
from paper_figs.cells import Runner

TITLES = {
    "logistic": "Logistic regression, breast_cancer",
    "softmax": "Softmax regression, digits",
    "mlp": "Network of two layers, digits",
}
FLOOR = 1e-9
"""Smaller gaps are drawn here: the minimum, from Newton's method, is known no better."""


def collect(runner: Runner) -> dict[str, NDArray[Any]]:
    """For each task: loss and lr at the end, (methods, rates), and the least loss there is."""
    inputs = [{"task": task, "method": method, "lr": lr} for task in TASKS for method in METHODS for lr in RATES]
    endings = np.array(runner.run(run_from, inputs)).reshape(len(TASKS), len(METHODS), len(RATES), len(Ending._fields))
    arrays = {"rates": np.array(RATES), "methods": np.array(list(METHODS))}
    for task, ending in zip(TASKS, endings, strict=True):
        arrays |= {f"{task}/{field}": ending[..., index] for index, field in enumerate(Ending._fields)}
        # no cross-entropy is below 0
        arrays[f"{task}/least"] = np.array(find_minimum(PROBLEMS[task]()) if task in PROBLEMS else 0.0)
    return arrays
