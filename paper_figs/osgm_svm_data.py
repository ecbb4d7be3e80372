"""OSGM on the SVM of Gao et al. 2025 (COLT), figure 3."""

from hypergrad_papers.osgm2025 import runs as colt
from paper_figs import gaps
from paper_figs.cells import Runner
from paper_figs.sets import choose
from paper_figs.store import Result

LAST, LEVEL = 999, 1e-6
METHODS = ("GD", "AGD", "SAGD", "AdaGrad", "OSGM-R", "OSGM-H")


def compute(runner: Runner) -> Result:
    """The log10 gap of every method, and the index that reaches 1e-6."""
    here, missing = choose(runner, colt.PUBLISHED_SVM)
    names = ["breast_cancer", *here]
    results = runner.run(colt.svm_cell, [{"name": name} for name in names])
    arrays, facts = {}, {}
    for name, result in zip(names, results, strict=True):
        words = []
        for method in METHODS:
            reached = colt.PUBLISHED_SVM.get(name, {}).get(method)
            summary = gaps.summarize([result.curves[method]], LAST, LEVEL, reached)
            arrays |= {f"{name}/{method}/{key}": array for key, array in summary.items()}
            words.append(f"{method} {gaps.describe(summary, with_published=name in colt.PUBLISHED_SVM)}")
        facts[f"index to {LEVEL:.0e}, {name}"] = ", ".join(words)
        facts[f"best rates, {name}"] = ", ".join(f"{method} {rate:g}" for method, rate in result.rates.items())
    return Result(arrays, {"sets": ", ".join(names), "not run: data": missing, **facts})
