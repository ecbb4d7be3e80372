"""The data registry: two readings, nothing taken on trust, an error that says what to do."""

import bz2
import gzip

import numpy as np
import pytest
from scipy import sparse

from hypergrad_problems import data, files, registry
from hypergrad_problems.registry import DataError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder of data, the user's own out of sight, and no way to download."""
    monkeypatch.delenv("HYPERGRAD_DATA", raising=False)
    monkeypatch.setattr(files, "find_cache", lambda: tmp_path / "cache")

    def refuse(*args, **kwargs):
        raise OSError("no network")

    pooch = pytest.importorskip("pooch")
    monkeypatch.setattr(pooch, "retrieve", refuse)
    for place in ("libsvm", "mnist", "baydin2018"):
        (tmp_path / place).mkdir()
    return tmp_path


ADULT = ["a1a", "a2a", "a3a"]
"""In the repository."""
PUBLISHED = ["logreg_epochs", "mlp/sgd_hd_begin", "mlp/sgdn_hd_begin", "paper_figures/fig4_grid"]


@pytest.mark.parametrize("name", ADULT)
def test_adult_sets_of_the_repository_need_no_folder_and_no_network(folder, name):
    assert data.has(name)
    assert data.load(name, "authors").features.shape == (
        registry.REGISTRY[name].rows,
        registry.REGISTRY[name].largest_index,
    )


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_values_of_the_repository_need_no_folder_and_no_network(folder, name):
    assert data.has(f"baydin2018/{name}")
    assert data.curve(name)


def test_repository_comes_before_the_folder(folder):
    (folder / "libsvm" / "a1a").write_bytes(TEXT)
    assert len(data.load("a1a", folder=folder).labels) == 1605


def test_folder_is_searched_where_there_is_no_checkout(folder, monkeypatch):
    monkeypatch.setattr(files, "CHECKOUT", folder / "no checkout")
    assert not data.has("a1a")
    with pytest.raises(DataError, match=r"libsvm/a1a is not there \(looked in [^,]*cache\)"):
        data.load("a1a")
    (folder / "libsvm" / "a1a").write_bytes(TEXT)
    with pytest.raises(DataError, match="is not libsvm/a1a of the registry"):
        data.load("a1a", folder=folder)


def test_repository_holds_registered_files_alone_each_named_in_its_readme():
    there = {str(file.relative_to(files.CHECKOUT)) for file in files.CHECKOUT.rglob("*") if file.is_file()}
    registered = {f"libsvm/{name}.bz2" for name in ADULT} | {f"baydin2018/{name}.csv" for name in PUBLISHED}
    assert there == registered | {"README.md", "baydin2018/LICENSE"}
    readme = (files.CHECKOUT / "README.md").read_text()
    assert all(name.rpartition("/")[2] in readme for name in ADULT + PUBLISHED)


@pytest.mark.parametrize("name", ADULT)
def test_compressing_a_set_of_the_repository_again_changes_no_byte(name):
    packed = (files.CHECKOUT / "libsvm" / f"{name}.bz2").read_bytes()
    assert bz2.compress(bz2.decompress(packed)) == packed


def test_published_values_of_the_repository_are_the_authors_lines(folder):
    begin, epochs = data.curve("mlp/sgd_hd_begin"), data.curve("logreg_epochs")
    assert begin["Iteration"].tolist() == [0, *range(2, 22), 470]
    assert (begin["Loss"][1], begin["Alpha"][2]) == (2.2994556427001953, 0.001539835572242737)
    assert np.isfinite(begin["AlphaEpoch"]).tolist() == [True, *[False] * 20, True]
    assert dict(zip(*np.unique(epochs["Method"], return_counts=True), strict=True)) == dict.fromkeys(
        ("sgd", "sgd_hd", "sgdn", "sgdn_hd", "adam", "adam_hd"), 11
    )


@pytest.mark.parametrize("method", ["sgd_hd", "sgdn_hd"])
def test_beginning_of_a_published_log_is_part_of_the_whole(method):
    if not data.has(f"baydin2018/mlp/{method}"):
        pytest.skip(f"needs baydin2018/mlp/{method}: let HYPERGRAD_DATA name its folder")
    begin, whole = data.curve(f"mlp/{method}_begin"), data.curve(f"mlp/{method}")
    rows = np.flatnonzero(np.isin(whole["Iteration"], begin["Iteration"]))
    assert all(np.array_equal(begin[column], whole[column][rows], equal_nan=True) for column in whole)


