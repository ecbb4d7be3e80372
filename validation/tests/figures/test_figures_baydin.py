"""The figures of Baydin et al. 2018 work without MNIST, and draw what was computed."""

import math

import numpy as np
import pytest

pytest.importorskip("joblib")
pytest.importorskip("sklearn")

from hypergrad_papers.baydin2018.runs import HYPER_LR, NAMES, RATES, count_steps, grid_row
from hypergrad_papers.claims import Extent
from hypergrad_problems import data
from paper_figs import (
    baydin_grid_data,
    baydin_grid_plot,
    baydin_logistic_plot,
    baydin_multiplicative_data,
    baydin_multiplicative_plot,
    baydin_network_data,
)
from paper_figs.baydin import average, choose, collect
from paper_figs.cells import Runner

pytestmark = pytest.mark.usefixtures("for_figures")


def test_average_keeps_early_steps_and_the_mean_of_late_ones():
    steps = np.arange(1001.0)
    at, value = average(steps, 2 * steps, 1000)
    assert at[:5].tolist() == [1, 2, 3, 4, 5]
    assert np.array_equal(value, 2 * at)
    assert len(at) < 90
    assert at[-1] > 950


def test_digits_are_run_where_mnist_is_not(monkeypatch, tmp_path):
    monkeypatch.setenv("HYPERGRAD_DATA", str(tmp_path))
    assert choose(Runner(extent=Extent.FULL)) == choose(Runner()) == "digits"
    result = collect(Runner(extent=Extent.FULL), "logreg", "logreg", 2)
    needs = "MNIST with the authors' logs: make figures FULL=1 FETCH=1"
    assert result.facts == {"data": "scikit-learn's digits", "not run: data": needs}
    assert not [key for key in result.arrays if "published" in key]


@pytest.mark.parametrize("model", ["logreg", "small mlp"])
def test_curves_are_of_six_methods(model):
    result = collect(Runner(), model, "logreg", 2)
    figure = baydin_logistic_plot.draw(result.arrays, result.facts)
    names = [line.get_label() for line in figure.axes[1].lines]
    assert names == list(NAMES.values())
    assert set(HYPER_LR) == {key.split("/")[0] for key in result.arrays}
    # from the same weights and first minibatch
    assert len({result.arrays[f"{method}/loss"][1, 0] for method in NAMES}) == 1
    rates = {method: result.arrays[f"{method}/alpha"][1] for method in NAMES}
    assert all((set(rate) == {1e-3}) == (not method.endswith("_hd")) for method, rate in rates.items())


@pytest.mark.skipif(
    not (data.has("mnist") and data.has("baydin2018/logreg/sgd_hd")),
    reason="needs mnist, baydin2018/logreg/sgd_hd: set HYPERGRAD_DATA",
)
def test_published_log_is_drawn_over_the_same_steps():
    result = collect(Runner(extent=Extent.FULL), "logreg", "logreg", 1, max_steps=60)
    ours, theirs = result.arrays["sgd_hd/alpha"], result.arrays["sgd_hd/published alpha"]
    assert np.array_equal(ours[0], theirs[0])
    assert np.abs(ours[1] - theirs[1]).max() < 1e-7
    assert "e-0" in result.facts["SGD-HD, largest deviation from the authors' log"]
    drawn = baydin_logistic_plot.draw(result.arrays, result.facts).axes[0].lines
    assert {line.get_marker() for line in drawn} >= {"o"}


def test_count_is_the_first_minibatch_below_the_threshold():
    [never, late, soon] = (
        count_steps(**grid_row("sgd_hd", 1e-3, 1, dataset="digits", hyper_lrs=(1e-2,), threshold=threshold, cap=40))[0]
        for threshold in (0.01, 1.0, 10.0)
    )
    assert math.isinf(never)
    assert 1 < late < 40
    assert soon == 1


def test_grid_has_a_cell_for_each_pair_and_says_what_was_capped(monkeypatch):
    monkeypatch.setattr(baydin_grid_data, "CAP_DIGITS", 15)
    result = baydin_grid_data.compute(Runner())
    assert {method: result.arrays[method].shape for method in NAMES} == dict.fromkeys(NAMES, (6, 6))
    assert all(len(set(row)) == 1 for method in ("sgd", "sgdn", "adam") for row in result.arrays[method])
    figure = baydin_grid_plot.draw(result.arrays, result.facts)
    words = [text.get_text() for text in figure.axes[0].texts]
    assert len(words) == len(RATES) * (len(RATES) + 1)
    assert ">15" in words


def test_multiplicative_rule_stays_at_zero_and_the_additive_one_leaves(monkeypatch):
    monkeypatch.setattr(baydin_multiplicative_data, "EPOCHS", {"digits": 2})
    result = baydin_multiplicative_data.compute(Runner())
    for base in ("sgd", "sgdn", "adam"):
        assert set(result.arrays[f"{base}_hdm/0"][1]) == {0.0}
        assert result.arrays[f"{base}_hd/0"][1, -1] > 0
    figure = baydin_multiplicative_plot.draw(result.arrays, result.facts)
    assert [len(panel.lines) for panel in figure.axes] == [9, 9, 9]  # six runs, two for the legend, one at 0


def test_network_is_the_authors_where_mnist_is(monkeypatch):
    asked = []
    monkeypatch.setattr(baydin_network_data, "collect", lambda runner, *settings: asked.append(settings))
    monkeypatch.setattr(baydin_network_data, "choose", lambda runner: "mnist")
    for extent in (Extent.FULL, Extent.NETWORKS):
        baydin_network_data.compute(Runner(extent=extent))
    assert asked == [("mlp", "mlp", 2), ("mlp", "mlp", 100)]


def test_average_takes_thinned_logs():
    at, value = average(np.array([0.0, 1.0, 2.0, 50.0, 100.0]), np.array([9.0, 1.0, 2.0, 3.0, 4.0]), 100)
    assert at.tolist() == [1, 2, 50, 100]
    assert value.tolist() == [1, 2, 3, 4]
