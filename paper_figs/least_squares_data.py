"""OSGM on the least squares of Gao et al. 2025 (COLT), figure 2: eight matched draws at each sigma."""

import numpy as np

from hypergrad_reference.types import Vector
from hypergrad_validation import colt
from hypergrad_validation.problems import COLT_CONDITION_NUMBERS, matched_least_squares
from paper_figs.cells import Runner
from paper_figs.store import Result

SEEDS = tuple(range(8))
LENGTH = 2000
METHODS = ("GD", "AGD", "SAGD", "AdaGrad", "OptDiag", "OSGM-G", "OSGM-R", "OSGM-H")


def cell(sigma: float, seed: int) -> tuple[float, dict[str, Vector]]:
    """kappa*, and the gap by index of every method; entry 0 is index 1."""
    problem = matched_least_squares(sigma, seed)
    return colt.find_kappa(problem), colt.compute_curves(problem, LENGTH, least=1e-20)


def compute(runner: Runner) -> Result:
    """Median and quartiles of the log10 gap over the seeds, floored at 1e-20, and the index that reaches 1e-10."""
    inputs = [{"sigma": sigma, "seed": seed} for sigma in COLT_CONDITION_NUMBERS for seed in SEEDS]
    results = runner.run(cell, inputs)
    arrays, reached = {}, {}
    for sigma in COLT_CONDITION_NUMBERS:
        runs = [result for given, result in zip(inputs, results, strict=True) if given["sigma"] == sigma]
        arrays[f"{sigma:g}/kappa"] = np.array([kappa for kappa, _ in runs])
        for method in METHODS:
            logs = np.full((len(runs), LENGTH), -20.0)
            for row, (_, curves) in zip(logs, runs, strict=True):
                row[: len(curves[method])] = np.log10(np.maximum(curves[method], 1e-20))
            arrays[f"{sigma:g}/{method}"] = np.percentile(logs, (50, 25, 75), axis=0)
            below = np.flatnonzero(arrays[f"{sigma:g}/{method}"][0] < -10)
            reached[f"{method}, sigma = {sigma:g}"] = int(below[0]) + 1 if below.size else None
    facts = {
        f"{method}, median index to 1e-10": ", ".join(
            f"{reached[f'{method}, sigma = {sigma:g}'] or 'later'} (sigma {sigma:g})"
            for sigma in COLT_CONDITION_NUMBERS
        )
        for method in ("OSGM-R", "OSGM-H", "SAGD", "OptDiag")
    }
    return Result(arrays, {"seeds": f"{len(SEEDS)} matched draws", **facts})