@pytest.mark.parametrize("method", ["sgd", "sgd_hd", "sgdn", "sgdn_hd", "adam", "adam_hd"])
def test_epochs_of_a_published_log_are_part_of_the_whole(method):
    if not data.has(f"baydin2018/logreg/{method}"):
        pytest.skip(f"needs baydin2018/logreg/{method}: make figures FETCH=1")
    epochs, whole = data.curve("logreg_epochs"), data.curve(f"logreg/{method}")
    ours, theirs = epochs["Method"] == method, ~np.isnan(whole["LossEpoch"])
    assert all(np.array_equal(epochs[column][ours], whole[column][theirs]) for column in epochs if column != "Method")


TEXT = b"-1 1:0.5 3:2\n+1 2:1\n-1 3:-1\n"


@pytest.fixture
def entry(monkeypatch):
    """A small set: 3 rows, 4 features of which the largest that occurs is the third."""
    row = registry.Entry("tiny", 3, 4, 3, (-1, 1), files.text_digest(TEXT), "nowhere/tiny")
    monkeypatch.setitem(registry.REGISTRY, "tiny", row)
    return row


@pytest.mark.parametrize(
    ("ending", "pack"), [("", bytes), (".bz2", bz2.compress), (".gz", gzip.compress)], ids=["plain", "bz2", "gz"]
)
def test_file_is_read_plain_or_compressed(folder, entry, ending, pack):
    (folder / "libsvm" / f"tiny{ending}").write_bytes(pack(TEXT))
    loaded = data.load("tiny", "authors", folder)
    assert sparse.issparse(loaded.features)
    assert loaded.features.toarray().tolist() == [[0.5, 0, 2], [0, 1, 0], [0, 0, -1]]
    assert loaded.labels.tolist() == [-1, 1, -1]


def test_clean_reading_has_the_true_width(folder, entry):
    (folder / "libsvm" / "tiny").write_bytes(TEXT)
    loaded = data.load("tiny", "clean", folder)
    assert loaded.features.shape == (3, 4)
    assert loaded.labels.tolist() == [-1, 1, -1]


def test_clean_reading_makes_two_labels_minus_and_plus_one(folder, monkeypatch):
    text = b"1 1:1\n2 2:1\n"
    row = registry.Entry("raw", 2, 2, 2, (1, 2), files.text_digest(text), "nowhere/raw")
    monkeypatch.setitem(registry.REGISTRY, "raw", row)
    (folder / "libsvm" / "raw").write_bytes(text)
    assert data.load("raw", "authors", folder).labels.tolist() == [1, 2]
    assert data.load("raw", "clean", folder).labels.tolist() == [-1, 1]


def test_environment_names_the_folder(folder, entry, monkeypatch):
    (folder / "libsvm" / "tiny").write_bytes(TEXT)
    assert not data.has("tiny")
    monkeypatch.setenv("HYPERGRAD_DATA", str(folder))
    assert data.has("tiny")
    assert data.load("tiny").labels.size == 3


def test_damaged_file_is_refused_by_its_checksum(folder, entry):
    (folder / "libsvm" / "tiny").write_bytes(TEXT.replace(b"0.5", b"0.6"))
    with pytest.raises(DataError, match=r"tiny is not libsvm/tiny of the registry: sha256 .* delete it"):
        data.load("tiny", folder=folder)


@pytest.mark.parametrize(("ending", "pack"), [(".bz2", bz2.compress), (".gz", gzip.compress)], ids=["bz2", "gz"])
@pytest.mark.parametrize("damage", [lambda packed: packed[:-9], lambda packed: b"<html>"], ids=["cut short", "a page"])
def test_file_that_cannot_be_unpacked_is_named(folder, entry, ending, pack, damage):
    (folder / "libsvm" / f"tiny{ending}").write_bytes(damage(pack(TEXT)))
    with pytest.raises(DataError, match=rf"tiny\{ending} cannot be unpacked .* delete it"):
        data.load("tiny", folder=folder)


