"""The data of the arena's problems as rows of inputs and targets; each set is read once in a process."""

import re
from collections import Counter
from functools import cache

import numpy as np
from scipy.sparse import issparse
from sklearn import datasets

from hypergrad_problems import data
from hypergrad_problems.arena.training import Array, Rows


@cache
def load_binary(name: str, limit: int | None = None, standardise: bool = False) -> Rows:
    """A set with labels -1 and +1, dense; at most `limit` rows, drawn once and for all."""
    dataset = data.load(name)
    features = dataset.features.toarray() if issparse(dataset.features) else np.asarray(dataset.features)
    rows = (features.astype(float), dataset.labels)
    if limit is not None:
        chosen = np.random.default_rng(0).permutation(len(rows[1]))[:limit]
        rows = (rows[0][chosen], rows[1][chosen])
    return (_standardise(rows[0]), rows[1]) if standardise else rows


def _standardise(x: Array) -> Array:
    result: Array = (x - x.mean(axis=0)) / x.std(axis=0)
    return result


@cache
def load_digits() -> Rows:
    """scikit-learn's digits, 64 pixels from 0 to 1, and labels 0 to 9."""
    dataset = data.load("digits")
    return np.asarray(dataset.features), dataset.labels.astype(int)


@cache
def load_images(images: int) -> Rows:
    """The first images of MNIST, (images, 784) from 0 to 1, and their labels."""
    mnist = data.mnist()
    return mnist.train_images[:images].reshape(images, -1) / 255.0, mnist.train_labels[:images].astype(int)


@cache
def load_pooled(images: int, pixels: int) -> Rows:
    """The same with means over squares of pixels: 8 x 8 of the 24 x 24 in the centre, or 14 x 14 of all 28 x 28."""
    flat, labels = load_images(images)
    margin, size = (2, 3) if pixels == 8 else (0, 2)
    centre = flat.reshape(-1, 28, 28)[:, margin : 28 - margin, margin : 28 - margin]
    pooled = centre.reshape(-1, pixels, size, pixels, size).mean(axis=(2, 4))
    return pooled.reshape(images, -1), labels


@cache
def load_diabetes(raw: bool = False) -> Rows:
    """scikit-learn's diabetes: 10 features standardised or as measured; the target standardised or centred."""
    inputs, targets = datasets.load_diabetes(return_X_y=True, scaled=not raw)
    if raw:
        return inputs, targets - targets.mean()
    return _standardise(inputs), _standardise(targets)


@cache
def make_friedman() -> Rows:
    """Friedman's first function of 10 uniform features, 1000 rows, noise 1, standardised target."""
    inputs, targets = datasets.make_friedman1(1000, noise=1.0, random_state=0)
    return inputs, _standardise(targets)


@cache
def _load_text() -> str:
    """The descriptions of six data sets of scikit-learn, in lower case."""
    names = ("breast_cancer", "diabetes", "digits", "iris", "linnerud", "wine")
    return "\n".join(getattr(datasets, f"load_{name}")().DESCR for name in names).lower()


@cache
def load_characters(context: int) -> tuple[Rows, int]:
    """Runs of `context` characters of the text, the characters that follow each, and how many symbols there are."""
    text = _load_text()
    symbols = {symbol: number for number, symbol in enumerate(sorted(set(text)))}
    codes = np.array([symbols[symbol] for symbol in text])
    windows = np.lib.stride_tricks.sliding_window_view(codes, context + 1)[:: context // 2]
    return (windows[:, :-1], windows[:, 1:]), len(symbols)


@cache
def load_words() -> tuple[Rows, int]:
    """Every word of the text, the next word, and how many words there are; those that occur once are one."""
    words = re.findall(r"[a-z]+|[0-9]+|[^a-z0-9\s]", _load_text())
    counts = Counter(words)
    known = {word: number + 1 for number, word in enumerate(sorted(w for w, times in counts.items() if times > 1))}
    codes = np.array([known.get(word, 0) for word in words])
    return (codes[:-1], codes[1:]), len(known) + 1
