"""Files: what is not ours is refused in one line, and what is saved is written as a plain save would, but whole."""

import errno
import io
import json
import os
import pickle
import stat
import subprocess
import sys
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad._core import checkpoint
from hypergrad.errors import ArgumentError, BrokenOptimizerError, CheckpointError
from hypergrad_validation import command

OPTIMIZERS = [AdamW, HypergradientAdamW, AutoHypergradientAdamW, SGDHD, AdamHD]
SCHEMA2 = Path(__file__).with_name("schema2")


def make(kind=HypergradientAdamW, steps=3):
    x = np.ones(2)
    opt = kind([x], lr=0.5, device="numpy")
    for _ in range(steps):
        opt.step(gradients=[np.ones(2)])
    return opt


def list_names(folder):
    return sorted(path.name for path in folder.iterdir())


def run(module, *arguments, **environment):
    """A command in a process of its own."""
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


# Files that are not ours, or not whole.


class Trap:
    """What a pickle could do to whoever loads it."""

    def __reduce__(self):
        return os.abort, ()


def write_saved(path):
    make().save(path)
    return path.read_bytes()


def write_members(path, **members):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)


def write_document(path, document, **arrays):
    """A file whose checksum is right, whatever it holds."""
    text = document if isinstance(document, str) else json.dumps(document)
    np.savez(path, document=np.array(text), sha256=np.array(checkpoint._digest(text, arrays)), **arrays)


def read_document(path):
    write_saved(path)
    with np.load(path) as file:
        return json.loads(str(file["document"])), {n: file[n] for n in file.files if n not in ("document", "sha256")}


def change_document(path, **changes):
    document, arrays = read_document(path)
    write_document(path, {name: value for name, value in {**document, **changes}.items() if value != "gone"}, **arrays)


def change_array(path, name, array):
    document, arrays = read_document(path)
    write_document(path, document, **{**arrays, name: array})


def truncate(path, part):
    path.write_bytes(write_saved(path)[:part])


def flip(path, place):
    data = bytearray(write_saved(path))
    data[place] ^= 1
    path.write_bytes(data)


def flip_array(path):
    data = write_saved(path)
    with np.load(path) as file:
        found = file["tensors/0/exp_avg"].tobytes()
    path.write_bytes(data.replace(found, bytes(len(found))))


FOREIGN = {
    "empty": lambda path: path.write_bytes(b""),
    "one byte": lambda path: path.write_bytes(b"P"),
    "text": lambda path: path.write_text("lr = 0.5\n"),
    "JSON": lambda path: path.write_text('{"schema": 3}'),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "folder": lambda path: path.mkdir(),
    "npy": lambda path: path.write_bytes(npy(np.ones(3))),
    "npy of objects": lambda path: path.write_bytes(npy(np.array([Trap()], object))),
    "pickle": lambda path: path.write_bytes(pickle.dumps(Trap())),
    "npz of other arrays": lambda path: path.write_bytes(npz(w=np.ones(3))),
    "npz of nothing": lambda path: path.write_bytes(npz()),
    "npz of objects": lambda path: path.write_bytes(npz(document=np.array([Trap()], object), sha256=np.array("x"))),
    "npz with an object": lambda path: path.write_bytes(
        npz(document=np.array("{}"), sha256=np.array("x"), more=np.array([Trap()], object))
    ),
    "npz of numbers": lambda path: path.write_bytes(npz(document=np.ones(3), sha256=np.ones(3))),
    "zip of texts": lambda path: write_members(path, document=b"{}", sha256=b"x"),
    "zip without arrays": lambda path: path.write_bytes(zipped(document="{}", sha256="x")),
    "no JSON": lambda path: write_document(path, "lr = 0.5"),
    "JSON of a list": lambda path: write_document(path, [1, 2]),
    "JSON of a number": lambda path: write_document(path, 3),
    "JSON without an end": lambda path: write_document(path, "[" * 100_000),
    "no schema": lambda path: change_document(path, schema="gone"),
    "schema 1": lambda path: change_document(path, schema=1),
    "schema 5": lambda path: change_document(path, schema=5),
    "schema of a list": lambda path: change_document(path, schema=[3]),
    "no kind": lambda path: change_document(path, kind="gone"),
    "no tensors": lambda path: change_document(path, tensors="gone"),
    "tensors of numbers": lambda path: change_document(path, tensors=[1]),
    "tensors of a dict": lambda path: change_document(path, tensors={"0": {}}),
    "no records": lambda path: change_document(path, records="gone"),
    "records of numbers": lambda path: change_document(path, records=[1]),
    "records of lists": lambda path: change_document(path, records=[[[]]]),
    "records alone": lambda path: change_document(path, records=3),
    "a tensor more": lambda path: change_array(path, "tensors/7/exp_avg", np.ones(2)),
    "a tensor before": lambda path: change_array(path, "tensors/-1/more/exp_avg", np.ones(2)),
    "an array of nothing": lambda path: change_array(path, "exp_avg", np.ones(2)),
    "a number flipped": flip_array,
    "a byte flipped": lambda path: flip(path, 200),
    "half of it": lambda path: truncate(path, 3000),
    "all but a byte": lambda path: truncate(path, -1),
    "its first bytes": lambda path: truncate(path, 4),
}