def test_missing_file_without_network_says_what_to_do(folder, entry):
    with pytest.raises(DataError, match=r"libsvm/tiny is not there .*no network.*let HYPERGRAD_DATA name that folder"):
        data.load("tiny", folder=folder)


def test_missing_curve_that_nobody_serves_says_what_to_do(folder):
    with pytest.raises(DataError, match=r"cannot be downloaded; put it in a folder as baydin2018/mlp/sgd\.csv"):
        data.curve("mlp/sgd", folder)


def test_fetched_set_is_there_from_then_on_and_held_against_its_checksum(folder, monkeypatch):
    asked, content = [], bz2.decompress((files.CHECKOUT / "libsvm" / "a1a.bz2").read_bytes())

    def retrieve(url, known_hash, path, fname):
        asked.append(url)
        path.mkdir(parents=True, exist_ok=True)
        (path / fname).write_bytes(content)
        return path / fname

    monkeypatch.setattr("pooch.retrieve", retrieve)
    monkeypatch.setattr(files, "CHECKOUT", folder / "no checkout")
    for _ in range(2):
        data.fetch("a1a")
    assert data.has("a1a")
    assert asked == [registry.LIBSVM_URL + "a1a"]
    with pytest.raises(DataError, match="is not libsvm/a2a of the registry"):
        data.fetch("a2a")


@pytest.mark.parametrize("name", ["mnist", "baydin2018/logreg/sgd"])
def test_fetch_that_fails_says_what_to_do(folder, name):
    with pytest.raises(DataError, match=rf"{name}.* is not there .*no network.*let HYPERGRAD_DATA name that folder"):
        data.fetch(name)


def test_unknown_names_list_the_known():
    with pytest.raises(DataError, match=r"no data set is called 'a10a'; known are .*a1a"):
        data.load("a10a")
    with pytest.raises(DataError, match="no curve is called"):
        data.curve("logreg/lbfgs")
    with pytest.raises(DataError, match="no data set is called 'minst'"):
        data.fetch("minst")
    with pytest.raises(ValueError, match="reading must be 'authors' or 'clean', got 'raw'"):
        data.load("breast_cancer", "raw")


def test_idx_file_that_is_cut_is_refused():
    good = bytes([0, 0, 8, 1, 0, 0, 0, 3, 7, 8, 9])
    assert data.parse_idx(good).tolist() == [7, 8, 9]
    for bad, words in ((good[:-1], "announces"), (good[:6], "cut off"), (b"\1" + good, "not an idx file")):
        with pytest.raises(DataError, match=words):
            data.parse_idx(bad)


def test_bundled_sets_need_no_folder(folder):
    cancer, digits = data.load("breast_cancer"), data.load("digits")
    assert cancer.features.shape == (569, 30)
    assert set(cancer.labels) == {-1.0, 1.0}
    # 569 entries of size up to 10: their mean is off by 569 u 10
    assert np.abs(cancer.features.mean(axis=0)).max() < 1e-12
    assert digits.features.shape == (1797, 64)
    assert (digits.features.min(), digits.features.max()) == (0, 1)


AVAILABLE = [name for name in registry.REGISTRY if data.has(name)]


@pytest.mark.parametrize("reading", ["authors", "clean"])
@pytest.mark.parametrize("name", [name for name in AVAILABLE if registry.REGISTRY[name].rows < 60000])
def test_available_set_is_what_the_table_says(name, reading):
    loaded, entry = data.load(name, reading), registry.REGISTRY[name]
    width = entry.largest_index if reading == "authors" else entry.features
    assert loaded.features.shape == (entry.rows, width)
    assert loaded.labels.shape == (entry.rows,)


@pytest.mark.skipif(not data.has("mnist"), reason="needs MNIST: let HYPERGRAD_DATA name its folder")
def test_mnist_is_whole():
    digits = data.mnist()
    assert [part.shape for part in digits] == [(60000, 28, 28), (60000,), (10000, 28, 28), (10000,)]
    assert np.bincount(digits.test_labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]


@pytest.mark.parametrize("name", [name for name in data.curve_names() if data.has(f"baydin2018/{name}")])
def test_available_curve_has_columns_of_one_length(name):
    columns = data.curve(name)
    assert len({len(column) for column in columns.values()}) == 1
