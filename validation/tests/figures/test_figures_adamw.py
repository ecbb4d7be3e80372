"""The figures of the AdamW family: facts are computed from the arrays, and every figure can be drawn."""

import numpy as np
import pytest

pytest.importorskip("joblib")

from hypergrad.errors import DeviceNotFoundError
from hypergrad_kernels.shapes import Shape
from hypergrad_papers.adamw import spiking_runs
from hypergrad_papers.adamw.surprise_runs import Trace
from paper_figs import (
    delay_data,
    delay_plot,
    numbers_data,
    numbers_plot,
    opencl,
    speed_data,
    speed_plot,
    spiking_data,
    spiking_plot,
    surprise_data,
    surprise_plot,
    sweep_data,
    sweep_options_plot,
    sweep_plot,
    sweeps,
)
from paper_figs.cells import Runner

pytestmark = pytest.mark.usefixtures("for_figures")


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
    for module in (sweeps, sweep_data):
        monkeypatch.setattr(module, "TASKS", ("logistic",))
        monkeypatch.setattr(module, "RATES", (1e-3, 1.0))
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


def test_surprise_is_described_by_where_it_lies(monkeypatch):
    monkeypatch.setattr(surprise_data, "SHIFT", 4)
    monkeypatch.setattr(surprise_data, "SETTLED", slice(0, 4))
    monkeypatch.setattr(surprise_data, "LATER", 2)
    monkeypatch.setattr(surprise_data, "EVERY", 1)
    surprise = np.array([0.25, 0.75, 0.25, 0.75, 0.5, 0.0, 0.125])
    trace = Trace(np.array([4.0, 3.0, 2.0, 1.0, 8.0, 0.25, 0.125]), np.linspace(1, 7, 7), surprise, surprise)
    described = surprise_data.describe_surprise([trace])
    assert (described["settled, mean"], described["settled steps as high"]) == ("0.500", "50.0%")
    assert (described["at the shift"], described["2 steps later"]) == ("0.5000", "0.125")
    described = surprise_data.describe_loss([trace])
    assert (described["loss before"], described["steps until below 0.3"]) == ("1", "1")
    assert (described["rate before"], described["highest rate after"]) == ("4", "7")


def test_surprise_draws_what_it_computes(monkeypatch):
    monkeypatch.setattr(surprise_data, "SEEDS", 1)
    monkeypatch.setattr(surprise_data, "SHIFTS", ("none",))
    monkeypatch.setattr(surprise_plot, "TITLES", {"none": "As it is"})
    result = surprise_data.compute(Runner())
    assert result.facts["none: rates and losses with tracking alone"] == "equal those without, bit for bit"
    assert len(surprise_plot.draw(result.arrays, result.facts).axes[2].lines) == len(surprise_plot.SHOWN)


def make_spiking_run(**fields):
    """A run of which only some series matter."""
    steps = spiking_data.SHIFT + 20
    series = {"silent": np.zeros(steps), "grad_norm": np.ones(steps), "loss": np.full(steps, 0.5)} | fields
    return spiking_runs.Trace(**{name: series.get(name, np.zeros(steps)) for name in spiking_runs.Trace._fields})


def test_silence_is_described_against_the_twins():
    steps = np.arange(spiking_data.SHIFT + 20)
    after = steps - spiking_data.SHIFT
    run = make_spiking_run(
        silent=np.where(after >= 0, 0.5 - 0.1 * after, 0.0), grad_norm=np.where(after >= 0, 0.25, 1.0), lr=steps * 1.0
    )
    told = spiking_data.describe_silence("Auto", [run] * 3, [make_spiking_run()] * 3)
    assert (told["silent before"], told["and after"], told["steps until below 25% silent"]) == ("0%", "50%", "3")
    assert (told["gradients, after over before"], told["runs in which they shrink"]) == ("0.25", "3 of 3")
    # all three of three on one side: 2 / 2^3
    assert told["rate after 10 steps against the twin's"] == "3 higher, 0 lower, p = 0.25"
    assert told["gain after 10 steps against the twin's"] == "all equal"


