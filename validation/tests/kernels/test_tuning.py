"""The choice of a launch shape: nothing that it tries can harm the caller, and nothing that it keeps can mislead."""

import errno
import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from hypergrad import AdamW
from hypergrad_kernels import shape_cache, tuning
from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.device import open_device
from hypergrad_kernels.errors import BuildError, DeviceWarning
from hypergrad_kernels.launcher import Launcher, read_text
from hypergrad_kernels.shape_cache import find_place, recall_shapes, remember_shapes
from hypergrad_kernels.shapes import DEFAULT, Shape, choose_shape

KEY = ("adamw", "adamw", "float32")
OTHER = ("adamw", "adamw", "float64")
FOUND = Shape(width=4, local_size=16, steps=4, access="VLOAD")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def opened(device):
    return open_device(device)


def plant(name, text, width=4):
    """The kernels with something that only vectors of a width meet."""
    return f"#if WIDTH == {width}\n" + text + "\n#endif\n" + read_text(name)


PLANTED = {
    "aborts": ("#pragma clang __debug crash", "ended its process"),
    "refuses": ("#error planted", "does not compile"),
    "changes-bits": ("#undef min\n#define min(a, b) ((a) * 0)", "it changes bits"),
}


@pytest.mark.parametrize(("text", "trouble"), PLANTED.values(), ids=PLANTED)
def test_bad_candidate_is_reported_and_the_next_one_tried(text, trouble, opened):
    shapes = [Shape(8, 16), Shape(4, 16), Shape(4, 64), Shape(16, 16)]
    verdicts = tuning.find_safe(opened, KEY, shapes, lambda name: plant(name, text))
    assert [verdict.shape for verdict in verdicts] == shapes
    assert [verdict.trouble is not None for verdict in verdicts] == [False, True, True, False]
    assert all(trouble in verdict.trouble for verdict in verdicts[1:3])


@pytest.mark.parametrize("key", DEFAULT, ids="-".join)
def test_every_kernel_has_a_sample_that_writes(key, opened):
    sample = tuning.make_sample(key, 1000)
    before = [array.tobytes() for array in sample.written]
    tuning.run_sample(Launcher(Arrays(opened), {}), sample)
    assert all(array.tobytes() != old for array, old in zip(sample.written, before, strict=True))


@pytest.mark.parametrize("key", [KEY, ("sums", "inner_products", "float32")], ids="-".join)
def test_tuning_remembers_the_fastest_it_measured(key, opened, monkeypatch):
    monkeypatch.setattr(tuning, "SIZE", 10000)
    monkeypatch.setattr(tuning, "list_candidates", lambda device, key, best=None: [Shape(16, 16), Shape(1, 4)])
    verdicts = tuning.tune(opened, [key])
    measured = {verdict.shape for verdict in verdicts if verdict.seconds is not None}
    assert recall_shapes(opened, read_text)[key] in measured
    assert measured == {DEFAULT[key], Shape(16, 16), Shape(1, 4)}


def test_launcher_takes_the_remembered_shape(opened):
    assert Launcher(Arrays(opened)).measured == {}
    remember_shapes(opened, read_text, {KEY: FOUND})
    sample = tuning.make_sample(KEY, 1000)
    assert Launcher(Arrays(opened)).prepare(sample).shape == FOUND
    assert (
        choose_shape("adamw", "adamw", np.dtype("float64"), {KEY: FOUND}, DEFAULT)
        == DEFAULT["adamw", "adamw", "float64"]
    )


def test_rows_are_kept_beside_each_other(opened):
    remember_shapes(opened, read_text, {KEY: FOUND})
    remember_shapes(opened, read_text, {OTHER: Shape(2, 16)})
    assert recall_shapes(opened, read_text) == {KEY: FOUND, OTHER: Shape(2, 16)}


def test_other_kernel_text_is_measured_again(opened):
    remember_shapes(opened, read_text, {KEY: FOUND})
    assert recall_shapes(opened, lambda name: read_text(name) + " ") == {}


