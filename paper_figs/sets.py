"""Which data sets a figure runs, and what it says of the others."""

from collections.abc import Iterable

from hypergrad_validation import data
from hypergrad_validation.claims import Extent
from paper_figs.cells import Runner


def choose(runner: Runner, wanted: Iterable[str]) -> tuple[list[str], str]:
    """Those of the wanted sets that are asked for and at hand; the others by name, and what it takes to run them."""
    names, asked = list(wanted), runner.extent >= Extent.FULL
    here = [name for name in names if asked and data.has(name)]
    missing = ", ".join(name for name in names if name not in here)
    return here, f"{missing}: {'set HYPERGRAD_DATA' if asked else '--full'}" if missing else "none"