def test_spiking_draws_what_it_computes(monkeypatch):
    monkeypatch.setattr(spiking_data, "SEEDS", 1)
    monkeypatch.setattr(spiking_data, "NATURAL_SEEDS", 1)
    result = spiking_data.compute(Runner())
    assert [row["method"] for row in result.facts["neurons fall silent"]] == list(spiking_plot.SHOWN)
    assert len(spiking_plot.draw(result.arrays, result.facts).axes) == 6


def test_numbers_draws_what_it_computes(monkeypatch):
    monkeypatch.setattr(numbers_data, "POWERS", (4, 13))
    monkeypatch.setattr(numbers_data, "STEPS", 50)
    result = numbers_data.compute(Runner())
    assert result.arrays["squares"].shape == (2, 3)
    table = result.facts["largest error of the size of AdamW's update, median over the weights"]
    assert {row["at step 50"][0] for row in table} == {"+", "-"}
    figure = numbers_plot.draw(result.arrays, result.facts)
    assert [len(axis.lines) for axis in figure.axes] == [4, 4, 3]


def test_speed_without_a_device_says_so(monkeypatch):
    def refuse(*_, **__):
        raise DeviceNotFoundError("no OpenCL device was found\nwhat to do")

    monkeypatch.setattr(opencl, "AdamW", refuse)
    result = speed_data.compute(Runner())
    assert result.facts == {"speed": "not run: no OpenCL device was found"}
    (words,) = speed_plot.draw(result.arrays, result.facts).texts
    assert words.get_text() == "not run: no OpenCL device was found"


def test_speed_is_drawn_beside_its_probes(monkeypatch, device):
    monkeypatch.setattr(speed_data, "POWERS", (10, 12))
    monkeypatch.setattr(speed_data, "REPEATS", 3)
    result = speed_data.compute(Runner())
    again = speed_data.compute(Runner())
    assert again.facts == result.facts
    assert np.array_equal(again.arrays["sums"], result.arrays["sums"])
    tuned = {("adamw", "adamw", "float32"): Shape(width=1, local_size=1)}
    monkeypatch.setattr("hypergrad_kernels.shape_cache.recall_shapes", lambda *_: tuned)
    again = speed_data.compute(Runner())
    assert not np.array_equal(again.arrays["sums"], result.arrays["sums"])  # nanoseconds are never all the same
    assert all(np.all(array > 0) for array in result.arrays.values())
    (row,) = [row for row in result.facts["n = 4096"] if row[""] == "sums"]
    assert row["GB/s"] == f"{result.arrays['sums'][-1, 1]:.3g}"
    assert row["probe, GB/s"] == f"{result.arrays['read_traffic'][-1, 1]:.3g}"
    assert [len(axis.lines) for axis in speed_plot.draw(result.arrays, result.facts).axes] == [4, 2]


def test_delay_draws_what_it_computes(monkeypatch):
    monkeypatch.setattr(delay_data, "TASKS", ("logistic",))
    monkeypatch.setattr(delay_data, "PROBLEMS", {"logistic": delay_data.PROBLEMS["logistic"]})
    result = delay_data.compute(Runner())
    rows = result.facts["logistic: exact and delayed"]
    assert [row["method"] for row in rows] == list(delay_plot.SHOWN)
    for row in rows:
        assert 0.9 < float(row["largest share of what is proven"]) <= 1
    (descent,) = result.facts["SGDHD, additive: distance and its bound by curvature"]
    assert float(descent["largest distance"]) <= float(descent["proven there"])
    monkeypatch.setattr(delay_plot, "TITLES", {"logistic": "Logistic"})
    loss, rate, distance = delay_plot.draw(result.arrays, result.facts).axes
    assert len(loss.lines) == len(rate.lines) == len(distance.lines) == 2 * len(delay_plot.SHOWN)
