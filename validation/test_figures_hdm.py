"""The figures of HDM: what their tables say, and that each is drawn from the data that it computes."""

import numpy as np
import pytest

pytest.importorskip("joblib")

import matplotlib.pyplot as plt

from paper_figs import (
    cells,
    regret_data,
    regret_plot,
    spike_data,
    spike_plot,
    style,
    superlinear_data,
    superlinear_plot,
)
from paper_figs.cells import Runner


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(cells, "FOLDER", tmp_path)
    style.apply()
    yield
    plt.close("all")


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
