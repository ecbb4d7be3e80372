"""The choice of a launch shape: nothing that it tries can harm the caller, and nothing that it keeps can mislead."""

import json

import numpy as np
import pytest

from hypergrad_kernels import tuning
from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.device import open_device
from hypergrad_kernels.errors import DeviceWarning
from hypergrad_kernels.launcher import Launcher, read_text
from hypergrad_kernels.remembered import find_place, recall_shapes, remember_shapes
from hypergrad_kernels.shapes import DEFAULT, Shape, choose_shape

KEY = ("adamw", "adamw", "float32")
FOUND = Shape(width=4, local_size=16, steps=4, access="VLOAD")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.fixture
def opened(device):
    return open_device(device)


def plant(name, text):
    """The kernels with something that only vectors of 4 meet."""
    return "#if WIDTH == 4\n" + text + "\n#endif\n" + read_text(name)


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
    assert Launcher(Arrays(opened)).prepare(sample.call).shape == FOUND
    assert (
        choose_shape("adamw", "adamw", np.dtype("float64"), {KEY: FOUND}, DEFAULT)
        == DEFAULT["adamw", "adamw", "float64"]
    )


def test_rows_are_kept_beside_each_other(opened):
    other = ("adamw", "adamw", "float64")
    remember_shapes(opened, read_text, {KEY: FOUND})
    remember_shapes(opened, read_text, {other: Shape(2, 16)})
    assert recall_shapes(opened, read_text) == {KEY: FOUND, other: Shape(2, 16)}


def test_other_kernel_text_starts_anew(opened):
    remember_shapes(opened, read_text, {KEY: FOUND})
    assert recall_shapes(opened, lambda name: read_text(name) + " ") == {}


DAMAGE = {
    "cut-off": '{"adamw float32": {"wid',
    "no-shape": json.dumps({"adamw float32": {"breadth": 4}}),
    "width-7": json.dumps({"adamw float32": FOUND._replace(width=7)._asdict()}),
    "no-group": json.dumps({"adamw float32": FOUND._replace(local_size=0)._asdict()}),
    "other-access": json.dumps({"adamw float32": FOUND._replace(access="BY_LUCK")._asdict()}),
    "a-list": "[1]",
    "not-text": "\udcff",
}


@pytest.mark.parametrize("text", DAMAGE.values(), ids=DAMAGE)
def test_damaged_entry_is_removed_with_a_warning(text, opened):
    remember_shapes(opened, read_text, {KEY: FOUND})
    place = find_place(opened, "adamw", read_text("adamw"))
    place.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.warns(DeviceWarning, match="bench --tune"):
        assert recall_shapes(opened, read_text) == {}
    assert not place.exists()


def test_aligned_access_is_for_aligned_arrays_only(opened):
    launcher = Launcher(Arrays(opened), {KEY: Shape(8, 16, access="ALIGNED")})
    call = tuning.make_sample(KEY, 1001).call
    assert launcher.prepare(call).shape.access == "ALIGNED"
    theta, *rest = call.arrays
    odd = call._replace(arrays=(theta[1:], *rest))
    assert launcher.prepare(odd).shape.access == "PACKED"
