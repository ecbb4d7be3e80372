"""The data sets that the experiments use: one table, two readings, nothing taken on trust.

A set is looked for, plain or compressed (.bz2, .gz), in

    validation/data of a checkout                             what the headline numbers need; a wheel does not hold it
    the folder given, or the one that HYPERGRAD_DATA names    FOLDER/libsvm/a1a, FOLDER/mnist/..., FOLDER/baydin2018/...
    the cache of earlier downloads                            the same layout, in pooch's cache folder for hypergrad

and else fetched into the cache. Whatever is read is held against the sha256 of its content in the table below.
"""

import bz2
import csv
import gzip
import hashlib
import io
import os
import zlib
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hypergrad_reference.types import Vector

LIBSVM_URL = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary/"
MNIST_URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
BAYDIN_URL = "https://raw.githubusercontent.com/gbaydin/hypergradient-descent/master/results/"

Reading = Literal["authors", "clean"]
T = TypeVar("T")


CHECKOUT = Path(__file__).parents[1] / "data"
"""Files in the repository; README.md there says where each is from."""
BUNDLED = ("breast_cancer", "digits")
"""Sets that come with scikit-learn."""


class DataError(LookupError):
    """A data set is unknown, missing, damaged or out of reach; the message says which and what to do."""


class Entry(NamedTuple):
    """A classification set of the registry.

    rows, features   its true size
    largest_index    the largest feature index that occurs in the file, which is all that a reader of the file can know
    labels           the two labels as they stand in the file, the one to become -1 first
    sha256           of the lines of the file, see `text_digest`; empty for a set that scikit-learn bundles
    source           where it comes from
    """

    name: str
    rows: int
    features: int
    largest_index: int
    labels: tuple[int, ...]
    sha256: str
    source: str


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