def npy(array):
    file = io.BytesIO()
    np.save(file, array, allow_pickle=True)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as whole:
        for name, text in members.items():
            whole.writestr(name, text)
    return file.getvalue()


@pytest.mark.parametrize("name", ["w.npz", "w.npy", "w"])
@pytest.mark.parametrize("write", FOREIGN.values(), ids=FOREIGN)
def test_file_that_is_not_ours_or_not_whole_is_refused_by_load_and_explain(write, name, tmp_path, capsys):
    write(path := tmp_path / "w.npz")
    path = path.rename(tmp_path / name)
    opt = make()
    before = str(opt.state_dict())
    with pytest.raises(CheckpointError, match=name):
        opt.load(path)
    assert str(opt.state_dict()) == before
    code = command.main(["explain", str(path)])
    shown = capsys.readouterr()
    assert (code, shown.out) == (2, "")
    assert shown.err.startswith("hypergrad: ")
    assert shown.err.count("\n") == 1


def test_every_byte_of_a_file_is_guarded(tmp_path):
    """A changed byte is refused, or it changes nothing: zip's own notes on a member may be overlooked."""
    data = write_saved(tmp_path / "good.npz")
    opt = make()
    before = str(opt.state_dict())
    for place in range(0, len(data), 37):
        (tmp_path / "bad.npz").write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        with suppress(CheckpointError):
            opt.load(tmp_path / "bad.npz")
        assert str(opt.state_dict()) == before


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_file_of_another_class_is_refused(kind, tmp_path):
    make(kind).save(tmp_path / "run.npz")
    for other in OPTIMIZERS:
        opt = make(other, steps=0)
        if other is kind:
            opt.load(tmp_path / "run.npz")
        else:
            with pytest.raises(CheckpointError, match=f"'kind'.* is '{kind.__name__}', the optimizer's is"):
                opt.load(tmp_path / "run.npz")


def test_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        make().load(tmp_path / "nothing.npz")


def test_explain_reads_files_of_both_schemas(capsys, tmp_path):
    make().save(tmp_path / "run.npz")
    for path, words in ((tmp_path / "run.npz", "HypergradientAdamW, 3"), (SCHEMA2 / "AdamHD.npz", "AdamHD, 8 steps")):
        assert command.main(["explain", str(path)]) == 0
        assert words in capsys.readouterr().out


# Saving.


@pytest.fixture
def umask():
    previous = os.umask(0o022)
    yield os.umask
    os.umask(previous)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0o000])
