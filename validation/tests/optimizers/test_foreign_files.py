"""What is not a file of ours, or not whole, is refused in one line."""

import io
import json
import os
import pickle
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from saved import make
from snapshots import OPTIMIZERS

from hypergrad._core import checkpoint
from hypergrad.errors import CheckpointError
from hypergrad_command import command

SCHEMA2 = Path(__file__).with_name("schema2")


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
