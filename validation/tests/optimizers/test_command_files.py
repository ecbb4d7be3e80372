"""The files and arguments of the command line: refused before anything is measured, saved like any other."""

import json
import os
import shutil

import numpy as np
import pytest
from saved import make, mode, run

from hypergrad._core import checkpoint
from hypergrad_command import command


@pytest.mark.parametrize("module", ["hypergrad", "hypergrad_command.command"])
def test_command_runs_as_a_module(module, tmp_path):
    make().save(tmp_path / "run.npz")
    for arguments, code in (
        (["explain", tmp_path / "run.npz"], 0),
        (["explain", tmp_path / "nothing.npz"], 2),
        ([], 2),
    ):
        done = run(module, *arguments)
        assert done.returncode == code, done.stderr
        assert bool(done.stdout) == (code == 0)
        assert bool(done.stderr) == (code != 0)
    done = run(module, "doctor", "--json", OCL_ICD_VENDORS="/nonexistent")
    assert json.loads(done.stdout)["versions"]["numpy"] == np.__version__
    assert done.returncode == 1  # without a device


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bench", "--power", "40"], "--power 40: give a whole number from 0 to"),
        (["bench", "--power", "-1"], "--power -1"),
        (["bench", "--power", "12", "--power", "99"], "--power 99"),
        (["bench", "--power", "1" + "0" * 30], "--power 1000"),
        (["bench", "--save", "/none/x"], "/none does not exist"),
        (["bench", "--save", "."], "is a folder"),
        (["bench", "--save", ""], "path=''"),
        (["bench", "--save", os.devnull], "is not a plain file"),
        (["conform", "--steps", "-1"], "--steps -1"),
        (["conform", "--steps", "1" + "0" * 30], "--steps 1000"),
        (["explain", "run.npz", "--last", "-3"], "--last -3"),
    ],
)
def test_command_with_a_bad_argument_is_refused_before_anything_is_measured(arguments, words, capsys, monkeypatch):
    def forbid(*_):
        raise AssertionError("a device was opened")

    pytest.importorskip("pyopencl")
    monkeypatch.setattr("hypergrad_kernels.device.open_device", forbid)
    monkeypatch.setattr(checkpoint, "read", forbid)
    assert command.main(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("hypergrad: ")
    assert words in shown.err
    assert shown.err.count("\n") == 1


@pytest.fixture
def short_bench(device, monkeypatch):
    """A bench that measures nothing."""
    from hypergrad_validation import bench, timing

    monkeypatch.setattr("hypergrad_kernels.device.list_devices", lambda: [device])
    row = timing.Row("a figure", "<= 1", timing.Figure(0.5, 0.25, 0.75), True)
    for name in ("measure_large", "measure_tuning_free", "measure_many", "measure_iteration", "measure_long"):
        monkeypatch.setattr(bench, name, lambda *_: [row])
    monkeypatch.setattr("hypergrad_validation.small_models.measure_small", lambda *_: [row])
    monkeypatch.setattr(bench, "measure_builds", lambda _: {"cold": 1.0, "warm": 0.5})


@pytest.mark.usefixtures("short_bench")
@pytest.mark.parametrize("as_json", [True, False], ids=["json", "table"])
def test_table_of_a_bench_is_printed_even_if_it_cannot_be_saved(as_json, capsys, tmp_path, monkeypatch):
    place = tmp_path / "folder"
    place.mkdir()

    def measure(_):
        shutil.rmtree(place)  # while it was measured
        return {"cold": 1.0, "warm": 0.5}

    monkeypatch.setattr("hypergrad_validation.bench.measure_builds", measure)
    code = command.main(["bench", "--save", str(place / "bench.json"), *(["--json"] if as_json else [])])
    shown = capsys.readouterr()
    assert code == 2
    assert "a figure" in shown.out
    assert shown.err == f"hypergrad: the folder {place} does not exist: make it first\n"


@pytest.mark.usefixtures("short_bench", "umask")
def test_bench_saves_as_a_plain_save_would(capsys, tmp_path):
    assert command.main(["bench", "--json", "--save", str(tmp_path / "bench.json")]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads((tmp_path / "bench.json").read_text("utf-8"))
    assert mode(tmp_path / "bench.json") == 0o644


@pytest.mark.usefixtures("short_bench")
def test_bench_that_has_too_little_memory_says_so(capsys, monkeypatch):
    def fail(*_):
        raise MemoryError("Unable to allocate 4.00 GiB")

    monkeypatch.setattr("hypergrad_validation.bench.measure_large", fail)
    assert command.main(["bench"]) == 2
    assert capsys.readouterr().err == "hypergrad: Unable to allocate 4.00 GiB\n"
