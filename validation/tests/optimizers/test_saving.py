"""What is saved is written as a plain save would, but whole or not at all."""

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
from saved import list_names, make, mode

from hypergrad._core import checkpoint
from hypergrad.errors import ArgumentError, BrokenOptimizerError


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
        assert opt.steps == opt.state_dict()["steps"] == number
    names = ["a.npz", "b.npz", "c.npz", "d", "e.npy", "f.npz", "g" * 250, "h .npz"]
    assert list_names(tmp_path) == names


NO_NAMES = {
    "folder": "run.npz/",
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


@pytest.mark.skipif(os.name != "posix", reason="elsewhere HOME alone does not name the home folder")
def test_name_in_a_home_folder_that_is_not_there_is_refused(tmp_path, monkeypatch):
    """As of a user that the system does not know, in a container."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    opt = make()
    for act in (opt.save, opt.load, lambda path: setattr(opt, "records_to", path)):
        with pytest.raises(ArgumentError, match=r"='~/run\.npz': there is no home folder: set HOME"):
            act("~/run.npz")
    monkeypatch.setenv("HOME", str(tmp_path))
    opt.save("~/run.npz")
    assert list_names(tmp_path) == ["run.npz"]


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a folder that is worked in cannot be deleted")
def test_working_folder_that_was_deleted_is_told(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    opt = make()
    with pytest.raises(FileNotFoundError, match=r"^path='run\.npz': the working folder was deleted: write"):
        opt.save("run.npz")
    with pytest.raises(FileNotFoundError, match=r"^records_to='run\.jsonl': the working folder was deleted"):
        opt.records_to = "run.jsonl"
    opt.save(tmp_path / "run.npz")
    assert list_names(tmp_path) == ["run.npz"]


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

    monkeypatch.setattr(opt._run.backend, "update", fail)
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
