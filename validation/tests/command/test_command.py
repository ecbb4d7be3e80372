"""The command line tells the truth about devices, bits and rates, as text and as JSON."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hypergrad import AdamW, HypergradientAdamW, __version__
from hypergrad.errors import DeviceError
from hypergrad_command import command
from hypergrad_validation import conformance


def run(capsys, *arguments):
    """Exit code and output."""
    code = command.main(arguments)
    return code, capsys.readouterr()


def test_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        command.main(["--version"])
    assert capsys.readouterr().out == f"hypergrad {__version__}\n"


def test_command_without_a_word_lists_those_that_there_are(capsys):
    code, shown = run(capsys)
    assert (code, shown.out) == (2, "")
    for name in ("doctor", "conform", "bench", "explain", "--version"):
        assert name in shown.err


def test_conform_compares_every_kernel_and_a_long_run(capsys, device, monkeypatch):
    monkeypatch.setattr("hypergrad_kernels.device.list_devices", lambda: [device])
    code, shown = run(capsys, "conform", "--steps", "200", "--json")
    rows = json.loads(shown.out)
    assert [row["what"] for row in rows] == [
        "adamw.cl", "sums.cl", "sgd_hd.cl", "hdm.cl", "adamw_free.cl", "200 steps", "200 steps, delay=1"
    ]  # fmt: skip
    assert all(row["cases"] > 0 and row["differ"] == 0 for row in rows)
    assert code == 0


def test_conform_tells_a_difference(capsys, device, monkeypatch):
    monkeypatch.setattr("hypergrad_kernels.device.list_devices", lambda: [device])
    outcome = conformance.Outcome("adamw", "planted", ["theta: 1 of 2 elements differ"])
    monkeypatch.setattr(conformance, "conform", lambda *_: iter([outcome]))
    code, shown = run(capsys, "conform", "--steps", "3")
    assert code == 1
    assert "planted: theta: 1 of 2 elements differ" in shown.out


@pytest.mark.parametrize("delay", [0, 1])
def test_long_run_has_one_hash_whatever_the_launch_shape(delay, device, monkeypatch):
    from hypergrad_kernels import launcher
    from hypergrad_kernels.shapes import Shape

    wanted = conformance.hash_long_run("numpy", 300, delay=delay)
    assert conformance.hash_long_run(device, 300, delay=delay) == wanted
    for shape in (Shape(1, 1), Shape(4, 16), Shape(16, 64, steps=4)):
        monkeypatch.setattr(launcher, "choose_shape", lambda *_, shape=shape: shape)
        assert conformance.hash_long_run(device, 300, delay=delay) == wanted
    assert conformance.hash_long_run("numpy", 299, delay=delay) != wanted


@pytest.mark.parametrize("delay", [0, 1])
def test_explain_shows_why_a_rate_moved(delay, capsys, tmp_path):
    x = np.ones(2)
    opt = HypergradientAdamW([x], lr=0.5, hyper_lr=1.0, delay=delay, device="numpy")
    for _ in range(3):
        opt.step(gradients=[np.ones(2)])
    opt.save(tmp_path / "run.npz")
    code, shown = run(capsys, "explain", str(tmp_path / "run.npz"))
    assert code == 0
    assert shown.out.startswith("HypergradientAdamW, 3 steps, 0 skipped")
    assert "no direction" in shown.out
    assert "lr_max" in shown.out
    code, shown = run(capsys, "explain", str(tmp_path / "run.npz"), "--json", "--last", "1")
    (record,) = json.loads(shown.out)
    assert (record["step"], record["reason"], record["lr"]) == (3, "lr_max", 1.0)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["explain", "nothing.npz"], "nothing.npz"),
        (["conform", "--device", "opencl:no such"], "opencl:no such"),
        (
            ["conform", "--device", "numpy"],
            "device='numpy': give one of 'opencl', 'opencl:PART', 'opencl:PART:INDEX'\n",
        ),
    ],
)
def test_command_that_cannot_be_run_says_why(capsys, arguments, words):
    code, shown = run(capsys, *arguments)
    assert code == 2
    assert shown.err.startswith("hypergrad: ")
    assert words in shown.err


def test_device_that_fails_is_told_in_one_line(capsys, monkeypatch):
    def fail(wanted):
        raise DeviceError("planted")

    monkeypatch.setattr("hypergrad_kernels.device.open_device", fail)
    code, shown = run(capsys, "conform")
    assert (code, shown.out, shown.err) == (2, "", "hypergrad: planted\n")


@pytest.fixture
def saved(tmp_path):
    opt = AdamW([np.ones(2)], device="numpy")
    opt.step(gradients=[np.ones(2)])
    opt.save(tmp_path / "run.npz")
    return str(tmp_path / "run.npz")


def test_json_has_null_where_there_is_no_number(capsys, saved):
    _, shown = run(capsys, "explain", saved, "--json")
    (record,) = json.loads(shown.out, parse_constant=pytest.fail)
    assert record["hypergradient"] is None


def write_to(stdout, module, arguments, unbuffered):
    if module == "paper_figs":
        pytest.importorskip("joblib")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONUNBUFFERED": unbuffered}
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, env=environment,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    ("module", "arguments"),
    [("hypergrad", ["explain", "FILE"]), ("hypergrad", ["explain", "FILE", "--json"]), ("paper_figs", ["--list"])],
)
def test_reader_that_stops_reading_ends_the_command_quietly(module, arguments, unbuffered, saved):
    reader, writer = os.pipe()
    os.close(reader)
    done = write_to(writer, module, [saved if word == "FILE" else word for word in arguments], unbuffered)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_told_in_one_line(unbuffered, saved):
    with Path("/dev/full").open("w") as full:
        done = write_to(full, "hypergrad", ["explain", saved], unbuffered)
    assert (done.returncode, done.stderr) == (2, "hypergrad: [Errno 28] No space left on device\n")


def test_interrupt_ends_the_command_in_one_line(capsys, monkeypatch):
    def interrupt():
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "examine", interrupt)
    code, shown = run(capsys, "doctor")
    assert (code, shown.out, shown.err) == (130, "", "hypergrad: interrupted\n")


def test_bench_is_saved_though_nobody_reads_it(monkeypatch, tmp_path):
    from hypergrad_validation import bench

    def stop(*_):
        raise BrokenPipeError

    for name in ("measure_large", "measure_tuning_free", "measure_many", "measure_iteration", "measure_long"):
        monkeypatch.setattr(bench, name, lambda *_: [])
    monkeypatch.setattr("hypergrad_validation.small_models.measure_small", lambda *_: [])
    monkeypatch.setattr(bench, "measure_builds", lambda _: {"cold": math.nan, "warm": 1.0})
    monkeypatch.setattr(bench, "describe", lambda _: {})
    monkeypatch.setattr("hypergrad_kernels.device.open_device", lambda _: None)
    monkeypatch.setattr("hypergrad_command.bench.print_bench", stop)
    assert command.main(["bench", "--save", str(tmp_path / "bench.json")]) == 141
    assert json.loads((tmp_path / "bench.json").read_text())["first step, seconds"] == {"cold": None, "warm": 1.0}


def test_bench_prints_targets_and_figures(capsys, device, monkeypatch, tmp_path):
    from hypergrad_validation import bench, small_models

    monkeypatch.setattr("hypergrad_kernels.device.list_devices", lambda: [device])
    measure_large, measure_many, measure_long = bench.measure_large, bench.measure_many, bench.measure_long
    monkeypatch.setattr(bench, "measure_large", lambda device, n: measure_large(device, n, repeats=3))
    monkeypatch.setattr(bench, "measure_many", lambda device: measure_many(device, repeats=3))
    measure_free = bench.measure_tuning_free
    monkeypatch.setattr(bench, "measure_tuning_free", lambda device, n: measure_free(device, n, repeats=3))
    measure_iteration = bench.measure_iteration
    monkeypatch.setattr(bench, "measure_iteration", lambda device: measure_iteration(device, 5000, repeats=3))
    monkeypatch.setattr(bench, "measure_long", lambda device: measure_long(device, steps=20))
    measure_small = small_models.measure_small
    monkeypatch.setattr(small_models, "measure_small", lambda device: measure_small(device, repeats=3))
    measure_sizes = bench.measure_sizes
    monkeypatch.setattr(bench, "measure_sizes", lambda device: measure_sizes(device, (1000, 5000), repeats=3))
    saved = tmp_path / "bench.json"
    code, shown = run(capsys, "bench", "--power", "12", "--sizes", "--save", str(saved))
    document = json.loads(saved.read_text())
    assert code == 0
    assert "GB/s" in shown.out
    assert {row["n"] for row in document["sizes"]} == {1000, 5000}
    assert document["first step, seconds"].keys() == {"cold", "warm"}
    assert {row["target"] for row in document["targets"]} >= {"<= 1.05", "<= 1.5", ">= 6", "<= 2.5", "<= 0.5"}
    assert all(row["quartiles"][0] <= row["median"] <= row["quartiles"][1] for row in document["targets"])
