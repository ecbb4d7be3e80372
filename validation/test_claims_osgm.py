"""Every claim about OSGM has the verdict that it had when it was written down."""

import pytest

from hypergrad_validation import data
from hypergrad_validation.claims import Verdict, evaluate, list_claims

CLAIMS = {claim.row: claim for claim in list_claims() if claim.paper == "osgm2025"}

FAILING = {
    "8": {"draws of 8 within 120.3 to 121.5, sigma = 0.1", "draws of 8 within 1160 to 1418, sigma = 0.1"},
    "9": {"draws of 8 within 770 to 930, sigma = 0.01"},
    "12": {"draws of 8 within 320 to 420, sigma = 0.1"},
    "14": {"draws of 8 with H <= R < OptDiag and H < SAGD, sigma = 0.01"},
}
"""Rows that are not reproduced, and by which checks: draws spread more than was known (FINDINGS.md)."""


@pytest.mark.parametrize(
    "claim",
    [
        pytest.param(
            claim,
            id=f"row {row}",
            marks=pytest.mark.skipif(
                not all(map(data.has, claim.needs)), reason=f"needs {', '.join(claim.needs)}: set HYPERGRAD_DATA"
            ),
        )
        for row, claim in CLAIMS.items()
        if not claim.obstacle
    ],
)
def test_claim_has_its_verdict(run_once, claim):
    outcome = evaluate(claim, run_once)
    failing = {check.what for check in outcome.checks if not check.holds}
    assert failing == FAILING.get(claim.row, set())
    assert outcome.verdict is (Verdict.NOT_REPRODUCED if failing else Verdict.REPRODUCED)


def test_papers_that_are_not_at_hand_are_named(run_once):
    outcome = evaluate(CLAIMS["26"], run_once)
    assert outcome.verdict == Verdict.NOT_RUN
    assert "2509.11007" in outcome.remark
