"""The command line tells the truth about devices, bits and rates, as text and as JSON."""

import json

import numpy as np
import pytest

from hypergrad import HypergradientAdamW, command
from hypergrad_validation import conformance


def run(capsys, *arguments):
    """Exit code and output."""
    code = command.main(arguments)
    return code, capsys.readouterr()


def test_conform_compares_every_kernel_and_a_long_run(capsys, device, monkeypatch):
    monkeypatch.setattr("hypergrad_kernels.device.list_devices", lambda: [device])
    code, shown = run(capsys, "conform", "--steps", "200", "--json")
    rows = json.loads(shown.out)
    assert [row["what"] for row in rows] == ["adamw.cl", "sums.cl", "sgd_hd.cl", "hdm.cl", "200 steps"]
    assert all(row["cases"] > 0 and row["differ"] == 0 for row in rows)
    assert code == 0


def test_conform_tells_a_difference(capsys, device, monkeypatch):
    monkeypatch.setattr("hypergrad_kernels.device.list_devices", lambda: [device])
    outcome = conformance.Outcome("adamw", "planted", ["theta: 1 of 2 elements differ"])
    monkeypatch.setattr(conformance, "conform", lambda *_: [outcome])
    code, shown = run(capsys, "conform", "--steps", "3")
    assert code == 1
    assert "planted: theta: 1 of 2 elements differ" in shown.out


def test_long_run_has_one_hash_whatever_the_launch_shape(device, monkeypatch):
    from hypergrad_kernels import launcher
    from hypergrad_kernels.shapes import Shape

    wanted = conformance.hash_long_run("numpy", 300)
    assert conformance.hash_long_run(device, 300) == wanted
    for shape in (Shape(1, 1), Shape(4, 16), Shape(16, 64, steps=4)):
        monkeypatch.setattr(launcher, "choose_shape", lambda *_, shape=shape: shape)
        assert conformance.hash_long_run(device, 300) == wanted
    assert conformance.hash_long_run("numpy", 299) != wanted


def test_explain_shows_why_a_rate_moved(capsys, tmp_path):
    x = np.ones(2)
    opt = HypergradientAdamW([x], lr=0.5, beta_hyper=1.0, device="numpy")
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
    ],
)
def test_command_that_cannot_be_run_says_why(capsys, arguments, words):
    code, shown = run(capsys, *arguments)
    assert code == 2
    assert shown.err.startswith("hypergrad: ")
    assert words in shown.err


def test_bench_prints_targets_and_figures(capsys, device, monkeypatch, tmp_path):
    from hypergrad_validation import bench

    monkeypatch.setattr("hypergrad_kernels.device.list_devices", lambda: [device])
    measure_large, measure_many, measure_long = bench.measure_large, bench.measure_many, bench.measure_long
    monkeypatch.setattr(bench, "measure_large", lambda device, n: measure_large(device, n, repeats=3))
    monkeypatch.setattr(bench, "measure_many", lambda device: measure_many(device, repeats=3))
    monkeypatch.setattr(bench, "measure_long", lambda device: measure_long(device, steps=20))
    measure_sizes = bench.measure_sizes
    monkeypatch.setattr(bench, "measure_sizes", lambda device: measure_sizes(device, (1000, 5000), repeats=3))
    saved = tmp_path / "bench.json"
    code, shown = run(capsys, "bench", "--power", "12", "--sizes", "--save", str(saved))
    document = json.loads(saved.read_text())
    assert code == 0
    assert "GB/s" in shown.out
    assert {row["n"] for row in document["sizes"]} == {1000, 5000}
    assert document["first step, seconds"].keys() == {"cold", "warm"}
    assert {row["target"] for row in document["targets"]} >= {"<= 1.05", "<= 1.5", ">= 6", "<= 4"}
    assert all(row["quartiles"][0] <= row["median"] <= row["quartiles"][1] for row in document["targets"])
