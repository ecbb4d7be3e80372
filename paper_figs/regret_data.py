"""Both sides of the regret bounds along real runs."""

from hypergrad_papers.hdm2025.regrets import REGRETS, regret_cell
from paper_figs.cells import Runner
from paper_figs.store import Result


def compute(runner: Runner) -> Result:
    """Regret and bound by K."""
    sides = dict(zip(REGRETS, runner.run(regret_cell, [{"bound": bound} for bound in REGRETS]), strict=True))
    arrays = {f"{bound}/{side}": array for bound, both in sides.items() for side, array in both._asdict().items()}
    table = [
        {
            "bound": bound, "steps": len(both.left), "at the end": f"{both.left[-1]:.3g}",
            "accepted up to": f"{both.right[-1]:.3g}",
            "holds at every K": "yes" if (both.left <= both.right).all() else "no",
        }
        for bound, both in sides.items()
    ]  # fmt: skip
    return Result(arrays, {"table": table})
