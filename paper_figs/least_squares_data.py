"""OSGM on the least squares of Gao et al. 2025 (COLT), figure 2: eight matched draws at each sigma."""

import numpy as np

from hypergrad_papers.osgm2025 import runs as colt
from paper_figs import gaps
from paper_figs.cells import Runner
from paper_figs.store import Result

LAST = {1e-4: 2000, 1e-3: 2000, 1e-2: 1000, 1e-1: 450}
"""The last index drawn; the published axis ends at 2000."""

LEVEL = 1e-10
METHODS = ("GD", "AGD", "SAGD", "AdaGrad", "OptDiag", "OSGM-G", "OSGM-R", "OSGM-H")


def compute(runner: Runner) -> Result:
    """Median and quartiles of the log10 gap, kappa*, and the median over the draws of the index that reaches 1e-10."""
    inputs = [{"sigma": sigma, "seed": seed} for sigma in LAST for seed in colt.SEEDS]
    results = runner.run(colt.cell, inputs)
    arrays, facts = {}, {}
    for sigma, last in LAST.items():
        instances = [result for given, result in zip(inputs, results, strict=True) if given["sigma"] == sigma]
        arrays[f"{sigma:g}/kappa"] = np.array([instance.kappa for instance in instances])
        words = []
        for method in METHODS:
            curves = [instance.curves[method] for instance in instances]
            summary = gaps.summarize(curves, last, LEVEL, colt.PUBLISHED[sigma].get(method))
            arrays |= {f"{sigma:g}/{method}/{name}": array for name, array in summary.items()}
            words.append(f"{method} {gaps.describe(summary)}")
        facts[f"index to 1e-10, sigma = {sigma:g}"] = ", ".join(words)
    return Result(arrays, {"draws": f"{len(colt.SEEDS)}, matched; indices are medians over them", **facts})
