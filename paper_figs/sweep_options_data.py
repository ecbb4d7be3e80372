"""The runs of `sweep`, with every normalization and every rule of beta1; its facts stand there."""

from paper_figs.cells import Runner
from paper_figs.store import Result
from paper_figs.sweeps import collect


def compute(runner: Runner) -> Result:
    """The same losses."""
    return Result(collect(runner), {})
