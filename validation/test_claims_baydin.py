"""The claims on Baydin et al. 2018 that take seconds have the verdicts that FINDINGS.md speaks of."""

import pytest

from hypergrad_validation import data
from hypergrad_validation.claims import Extent, Verdict, evaluate, list_claims

BAYDIN = {claim.row: claim for claim in list_claims() if claim.paper == "baydin2018"}
NOT_REPRODUCED = {
    "6": "from another seed SGD-HD ends 2 % below the published training loss",
    "7": "and 1.8 % below the published validation loss",
    "9": "its rate is negative on no step, and that of SGDN-HD on 4.8 %",
}


RESULTS = {}


def run_once(cell, inputs):
    """Cells, each computed once for all claims of this module."""
    keys = [(cell, repr(sorted(kwargs.items()))) for kwargs in inputs]
    for key, kwargs in zip(keys, inputs, strict=True):
        if key not in RESULTS:
            RESULTS[key] = cell(**kwargs)
    return [RESULTS[key] for key in keys]


def quick():
    for row, claim in BAYDIN.items():
        if claim.extent is Extent.BUNDLED and not claim.obstacle:
            missing = [name for name in claim.needs if not data.has(name)]
            mark = pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}: set HYPERGRAD_DATA")
            yield pytest.param(claim, marks=mark, id=row)


def test_every_row_of_the_paper_is_claimed():
    assert list(BAYDIN) == [str(row) for row in range(1, 24)]


@pytest.mark.parametrize("claim", list(quick()))
def test_claim_has_its_verdict(claim):
    outcome = evaluate(claim, run_once)
    failing = [check for check in outcome.checks if not check.holds]
    expected = Verdict.NOT_REPRODUCED if claim.row in NOT_REPRODUCED else Verdict.REPRODUCED
    assert outcome.verdict is expected, failing