def test_new_file_has_the_mode_that_the_umask_leaves(mask, umask, tmp_path):
    umask(mask)
    make().save(tmp_path / "run.npz")
    (tmp_path / "plain").touch()
    assert mode(tmp_path / "run.npz") == mode(tmp_path / "plain") == 0o666 & ~mask


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("given", [0o664, 0o600, 0o640, 0o777])
def test_file_that_is_written_over_keeps_its_mode(given, tmp_path):
    path = tmp_path / "run.npz"
    path.write_text("old")
    path.chmod(given)
    make().save(path)
    assert mode(path) == given
    make().load(path)


def test_symbolic_link_is_followed(tmp_path):
    (tmp_path / "runs").mkdir()
    target, link, chain, early = (tmp_path / name for name in ("runs/run.npz", "latest.npz", "chain.npz", "early.npz"))
    target.write_text("old")
    link.symlink_to("runs/run.npz")
    chain.symlink_to(link)
    early.symlink_to("runs/new.npz")  # where nothing is yet
    make(steps=5).save(chain)
    make(steps=6).save(early)
    assert link.is_symlink()
    assert chain.is_symlink()
    assert early.is_symlink()
    assert checkpoint.read(target)["steps"] == 5
    assert checkpoint.read(tmp_path / "runs/new.npz")["steps"] == 6
    assert list_names(tmp_path / "runs") == ["new.npz", "run.npz"]


def test_name_is_taken_as_it_is_in_every_type(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for number, path in enumerate(
        ("~/a.npz", Path("~/b.npz"), b"~/c.npz", "d", "e.npy", os.fsencode(tmp_path / "f.npz"), "g" * 250, "h .npz")
    ):
        make(steps=number).save(path)
        opt = make(steps=0)
        opt.load(path)
        assert opt.state_dict()["steps"] == number
    names = ["a.npz", "b.npz", "c.npz", "d", "e.npy", "f.npz", "g" * 250, "h .npz"]
    assert list_names(tmp_path) == names


NO_NAMES = {
    "None": None,
    "3": 3,
    "empty": "",
    "null": "a\0b",
    "buffer": io.BytesIO(),
    "list": ["run.npz"],
    "no bytes": b"",
}


@pytest.mark.parametrize("path", NO_NAMES.values(), ids=NO_NAMES)
def test_what_is_no_name_is_refused(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for act in (make().save, make().load):
        with pytest.raises(ArgumentError, match="path="):
            act(path)
    assert list_names(tmp_path) == []


def circle(folder):
    (folder / "circle.npz").symlink_to("circle.npz")
    return folder / "circle.npz"


def read_only(folder):
    (folder / "old.npz").write_text("old")
    (folder / "old.npz").chmod(0o444)
    return folder / "old.npz"


@pytest.mark.parametrize(
    ("find", "error", "words"),
    [
        (lambda folder: folder / "no" / "run.npz", FileNotFoundError, "no does not exist: make it first"),
        (lambda folder: folder / "~nobody-of-this-name" / "run.npz", FileNotFoundError, "does not exist"),
        (lambda folder: Path(__file__) / "run.npz", NotADirectoryError, "is not a folder"),
        (lambda folder: folder, IsADirectoryError, "is a folder: give the name of a file in it"),
        (lambda folder: Path(os.devnull), OSError, "is not a plain file"),
        (circle, OSError, "circle of symbolic links"),
    ],
    ids=["no folder", "no home", "in a file", "a folder", "a device", "circle"],
)
def test_place_that_cannot_be_written_to_is_told_before_anything_is_done(find, error, words, tmp_path):
    path = find(tmp_path)
    before = list_names(tmp_path)
    with pytest.raises(error, match=words):
        make().save(path)
    assert list_names(tmp_path) == before
    assert not Path(os.devnull).is_file()


def deny(code):
    def open_nothing(path, flags, *mode):
        raise OSError(code, os.strerror(code), str(path))

    return open_nothing


@pytest.mark.parametrize(
    ("code", "error"), [(errno.EACCES, PermissionError), (errno.EROFS, OSError), (errno.ENOSPC, OSError)]
)
def test_folder_that_cannot_be_written_to_is_named(code, error, tmp_path, monkeypatch):
    opt = make()
    monkeypatch.setattr(os, "open", deny(code))
    with pytest.raises(error, match=f"the folder {tmp_path} cannot be written to") as caught:
        opt.save(tmp_path / "run.npz")
    assert caught.value.errno == code


def test_file_that_is_read_only_is_left_alone(tmp_path, monkeypatch):
    path = read_only(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)  # nothing is read-only to root
    with pytest.raises(PermissionError, match="is read-only"):
        make().save(path)
    assert path.read_text() == "old"


class Full(io.RawIOBase):
    """A disk that has room for a little more."""

    def __init__(self, file, room):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self.file.write(data)

    def writable(self):
        return True

    def fileno(self):
        return self.file.fileno()

    def flush(self):
        self.file.flush()

    def close(self):
        super().close()
        self.file.close()


@pytest.mark.parametrize("room", [0, 100, 5000])
@pytest.mark.parametrize("old", [True, False], ids=["over-a-file", "new"])
def test_full_disk_leaves_the_old_file_and_nothing_else(room, old, tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    if old:
        make().save(path)
    before = path.read_bytes() if old else None
    opt, fdopen = make(steps=50), os.fdopen
    monkeypatch.setattr(os, "fdopen", lambda *given: Full(fdopen(*given), room))
    with pytest.raises(OSError, match="No space left") as caught:
        opt.save(path)
    monkeypatch.undo()
    assert caught.value.errno == errno.ENOSPC
    assert list_names(tmp_path) == (["run.npz"] if old else [])
    if old:
        assert path.read_bytes() == before
        make().load(path)


@pytest.mark.parametrize("moment", ["fsync", "replace"])
@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "Input/output error"), KeyboardInterrupt()], ids=["EIO", "Ctrl-C"]
)
def test_failure_at_the_end_leaves_the_old_file_and_nothing_else(moment, error, tmp_path, monkeypatch):
    path = tmp_path / "run.npz"
    path.write_text("old")

    def fail(*_):
        raise error

    opt = make()
    monkeypatch.setattr(*((os, "fsync") if moment == "fsync" else (Path, "replace")), fail)
    with pytest.raises(type(error)):
        opt.save(path)
    monkeypatch.undo()
    assert list_names(tmp_path) == ["run.npz"]
    assert path.read_text() == "old"


