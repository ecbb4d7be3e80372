"""The figures of HDM: what their tables say, and that each is drawn from the data that it computes."""

import numpy as np
import pytest

pytest.importorskip("joblib")


from hypergrad_papers.hdm2025.solver_grids import Case, run_grids
from hypergrad_papers.hdm2025.solver_table import SOLVERS, Record
from hypergrad_problems import data
from paper_figs import (
    regret_data,
    regret_plot,
    solver_gaps_data,
    solver_gaps_plot,
    solver_profiles_data,
    solver_profiles_plot,
    spike_data,
    spike_plot,
    superlinear_data,
    superlinear_plot,
)
from paper_figs.cells import Runner

pytestmark = pytest.mark.usefixtures("for_figures")


def test_spike_shows_that_every_cure_keeps_f_below_its_first_value():
    arrays, facts = spike_data.compute(Runner())
    peaks = {row["rule"]: row["at k"] for row in facts["table"]}
    assert {rule for rule, k in peaks.items() if k > 0} == {"OGD", "AdaGrad"}
    figure = spike_plot.draw(arrays, facts)
    assert len(figure.axes) == 4
    drawn = figure.axes[0].lines[0].get_ydata()
    np.testing.assert_array_equal(drawn, arrays["OGD/f"])


def test_superlinear_is_faster_than_the_bound_says_and_than_gradient_descent():
    arrays, facts = superlinear_data.compute(Runner())
    for row in facts["table"]:
        assert int(row["steps to 1e-30"]) < int(row["by the bound"].removeprefix("more than "))
        assert float(row["largest gap / bound"]) < 1
    assert superlinear_data.count(arrays["GD/gap"]) == "more than 40"
    assert len(superlinear_plot.draw(arrays, facts).axes) == 3


def test_regret_stays_below_every_bound():
    arrays, facts = regret_data.compute(Runner())
    assert [row["holds at every K"] for row in facts["table"]] == ["yes"] * 4
    assert len(set(arrays["lookahead/right"])) == 1
    assert len(regret_plot.draw(arrays, facts).axes) == 4


def test_solver_curves_are_those_of_the_winner_and_end_where_the_table_says():
    case = Case("svm", "digits 8 9")
    grid = run_grids(Runner().run, [case])[case]
    table = {row["solver"]: row for row in solver_gaps_data.tabulate(grid, {})}
    assert table["Adam"]["nG of all runs"] == sum(record.ng for record in grid["Adam"])
    assert table["HDM-Best"]["nG"] <= table["HDM-Best, 10/L and 10"]["nG"]
    assert table["HDM-Best"]["nG"] <= float(table["HDM-Best, median"]["nG"])
    assert "published" not in table["GD"]
    fixed = grid["HDM-Best"][solver_gaps_data.FIXED].setting
    assert fixed["hyper_lr"] * fixed["smoothness"] == pytest.approx(10)
    winner = min(grid["Adam"], key=lambda record: record.ng)
    curve = solver_gaps_data.take_median([winner.gnorms])
    assert curve[-1] == winner.gnorms[-1] == winner.gnorm
    assert len(curve) == len(solver_gaps_data.choose_drawn())


def test_published_counts_stand_in_the_table_beside_ours():
    record = Record({}, 275, 276, 0.0, 0.0, *[np.zeros(1)] * 3)
    table = solver_gaps_data.tabulate({"HDM-Best": [record] * 20}, {"HDM-Best": (275, 276)})
    assert [row["published"] for row in table] == ["275/276", "", ""]
    assert table[-1]["S"] == "20 of 20"


def test_solver_figures_draw_what_they_compute(monkeypatch):
    monkeypatch.setattr(solver_gaps_data, "ADULT", ("digits 0 1",))
    monkeypatch.setattr(solver_profiles_data, "BUNDLED", ("digits 0 1",))
    monkeypatch.setattr(solver_profiles_data, "DIGIT_PAIRS", ())
    monkeypatch.setattr(data, "is_in_repository", lambda name: False)
    arrays, facts = solver_gaps_data.compute(Runner())
    assert facts["problems"] == ["SVM, digits 0 1", "logistic, digits 0 1"]
    gaps = [arrays[f"SVM, digits 0 1/{solver}/gap"][-1] for solver in SOLVERS]
    assert min(gaps) == pytest.approx(solver_gaps_data.BELOW, rel=1e-3)
    assert len(solver_gaps_plot.draw(arrays, facts).axes) == 4
    arrays, facts = solver_profiles_data.compute(Runner())
    assert (facts["data sets"], facts["problems"]) == (1, 2)
    solved = {row["solver"]: row["solved, svm"] + row["solved, logistic"] for row in facts["table"]}
    assert all(arrays[f"nG/{solver}"][-1] == number / 2 for solver, number in solved.items())
    assert (arrays["all/HDM-Best"] <= arrays["nG/HDM-Best"]).all()
    assert len(solver_profiles_plot.draw(arrays, facts).axes) == 3


def test_solver_that_was_not_run_counts_as_unsolved():
    record = Record({}, 4, 5, 0.0, 0.0, *[np.zeros(1)] * 3)
    grid = {"HDM-Best": [record] * 20}
    assert solver_profiles_data.count_gradients(grid)["BFGS"] == np.inf
    assert solver_profiles_data.count_gradients(grid)["HDM-Best"] == 5
    assert solver_profiles_data.count_all_gradients(grid)["HDM-Best"] == 100
    costs = {name: {"HDM-Best": ours, "BFGS": theirs} for name, ours, theirs in
             (("dense", 4.0, 2.0), ("large", 8.0, np.inf), ("hard", np.inf, np.inf))}  # fmt: skip
    profile = solver_profiles_data.find_profiles(costs, ["HDM-Best", "BFGS"])
    assert profile[:, 0] == pytest.approx([1 / 3, 1 / 3])
    assert profile[:, -1] == pytest.approx([2 / 3, 1 / 3])
