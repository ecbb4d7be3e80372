"""A scalar stepsize on two variables: the spike of HDM, and what removes it."""

import numpy as np

from hypergrad_papers.hdm2025.spike import SPIKE, spike
from paper_figs.cells import Runner
from paper_figs.store import Result

LEARNERS = ("OGD", "AdaGrad")
ACTIONS = ("", ", null step", ", lookahead", ", clipped")
RULES = tuple(learner + action for learner in LEARNERS for action in ACTIONS)


def compute(runner: Runner) -> Result:
    """f_k / f_0 and P_k by rule; the highest f and where it is, and where it ends."""
    results = dict(zip(RULES, runner.run(spike, [{"rule": rule} for rule in RULES]), strict=True))
    arrays = {}
    table = []
    for rule, (values, stepsizes) in results.items():
        arrays |= {f"{rule}/f": values, f"{rule}/P": stepsizes}
        peak = int(np.argmax(values))
        table.append(
            {
                "rule": rule, "eta": SPIKE[rule].hyper_lr, "highest f_k / f_0": f"{values[peak]:.4g}", "at k": peak,
                "f_k / f_0 at the end": f"{values[-1]:.3g}",
            }
        )  # fmt: skip
    return Result(arrays, {"steps": len(values) - 1, "table": table})
