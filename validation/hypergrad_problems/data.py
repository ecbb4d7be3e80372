"""The data sets that the experiments use: one table, two readings, nothing taken on trust.

A set is looked for, plain or compressed (.bz2, .gz), in

    validation/data of a checkout                             what the headline numbers need; a wheel does not hold it
    the folder given, or the one that HYPERGRAD_DATA names    FOLDER/libsvm/a1a, FOLDER/mnist/..., FOLDER/baydin2018/...
    the cache of earlier downloads                            the same layout, in pooch's cache folder for hypergrad

If it is in none of them, it is fetched into the cache. The sha256 of whatever is
read is compared with that in `registry`.
"""

import csv
import io
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hypergrad_problems import files
from hypergrad_problems.files import digest, find_file, read_file, text_digest
from hypergrad_problems.registry import BAYDIN_URL, CURVES, MNIST, MNIST_URL, REGISTRY, DataError, Entry, look_up
from hypergrad_reference.types import Vector

Reading = Literal["authors", "clean"]

BUNDLED = ("breast_cancer", "digits")
"""Sets that come with scikit-learn."""


class Dataset(NamedTuple):
    """A classification set in memory.

    features   (m, n)  float64, a scipy.sparse.csr_array if the file is sparse (LIBSVM), else an ndarray
    labels     (m,)    float64
    source             where it comes from and how it was read
    """

    name: str
    features: Any
    labels: Vector
    source: str


class Mnist(NamedTuple):
    """The handwritten digits of LeCun, Cortes and Burges in their original order, uint8 from 0 to 255.

    train_images (60000, 28, 28), train_labels (60000,), test_images (10000, 28, 28), test_labels (10000,)
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


def has(name: str, folder: str | Path | None = None) -> bool:
    """Whether a set can be had without a download.

    name     a name of `REGISTRY`, "mnist", or "baydin2018/" and the name of a curve (see `curve_names`)
    folder   where to look besides the checkout and the cache; None means the folder named by HYPERGRAD_DATA
    """
    if name == "mnist":
        return all(find_file(f"mnist/{file}", folder) is not None for file in MNIST)
    if name.startswith("baydin2018/"):
        look_up(name.removeprefix("baydin2018/"), CURVES, "curve")
        return find_file(name + ".csv", folder) is not None
    if not look_up(name, REGISTRY, "data set").sha256:
        return _has_sklearn()
    return _has_sklearn() and find_file(f"libsvm/{name}", folder) is not None


def describe(names: Iterable[str]) -> str:
    """Sets by their collections, in a few words; the curves of Baydin et al. 2018 come with MNIST.

    >>> describe(["mnist", "baydin2018/logreg/sgd"]), describe(["a4a", "a6a"]), describe([])
    ("MNIST with the authors' logs", 'a4a, a6a of LIBSVM', '')
    >>> describe(["a4a", "a6a", "a7a", "a8a", "a9a"])
    '5 sets of LIBSVM'
    """
    names = set(names)
    libsvm = sorted(names & REGISTRY.keys())
    words = ["MNIST with the authors' logs"] if names - REGISTRY.keys() else []
    if libsvm:
        words.append(f"{', '.join(libsvm) if len(libsvm) < 5 else f'{len(libsvm)} sets'} of LIBSVM")
    return " and ".join(words)


def is_in_repository(name: str) -> bool:
    """Whether a checkout holds a classification set; False for a bundled one, which comes with scikit-learn."""
    return files.find_in(files.CHECKOUT, f"libsvm/{name}") is not None


def fetch(name: str) -> None:
    """Have a set, or a curve, from now on: read it, and so download it where it is not there.

    name     as in `has`. Raises as `load`.
    """
    if name == "mnist":
        mnist()
    elif name.startswith("baydin2018/"):
        curve(name.removeprefix("baydin2018/"))
    else:
        load(name)


def load(name: str, reading: Reading = "clean", folder: str | Path | None = None) -> Dataset:
    """A classification set, read in one of two ways.

    name      a name of `REGISTRY`
    reading   "authors": as many columns as the largest index that occurs in the file, labels as they stand there; what
              the published runs of HDM-Best and OSGM-Best saw. "clean": the true number of columns, labels -1 and +1
              (of two labels the smaller becomes -1; more than two stay as they are).
    folder    where to look besides the checkout and the cache; None means the folder named by HYPERGRAD_DATA

    The bundled breast_cancer is standardised (each column mean 0, population standard deviation 1); the pixels
    of digits, 0 to 16, are divided by 16.

    Raises DataError if the set is unknown, in no folder and out of reach, or not what the table says;
    ModuleNotFoundError if scikit-learn, which reads the files, is not installed.
    """
    if reading not in ("authors", "clean"):
        raise ValueError(f"reading must be 'authors' or 'clean', got {reading!r}")
    entry = look_up(name, REGISTRY, "data set")
    features, labels = _read_libsvm(entry, folder) if entry.sha256 else _read_bundled(name)
    if (features.shape, tuple(np.unique(labels))) != ((entry.rows, entry.largest_index), entry.labels):
        raise DataError(f"{name} has shape {features.shape} and labels {np.unique(labels)}, the table says {entry}")
    if reading == "clean":
        if entry.features > entry.largest_index:
            features.resize(entry.rows, entry.features)  # appends empty columns
        if len(entry.labels) == 2:
            labels = np.where(labels == entry.labels[0], -1.0, 1.0)
    return Dataset(name, features, labels, f"{entry.source}, {reading} reading")


def load_two_classes(name: str, folder: str | Path | None = None) -> Dataset:
    """A set as the authors' solvers see it; a bundled one, which they do not have, with labels -1 and +1.

    digits is even (-1) against odd (+1), "digits 3 8" the threes (-1) against the eights (+1). Raises as `load`.
    """
    bundled, *pair = name.split()
    if bundled not in BUNDLED:
        return load(name, "authors", folder)
    dataset = load(bundled)
    if pair:
        negative, positive = map(int, pair)
        kept = np.isin(dataset.labels, (negative, positive))
        labels = np.where(dataset.labels[kept] == negative, -1.0, 1.0)
        return dataset._replace(name=name, features=dataset.features[kept], labels=labels)
    return dataset._replace(labels=np.where(dataset.labels % 2 == 0, -1.0, 1.0)) if name == "digits" else dataset


def mnist(folder: str | Path | None = None) -> Mnist:
    """MNIST from its four idx files; folder as in `load`. Raises DataError as `load` does."""
    arrays = (
        parse_idx(read_file(f"mnist/{file}", MNIST_URL + file + ".gz", sha256, digest, folder))
        for file, sha256 in MNIST.items()
    )
    return Mnist(*arrays)


def normalize_mnist(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """MNIST as the authors of Baydin et al. 2018 feed it to their models (authors' code), in float32:

        (pixel / 255 - 0.1307) / 0.3081,   one image per row

    images   (m, 28, 28) uint8; the result is (m, 784)

    >>> normalize_mnist(np.array([[[0, 255]]], dtype=np.uint8))
    array([[-0.42421296,  2.8214867 ]], dtype=float32)
    """
    pixels = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    return (pixels - np.float32(0.1307)) / np.float32(0.3081)


def parse_idx(content: bytes) -> NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes: 0, 0, 8, rank; each size in 4 bytes, big-endian; the data.

    >>> parse_idx(bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9]))
    array([[7, 8, 9]], dtype=uint8)

    Raises DataError if the magic number is another or the sizes do not fit the content.
    """
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise DataError(f"not an idx file of unsigned bytes: it begins with {content[:4]!r}")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise DataError(f"idx file of rank {content[3]} is cut off after {len(content)} bytes")
    shape = tuple(int(size) for size in np.frombuffer(content[4:start], dtype=">u4"))
    if len(content) - start != np.prod(shape, dtype=np.int64):
        raise DataError(f"idx file announces {shape} and holds {len(content) - start} bytes")
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)