# The LIBSVM collection, binary classification: name, rows, features, largest index in the file, the two labels, sha256.
# w2a, a6a, w5a, skin_nonskin, liver-disorders_scale and splice(_scale) were hashed from copies whose rows are exact but
# whose bytes were put together again; should the site's file differ in order or spelling, its download is refused.
_LIBSVM = """
a1a                     1605   123   119  -1  1 4e013dd5fbfef8c648b97271e2b63548be30330187c770c351573df2f344f979
a2a                     2265   123   119  -1  1 15f830fbeeb6cf737548d9d558d60438348f2f74fc89f278c373f1a63b9bceea
a3a                     3185   123   122  -1  1 cbed347b84572bf3432f9e44fcb122a61998e754d1433ffe47b2c88b809f3af9
a4a                     4781   123   122  -1  1 9209be5dde38c5736e2de7be0050fc461dcf65f729c786e0ed43ada87529f81c
a6a                    11220   123   122  -1  1 797c23d621e14592ecf95abd825a900e47fe57b8344e4d481096241172557309
a7a                    16100   123   122  -1  1 c39ceb64b20a66f05d1bb559907c67919ad2d6aef01e1608371a96244f86a28c
a8a                    22696   123   123  -1  1 d196f11c0db92a460316bf7f87c551106304f05c0b66180c19d463a43a5bd1a6
a9a                    32561   123   123  -1  1 4a64288fba73c4362cf066e219c35663b450f1658867b7ed7bcc1f6accfc4949
a9a.t                  16281   123   122  -1  1 506954ec230f3de29ee7ba703521446f458e81ecc317a9661ddc10d908e9d6f0
w1a                     2477   300   300  -1  1 a1fd3402ba268eda2c41f17a3dfcc48f4908d9b6fa9ccc52c189ae94326bafa9
w2a                     3470   300   300  -1  1 a6b2eb173b58916f044df71f61ae65c75f1276f609417a57361afb8587b62765
w3a                     4912   300   300  -1  1 c340dea1abe0436c8d0f77148a51d2d5cf67c846fbf0b8d21a6e7f034547ae7a
w5a                     9888   300   300  -1  1 2a780d39c0b0c7f2d66cd9a514a097efbb01fcb27778a90be78a4156068d476d
w7a                    24692   300   300  -1  1 bd4e3734d74d935a3e3b6e15413b67ab3362e058ad3992052a4e2dc35a74c2c5
w8a                    49749   300   300  -1  1 434eb5fdfe5ab0f759922fe58473326dbccaf16342ae874ac295d99322b44274
w8a.t                  14951   300   300  -1  1 7b896e1081ddcfc3f06365722430c6fcbb43a75fccd62f7ed0509788c7004dda
australian               690    14    14  -1  1 68f0210ada935269697a190951350e4d44147d93bbcdeaa3f2b722e4305890d4
australian_scale         690    14    14  -1  1 3120c7ae395dceea8e90202538b942aa85f203ee27f57f289188a87c2a464017
breast-cancer            683    10    10   2  4 5d7e173139fe06c415281cfe8e1714b2ecf48c164cbae82b0f8d0dc305c4ef3d
breast-cancer_scale      683    10    10   2  4 9c7faef5606578c870a7730b45981014ea989e968bec63f3445661b8cd5c2ee8
colon-cancer              62  2000  2000  -1  1 9ed8a3912558ee78bb9a16c036c455d6c594276f85234e00db2adacf06266d86
diabetes                 768     8     8  -1  1 eb482976f632eb53b995fa6e160829aeeff1991ca42b8c303d24fb2fb4d80551
diabetes_scale           768     8     8  -1  1 306120781f6c4492d8fe5b30de92838d97b6e2a409e048720a7311469cb70e76
duke                      44  7129  7129  -1  1 af8d651f3f263d334c47e8364528b3b730db7b98301845979cf4c8d53e4804be
fourclass                862     2     2  -1  1 7b45fa15671a08be69ca638e5f9fe30a522959ca8fb494b2ac305bb2517ba239
fourclass_scale          862     2     2  -1  1 cd295ef2cf54b92ff548af5a3ac6fb5eebaff27b2470d25c4e9af4bc793bc2ca
german.numer            1000    24    24  -1  1 45420c05c66ee7503ff2c5b428c3dc232f089429a6a218c6fb22c084b066dec8
german.numer_scale      1000    24    24  -1  1 e26357228dd24307f55aafc9a9e121414e39c7fbf4707df15567d761a62ae865
heart                    270    13    13  -1  1 3ad6b87b14e0f268a83608e211409fc13b6afa52179db92bb89ccfaf089a7fff
heart_scale              270    13    13  -1  1 b6c40e69bf693916926ab98913c9510389af26062323881c8b5c58fb1eec2e76
ionosphere_scale         351    34    34  -1  1 dcdfc737536c1e0fe648afc1608a0df4444b8b27fefcacf281bb6ba942c94866
leu                       38  7129  7129  -1  1 503de1684efac544fdeb799cd675af422632e94f6edea4d98263b417f99d395c
liver-disorders_scale    145     5     5   0  1 5313c042b96cc24c4090cfbcc33f527535899ca216abfb14401a15af1f57de91
mushrooms               8124   112   112   1  2 a082183b372d8ddd8bf84542785952fb53c86cee7ea5e4399cb4ed0f3d5132c5
phishing               11055    68    68   0  1 0b0ca40e17bc95e909bfa587c408bf69904571ace01dea26e34cafc464f2da93
skin_nonskin          245057     3     3   1  2 0c11c5dfacc3212ebd1d64faad5b6f58218e2142cf7c89ac6c60bd84e5038f68
sonar_scale              208    60    60  -1  1 760b95d79272dd324790266c8cd4f7d1a872098760db90b854e3ce166e090167
splice                  1000    60    60  -1  1 4d5bfacef5c732692156b24bf53530f800f15f5110fe49105558df88d4957810
splice_scale            1000    60    60  -1  1 9842c1af5ae668c5d6609574cc19a31eebfbe7a44bdfece287a6d685dcaa1b33
svmguide1               3089     4     4   0  1 6af4ac2c8dff259b69186ba7f04f6f11ba883f864a8203eb39dfd8361b92d380
svmguide3               1243    22    22  -1  1 088bbc9e241f27a4f5f31fb7aac6c035e77ebd73219401717eefd7d194ce278b
"""
_COMPRESSED_ON_SITE = {"colon-cancer", "duke", "leu"}

_MNIST = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}