def find_own_place(opened):
    return find_place(opened, KEY, read_text("adamw"))


ROW = FOUND._asdict()
DAMAGE = {
    "empty": "",
    "cut-off": '{"wid',
    "no-shape": json.dumps({"breadth": 4}),
    "too-little": json.dumps({"width": 4}),
    "too-much": json.dumps({**ROW, "depth": 4}),
    "width-7": json.dumps({**ROW, "width": 7}),
    "width-4.0": json.dumps({**ROW, "width": 4.0}),
    "width-true": json.dumps({**ROW, "width": True}),
    "width-text": json.dumps({**ROW, "width": "4"}),
    "no-group": json.dumps({**ROW, "local_size": 0}),
    "half-a-group": json.dumps({**ROW, "local_size": 16.5}),
    "too-large-a-group": json.dumps({**ROW, "local_size": 1 << 20}),
    "steps-of-nan": json.dumps({**ROW, "steps": float("nan")}),
    "steps-of-none": json.dumps({**ROW, "steps": None}),
    "no-steps": json.dumps({**ROW, "steps": 0}),
    "other-access": json.dumps({**ROW, "access": "BY_LUCK"}),
    "access-of-a-list": json.dumps({**ROW, "access": []}),
    "group-of-no-sums": json.dumps({**ROW, "local_size": 128, "groupwise": True}),
    "group-of-one": json.dumps({**ROW, "groupwise": 1}),
    "an-earlier-version": json.dumps({"adamw float32": ROW}),
    "a-list": "[1]",
    "a-number": "1",
    "null": "null",
    "without-end": "[" * 100_000,
    "many-digits": "9" * 10_000,
    "not-text": "\udcff",
}


def damage(place, text):
    place.write_bytes(text.encode("utf-8", "surrogateescape"))


def step(opened):
    """A step of an optimizer, which asks the cache."""
    x = np.ones(3, np.float32)
    AdamW([x], device=opened.cl_device).step(gradients=[x.copy()])
    return x.tolist()


@pytest.mark.parametrize("text", DAMAGE.values(), ids=DAMAGE)
def test_damaged_entry_is_removed_with_a_warning(text, opened):
    remember_shapes(opened, read_text, {KEY: FOUND, OTHER: FOUND})
    place = find_own_place(opened)
    damage(place, text)
    with pytest.warns(DeviceWarning, match="bench --tune"):
        assert recall_shapes(opened, read_text) == {OTHER: FOUND}
    assert not place.exists()
    assert step(opened)


def test_group_that_is_too_small_for_its_sums_is_damage(opened):
    sums = ("sums", "inner_products", "float32")
    for size, fits in ((128, True), (16, False), (100, False)):
        shape = Shape(4, size, groupwise=True)
        remember_shapes(opened, read_text, {sums: shape})
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert recall_shapes(opened, read_text) == ({sums: shape} if fits else {})
        assert len(told) == (not fits)


def deny(*_, **__):
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("text", ["", "[1]"])
def test_damaged_entry_that_cannot_be_removed_breaks_no_step(text, opened, monkeypatch):
    wanted = step(opened)
    remember_shapes(opened, read_text, {KEY: FOUND})
    damage(find_own_place(opened), text)
    monkeypatch.setattr(Path, "unlink", deny)
    with pytest.warns(DeviceWarning, match="was damaged"):
        assert step(opened) == wanted


@pytest.mark.parametrize("mishap", ["a file in the way", "a folder in the way", "no permission", "no home"])
def test_cache_that_cannot_be_used_breaks_no_step(mishap, opened, tmp_path, monkeypatch):
    wanted = step(opened)
    match mishap:
        case "a file in the way":
            (tmp_path / "hypergrad-opencl").write_text("")
        case "a folder in the way":
            find_own_place(opened).mkdir(parents=True)
        case "no permission":
            monkeypatch.setattr(Path, "read_bytes", deny)
            monkeypatch.setattr(Path, "mkdir", deny)
        case "no home":

            def fail(*_, **__):
                raise RuntimeError("Could not determine home directory.")

            monkeypatch.setattr(shape_cache, "user_cache_path", fail)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert step(opened) == wanted
    nothing_is_there = mishap in ("a file in the way", "no home")
    assert [w.category for w in told] == [DeviceWarning] * (not nothing_is_there)
    with pytest.warns(DeviceWarning, match="launch shapes cannot be kept"):
        remember_shapes(opened, read_text, {KEY: FOUND})
    assert not list(tmp_path.rglob("*.tmp"))