def curve_names() -> list[str]:
    """The names of the published curves, such as "logreg/sgd_hd"."""
    return list(CURVES)


def curve(name: str, folder: str | Path | None = None) -> dict[str, NDArray[Any]]:
    """A published curve or reading of a figure of Baydin et al. 2018, column by column under the file's headings.

    A column is float64 if every entry is a number (or nan), else text.

    name     a name of `curve_names`. Those of logreg/ and mlp/ have one row per step: Epoch, Iteration (step + 1; 0
             before the first), Time (s), Loss (of the minibatch, before the step, without the L2 term), LossEpoch and
             ValidLossEpoch (nan but on the last row of an epoch), Alpha (the rate used), AlphaEpoch, Beta
    folder   as in `load`. Raises DataError as `load` does.
    """
    sha256 = look_up(name, CURVES, "curve")
    url = BAYDIN_URL + name + ".csv" if name.startswith("logreg/") else None
    content = read_file(f"baydin2018/{name}.csv", url, sha256, text_digest, folder)
    headings, *rows = csv.reader(io.StringIO(content.decode()))
    return {heading: _column(column) for heading, column in zip(headings, zip(*rows, strict=True), strict=True)}


def _column(entries: tuple[str, ...]) -> NDArray[Any]:
    try:
        return np.array(entries, dtype=np.float64)
    except ValueError:
        return np.array(entries)


def _has_sklearn() -> bool:
    return find_spec("sklearn") is not None


def _read_libsvm(entry: Entry, folder: str | Path | None) -> tuple[Any, Vector]:
    content = read_file(f"libsvm/{entry.name}", entry.source, entry.sha256, text_digest, folder)
    features, labels = _sklearn_datasets().load_svmlight_file(io.BytesIO(content), zero_based=False)
    return csr_array(features), labels


def _read_bundled(name: str) -> tuple[Any, Vector]:
    features, labels = getattr(_sklearn_datasets(), f"load_{name}")(return_X_y=True)
    if name == "digits":
        return features / 16, labels.astype(np.float64)
    return (features - features.mean(axis=0)) / features.std(axis=0), labels.astype(np.float64)


def _sklearn_datasets() -> Any:
    try:
        from sklearn import datasets
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "scikit-learn reads the data sets and is not installed: pip install 'hypergrad-opencl[figures]'"
        ) from error
    return datasets
