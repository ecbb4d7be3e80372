"""Claims: a published value, ours, and a verdict that is computed.

A claim is one function. It computes what the paper reports and returns `Check`s; its decorator says which row of which
paper it is, where the value was published, and why the tolerance is what it is. Nothing here is a verdict typed in.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from importlib import import_module
from string import ascii_lowercase
from typing import Any, NamedTuple, Protocol

from hypergrad_papers.checks import Check
from hypergrad_problems import data

PAPERS = {"baydin2018": "Baydin et al. 2018", "hdm2025": "HDM 2025", "osgm2025": "OSGM 2025"}


class Verdict(StrEnum):
    """What became of a claim."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not reproduced"
    NOT_RUN = "not run"
    NO_VALUE = "no published value"


class Extent(IntEnum):
    """How much is run; each holds the ones before."""

    BUNDLED = 0  # seconds per claim
    FULL = 1  # minutes a claim, every data set
    NETWORKS = 2  # the networks of 100 epochs


TIMES = {Extent.BUNDLED: "", Extent.FULL: "some minutes", Extent.NETWORKS: "two hours"}
OPTIONS = {Extent.BUNDLED: "", Extent.FULL: "FULL=1", Extent.NETWORKS: "FULL=mlp"}
"""What `make figures` needs to check the claims of an extent, and how long it takes."""


class Run(Protocol):
    """How cells are run; a caller may do so in parallel, and keep results."""

    def __call__(self, cell: Callable[..., Any], inputs: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The results of cell(**inputs[i]), in order."""


def run_here(cell: Callable[..., Any], inputs: Sequence[Mapping[str, Any]]) -> list[Any]:
    """One after the other, in this process."""
    return [cell(**kwargs) for kwargs in inputs]


class NoDeviceError(Exception):
    """Raised by a claim that finds no OpenCL device that works."""


class Claim(NamedTuple):
    """A row of a paper's table of results."""

    compute: Callable[[Run], list[Check]]
    paper: str  # a key of PAPERS
    row: str
    source: str  # where it was published
    reason: str  # of the tolerance
    needs: tuple[str, ...]  # data sets, by their names in the registry
    extent: Extent  # from which on it is run
    obstacle: str  # why it cannot be run at all
    has_value: bool = True  # whether a value is published

    @property
    def what(self) -> str:
        """The first line of the function's docstring."""
        return (self.compute.__doc__ or "").splitlines()[0].rstrip(".")


class Need(NamedTuple):
    """What it takes to run a claim; equal for all claims that wait for the same.

    >>> print(Need("MNIST", "make figures FETCH=1"))
    needs MNIST: make figures FETCH=1
    """

    what: str  # data sets, time or a device; where there is no command, a sentence that says why
    command: str = ""  # brings what is missing and runs the claim, or says what to do

    def __str__(self) -> str:
        return f"needs {self.what}: {self.command}" if self.command else self.what


DEVICE = Need("an OpenCL device that works", ".venv/bin/hypergrad doctor")


class Outcome(NamedTuple):
    """A claim and what became of it."""

    claim: Claim
    checks: list[Check]
    verdict: Verdict
    remark: str = ""  # why it was not run, or has failed
    need: Need | None = None  # the same for programs, where it was not run


CLAIMS: dict[tuple[str, str], Claim] = {}
"""By paper and row, as the papers' modules `claims` are imported."""


def claim(
    paper: str,
    row: str,
    *,
    source: str,
    reason: str,
    needs: Iterable[str] = (),
    extent: Extent = Extent.BUNDLED,
    obstacle: str = "",
    has_value: bool = True,
) -> Callable[[Callable[[Run], list[Check]]], Callable[[Run], list[Check]]]:
    """Register a function as the claim of a row.

    Raises ValueError for a row that is there already and for an unknown paper.
    """
    if paper not in PAPERS:
        raise ValueError(f"paper = {paper!r} is unknown: one of {', '.join(PAPERS)}")
    if (paper, row) in CLAIMS:
        raise ValueError(f"row = {row!r} of {paper} is claimed twice: by {CLAIMS[paper, row].compute.__name__} already")

    def register(compute: Callable[[Run], list[Check]]) -> Callable[[Run], list[Check]]:
        CLAIMS[paper, row] = Claim(compute, paper, row, source, reason, tuple(needs), extent, obstacle, has_value)
        return compute

    return register


def list_claims() -> list[Claim]:
    """Every claim, paper by paper, in the order of the rows."""
    for paper in PAPERS:
        import_module(f"hypergrad_papers.{paper}.claims")
    return [CLAIMS[key] for key in sorted(CLAIMS, key=_order)]


def _order(key: tuple[str, str]) -> tuple[int, int, str]:
    paper, row = key
    return list(PAPERS).index(paper), int(row.rstrip(ascii_lowercase)), row


def judge(checks: Sequence[Check]) -> Verdict:
    """What the checks of a claim that was run amount to; ValueError if there are none.

    >>> from hypergrad_papers.checks import near
    >>> str(judge([near("count", 566.0, 566.0)]))
    'reproduced'
    >>> str(judge([near("count", 566.0, 567.0)]))
    'not reproduced'
    """
    if not checks:
        raise ValueError("checks is empty: a claim checks something, or its decorator says has_value=False")
    return Verdict.REPRODUCED if all(check.holds for check in checks) else Verdict.NOT_REPRODUCED


def evaluate(claim: Claim, run: Run = run_here, extent: Extent = Extent.BUNDLED) -> Outcome:
    """Compute a claim, or say what it would take."""
    need = find_need(claim, extent)
    if need is None:
        try:
            checks = claim.compute(run)
        except NoDeviceError:
            need = DEVICE
        else:
            return Outcome(claim, checks, judge(checks) if claim.has_value else Verdict.NO_VALUE)
    return Outcome(claim, [], Verdict.NOT_RUN, str(need), need)


def find_need(claim: Claim, extent: Extent) -> Need | None:
    """What is missing to run a claim to some extent, with the command that runs it; None where nothing is."""
    if claim.obstacle:
        return Need(claim.obstacle)
    missing = [name for name in claim.needs if not data.has(name)]
    time = TIMES[claim.extent] if extent < claim.extent else ""
    if not (missing or time):
        return None
    what = " and ".join(filter(None, [data.describe(missing), time]))
    return Need(what, name_command(max(extent, claim.extent), fetch=bool(missing)))


def name_command(extent: Extent, fetch: bool) -> str:
    """What runs the claims and figures of an extent, and fetches what is missing if asked for.

    >>> name_command(Extent.BUNDLED, fetch=False), name_command(Extent.NETWORKS, fetch=True)
    ('make figures', 'make figures FULL=mlp FETCH=1')
    """
    return " ".join(filter(None, ["make figures", OPTIONS[extent], "FETCH=1" if fetch else ""]))