# Published curves of Baydin et al. 2018. logreg/ is the authors' own, and logreg_epochs its epoch rows; mlp/ is theirs
# thinned to the first 600 steps, each 50th step and the epoch rows (adam_hd: epoch rows read from their vector plot),
# *_begin to 20 steps and the end of epoch 1; paper_figures/ holds readings of the figures; independent_rerun_2025/
# another run of the authors' script. Only logreg/ can be fetched.
_CURVES = {
    "independent_rerun_2025/logreg_epochs": "4dd2649ec6b43a0f49175455ca7ce2d659704d30884d1be0f8460fd951e26d32",
    "logreg/adam": "536b3ae202328dbf01d40831b0df7df1900b8ef3974fe1f5fe9585316b98edf8",
    "logreg/adam_hd": "5da7738570a29ad51517946172fd7cd5248a4a53eaa17e0491176f526cdbab68",
    "logreg/sgd": "9c662473035a106b2b138a80e411af953ce94de08f8b515aec152ccf0c851cdc",
    "logreg/sgd_hd": "ecd4eac906d43f352d8e413a3a27bebf8f5f52b3088ea9255fc583cc69609cd3",
    "logreg/sgdn": "cd6babcf68621e127a040c36a0766fbba5b46ebb137395bf5bdfe16861a80e42",
    "logreg/sgdn_hd": "725b9114e5a7727cd55c7be637a241b53771d32cbe8bba7d1813eb260de97d35",
    "logreg_epochs": "c893e51884fc2437a911d650327410dbe7fe243c6e9f300238fb8c63dd73da90",
    "mlp/adam": "0dcbf87a3a4f453aed3bebb269c3131fd61c3f763156141ba06b7531696e317a",
    "mlp/adam_hd_epochs_recovered": "637bf3a7d54a6c5c6f50ec9c4c18b196151b0892fa116542d4ee3f27a91bd86d",
    "mlp/sgd": "32fd149db4822c01105048734da239cd170e193d31e73d9ce42f5f4add566322",
    "mlp/sgd_hd": "e53af60146429b3f68f8432dab2e4c33a2421a28897a1b3a8073f5fa657bf18b",
    "mlp/sgd_hd_begin": "cb3ba1ecc225ef6d516f83cf7d1311ef92f472ee7a10149eb625588d6bc6ab6d",
    "mlp/sgdn": "5305becd99d6930f756adebc0cb657f86a63108154b833fb1f6e88a52b87ee14",
    "mlp/sgdn_hd": "c52739b3e2902985b518d01309553f6196a380a2c702ae3f38b4e28f6aea65e7",
    "mlp/sgdn_hd_begin": "a8eda177b464f47677aeb4e6efb1817495b194208641e39b8db0e19ac588dd7d",
    "paper_figures/fig2_epochs": "164b9ac6f584ec8275ea268882f78e76c688194580e93bace045e5d9b851c7b0",
    "paper_figures/fig3_epochs": "c2cfdc0b3c66fa51ba2fca5eeb1a7faa94666ece762b1484c27bdbc0935680d2",
    "paper_figures/fig4_grid": "584950715e5f7eb22df9bdfce70b3d655a3050635e73680d906c60b924fc799d",
}

REGISTRY: dict[str, Entry] = {
    name: Entry(
        name,
        int(rows),
        int(features),
        int(largest_index),
        (int(negative), int(positive)),
        sha256,
        LIBSVM_URL + name + (".bz2" if name in _COMPRESSED_ON_SITE else ""),
    )
    for name, rows, features, largest_index, negative, positive, sha256 in map(str.split, _LIBSVM.strip().splitlines())
} | {
    "breast_cancer": Entry("breast_cancer", 569, 30, 30, (0, 1), "", "scikit-learn, load_breast_cancer"),
    "digits": Entry("digits", 1797, 64, 64, tuple(range(10)), "", "scikit-learn, load_digits"),
}
"""Every classification set by name."""


def has(name: str, folder: str | Path | None = None) -> bool:
    """Whether a set can be had without a download.

    name     a name of `REGISTRY`, "mnist", or "baydin2018/" and the name of a curve (see `curve_names`)
    folder   where to look besides the checkout and the cache; None means the folder named by HYPERGRAD_DATA
    """
    if name == "mnist":
        return all(_find(f"mnist/{file}", folder) is not None for file in _MNIST)
    if name.startswith("baydin2018/"):
        _known(name.removeprefix("baydin2018/"), _CURVES, "curve")
        return _find(name + ".csv", folder) is not None
    if not _known(name, REGISTRY, "data set").sha256:
        return _has_sklearn()
    return _has_sklearn() and _find(f"libsvm/{name}", folder) is not None


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
    """Whether a checkout holds a classification set; False for a bundled one, for it comes with scikit-learn."""
    return _find_in(CHECKOUT, f"libsvm/{name}") is not None


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
    entry = _known(name, REGISTRY, "data set")
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
        parse_idx(_read(f"mnist/{file}", MNIST_URL + file + ".gz", sha256, _digest, folder))
        for file, sha256 in _MNIST.items()
    )
    return Mnist(*arrays)


