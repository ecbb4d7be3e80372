"""OSGM on the near-diagonal quadratic of Gao et al. 2025 (COLT), figure 1: eight matched draws."""

from collections import Counter

from hypergrad_papers.osgm2025 import runs as colt
from paper_figs import gaps
from paper_figs.cells import Runner
from paper_figs.store import Result

LAST, LEVEL = 400, 1e-10
METHODS = ("GD", "AGD", "SAGD", "AdaGrad", "OptDiag", "OSGM-G", "OSGM-R", "OSGM-H")


def compute(runner: Runner) -> Result:
    """Median and quartiles of the log10 gap, and the median index that reaches 1e-10."""
    results = runner.run(colt.toy_cell, [{"seed": seed} for seed in colt.SEEDS])
    arrays, facts = {}, {}
    for method in METHODS:
        curves = [result.curves[method] for result in results]
        summary = gaps.summarize(curves, LAST, LEVEL, colt.PUBLISHED_TOY.get(method))
        arrays |= {f"{method}/{name}": array for name, array in summary.items()}
        facts[f"index to 1e-10, {method}"] = gaps.describe(summary)
    for method in colt.LEARNING:
        rates = Counter(result.rates[method] for result in results)
        facts[f"best rate, {method}"] = ", ".join(f"{rate:g} in {count} draws" for rate, count in rates.most_common())
    return Result(arrays, {"draws": f"{len(colt.SEEDS)}, matched; indices are medians over them", **facts})
