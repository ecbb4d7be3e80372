"""The exact and the delayed form of three rules, from one initial rate, on the tasks of `sweep`."""

from typing import Any

import numpy as np

from hypergrad_papers.adamw.delay_runs import DELAYED, LR, STEPS, Course, compare_descent, follow, is_log
from hypergrad_papers.adamw.runs import PROBLEMS, TASKS
from hypergrad_problems.newton import find_minimum
from paper_figs.cells import Runner
from paper_figs.store import Result

HYPER_LR = 1e-3  # of the descent whose bound is in terms of curvature


def compute(runner: Runner) -> Result:
    """Losses and rates of both forms, the distance of the rates, and what is proven of it."""
    keys = [(task, method) for task in TASKS for method in DELAYED]
    runs = dict(zip(keys, runner.run(follow, [{"task": t, "method": m} for t, m in keys]), strict=True))
    arrays = {f"{t}/{m}/{field}": getattr(run, field) for (t, m), run in runs.items() for field in Course._fields}
    for task in TASKS:  # no cross-entropy is below 0
        arrays[f"{task}/least"] = np.array(find_minimum(PROBLEMS[task]()) if task in PROBLEMS else 0.0)
    facts: dict[str, Any] = {"initial rate": LR, "steps": STEPS}
    for task in TASKS:
        facts[f"{task}: exact and delayed"] = [describe(method, runs[task, method]) for method in DELAYED]
    facts["SGDHD, additive: distance and its bound by curvature"] = [describe_descent(task) for task in PROBLEMS]
    return Result(arrays, facts)


def describe(method: str, run: Course) -> dict[str, Any]:
    """Both ends of a run, and where the rates are furthest apart."""
    at, moved = int(run.distance.argmax()), run.bound > 0
    return {
        "method": method,
        "loss at the end": f"{run.loss[-1]:.4g}",
        "delayed": f"{run.delayed_loss[-1]:.4g}",
        "rate at the end": f"{run.lr[-1]:.4g}",
        "delayed rate": f"{run.delayed_lr[-1]:.4g}",
        "largest distance" + (", of logarithms" if is_log(method) else ""): f"{run.distance[at]:.3g}",
        "at step": at + 1,
        "proven there": f"{run.bound[at]:.3g}",
        "largest share of what is proven": f"{np.max(run.distance[moved] / run.bound[moved]):.3f}",
    }


def describe_descent(task: str) -> dict[str, Any]:
    """The same for gradient descent, whose bound knows the delayed run by the norms of its gradients alone."""
    pair, bounds, _ = compare_descent(task, HYPER_LR, lr=0.01)
    distance = np.abs(pair.exact.lr - pair.delayed.lr)
    at = int(distance.argmax())
    return {
        "task": task,
        "largest distance": f"{distance[at]:.3g}",
        "at step": at + 1,
        "proven there": f"{bounds[at]:.3g}",
        "distance at the end": f"{distance[-1]:.3g}",
        "proven at the end": f"{bounds[-1]:.3g}",
    }
