"""The parts of a bench: what is chosen is measured, what the time or the memory does not allow is named."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hypergrad_command import command
from hypergrad_command.bench import PART_NAMES
from hypergrad_kernels.device import AS_GPU, Device, find_name, open_device
from hypergrad_kernels.kernels import KERNELS
from hypergrad_validation import conformance, on_device
from hypergrad_validation.budget import Budget
from hypergrad_validation.conformance import compare_kernels, hash_long_run
from hypergrad_validation.parts import PARTS

ROOT = Path(__file__).resolve().parents[3]
TABLES = ("bits", "copies", "steps")


@pytest.fixture
def alone(device, monkeypatch):
    """The only device there is."""
    monkeypatch.setattr("hypergrad_kernels.device.list_devices", lambda: [device])
    return device


@pytest.fixture
def few_cases(monkeypatch):
    """One small case of each kernel."""
    small = {name: [case for case in cases if case.data.n == 17][:1] for name, cases in conformance.CASES.items()}
    monkeypatch.setattr(conformance, "CASES", small)


def run(capsys, *arguments):
    code = command.main(["bench", "--json", *arguments])
    shown = capsys.readouterr()
    return code, json.loads(shown.out) if shown.out else shown.err


def test_names_of_the_parts_are_those_that_the_command_knows():
    assert tuple(PARTS) == PART_NAMES


@pytest.mark.usefixtures("alone", "few_cases")
def test_part_that_is_named_is_measured_alone(capsys, tmp_path):
    saved = tmp_path / "gpu.json"
    parts = [word for part in TABLES for word in ("--only", part)]
    code, document = run(capsys, *parts, "--power", "12", "--steps", "20", "--save", str(saved))
    assert code == 0
    assert json.loads(saved.read_text()) == document
    assert document["targets"] == document["not measured"] == []
    assert set(document) == {"environment", "targets", "not measured", *TABLES}
    assert [row["what"] for row in document["bits"][-2:]] == ["20 steps", "20 steps, delay=1"]
    assert all(row["cases"] > 0 and row["differ"] == 0 for row in document["bits"])
    assert [row["kernel"] for row in document["copies"]] == [name for name, k in KERNELS.items() if k.reference]
    (steps,) = document["steps"]
    assert steps["n"] == 4096
    assert steps["delayed_over_adamw"] > 0


@pytest.mark.usefixtures("alone", "few_cases")
def test_table_of_the_parts_comes_last(capsys):
    assert command.main(["bench", "--only", "steps", "--power", "10", "--power", "12"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[-2:]] == ["1024", "4096"]


@pytest.mark.usefixtures("alone")
def test_bench_that_finds_other_bits_ends_with_1(capsys, monkeypatch):
    outcome = conformance.Outcome("adamw", "planted", ["theta: 1 of 2 elements differ"])
    monkeypatch.setattr(conformance, "conform", lambda *_: iter([outcome]))
    code, document = run(capsys, "--only", "bits", "--steps", "2")
    assert code == 1
    assert document["bits"][0]["verdict"] == "planted: theta: 1 of 2 elements differ"


@pytest.mark.usefixtures("few_cases")
def test_what_the_seconds_do_not_allow_is_named(device):
    opened, budget = open_device(device), Budget(-1.0)
    rows = list(on_device.compare_bits(opened, budget, 20))
    assert [row["verdict"] for row in rows[1:]] == ["NOT RUN"] * (len(rows) - 1)
    assert not list(on_device.measure_copies(opened, budget, 4096))
    assert not list(on_device.measure_steps(opened, budget, [10]))
    assert budget.left_out[0].endswith("kernel cases: the seconds for them were over")
    assert budget.left_out[1:3] == [f"20 steps, delay={delay}: the seconds were over" for delay in (0, 1)]
    assert len(budget.left_out) == 1 + 2 + sum(k.reference is not None for k in KERNELS.values()) + 1


def test_long_run_that_would_take_too_long_is_left_out(device, monkeypatch):
    monkeypatch.setattr(on_device, "compare_kernels", lambda *_: iter([]))
    budget = Budget(60.0)
    assert not list(on_device.compare_bits(open_device(device), budget, 10**7))
    assert all("would take" in what for what in budget.left_out)
    assert len(budget.left_out) == 2


def test_bench_whose_seconds_are_over_names_the_parts_that_are_left(alone, capsys, monkeypatch):
    def use_up(_, budget, *__):
        monkeypatch.setattr(budget, "_end", 0.0)  # long ago: no clock decides which part is the last
        return iter([])

    monkeypatch.setattr(on_device, "compare_bits", use_up)
    monkeypatch.setattr(on_device, "measure_steps", lambda *_: iter([]))
    code, document = run(capsys, "--only", "steps", "--only", "bits", "--seconds", "3600")
    assert code == 0
    assert document["not measured"] == ["steps: the seconds were over"]


class Small:
    """A device with little memory."""

    name = "SMALL"

    cl_device = SimpleNamespace(max_mem_alloc_size=4 << 20, global_mem_size=16 << 20, host_unified_memory=False)


def test_size_that_the_memory_does_not_allow_is_named(monkeypatch):
    budget = Budget(60.0)
    assert not list(on_device.measure_steps(Small, budget, [21, 20]))
    assert budget.left_out == [
        "steps of 2^21 elements: an array takes 0.00781 GiB, SMALL gives one at most 0.00391 GiB",
        "steps of 2^20 elements: the arrays take 0.0391 GiB, SMALL has 0.0156 GiB",
    ]
    assert on_device.find_lack(Small, 1 << 18, 3) is None
    monkeypatch.setattr(on_device, "_find_memory", lambda: 1 << 20)
    assert "the host's memory, it has 0.000977 GiB" in on_device.find_lack(Small, 1 << 18, 3)


@pytest.mark.parametrize("median", [0.89, 0.91])
def test_verdict_of_a_copy_is_that_of_its_target(median, device, monkeypatch):
    monkeypatch.setattr(on_device, "compare", lambda over, under: on_device.Figure(median, 0.0, 9.0))
    rows = list(on_device.measure_copies(open_device(device), Budget(60.0), 4096, repeats=3))
    assert [row.verdict for row in rows if row.kernel != "adamw"] == ["-"] * (len(rows) - 1)
    assert rows[0].verdict == f">= 0.9: {'yes' if median >= 0.9 else 'NO'}"


@pytest.mark.parametrize("median", [1.09, 1.11])
def test_verdict_of_a_step_is_that_of_its_target(median, device, monkeypatch):
    monkeypatch.setattr(on_device, "compare", lambda over, under: on_device.Figure(median, 0.0, 9.0))
    monkeypatch.setattr(on_device, "LARGE", 12)
    small, large = on_device.measure_steps(open_device(device), Budget(60.0), [11, 12])
    assert small.verdict == "-"
    assert large.verdict == f"<= 1.1: {'yes' if median <= 1.1 else 'NO'}"


def test_kernel_that_computes_other_bits_is_not_timed(device, monkeypatch):
    spoiled = KERNELS["adamw"]._replace(reference=lambda u: {"theta": u.theta.copy(), **u.arrays._asdict()})
    monkeypatch.setitem(KERNELS, "adamw", spoiled)
    with pytest.raises(AssertionError, match="adamw: theta was timed"):
        list(on_device.measure_copies(open_device(device), Budget(60.0), 4096, repeats=3))


# A GPU is tried on a CPU: the variable gives it the shapes of GPUs, and copies of arrays.


def test_variable_treats_a_cpu_as_a_gpu(device, monkeypatch):
    import pyopencl as cl

    assert Device(cl.Context([device])).is_cpu
    monkeypatch.setenv(AS_GPU, "1")
    opened = Device(cl.Context([device]))
    assert (opened.is_cpu, opened.in_place, opened.reads_addresses) == (False, False, False)


def run_gpu(device, *options, **environment):
    chosen = {"PYOPENCL_CTX": find_name(device).split(":")[0].split("(")[0]}
    return subprocess.run(
        [sys.executable, str(ROOT / "validation/gpu.py"), "--json", *options],
        env={**os.environ, **chosen, **environment},
        capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip


def test_script_for_gpus_refuses_a_cpu_unless_it_is_named(some_device):
    done = run_gpu(some_device, "--seconds", "1")
    assert done.returncode == 2
    assert "is a CPU" in done.stderr
    assert "name it by --device" in done.stderr


def test_script_for_gpus_measures_bits_copies_and_steps_or_names_them(some_device, tmp_path):
    options = ("--power", "11", "--steps", "10", "--seconds", "30", "--save", str(tmp_path / "gpu.json"))
    done = run_gpu(some_device, *options, **{AS_GPU: "1"})
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert json.loads((tmp_path / "gpu.json").read_text()) == document
    late = {what.split(":")[0] for what in document["not measured"]}  # on a slow machine the kernels' builds take all
    assert set(TABLES) <= set(document) | late
    assert all(row["differ"] == 0 for row in document["bits"])


# The hashes that stand in conformance.py, and in kernels/README.md.


@pytest.mark.parametrize("delay", conformance.HASHES)
def test_long_run_has_the_hash_that_is_published(delay):
    if np.tanh(0.5) != 0.46211715726000973:
        pytest.skip("another C library rounds tanh in another way")
    assert hash_long_run("numpy", conformance.LONG_RUN, delay=delay) == conformance.HASHES[delay]


def test_conformance_within_a_budget_counts_what_is_left(device):
    budget = Budget(-1.0)
    rows = list(compare_kernels(open_device(device), budget))
    assert sum(row["cases"] for row in rows) == 1
    (left,) = budget.left_out
    assert int(left.split()[0]) == sum(1 for _ in conformance.list_trials()) - 1
