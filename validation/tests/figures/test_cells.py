"""Cells: each runs once for its inputs and its code, and gives equal numbers however it is run."""

import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("joblib")

from threadpoolctl import threadpool_info, threadpool_limits

from paper_figs import cells, rates_data
from paper_figs.cells import Runner


def count(log, value):
    """A cell that leaves a line each time it runs."""
    with Path(log).open("a") as file:
        file.write(f"{value}\n")
    if value < 0:
        raise KeyboardInterrupt
    return value**2


def test_cell_runs_once_for_its_inputs(figures_folder):
    log = figures_folder / "log"
    inputs = [{"log": str(log), "value": value} for value in (2, 3)]
    assert Runner().run(count, inputs) == [4, 9]
    assert Runner().run(count, inputs) == [4, 9]
    assert log.read_text().split() == ["2", "3"]


def test_interrupted_run_keeps_what_is_done(figures_folder):
    log = figures_folder / "log"
    with pytest.raises(KeyboardInterrupt):
        Runner().run(count, [{"log": str(log), "value": value} for value in (2, -1, 3)])
    assert Runner().run(count, [{"log": str(log), "value": value} for value in (2, 3)]) == [4, 9]
    assert log.read_text().split() == ["2", "-1", "3"]


def test_changed_code_runs_the_cell_again(figures_folder, monkeypatch):
    log = figures_folder / "log"
    inputs = [{"log": str(log), "value": 2}]
    Runner().run(count, inputs)
    monkeypatch.setattr(cells, "hash_code", lambda _: "another rule")
    Runner().run(count, inputs)
    assert log.read_text().split() == ["2", "2"]


def test_process_with_other_code_refuses_the_cell(figures_folder):
    with pytest.raises(RuntimeError, match="count is other code in this process"):
        cells.compute(count, "another rule", {"log": "", "value": 2})


def test_edited_file_counts_in_the_next_process_only(monkeypatch):
    path = Path(rates_data.__file__)
    before = hash_again(path)
    monkeypatch.setattr(Path, "read_bytes", lambda self: b"x = 1")
    assert hash_again(path) == before
    monkeypatch.delitem(cells.SOURCES, path)
    assert hash_again(path) != before


def collect(runner):
    """A few cells of a figure, as bytes."""
    inputs = [
        {"problem": problem, "method": method, "lr": 1e-3, "device": "numpy"}
        for problem in ("quadratic", "breast_cancer")
        for method in rates_data.METHODS
    ]
    return [tuple(array.tobytes() for array in run[:3]) for run in runner.run(rates_data.cell, inputs)]


def test_jobs_change_no_bit(figures_folder, monkeypatch):
    one = collect(Runner(jobs=1))
    monkeypatch.setattr(cells, "FOLDER", figures_folder / "elsewhere")
    assert collect(Runner(jobs=2)) == one


def find_data():
    """A cell: where this process looks for data sets."""
    return os.environ.get("HYPERGRAD_DATA")


def count_threads():
    """A cell: the largest number of threads that a BLAS library may take."""
    np.ones((2, 2)) @ np.ones((2, 2))
    return max(pool["num_threads"] for pool in threadpool_info())


@pytest.mark.parametrize("jobs", [1, 2])
def test_cell_has_one_blas_thread(figures_folder, jobs):
    with threadpool_limits(2):
        assert Runner(jobs=jobs).run(count_threads, [{}]) == [1]


def test_dask_changes_no_bit(figures_folder, monkeypatch):
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    one = collect(Runner(jobs=1))
    monkeypatch.setattr(cells, "FOLDER", figures_folder / "elsewhere")
    patience = dask.config.set({"distributed.comm.timeouts.connect": "120s"})  # workers may start slowly
    with (
        patience,
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None
        ) as cluster,
    ):
        assert collect(Runner(dask=cluster.scheduler_address)) == one
        monkeypatch.setenv("HYPERGRAD_DATA", str(figures_folder))
        assert Runner(dask=cluster.scheduler_address).run(find_data, [{}]) == [str(figures_folder)]


def hash_again(path):
    """As another process would."""
    return cells.hash_code.__wrapped__(str(path))


def test_hash_follows_what_the_module_imports_and_nothing_else(tmp_path, monkeypatch):
    for name, text in {
        "__init__": "", "cell": "def cell():\n    from rules import outer", "outer": "import rules.inner",
        "inner": "theta - lr * grad", "other": "1",
    }.items():  # fmt: skip
        (tmp_path / f"{name}.py").write_text(text)
    kernel = tmp_path / "kernel.cl"
    kernel.write_text("theta - lr * grad;")
    monkeypatch.setattr(cells, "PACKAGES", {"rules": tmp_path, "hypergrad_kernels": tmp_path})

    def changes(name, text):
        before = hash_again(tmp_path / "cell.py")
        (tmp_path / name).write_text(text)
        return hash_again(tmp_path / "cell.py") != before

    assert not changes("other.py", "2")
    assert changes("inner.py", "theta + lr * grad")
    assert changes("outer.py", "from rules.inner import theta")
    assert changes("kernel.cl", "theta + lr * grad;")


def test_hash_follows_the_libraries(monkeypatch):
    before = hash_again(__file__)
    assert hash_again(__file__) == before
    monkeypatch.setattr(cells, "version", lambda name: f"{name} of tomorrow")
    assert hash_again(__file__) != before
