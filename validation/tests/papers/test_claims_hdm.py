"""The claims of 28 data sets take minutes: here they judge counts that are made up."""

import numpy as np
import pytest

from hypergrad_papers.claims import list_claims
from hypergrad_papers.hdm2025.authors_counts import MEASURED, Count
from hypergrad_papers.hdm2025.claims import sets
from hypergrad_papers.hdm2025.solver_table import SOLVERS, Record, cell
from hypergrad_problems import registry

CLAIMS = {claim.row: claim for claim in list_claims() if claim.paper == "hdm2025"}


def pretend(change):
    """Cells that give the authors' counts, each changed by `change(case, solver, ng)`."""

    def run(asked, inputs):
        assert asked is cell
        return [_record(given, change) for given in inputs]

    def _record(given, change):
        count = MEASURED[given["task"], given["start"]][given["name"]][given["solver"]]
        ng = change(given["name"], given["solver"], count.ng)
        return Record({}, ng, ng, 0.0, 0.0, *[np.zeros(0)] * 3)

    return run


@pytest.mark.parametrize("row", ["18", "18b"])
def test_the_authors_own_counts_agree_with_themselves(row):
    checks = CLAIMS[row].compute(pretend(lambda name, solver, ng: ng))
    assert [check.what for check in checks if not check.holds] == []


def test_a_count_that_is_off_is_named_with_its_set():
    checks = CLAIMS["18"].compute(pretend(lambda name, solver, ng: ng + 4 * (name == "a4a" and solver == "HDM-Best")))
    assert all(check.holds for check in checks)  # within 20 %
    checks = CLAIMS["18"].compute(pretend(lambda name, solver, ng: ng + 6 * (name == "a4a" and solver == "Adam")))
    assert [check.what for check in checks if not check.holds] == ["svm Adam: gradients agree, not on a4a"]


def test_a_set_that_is_not_solved_is_named_with_its_solver():
    checks = CLAIMS["18"].compute(pretend(lambda name, solver, ng: 1000 if (name, solver) == ("leu", "Adam") else ng))
    assert [check.what for check in checks if not check.holds][:1] == ["svm Adam: solved flags equal, not on leu"]


def test_measured_tables_are_whole():
    assert {len(tables) for which, tables in MEASURED.items() if which[1] == "a"} == {28}
    assert {name for tables in MEASURED.values() for name in tables} <= set(registry.REGISTRY)
    missing = [name for tables in MEASURED.values() for name, row in tables.items() if set(row) != set(SOLVERS)]
    assert missing == ["leu", "leu"]
    assert MEASURED["logistic", "b"]["a2a"]["HDM-Best"] == Count(1001, solved=False)
    assert tuple(MEASURED["logistic", "a"]) == sets.SETS