def test_remembered_shape_that_does_not_compile_gives_way_to_the_safe_one(opened):
    def read(name):
        return plant(name, "#error planted")

    remember_shapes(opened, read, {KEY: FOUND, OTHER: FOUND})
    own, sample = Launcher(Arrays(opened), None, read), tuning.make_sample(KEY, 1000)
    expected = tuning.make_sample(KEY, 1000)
    with pytest.warns(DeviceWarning, match=r"(?s)width=4.* was remembered, the safe shape is used.*planted"):
        tuning.run_sample(own, sample)
    tuning.run_sample(Launcher(Arrays(opened), {}), expected)
    assert [a.tobytes() for a in sample.written] == [a.tobytes() for a in expected.written]
    tuning.run_sample(own, sample)  # and tells once
    assert own.prepare(sample).shape == DEFAULT[KEY]


def test_shape_that_was_asked_for_and_does_not_compile_is_an_error(opened):
    own = Launcher(Arrays(opened), {KEY: Shape(1, 1)}, lambda name: plant(name, "#error planted", 1))
    with pytest.raises(BuildError, match="planted"):
        tuning.run_sample(own, tuning.make_sample(KEY, 1000))


def test_group_that_is_too_large_for_a_kernel_is_told_when_it_is_compiled(opened):
    own = Launcher(Arrays(opened), {KEY: Shape(1, 1 << 20)})
    with pytest.raises(BuildError, match="in a group"):
        own.prepare(tuning.make_sample(KEY, 1000))


REMEMBER = """
import sys
from hypergrad_kernels.device import list_devices, open_device
from hypergrad_kernels.launcher import read_text
from hypergrad_kernels.shape_cache import recall_shapes, remember_shapes
from hypergrad_kernels.shapes import DEFAULT
opened, dtype = open_device(list_devices()[int(sys.argv[1])]), sys.argv[2]
own = {key: shape for key, shape in DEFAULT.items() if key[2] == dtype}
print(flush=True)
sys.stdin.read(1)
for _ in range(30):
    remember_shapes(opened, read_text, own)
    assert recall_shapes(opened, read_text).items() >= own.items()
"""


def test_processes_that_remember_at_once_keep_what_each_has_measured(opened, tmp_path):
    from hypergrad_kernels.device import list_devices

    index = str(list_devices().index(opened.cl_device))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "XDG_CACHE_HOME": str(tmp_path)}
    children = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", REMEMBER, index, dtype],
            env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for dtype in ("float32", "float64", "float32")
    ]  # fmt: skip
    for child in children:
        child.stdout.readline()  # it is ready
    for child in children:
        child.stdin.write("x")
        child.stdin.flush()
    for child in children:
        _, told = child.communicate()
        assert child.returncode == 0, told
    assert recall_shapes(opened, read_text) == DEFAULT
    assert not list(tmp_path.rglob("*.tmp"))


def test_aligned_access_is_for_aligned_arrays_only(opened):
    launcher = Launcher(Arrays(opened), {KEY: Shape(8, 16, access="ALIGNED")})
    call = tuning.make_sample(KEY, 1001)
    assert launcher.prepare(call).shape.access == "ALIGNED"
    theta, *rest = call.arrays
    odd = call._replace(arrays=(theta[1:], *rest))
    assert launcher.prepare(odd).shape.access == "PACKED"
    plan = launcher.plan([("x", call)])
    launcher.exchange(plan, "theta", {"x": theta[1:]})
    assert plan[0].work.prepared.shape.access == "PACKED"
