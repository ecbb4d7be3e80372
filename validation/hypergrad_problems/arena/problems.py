"""The problems of the arena, by name. T1 and T2 served to develop the rule, T3 for two choices.

Parameters start at zeros in linear models and functions, and at normal numbers of variance 1/inputs (2/inputs before
relu) in networks. The start, the split 80/20 and the batches depend on the seed. Texts are the descriptions of
scikit-learn's data sets.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hypergrad_problems.arena import models, tape
from hypergrad_problems.arena.rows import (
    load_binary,
    load_characters,
    load_diabetes,
    load_digits,
    load_images,
    load_pooled,
    load_words,
    make_friedman,
)  # fmt: skip
from hypergrad_problems.arena.training import Problem, Rows, Split, learn, pick, split
from hypergrad_reference.types import Vector

Rng = np.random.Generator
Make = Callable[[str, int], Problem]
"""From the name of a problem and a seed."""


class Entry(NamedTuple):
    """A problem before its seed is known."""

    group: str  # "T1", "T2", "T3", "exact" or "later", which no choice has seen
    needs: tuple[str, ...]  # data sets that the repository does not hold, as `hypergrad_problems.data` knows them
    make: Make


def make_problem(name: str, seed: int) -> Problem:
    """A problem by its name, a key of PROBLEMS."""
    return PROBLEMS[name].make(name, seed)


# Functions


def _quadratic(name: str, seed: int) -> Problem:
    """1/2 sum lambda_i x_i^2, lambda from 1 to 1e-3, gradient noise N(0, 0.09 lambda)."""
    curvature = np.geomspace(1, 1e-3, 200)
    start = np.random.default_rng([seed, 0]).standard_normal(200)

    def loss(x: Vector) -> float:
        return float(curvature @ (x * x)) / 2

    def gradient(x: Vector, rng: Rng) -> Vector:
        return curvature * x + 0.3 * np.sqrt(curvature) * rng.standard_normal(x.size)

    return Problem(name, 2000, start, loss, lambda x: float("nan"), gradient, lambda x: curvature * x)


def _rosenbrock(start: Vector) -> Make:
    """The sum of 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2, gradient noise N(0, 1)."""

    def loss(x: Vector) -> float:
        return float(np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2))

    def full_gradient(x: Vector) -> Vector:
        bend, slope = x[1:] - x[:-1] ** 2, np.zeros_like(x)
        slope[1:] += 200 * bend
        slope[:-1] -= 400 * bend * x[:-1] + 2 * (1 - x[:-1])
        return slope

    def gradient(x: Vector, rng: Rng) -> Vector:
        return full_gradient(x) + rng.standard_normal(x.size)

    def make(name: str, seed: int) -> Problem:
        return Problem(name, 2000, start, loss, lambda x: float("nan"), gradient, full_gradient)

    return make


# Linear models


def _logistic(data: str, *, batch: int | None = 64, steps: int = 2000, l2: float = 0.0) -> Make:
    def make(name: str, seed: int) -> Problem:
        rows = load_binary(data)
        model, start = models.linear(rows[0].shape[1], tape.logistic)
        return learn(name, model, start, split(rows, seed), batch=batch, steps=steps, l2=l2)

    return make


def _softmax(load: Callable[[], Rows], l2: float) -> Make:
    def make(name: str, seed: int) -> Problem:
        rows = load()
        model, start = models.softmax_regression(rows[0].shape[1], 10)
        return learn(name, model, start, split(rows, seed), l2=l2)

    return make


def _rotated(name: str, seed: int) -> Problem:
    """Least squares, n = 60, singular values of condition 1e4 (of the Hessian), noise 0.1 in the targets."""
    rng = np.random.default_rng([seed, 0])
    rotation, _ = np.linalg.qr(rng.standard_normal((60, 60)))
    inputs = rng.standard_normal((1000, 60)) * np.geomspace(1, 1e-2, 60) @ rotation
    targets = inputs @ (rotation.T @ rng.standard_normal(60)) + 0.1 * rng.standard_normal(1000)
    model, start = models.least_squares(60)
    return learn(name, model, start, split((inputs, targets), seed), batch=32, steps=4000)


def _diabetes(loss: models.Loss, *, raw: bool = False, batch: int = 16, steps: int = 2000) -> Make:
    def make(name: str, seed: int) -> Problem:
        rows = load_diabetes(raw)
        model, start = models.linear(rows[0].shape[1], loss)
        return learn(name, model, start, split(rows, seed), batch=batch, steps=steps)

    return make


def _factorisation(name: str, seed: int) -> Problem:
    """120 x 100, rank 6, all entries seen with noise 0.1."""
    rng = np.random.default_rng([seed, 0])
    full = rng.standard_normal((120, 6)) @ rng.standard_normal((6, 100)) + 0.1 * rng.standard_normal((120, 100))
    i, j = (places.reshape(-1) for places in np.indices(full.shape))
    model, start = models.factorise(120, 100, 6, rng)
    return learn(name, model, start, split((i, j, full.reshape(-1)), seed))


# Networks


def _network(
    load: Callable[[], Rows],
    sizes: tuple[int, ...],
    loss: models.Loss = tape.cross_entropy,
    activation: str = "relu",
    *,
    batch: int = 64,
    steps: int = 2000,
    l2: float = 0.0,
) -> Make:
    def make(name: str, seed: int) -> Problem:
        rows = load()
        model, start = models.mlp((rows[0].shape[1], *sizes), loss, np.random.default_rng([seed, 0]), activation)
        return learn(name, model, start, split(rows, seed), batch=batch, steps=steps, l2=l2)

    return make


def _autoencoder(sizes: tuple[int, ...], noise: float = 0.0) -> Make:
    """Digits from themselves, or from digits with noise."""

    def make(name: str, seed: int) -> Problem:
        rng = np.random.default_rng([seed, 0])
        clean = load_digits()[0]
        rows = (clean + noise * rng.standard_normal(clean.shape), clean)
        model, start = models.autoencoder(sizes, rng)
        return learn(name, model, start, split(rows, seed))

    return make


def _convolution(name: str, seed: int) -> Problem:
    images, labels = load_pooled(3000, 14)
    model, start = models.convolution(14, 10, np.random.default_rng([seed, 0]))
    rows = (images.reshape(-1, 14, 14, 1), labels)
    return learn(name, model, start, split(rows, seed), batch=32, steps=1500, l2=1e-3)


def _wrong_labels(name: str, seed: int) -> Problem:
    """MNIST 8x8 of which a fifth of the training labels is drawn at random."""
    rng = np.random.default_rng([seed, 0])
    data = split(load_pooled(5000, 8), seed)
    labels = data.train[1].copy()
    wrong = rng.random(len(labels)) < 0.2
    labels[wrong] = rng.integers(10, size=int(wrong.sum()))
    model, start = models.mlp((64, 64, 96, 10), tape.cross_entropy, rng)
    return learn(name, model, start, Split((data.train[0], labels), data.test), steps=3000)


def _recurrent(name: str, seed: int) -> Problem:
    images, labels = load_images(6000)
    model, start = models.recurrent(28, 32, 10, np.random.default_rng([seed, 0]))
    return learn(name, model, start, split((images.reshape(-1, 28, 28), labels), seed))


def _attention(name: str, seed: int) -> Problem:
    rows, symbols = load_characters(16)
    model, start = models.attention(symbols, 32, 16, np.random.default_rng([seed, 0]))
    return learn(name, model, start, split(rows, seed), batch=16, steps=1500)


def _bigram(name: str, seed: int) -> Problem:
    rows, words = load_words()
    model, start = models.bigram(words, 16, np.random.default_rng([seed, 0]))
    return learn(name, model, start, split(rows, seed))


# Data that can be fitted exactly


def _random_rows(name: str, seed: int) -> Problem:
    """57 rows of 3000 normal features with random labels."""
    rng = np.random.default_rng([seed, 0])
    rows = (rng.standard_normal((57, 3000)), rng.choice([-1.0, 1.0], 57))
    model, start = models.linear(3000, tape.logistic)
    return learn(name, model, start, Split(rows, pick(rows, np.arange(0))), batch=16, steps=1000, l2=1e-5)


def _cut(load: Callable[[], Rows], rows: int, hidden: int, outputs: int, loss: models.Loss) -> Make:
    """A network on the first rows of a set in random order."""

    def make(name: str, seed: int) -> Problem:
        data = split(load(), seed)
        few = Split(pick(data.train, np.arange(rows)), data.test)
        sizes = (few.train[0].shape[1], hidden, outputs)
        model, start = models.mlp(sizes, loss, np.random.default_rng([seed, 0]))
        return learn(name, model, start, few, batch=16, steps=1000, l2=1e-5)

    return make


MNIST = ("mnist",)
PROBLEMS: dict[str, Entry] = {
    "quadratic": Entry("T1", (), _quadratic),
    "softmax digits": Entry("T1", (), _softmax(load_digits, 1e-3)),
    "logistic a1a": Entry("T1", (), _logistic("a1a", batch=None)),
    "network digits": Entry("T1", (), _network(load_digits, (128, 10), l2=1e-3)),
    "network MNIST 8x8": Entry("T1", MNIST, _network(lambda: load_pooled(5000, 8), (128, 10), l2=1e-3)),
    "logistic w7a": Entry("T2", ("w7a",), _logistic("w7a")),
    "logistic mushrooms": Entry("T2", ("mushrooms",), _logistic("mushrooms", batch=32, l2=1e-4)),
    "logistic phishing": Entry("T2", ("phishing",), _logistic("phishing", batch=16, steps=4000)),
    "softmax MNIST": Entry("T2", MNIST, _softmax(lambda: load_images(6000), 1e-4)),
    "deep relu MNIST 8x8": Entry(
        "T2", MNIST, _network(lambda: load_pooled(8000, 8), (64, 64, 64, 10), l2=3e-4)
    ),
    "deep tanh MNIST 8x8": Entry(
        "T2", MNIST, _network(lambda: load_pooled(8000, 8), (64, 64, 64, 10), activation="tanh", batch=32, l2=3e-4)
    ),
    "convolution MNIST 14x14": Entry("T2", MNIST, _convolution),
    "factorisation": Entry("T2", (), _factorisation),
    "autoencoder digits": Entry("T2", (), _autoencoder((64, 32, 8, 32, 64))),
    "rotated least squares": Entry("T2", (), _rotated),
    "diabetes": Entry("T2", (), _diabetes(tape.squares)),
    "diabetes raw": Entry("T2", (), _diabetes(tape.squares, raw=True, batch=32, steps=3000)),
    "Rosenbrock": Entry("T2", (), _rosenbrock(np.zeros(20))),
    "attention": Entry("T2", (), _attention),
    "logistic a9a": Entry("T3", ("a9a",), _logistic("a9a", batch=32)),
    "logistic heart raw": Entry("T3", ("heart",), _logistic("heart", batch=16, steps=4000, l2=1e-5)),
    "network german": Entry(
        "T3", ("german.numer_scale",),
        _network(lambda: load_binary("german.numer_scale"), (32, 16, 1), tape.logistic, "tanh", batch=16, l2=1e-3),
    ),
    "network splice": Entry(
        "T3", ("splice_scale",),
        _network(lambda: load_binary("splice_scale"), (64, 1), tape.logistic, batch=32, l2=2e-3),
    ),
    "network skin": Entry(
        "T3", ("skin_nonskin",),
        _network(lambda: load_binary("skin_nonskin", limit=12000, standardise=True), (32, 32, 1), tape.logistic,
                 l2=1e-5, steps=4000),
    ),
    "network Friedman": Entry("T3", (), _network(make_friedman, (64, 64, 1), tape.squares, batch=32, l2=1e-5)),
    "wrong labels MNIST 8x8": Entry("T3", MNIST, _wrong_labels),
    "denoising digits": Entry("T3", (), _autoencoder((64, 48, 64), 0.3)),
    "median diabetes": Entry("T3", (), _diabetes(tape.distances)),
    "recurrent MNIST": Entry("T3", MNIST, _recurrent),
    "bigrams": Entry("T3", (), _bigram),
    "Rosenbrock, far": Entry("later", (), _rosenbrock(np.resize([-1.2, 1.0], 20))),
    "random rows": Entry("exact", (), _random_rows),
    "splice 60": Entry("exact", ("splice_scale",), _cut(lambda: load_binary("splice_scale"), 60, 64, 1, tape.logistic)),
    "digits 100": Entry("exact", (), _cut(load_digits, 100, 128, 10, tape.cross_entropy)),
}  # fmt: skip
"""Every problem by name, in the order of the report."""
