"""Verdicts are computed: a number that is moved past its tolerance moves them."""

import math

import numpy as np
import pytest

from hypergrad_papers import claims
from hypergrad_papers.checks import Check, at_least, at_most, between, near, true
from hypergrad_papers.claims import Claim, Extent, NoDeviceError, Verdict, evaluate, judge
from hypergrad_problems import data

ROWS = {
    "baydin2018": [str(row) for row in range(1, 24)],
    "hdm2025": [*map(str, range(1, 19)), "18b", "19"],
    "osgm2025": [str(row) for row in range(1, 27)],
}
"""Of the results that were set out to be reproduced."""


@pytest.mark.parametrize("paper", ROWS)
def test_every_row_is_claimed_in_order(paper):
    assert [claim.row for claim in claims.list_claims() if claim.paper == paper] == ROWS[paper]


@pytest.mark.parametrize("claim", claims.list_claims(), ids=lambda c: f"{c.paper}-{c.row}")
def test_claim_says_what_it_is_and_why_its_tolerance(claim):
    assert claim.what
    assert claim.source
    assert claim.reason


def make(checks, **settings):
    facts = {"source": "a table", "reason": "none", "needs": (), "extent": Extent.BUNDLED, "obstacle": ""} | settings
    return Claim(lambda run: checks, "hdm2025", "1", **facts)


def test_one_flipped_number_flips_the_verdict():
    checks = [
        near("count", 566, 567, abs=1),
        between("peak", 0.04, 0.05, 0.06),
        true("order", True),
        at_most("error", 1e-6, 1e-6),
        at_least("slack", -1e-9, -1e-9),
    ]
    assert evaluate(make(checks)).verdict is Verdict.REPRODUCED
    for index, wrong in enumerate((568, 0.07, False, 2e-6, -2e-9)):
        flipped = [*checks[:index], checks[index]._replace(ours=float(wrong)), *checks[index + 1 :]]
        assert evaluate(make(flipped)).verdict is Verdict.NOT_REPRODUCED


def test_claim_that_checks_nothing_is_an_error_unless_no_value_is_published():
    with pytest.raises(ValueError, match="checks is empty"):
        evaluate(make([]))
    assert evaluate(make([], has_value=False)).verdict is Verdict.NO_VALUE


@pytest.mark.parametrize("ours", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_reproduces_nothing(ours):
    assert judge([near("x", 1.0, ours, rel=0.5)]) is Verdict.NOT_REPRODUCED
    assert judge([at_most("x", ours, 1.0)]) is Verdict.NOT_REPRODUCED


def test_checks_hold_plain_numbers_whatever_they_are_made_of():
    x = np.float32(0.5)
    for check in (near("x", x, x, rel=x), between("x", x, x, x, published=x), true("x", x == x)):
        assert all(type(number) is float for number in check[1:] if number is not None)
        assert check.holds is True


def test_relative_tolerance_is_of_the_published_value():
    assert near("x", -100.0, -110.0, rel=0.1) == Check("x", -100.0, -110.0, -110.0, -90.0)


NETWORK = {"needs": ("mnist",), "extent": Extent.NETWORKS}
LOGS = ("mnist", "baydin2018/logreg/sgd")


@pytest.mark.parametrize(
    ("settings", "extent", "need"),
    [
        ({"needs": ("mnist",)}, Extent.BUNDLED, ("MNIST with the authors' logs", "make figures FETCH=1")),
        ({"needs": LOGS}, Extent.BUNDLED, ("MNIST with the authors' logs", "make figures FETCH=1")),
        ({"needs": LOGS}, Extent.FULL, ("MNIST with the authors' logs", "make figures FULL=1 FETCH=1")),
        ({"needs": ("a4a", "a6a")}, Extent.BUNDLED, ("a4a, a6a of LIBSVM", "make figures FETCH=1")),
        ({"extent": Extent.FULL}, Extent.BUNDLED, ("some minutes", "make figures FULL=1")),
        ({"extent": Extent.NETWORKS}, Extent.FULL, ("two hours", "make figures FULL=mlp")),
        (NETWORK, Extent.FULL, ("MNIST with the authors' logs and two hours", "make figures FULL=mlp FETCH=1")),
        (NETWORK, Extent.NETWORKS, ("MNIST with the authors' logs", "make figures FULL=mlp FETCH=1")),
        ({"obstacle": "no such machine", **NETWORK}, Extent.BUNDLED, ("no such machine", "")),
    ],
)
def test_claim_that_is_not_run_says_what_it_needs_and_the_command(settings, extent, need, monkeypatch):
    monkeypatch.setattr(data, "has", lambda name: False)
    outcome = evaluate(make([], **settings), extent=extent)
    assert (outcome.verdict, outcome.need) == (Verdict.NOT_RUN, need)
    assert outcome.remark == (f"needs {need[0]}: {need[1]}" if need[1] else need[0])


def test_claim_that_is_run_needs_nothing():
    outcome = evaluate(make([true("order", True)], extent=Extent.FULL), extent=Extent.NETWORKS)
    assert (outcome.need, outcome.remark) == (None, "")


def test_claim_without_a_device_is_not_run():
    def compute(run):
        raise NoDeviceError("none was found")

    outcome = evaluate(make([])._replace(compute=compute))
    assert outcome.verdict is Verdict.NOT_RUN
    assert outcome.need == ("an OpenCL device that works", ".venv/bin/hypergrad doctor")


def test_row_is_claimed_once_and_of_a_known_paper():
    with pytest.raises(ValueError, match="paper = 'nobody2030' is unknown"):
        claims.claim("nobody2030", "1", source="", reason="")
    claims.claim("hdm2025", "0", source="", reason="")(make)
    try:
        with pytest.raises(ValueError, match=r"row = '0' of hdm2025 is claimed twice: by make"):
            claims.claim("hdm2025", "0", source="", reason="")
    finally:
        del claims.CLAIMS["hdm2025", "0"]
