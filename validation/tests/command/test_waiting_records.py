"""Records of short steps wait for each other before they are written, and none of them is lost."""

import copy
import math
import os
import pickle
import threading
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from hypergrad import AutoHypergradientAdamW
from hypergrad._core import stream
from hypergrad.errors import RecordError
from hypergrad_command.explain import read_run

FOREVER = 3600


@pytest.fixture
def _wait_forever(monkeypatch):
    monkeypatch.setattr(stream, "INTERVAL", FOREVER)
    monkeypatch.setattr(stream, "TIMES", math.inf)


def train(steps, path):
    opt = AutoHypergradientAdamW([np.full(3, 4.0)], device="numpy", records_to=path)
    return go_on(opt, steps)


def go_on(opt, steps):
    for _ in range(steps):
        opt.step(gradients=[np.ones(3)])
    return opt


def list_steps(path):
    return [step[0]["step"] for step in read_run(str(path)).records]


@pytest.mark.usefixtures("_wait_forever")
def test_records_of_short_steps_are_written_together(tmp_path, monkeypatch):
    sizes, write = [], os.write
    monkeypatch.setattr(os, "write", lambda handle, data: sizes.append(len(data)) or write(handle, data))
    opt = train(50, tmp_path / "run.jsonl")
    assert len(sizes) == 1  # of the first step, for which nobody waits
    assert list_steps(opt.records_to) == list(range(1, 51))
    assert len(sizes) == 2


@pytest.mark.parametrize(
    ("taken", "waits"), [(1e-5, stream.TIMES * 1e-5), (1.0, stream.INTERVAL)], ids=["fast disk", "slow disk"]
)
def test_record_waits_as_long_as_its_write_is_expensive_and_no_longer(taken, waits, tmp_path, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(stream, "time", SimpleNamespace(monotonic=lambda: clock.now))
    write, path = os.write, tmp_path / "run.jsonl"

    def write_slowly(handle, data):
        clock.now += taken
        return write(handle, data)

    monkeypatch.setattr(os, "write", write_slowly)
    opt = train(3, path)
    assert list_steps(path) == [1]
    clock.now += 0.99 * waits
    go_on(opt, 1)
    assert list_steps(path) == [1]
    clock.now += 0.02 * waits
    go_on(opt, 1)
    assert list_steps(path) == [1, 2, 3, 4, 5]
    assert waits == pytest.approx(min(1000 * taken, 0.1))  # at most 0.1 % of the time


def test_optimizer_that_streams_records_has_no_thread(tmp_path):
    before = threading.active_count()
    opt = train(5, tmp_path / "run.jsonl")
    assert threading.active_count() == before
    assert opt.records_to


@pytest.mark.usefixtures("_wait_forever")
@pytest.mark.parametrize(
    "end",
    [
        lambda opt, folder: opt.save(folder / "run.npz"),
        lambda opt, folder: setattr(opt, "records_to", None),
        lambda opt, folder: setattr(opt, "records_to", folder / "other.jsonl"),
        lambda opt, folder: opt.__dict__.clear(),
    ],
    ids=["save", "none", "other", "collected"],
)
def test_file_is_whole_after(end, tmp_path):
    opt = train(5, tmp_path / "run.jsonl")
    end(opt, tmp_path)
    assert list_steps(tmp_path / "run.jsonl") == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("_wait_forever")
@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))])
def test_copy_takes_no_record_along(twin, tmp_path):
    opt = train(3, tmp_path / "run.jsonl")
    go_on(twin(opt), 1)
    assert list_steps(opt.records_to) == [1, 2, 3]


SCRIPT = """
    import ctypes, os, signal, sys, warnings
    import numpy as np
    from hypergrad import AutoHypergradientAdamW
    from hypergrad._core import stream

    stream.INTERVAL, stream.TIMES = 3600, float("inf")
    opt = AutoHypergradientAdamW([np.full(3, 4.0)], device="numpy", records_to=os.environ["RECORDS"])
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(opt))  # it is never collected
    def step():
        opt.step(gradients=[np.ones(3)])
    for _ in range(5):
        step()
"""


@pytest.mark.parametrize(
    "end", ["pass", "sys.exit(3)", "1 / 0", "os.kill(os.getpid(), signal.SIGINT)", "opt.step(gradients=[np.ones(4)])"]
)
def test_no_record_is_lost_where_a_process_ends_with(end, run_script, tmp_path):
    run_script(f"{SCRIPT}\n    {end}", RECORDS=tmp_path / "run.jsonl")
    assert list_steps(tmp_path / "run.jsonl") == [1, 2, 3, 4, 5]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_process_writes_its_own_records_alone(run_script, tmp_path):
    script = """
    child = os.fork()
    step()
    if child:
        os.waitpid(child, 0)
        step()
    """
    done = run_script(SCRIPT + script, RECORDS=tmp_path / "run.jsonl")
    assert done.stderr == ""  # Python 3.12 warns of a fork beside a thread
    lines = (tmp_path / "run.jsonl").read_text().splitlines()
    steps = Counter(int(line[1:].split(",")[0]) for line in lines if line.startswith("["))
    assert steps == {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 2, 7: 1}


@pytest.mark.usefixtures("_wait_forever")
def test_failure_to_write_what_waits_is_said_by_the_next_step_and_loses_nothing(tmp_path, monkeypatch):
    opt = train(3, tmp_path / "run.jsonl")
    write = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:7]))
    with pytest.raises(RecordError, match="what waits is tried again"):
        opt.records_to  # noqa: B018
    before = opt.param_groups[0]["params"][0].copy()
    with pytest.raises(RecordError, match=r"the disk is full.*nothing was changed"):
        go_on(opt, 1)
    np.testing.assert_array_equal(opt.param_groups[0]["params"][0], before)
    monkeypatch.setattr(os, "write", write)
    go_on(opt, 2)
    assert list_steps(opt.records_to) == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("_wait_forever")
def test_records_that_nobody_knows_to_be_lost_are_not_left_in_silence(tmp_path, monkeypatch):
    opt = train(3, tmp_path / "run.jsonl")
    monkeypatch.setattr(os, "write", lambda handle, data: 0)
    with pytest.raises(RecordError, match="records_to is what it was, records_to=None goes on without"):
        opt.records_to = None
    assert opt._run.stream is not None
    opt.records_to = None
    go_on(opt, 1)
    assert opt.records_to is None
