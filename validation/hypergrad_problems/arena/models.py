"""The models of the arena: each returns its parameters at first and its mean loss over rows."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from hypergrad_problems.arena import tape
from hypergrad_problems.arena.tape import Node
from hypergrad_problems.arena.training import Array, Model, Rows

Loss = Callable[[Node, Array], Node]
Rng = np.random.Generator


class Ready(NamedTuple):
    """A model and where it starts."""

    model: Model
    start: list[Array]


def draw(rng: Rng, inputs: int, outputs: int, gain: float = 1.0) -> Array:
    """Weights of variance gain^2 / inputs: gain sqrt(2) before relu (He et al. 2015), 1 otherwise."""
    weights: Array = rng.standard_normal((inputs, outputs)) * (gain / np.sqrt(inputs))
    return weights


# Linear


def linear(features: int, loss: Loss) -> Ready:
    """One score per row, x @ w + b, from zeros."""

    def model(p: Sequence[Node], rows: Rows) -> Node:
        return loss(tape.add(tape.product(rows[0], p[0]), p[1]), rows[1])

    return Ready(model, [np.zeros(features), np.zeros(1)])


def least_squares(features: int) -> Ready:
    """Mean of (x @ w - y)^2 / 2, without an intercept, from zeros."""
    return Ready(lambda p, rows: tape.squares(tape.product(rows[0], p[0]), rows[1]), [np.zeros(features)])


def softmax_regression(features: int, classes: int) -> Ready:
    """One score per class, from zeros."""

    def model(p: Sequence[Node], rows: Rows) -> Node:
        return tape.cross_entropy(tape.add(tape.product(rows[0], p[0]), p[1]), rows[1])

    return Ready(model, [np.zeros((features, classes)), np.zeros(classes)])


def factorise(rows: int, columns: int, rank: int, rng: Rng) -> Ready:
    """U V^T at places (i, j) against the values there."""

    def model(p: Sequence[Node], places: Rows) -> Node:
        i, j, values = places
        products = tape.multiply(tape.take(p[0], i), tape.take(p[1], j))
        ones = tape.constant(np.ones((rank, 1)))
        return tape.squares(tape.reshape(tape.matmul(products, ones), values.shape), values)

    return Ready(model, [0.1 * rng.standard_normal((rows, rank)), 0.1 * rng.standard_normal((columns, rank))])


# Networks


def mlp(sizes: Sequence[int], loss: Loss, rng: Rng, activation: str = "relu") -> Ready:
    """Layers with an activation between them; an output of one number is a score per row."""
    bend, gain = (tape.relu, np.sqrt(2)) if activation == "relu" else (tape.tanh, 1.0)
    start: list[Array] = []
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        last = number == len(sizes) - 2
        start += [draw(rng, inputs, outputs, 1.0 if last else float(gain)), np.zeros(outputs)]

    def model(p: Sequence[Node], rows: Rows) -> Node:
        x = tape.constant(rows[0])
        for layer in range(0, len(p), 2):
            x = tape.affine(x, p[layer], p[layer + 1])
            if layer + 2 < len(p):
                x = bend(x)
        return loss(tape.reshape(x, (-1,)) if sizes[-1] == 1 else x, rows[1])

    return Ready(model, start)


def autoencoder(sizes: Sequence[int], rng: Rng) -> Ready:
    """A tanh network whose rows are (inputs, what should come out)."""
    return mlp(sizes, tape.squares, rng, "tanh")


def convolution(pixels: int, classes: int, rng: Rng) -> Ready:
    """3x3 to 8 channels, relu, 2x2 means, 3x3 to 16, relu, then linear; rows (m, pixels, pixels, 1)."""
    inner = (pixels - 2) // 2 - 2
    start = [
        draw(rng, 9, 8, float(np.sqrt(2))), np.zeros(8), draw(rng, 72, 16, float(np.sqrt(2))), np.zeros(16),
        draw(rng, 16 * inner * inner, classes), np.zeros(classes),
    ]  # fmt: skip

    def model(p: Sequence[Node], rows: Rows) -> Node:
        x = tape.pool(tape.relu(tape.add(tape.convolve(tape.constant(rows[0]), p[0]), p[1])))
        x = tape.relu(tape.add(tape.convolve(x, p[2]), p[3]))
        return tape.cross_entropy(tape.affine(tape.reshape(x, (len(rows[0]), -1)), p[4], p[5]), rows[1])

    return Ready(model, start)


def recurrent(inputs: int, hidden: int, classes: int, rng: Rng) -> Ready:
    """A tanh network that reads a row of (m, times, inputs) after another and classifies with its last state."""
    start = [
        draw(rng, inputs, hidden), draw(rng, hidden, hidden), np.zeros(hidden),
        draw(rng, hidden, classes), np.zeros(classes),
    ]  # fmt: skip

    def model(p: Sequence[Node], rows: Rows) -> Node:
        sequence = rows[0]
        state = tape.constant(np.zeros((len(sequence), hidden)))
        for time in range(sequence.shape[1]):
            seen = tape.matmul(tape.constant(sequence[:, time]), p[0])
            state = tape.tanh(tape.add(seen, tape.affine(state, p[1], p[2])))
        return tape.cross_entropy(tape.affine(state, p[3], p[4]), rows[1])

    return Ready(model, start)


def attention(symbols: int, width: int, context: int, rng: Rng) -> Ready:
    """One causal attention head with a residual path and a relu layer; rows are (context, next symbols)."""
    start = [
        rng.standard_normal((symbols, width)), 0.1 * rng.standard_normal((context, width)),
        draw(rng, width, width), draw(rng, width, width), draw(rng, width, width), draw(rng, width, width),
        draw(rng, width, 2 * width, float(np.sqrt(2))), np.zeros(2 * width),
        draw(rng, 2 * width, width), np.zeros(width), draw(rng, width, symbols), np.zeros(symbols),
    ]  # fmt: skip
    future = np.triu(np.full((context, context), -1e9), 1)

    def model(p: Sequence[Node], rows: Rows) -> Node:
        x = tape.add(tape.take(p[0], rows[0]), p[1])
        query, key, value = (tape.matmul(x, weights) for weights in p[2:5])
        scores = tape.scale(tape.matmul(query, tape.transpose(key)), 1 / np.sqrt(width))
        seen = tape.matmul(tape.softmax(tape.add(scores, tape.constant(future))), value)
        x = tape.add(x, tape.matmul(seen, p[5]))
        x = tape.add(x, tape.affine(tape.relu(tape.affine(x, p[6], p[7])), p[8], p[9]))
        return tape.cross_entropy(tape.affine(x, p[10], p[11]), rows[1])

    return Ready(model, start)


def bigram(words: int, width: int, rng: Rng) -> Ready:
    """The next word from an embedding of the present one."""

    def model(p: Sequence[Node], rows: Rows) -> Node:
        return tape.cross_entropy(tape.affine(tape.take(p[0], rows[0]), p[1], p[2]), rows[1])

    return Ready(model, [rng.standard_normal((words, width)), draw(rng, width, words), np.zeros(words)])
