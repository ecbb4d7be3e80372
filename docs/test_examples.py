"""Each example runs in a process of its own, and what it prints is what it is there to show."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


NO_DEVICE = "ignore:NumPy does the work"
"""Without an OpenCL device the optimizers say so, which is right."""


def run(name, tmp_path, warnings="error"):
    done = subprocess.run(
        [sys.executable, "-W", warnings, "-W", NO_DEVICE, EXAMPLES / f"{name}.py"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_example_is_short_and_is_tested(path):
    assert len(path.read_text("utf-8").splitlines()) < 40
    assert f'run("{path.stem}"' in Path(__file__).read_text("utf-8")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("torch_*.py")), ids=lambda path: path.stem)
def test_example_prints_what_its_page_shows(path, tmp_path):
    pytest.importorskip("transformers" if path.stem == "torch_trainer" else "torch")
    shown = path.with_suffix(".txt").read_text("utf-8")
    printed = run(path.stem, tmp_path, "default")
    if path.stem == "torch_sharded":  # its ranks print in any order
        shown, printed = ("\n".join(sorted(text.splitlines())) for text in (shown, printed))
    fits = doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert fits, f"write this to {path.with_suffix('.txt')}, with ... for times:\n{printed}"


def test_minibatches_need_a_rate_that_rises(tmp_path):
    found = re.findall(r"(\w+): loss (\S+) at a rate of (\S+)", run("plot_minibatches", tmp_path))
    (adamw, fixed), (auto, learned) = ((float(loss), float(rate)) for _, loss, rate in found)
    assert [name for name, _, _ in found] == ["AdamW", "AutoHypergradientAdamW"]
    assert fixed == 1e-4
    assert adamw > 3
    assert learned > 0.01
    assert 0.0049 < auto < 0.006  # the noise alone gives 0.0049


def test_scipy_runs_the_methods_to_the_end(tmp_path):
    lines = run("plot_scipy_minimize", tmp_path).splitlines()
    found = [re.match(r"(\w+): (\d+) iterations, (\d+) gradients, f = (\S+), (.*)", line).groups() for line in lines]
    names, seen, gradients, values, messages = zip(*found, strict=True)
    assert names == ("osgm_best", "hdm_best", "hdm_null", "adam")
    assert ["below gtol" in message for message in messages] == [True, True, False, False]
    assert all(int(count) < 1000 for count in gradients[:2])
    assert all(0 < int(evaluated) - int(count) < 20 for count, evaluated in zip(seen, gradients, strict=True))
    assert float(values[2]) < 0.1  # from f = 9


def test_own_kernel_is_right_exactly_when_no_bit_differs(tmp_path):
    first, second = (int(count) for count in re.findall(r": (\d+) of 100000", run("plot_own_kernel", tmp_path)))
    assert first > 0
    assert second == 0


def test_killed_run_ends_with_the_bits_of_a_whole_one(tmp_path):
    whole, killed, resumed = run("plot_resume", tmp_path).splitlines()
    assert killed == "killed: exit code -9"
    assert re.fullmatch(r"whole: exit code 0 step 60 rate 0\.\d{15,} weights [0-9a-f]{16}", whole)
    assert resumed == whole.replace("whole", "resumed")


def test_torch_schedule_lowers_the_rate_that_acts_and_the_loss(tmp_path):
    pytest.importorskip("torch")
    alone, scheduled = (
        tuple(map(float, found))
        for found in re.findall(r"loss (\S+), learned (\S+), acting (\S+)", run("torch_cosine", tmp_path, "default"))
    )
    assert alone[1] == alone[2]
    assert scheduled[2] < scheduled[1] / 1000
    assert all(learned > 0.01 for _, learned, _ in (alone, scheduled))  # from 1e-4
    assert 0.0048 < scheduled[0] < alone[0] < 0.006  # the noise alone gives 0.0049


def test_torch_trainer_of_transformers_schedules_a_rate_that_is_learned(tmp_path):
    pytest.importorskip("transformers")
    shown = run("torch_trainer", tmp_path, "default")
    numbers = re.search(r"loss (\S+) -> (\S+), learned (\S+)\nacting (\S+)", shown).groups()
    first, last, learned, acting = map(float, numbers)
    assert first > 2.5  # the logarithm of 16 is 2.8
    assert last < 0.1
    assert learned > 1e-2  # from 1e-4: it has learned
    assert acting < learned / 1000  # at the end of the cosine


def test_torch_ranks_learn_the_rate_of_a_run_in_one_process(tmp_path):
    pytest.importorskip("torch")
    found = re.findall(r"rank (\d): alone (\S+), sharded (\S+)", run("torch_sharded", tmp_path, "default"))
    assert {rank for rank, _, _ in found} == {"0", "1"}
    assert len({rate for _, *rates in found for rate in rates}) == 1
    assert float(found[0][1]) > 2e-3  # from 1e-3: it has learned
