"""The file to which an optimizer appends the record of each step: whole after every long step, and never another's."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from recorded_runs import train

from hypergrad import AdamHD, AutoHypergradientAdamW
from hypergrad._core import stream
from hypergrad.errors import ArgumentError, RecordError
from hypergrad_command.explain import read_run


@pytest.fixture(autouse=True)
def _write_at_once(monkeypatch):
    """As the records of long steps are; those of short ones wait, see test_waiting_records.py."""
    monkeypatch.setattr(stream, "INTERVAL", 0)


@pytest.mark.parametrize("optimizer", [AutoHypergradientAdamW, AdamHD])
@pytest.mark.parametrize("scope", ["global", "group"])
def test_stream_has_the_records_of_every_step(optimizer, scope, tmp_path):
    path = tmp_path / "run.jsonl"
    opt = train(25, optimizer, groups=2, lr_scope=scope, records_to=path)
    run = read_run(str(path))
    opt.save(tmp_path / "run.npz")
    whole = read_run(str(tmp_path / "run.npz"))
    assert (run.kind, run.steps) == (whole.kind, whole.steps) == (optimizer.__name__, 25)
    assert [[_clean(one) for one in step] for step in run.records] == [
        [_clean(one) for one in step] for step in whole.records
    ]


def _clean(record):
    return {name: None if value != value else value for name, value in record.items()}


def test_stream_is_whole_after_every_step(tmp_path):
    path = tmp_path / "run.jsonl"
    opt = train(3, records_to=path)
    assert read_run(str(path)).steps == 3
    opt.step(gradients=[np.ones(3)])
    assert read_run(str(path)).steps == 4


def test_stream_costs_one_write_per_step(tmp_path, monkeypatch):
    opt = train(1, records_to=tmp_path / "run.jsonl")
    sizes, write = [], os.write
    monkeypatch.setattr(os, "write", lambda handle, data: sizes.append(len(data)) or write(handle, data))
    for _ in range(5):
        opt.step(gradients=[np.ones(3)])
    assert len(sizes) == 5
    assert max(sizes) < 300  # bytes


def test_stream_is_strict_json(tmp_path):
    train(12, records_to=tmp_path / "run.jsonl")
    for line in (tmp_path / "run.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)


def test_resumed_run_goes_on_in_the_same_file_and_replaces_what_it_repeats(tmp_path):
    path = tmp_path / "run.jsonl"
    opt = train(10, records_to=path)
    opt.save(tmp_path / "run.npz")
    for _ in range(5):
        opt.step(gradients=[np.ones(3)])
    again = train(0, records_to=path)
    again.load(tmp_path / "run.npz")
    again.step(gradients=[np.full(3, 2.0)])
    run = read_run(str(path))
    assert run.steps == 11
    assert [step[0]["step"] for step in run.records] == list(range(1, 12))
    assert run.records[-1][0]["lr"] == again.current_lr


def test_skipped_step_is_in_the_stream(tmp_path):
    path = tmp_path / "run.jsonl"
    opt = train(3, nonfinite="skip", records_to=path)
    opt.step(gradients=[np.full(3, np.nan)])
    assert read_run(str(path)).records[-1][0]["reason"] == opt.last_record.reason


def test_records_to_can_be_changed_between_steps(tmp_path):
    opt = train(2, records_to=tmp_path / "a.jsonl")
    opt.records_to = tmp_path / "b.jsonl"
    opt.step(gradients=[np.ones(3)])
    opt.records_to = None
    opt.step(gradients=[np.ones(3)])
    assert opt.records_to is None
    assert [len(read_run(str(tmp_path / name)).records) for name in ("a.jsonl", "b.jsonl")] == [2, 1]


def test_stream_does_not_change_a_bit(tmp_path):
    plain, streamed = train(40), train(40, records_to=tmp_path / "run.jsonl")
    np.testing.assert_array_equal(plain.lr_history, streamed.lr_history)


def test_twin_does_not_write_to_the_file_of_its_original(tmp_path):
    import copy
    import pickle

    opt = train(2, records_to=tmp_path / "run.jsonl")
    for twin in (copy.copy(opt), copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        assert twin.records_to is None
        twin.step(gradients=[np.ones(3)])
    assert read_run(str(tmp_path / "run.jsonl")).steps == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_step_whose_record_cannot_be_written_has_changed_nothing(monkeypatch, tmp_path):
    opt = train(3, records_to=tmp_path / "run.jsonl")
    x, rates = opt.param_groups[0]["params"][0], opt.lr_history
    before = x.copy()
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, opt._run.stream._handle)
    os.close(full)
    with pytest.raises(RecordError, match="records_to=None goes on without"):
        opt.step(gradients=[np.ones(3)])
    np.testing.assert_array_equal(x, before)
    np.testing.assert_array_equal(opt.lr_history, rates)
    opt.records_to = None
    opt.step(gradients=[np.ones(3)])
    assert opt.last_record.step == 4


@pytest.mark.parametrize("path", ["no/such/folder/run.jsonl", "", 3, True, ["a"], "run.jsonl/", "a\0b"])
def test_file_that_cannot_be_written_is_refused_when_it_is_named(path):
    with pytest.raises((OSError, ArgumentError), match=r"folder does not exist|records_to=.*: give the name of a file"):
        train(0, records_to=path)


@pytest.mark.parametrize("content", [b"PK\3\4", b"text", b'{"some": "json"}\n', b"\0" * 9, b"[1,2]\n"])
def test_file_that_holds_something_else_is_not_written_to(content, tmp_path):
    path = tmp_path / "model"
    path.write_bytes(content)
    with pytest.raises(ArgumentError, match=r"records_to=.*holds something else: give the name of a new file"):
        train(0, records_to=path)
    assert path.read_bytes() == content


@pytest.mark.parametrize("cut", [1, 5, 100, -3])
def test_part_of_a_line_that_a_kill_left_is_taken_away(cut, tmp_path):
    path = tmp_path / "run.jsonl"
    train(3, records_to=path)
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    opt = train(4, records_to=path)
    assert read_run(str(path)).records[-1][0]["lr"] == opt.current_lr


def test_part_of_a_line_that_a_full_disk_left_is_taken_away(tmp_path, monkeypatch):
    path = tmp_path / "run.jsonl"
    opt = train(3, records_to=path)
    real = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:7]))
    with pytest.raises(RecordError, match="the disk is full"):
        opt.step(gradients=[np.ones(3)])
    monkeypatch.setattr(os, "write", real)
    opt.step(gradients=[np.ones(3)])
    assert [step[0]["step"] for step in read_run(str(path)).records] == [1, 2, 3, 4]