def test_state_that_is_torn_is_not_saved_over_a_good_one(tmp_path, monkeypatch):
    opt = make()
    opt.save(tmp_path / "run.npz")

    def fail(*_):
        raise RuntimeError("device lost")

    monkeypatch.setattr(opt._backend, "update", fail)
    with pytest.raises(BrokenOptimizerError):
        opt.step(gradients=[np.ones(2)])
    before = (tmp_path / "run.npz").read_bytes()
    with pytest.raises(BrokenOptimizerError, match="the last good step is 3"):
        opt.save(tmp_path / "run.npz")
    assert (tmp_path / "run.npz").read_bytes() == before


def test_option_that_could_not_be_loaded_is_not_saved(tmp_path):
    opt = make()
    opt.param_groups[0]["eps"] = "small"
    with pytest.raises(ArgumentError, match="eps='small'"):
        opt.save(tmp_path / "run.npz")
    assert list_names(tmp_path) == []


# Commands.


@pytest.mark.parametrize("module", ["hypergrad", "hypergrad_validation.command"])
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
    for name in ("measure_large", "measure_many", "measure_iteration", "measure_long"):
        monkeypatch.setattr(bench, name, lambda *_: [row])
    monkeypatch.setattr(bench, "measure_builds", lambda _: {"cold": 1.0, "warm": 0.5})


@pytest.mark.usefixtures("short_bench")
@pytest.mark.parametrize("as_json", [True, False], ids=["json", "table"])
def test_table_of_a_bench_is_printed_even_if_it_cannot_be_saved(as_json, capsys, tmp_path, monkeypatch):
    place = tmp_path / "folder"
    place.mkdir()

    def measure(_):
        place.rmdir()  # while it was measured
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
