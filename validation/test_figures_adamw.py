"""The figures of the AdamW family: facts are computed from the arrays, and every figure can be drawn."""

import numpy as np
import pytest

pytest.importorskip("joblib")

from paper_figs import cells, sweep_data, sweep_options_plot, sweep_plot
from paper_figs.cells import Runner


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    """Cells of these tests, apart from the user's."""
    monkeypatch.setattr(cells, "FOLDER", tmp_path / "data")


def test_sweep_counts_who_ends_lower(monkeypatch):
    monkeypatch.setattr(sweep_data, "METHODS", ("AdamW", "HypergradientAdamW"))
    monkeypatch.setattr(sweep_data, "RATES", (1e-6, 1.0, 10.0))
    loss = np.array([[4.0, 1.0, 2.0], [1.5, 1.0005, 3.0]])
    first, second = sweep_data.tabulate(loss, np.array([[1e-6, 1.0, 10.0], [0.1, 1.0, 1.0]]))
    assert (first["best"], first["median"], first["worst"]) == ("1", "2", "4")
    assert (second["below AdamW from"], second["above AdamW from"]) == ("1 of 3", "1 of 3")
    assert second["decades of rates at the end"] == "1.0"
    assert sweep_data.describe_best(loss).startswith("1, from 1;")
    assert sweep_data.describe_best(loss).endswith("below: none. Above: none")
    assert "below: HypergradientAdamW. Above: none" in sweep_data.describe_best(loss * [[1.0], [0.9]])


def test_sweep_draws_what_it_computes(monkeypatch):
    monkeypatch.setattr(sweep_data, "TASKS", ("logistic",))
    monkeypatch.setattr(sweep_data, "RATES", (1e-3, 1.0))
    result = sweep_data.compute(Runner())
    assert result.arrays["logistic/loss"].shape == (len(sweep_data.METHODS), 2)
    assert len(result.facts["logistic: loss at the end over the initial rates"]) == len(sweep_data.METHODS)
    titles = {"logistic": "Logistic regression"}
    monkeypatch.setattr(sweep_plot, "TITLES", titles)
    monkeypatch.setattr(sweep_options_plot, "TITLES", titles)
    assert len(sweep_plot.draw(result.arrays, result.facts).axes[0].lines) == len(sweep_plot.SHOWN)
    words = [text.get_text() for text in sweep_options_plot.draw(result.arrays, result.facts).axes[0].texts]
    assert len(words) == 2 * len(sweep_data.METHODS)
    assert words[1] == "0"  # AdamW at its best rate
