"""The figures of OSGM: what their marks say, and that each is drawn from the data that it computes."""

import numpy as np
import pytest

pytest.importorskip("joblib")


from hypergrad_papers.osgm2025 import runs as colt
from paper_figs import (
    gaps,
    least_squares_data,
    least_squares_plot,
    near_diagonal_data,
    near_diagonal_plot,
    osgm_best_data,
    osgm_best_plot,
    osgm_svm_data,
    osgm_svm_plot,
)
from paper_figs.cells import Runner

pytestmark = pytest.mark.usefixtures("for_figures")


def test_mark_is_the_median_of_the_indices_and_not_the_index_of_the_median_curve():
    """Three curves that cross: each is the middle one somewhere."""
    curves = [
        np.array([1.0, 1e-3, 1e-3, 1e-3, 1e-3, 1e-9]),
        np.array([1.0, 1.0, 1e-9, 1.0, 1.0, 1e-9]),
        np.array([1.0, 1.0, 1.0, 1e-9, 1e-9, 1e-9]),
    ]
    summary = gaps.summarize(curves, last=6, level=1e-6, published=5)
    assert summary["reached"].tolist() == [4.0, 5.0]
    assert 1 + int(np.argmax(summary["log"][0] < -6)) == 6
    assert gaps.describe(summary) == "4 (published: 5)"


def test_mark_is_missing_where_most_draws_do_not_get_there():
    curves = [np.ones(4), np.ones(4), np.array([1.0, 1e-9])]
    summary = gaps.summarize(curves, last=4, level=1e-6, published=None)
    assert np.isnan(summary["reached"]).all()
    assert gaps.describe(summary) == "later (published: later)"


def test_curve_that_has_ended_stays_below_the_floor():
    summary = gaps.summarize([np.array([1.0, 1e-30])], last=5, level=1e-6, published=None)
    assert summary["log"][0].tolist() == [0.0, -20.0, -20.0, -20.0, -20.0]


def test_curves_have_few_points():
    summary = gaps.summarize([np.geomspace(1, 1e-12, 2000)], last=2000, level=1e-6, published=None)
    assert len(summary["index"]) <= gaps.POINTS
    assert summary["index"][[0, -1]].tolist() == [1, 2000]


@pytest.mark.parametrize(
    ("computed", "drawn", "panels"),
    [
        (least_squares_data, least_squares_plot, 1),
        (near_diagonal_data, near_diagonal_plot, 1),
        (osgm_svm_data, osgm_svm_plot, 2),
        (osgm_best_data, osgm_best_plot, 2),
    ],
    ids=["least_squares", "near_diagonal", "osgm_svm", "osgm_best"],
)
def test_figure_needs_no_data_folder(computed, drawn, panels, monkeypatch, tmp_path):
    monkeypatch.setenv("HYPERGRAD_DATA", str(tmp_path))
    monkeypatch.setattr(colt, "SEEDS", (0,))
    monkeypatch.setattr(colt, "PUBLISHED_SVM", {"a1a": colt.PUBLISHED_SVM["a1a"]})
    monkeypatch.setattr(osgm_best_data, "ADULT", ("a1a",))
    for module in (least_squares_data, least_squares_plot):
        monkeypatch.setattr(module, "LAST", {1e-1: 450})
    result = computed.compute(Runner())
    assert all(np.isfinite(array).all() for name, array in result.arrays.items() if name.endswith(("log", "setting")))
    figure = drawn.draw(result.arrays, result.facts)
    assert len(figure.axes) == panels
    figure.savefig(tmp_path / "figure.svg")


def test_published_indices_and_counts_stand_beside_ours_in_the_plain_run(monkeypatch, tmp_path):
    monkeypatch.setenv("HYPERGRAD_DATA", str(tmp_path))
    monkeypatch.setattr(colt, "PUBLISHED_SVM", {name: colt.PUBLISHED_SVM[name] for name in ("a1a", "a4a")})
    monkeypatch.setattr(osgm_best_data, "ADULT", ("a1a",))
    facts = osgm_svm_data.compute(Runner()).facts
    assert facts["sets"] == "breast_cancer, a1a"
    assert facts["not run: data"].startswith("a4a of LIBSVM: make figures FULL=1")
    assert "(published: 122)" in facts["index to 1e-06, a1a"]
    facts = osgm_best_data.compute(Runner()).facts
    assert "HDM-Best 276 (published: 276)" in facts["gradients, SVM, a1a"]