def normalise_mnist(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """MNIST as the authors of Baydin et al. 2018 feed it to their models (authors' code), in float32:

        (pixel / 255 - 0.1307) / 0.3081,   an image a row

    images   (m, 28, 28) uint8; the result is (m, 784)

    >>> normalise_mnist(np.array([[[0, 255]]], dtype=np.uint8))
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
    return list(_CURVES)


def curve(name: str, folder: str | Path | None = None) -> dict[str, NDArray[Any]]:
    """A published curve or reading of a figure of Baydin et al. 2018, column by column under the file's headings.

    A column is float64 if every entry is a number (or nan), else text.

    name     a name of `curve_names`. Those of logreg/ and mlp/ have a row a step: Epoch, Iteration (step + 1; 0 before
             the first), Time (s), Loss (of the minibatch, before the step, without the L2 term), LossEpoch and
             ValidLossEpoch (nan but on the last row of an epoch), Alpha (the rate used), AlphaEpoch, Beta
    folder   as in `load`. Raises DataError as `load` does.
    """
    sha256 = _known(name, _CURVES, "curve")
    url = BAYDIN_URL + name + ".csv" if name.startswith("logreg/") else None
    content = _read(f"baydin2018/{name}.csv", url, sha256, text_digest, folder)
    headings, *rows = csv.reader(io.StringIO(content.decode()))
    return {heading: _column(column) for heading, column in zip(headings, zip(*rows, strict=True), strict=True)}


def text_digest(content: bytes) -> str:
    r"""The sha256 of the lines of a text, blanks and line ends at the end of each line left out.

    Copies of one file that differ in nothing else (Windows line ends, no final line end) have the same digest.

    >>> text_digest(b"-1 3:1 \r\n+1 5:1\r\n") == text_digest(b"-1 3:1\n+1 5:1")
    True
    """
    return _digest(b"\n".join(line.rstrip() for line in content.splitlines()))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _known(name: str, table: dict[str, T], kind: str) -> T:
    if name not in table:
        raise DataError(f"no {kind} is called {name!r}; known are {', '.join(table)}")
    return table[name]


def _column(entries: tuple[str, ...]) -> NDArray[Any]:
    try:
        return np.array(entries, dtype=np.float64)
    except ValueError:
        return np.array(entries)


def _has_sklearn() -> bool:
    return find_spec("sklearn") is not None


def _read_libsvm(entry: Entry, folder: str | Path | None) -> tuple[Any, Vector]:
    content = _read(f"libsvm/{entry.name}", entry.source, entry.sha256, text_digest, folder)
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


def _folders(folder: str | Path | None) -> list[Path]:
    """Where to look, in order: the checkout, the folder given or named by HYPERGRAD_DATA, the cache of downloads."""
    named = folder if folder is not None else os.environ.get("HYPERGRAD_DATA")
    return [
        *([CHECKOUT] if CHECKOUT.is_dir() else []),
        *([Path(os.path.expanduser(named))] if named else []),  # noqa: PTH111  pathlib's raises where there is no home
        *([_cache()] if find_spec("pooch") else []),
    ]


def _cache() -> Path:
    import pooch

    return Path(pooch.os_cache("hypergrad"))


def _find(file: str, folder: str | Path | None) -> Path | None:
    return next(filter(None, (_find_in(place, file) for place in _folders(folder))), None)


def _find_in(place: Path, file: str) -> Path | None:
    return next(filter(Path.is_file, (place / (file + ending) for ending in ("", ".bz2", ".gz"))), None)


def _read(file: str, url: str | None, sha256: str, digest: Callable[[bytes], str], folder: str | Path | None) -> bytes:
    """The content of a file of the registry, decompressed and held against its digest; downloaded if it must be."""
    path = _find(file, folder) or _download(file, url, folder)
    decompress = {".bz2": bz2.decompress, ".gz": gzip.decompress}.get(path.suffix, bytes)
    try:
        content = decompress(path.read_bytes())
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} cannot be unpacked ({error}); delete it and put the original there") from error
    if digest(content) != sha256:
        raise DataError(
            f"{path} is not {file} of the registry: sha256 {digest(content)}, expected {sha256}; "
            "delete it and put the original there"
        )
    return content


def _download(file: str, url: str | None, folder: str | Path | None) -> Path:
    looked_in = ", ".join(map(str, _folders(folder))) or "no folder, as HYPERGRAD_DATA is not set"
    missing = f"{file} is not there (looked in {looked_in})"
    remedy = f"put it in a folder as {file} (plain, .bz2 or .gz) and let HYPERGRAD_DATA name that folder"
    if url is None:
        raise DataError(f"{missing} and cannot be downloaded; {remedy}")
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise DataError(
            f"{missing} and pooch, which would download it, is not installed: "
            f"pip install 'hypergrad-opencl[figures]', or {remedy}"
        ) from error
    pooch.get_logger().setLevel("WARNING")  # it advises to give the hash of the file
    try:
        # The digest is of the content, not of the compressed file, so `_read` checks it and pooch does not.
        fetched = pooch.retrieve(url, known_hash=None, path=(_cache() / file).parent, fname=Path(url).name)
    except OSError as error:
        reason = shorten(str(error), 100)
        raise DataError(f"{missing} and {url} could not be downloaded ({reason}); {remedy}") from error
    return Path(fetched)
