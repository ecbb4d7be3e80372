"""One self-contained page: what was claimed and what became of it, every figure, and on what it ran."""

import math
from base64 import b64encode
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from hypergrad_papers.checks import Check
from hypergrad_papers.claims import PAPERS, Need, Outcome, Verdict
from paper_figs import store, trial
from paper_figs.figures import Figure

Row = Mapping[str, Any]
"""A claim and what became of it, as `describe` makes it."""
ORDER = [Verdict.NOT_REPRODUCED, Verdict.REPRODUCED, Verdict.NO_VALUE]
"""The order of the claims that were run, in their table."""


class Entry(NamedTuple):
    """A figure as it is shown."""

    figure: Figure
    svg: bytes  # inlined
    document: Mapping[str, Any]  # what stands beside its arrays

    @property
    def picture(self) -> str:
        """The SVG in base 64, for the address of the picture."""
        return b64encode(self.svg).decode()


def describe(outcome: Outcome) -> dict[str, Any]:
    """An outcome as plain JSON, its numbers as they are shown."""
    claim = outcome.claim
    return {
        "paper": PAPERS[claim.paper],
        "row": claim.row,
        "what": claim.what,
        "source": claim.source,
        "reason": claim.reason,
        "verdict": str(outcome.verdict),
        "remark": "" if outcome.need else outcome.remark,
        "need": outcome.need and outcome.need._asdict(),
        "checks": [_describe_check(check) for check in sorted(outcome.checks, key=find_margin)],
    }


def find_margin(check: Check) -> float:
    """How far inside its limits a check is, 1 at best and negative outside.

    In half the width of an interval, or of a single limit in its own size.

    >>> find_margin(Check("error", None, 1.5, -math.inf, 2.0))
    0.25
    >>> find_margin(Check("error", None, 0.0, -math.inf, 2.0))
    1.0
    >>> find_margin(Check("loss", 3.0, 1.5, 2.0, 4.0))
    -0.5
    """
    if math.isnan(check.ours):
        return -math.inf
    inside = min(check.ours - check.low, check.high - check.ours)
    if math.isfinite(check.low) and math.isfinite(check.high):
        unit = (check.high - check.low) / 2
    else:
        unit = abs(check.low if math.isfinite(check.low) else check.high)
    return min(inside / (unit or 1.0), 1.0) if inside else float(check.low == check.high)


def _describe_check(check: Check) -> dict[str, Any]:
    if check.low == check.high == 1 and check.published is None:
        return {"what": check.what, "published": "", "ours": "yes" if check.ours else "no", "accepted": "yes",
                "holds": check.holds}  # fmt: skip
    digits = _count_digits(check)
    low, high = (f"{bound:.{digits}g}" if math.isfinite(bound) else "" for bound in (check.low, check.high))
    accepted = (
        low if low == high else f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
    )
    published = "" if check.published is None else f"{check.published:.{digits}g}"
    return {"what": check.what, "published": published, "ours": f"{check.ours:.{digits}g}", "accepted": accepted,
            "holds": check.holds}  # fmt: skip


def _count_digits(check: Check) -> int:
    """Six, or as many as tell ours and the two limits apart where they differ."""
    numbers = {check.low, check.ours, check.high}
    return next((d for d in range(6, 17) if len({f"{number:.{d}g}" for number in numbers}) == len(numbers)), 17)


def count_verdicts(claims: Sequence[Row]) -> dict[str, int]:
    """How many claims have each verdict, in the order of Verdict, zeros included."""
    counts = Counter(claim["verdict"] for claim in claims)
    return {str(verdict): counts[verdict] for verdict in Verdict}


def write_counts(claims: Sequence[Row]) -> str:
    """The same in words.

    >>> write_counts([{"verdict": "reproduced"}, {"verdict": "not run"}, {"verdict": "reproduced"}])
    '2 reproduced, 0 not reproduced, 1 not run, 0 no published value'
    """
    return ", ".join(f"{count} {verdict}" for verdict, count in count_verdicts(claims).items())


def count_by_paper(claims: Sequence[Row]) -> dict[str, dict[str, int]]:
    """The verdicts of each paper."""
    papers = dict.fromkeys(claim["paper"] for claim in claims)
    return {paper: count_verdicts([claim for claim in claims if claim["paper"] == paper]) for paper in papers}


def group_by_need(claims: Sequence[Row]) -> dict[Need, list[Row]]:
    """The claims that were not run, by what they need; those that a command runs first."""
    groups: dict[Need, list[Row]] = {}
    for claim in claims:
        if claim["need"]:
            groups.setdefault(Need(**claim["need"]), []).append(claim)
    return dict(sorted(groups.items(), key=lambda group: (not group[0].command, -len(group[1]))))


def render(entries: Sequence[Entry], claims: Sequence[Row], device: trial.Device, verdict: trial.Verdict | None) -> str:
    """The page.

    entries    the figures; that of the first screen is the first one
    claims     rows as `describe` makes them; without any the page has no table of them
    verdict    None where the kernels were not compared with NumPy
    """
    page = Environment(
        loader=PackageLoader("paper_figs", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html.jinja")  # fmt: skip
    ran = [claim for claim in claims if not claim["need"]]
    return page.render(
        entries=entries,
        papers=count_by_paper(claims),
        verdicts=list(map(str, Verdict)),
        counts=count_verdicts(claims),
        ran=sorted(ran, key=lambda claim: ORDER.index(claim["verdict"])),
        needs=group_by_need(claims),
        device=device,
        verdict=verdict,
        compared=trial.COMPARED,
        environment=store.describe_environment(),
    )
