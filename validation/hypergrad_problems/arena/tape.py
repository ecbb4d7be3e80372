"""Reverse-mode derivatives of the few functions that the arena's models are made of, in float64.

A model is written forwards, out of the functions below; `differentiate` runs backwards through what they recorded.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Node:
    """A value, and how its derivative is passed on to the nodes that it was made of, constants excepted."""

    def __init__(self, value: Array, *edges: "Edge", constant: bool = False) -> None:
        self.value = value
        self.constant = constant
        self.edges = [edge for edge in edges if not edge.source.constant]
        self.gradient: Array | None = None


class Edge(NamedTuple):
    """From a node to one that it was made of."""

    source: Node
    pull: Callable[[Array], Array]  # from the derivative for the node to that for the source


def differentiate(loss: Node, leaves: Sequence[Node]) -> list[Array]:
    """The derivatives of a loss, shape (), with respect to each leaf.

    >>> w = Node(np.array([1.0, 2.0]))
    >>> differentiate(mean(multiply(w, w)), [w])
    [array([1., 2.])]
    """
    loss.gradient = np.ones(())
    for node in reversed(_sort(loss)):
        for source, pull in node.edges:
            share = pull(node.gradient)  # type: ignore[arg-type]
            source.gradient = share if source.gradient is None else source.gradient + share
    return [np.zeros_like(leaf.value) if leaf.gradient is None else leaf.gradient for leaf in leaves]


def _sort(loss: Node) -> list[Node]:
    """Every node after those that it was made of."""
    order: list[Node] = []
    seen: set[int] = set()
    stack: list[tuple[Node, bool]] = [(loss, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack += [(edge.source, False) for edge in node.edges]
    return order


def _fold(gradient: Array, like: Array) -> Array:
    """Sum over the axes along which an operand was repeated."""
    axes = gradient.ndim - like.ndim
    gradient = gradient.sum(axis=tuple(range(axes))) if axes else gradient
    repeated = tuple(axis for axis, size in enumerate(like.shape) if size == 1 and gradient.shape[axis] != 1)
    return gradient.sum(axis=repeated, keepdims=True) if repeated else gradient


# Arithmetic


def constant(value: Array) -> Node:
    """A node that has no derivative of interest: none is formed."""
    return Node(np.asarray(value), constant=True)


def add(x: Node, y: Node) -> Node:
    """The sum x + y, repeated as NumPy does."""
    return Node(x.value + y.value, Edge(x, lambda d: _fold(d, x.value)), Edge(y, lambda d: _fold(d, y.value)))


def scale(x: Node, factor: float | Array) -> Node:
    """The product of x and a constant of its shape or smaller."""
    return Node(x.value * factor, Edge(x, lambda d: d * factor))


def multiply(x: Node, y: Node) -> Node:
    """The product x y, element by element, of one shape."""
    return Node(x.value * y.value, Edge(x, lambda d: d * y.value), Edge(y, lambda d: d * x.value))


def matmul(x: Node, y: Node) -> Node:
    """The product x @ y; x (..., n, k), y (k, m) or (..., k, m)."""

    def pull_right(d: Array) -> Array:
        if y.value.ndim == 2:
            return x.value.reshape(-1, x.value.shape[-1]).T @ d.reshape(-1, d.shape[-1])
        return np.swapaxes(x.value, -1, -2) @ d

    return Node(x.value @ y.value, Edge(x, lambda d: d @ np.swapaxes(y.value, -1, -2)), Edge(y, pull_right))


def product(x: Any, y: Node) -> Node:
    """X @ y with a constant X, dense or sparse; y (k,) or (k, m)."""
    return Node(x @ y.value, Edge(y, lambda d: x.T @ d))


def transpose(x: Node) -> Node:
    """The last two axes of x exchanged."""
    return Node(np.swapaxes(x.value, -1, -2), Edge(x, lambda d: np.swapaxes(d, -1, -2)))


def reshape(x: Node, shape: tuple[int, ...]) -> Node:
    """The elements of x in another shape."""
    return Node(x.value.reshape(shape), Edge(x, lambda d: d.reshape(x.value.shape)))


def take(x: Node, rows: Array) -> Node:
    """x[rows], rows of a table; an embedding."""

    def pull(d: Array) -> Array:
        out = np.zeros_like(x.value)
        np.add.at(out, rows, d)
        return out

    return Node(x.value[rows], Edge(x, pull))


def mean(x: Node) -> Node:
    """The mean of all elements."""
    return Node(np.asarray(x.value.mean()), Edge(x, lambda d: np.full_like(x.value, d / x.value.size)))


def affine(x: Node, weights: Node, bias: Node) -> Node:
    """The scores x @ W + b."""
    return add(matmul(x, weights), bias)


# Nonlinearities


def relu(x: Node) -> Node:
    """The larger of x and 0."""
    positive = x.value > 0
    return Node(x.value * positive, Edge(x, lambda d: d * positive))


def tanh(x: Node) -> Node:
    """The hyperbolic tangent of x."""
    y = np.tanh(x.value)
    return Node(y, Edge(x, lambda d: d * (1 - y * y)))


def softmax(x: Node) -> Node:
    """The shares exp(x) / sum exp(x), along the last axis."""
    y = _softmax(x.value)
    return Node(y, Edge(x, lambda d: y * (d - (d * y).sum(axis=-1, keepdims=True))))


def _softmax(x: Array) -> Array:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    result: Array = e / e.sum(axis=-1, keepdims=True)
    return result


# Images, (images, height, width, channels)


def convolve(x: Node, weights: Node) -> Node:
    """3 x 3 convolution without padding; weights (9 channels, filters)."""
    m, h, w, c = x.value.shape
    windows = np.lib.stride_tricks.sliding_window_view(x.value, (3, 3), axis=(1, 2))  # m, h-2, w-2, c, 3, 3
    columns = np.ascontiguousarray(windows.transpose(0, 1, 2, 4, 5, 3)).reshape(-1, 9 * c)
    filters = weights.value.shape[1]

    def pull(d: Array) -> Array:
        pieces = (d.reshape(-1, filters) @ weights.value.T).reshape(m, h - 2, w - 2, 3, 3, c)
        out = np.zeros_like(x.value)
        for i in range(3):
            for j in range(3):
                out[:, i : h - 2 + i, j : w - 2 + j] += pieces[:, :, :, i, j]
        return out

    return Node(
        (columns @ weights.value).reshape(m, h - 2, w - 2, filters),
        Edge(x, pull),
        Edge(weights, lambda d: columns.T @ d.reshape(-1, filters)),
    )


def pool(x: Node) -> Node:
    """Means over 2 x 2 pixels; an odd last row or column is left out."""
    m, h, w, c = x.value.shape
    h, w = h // 2, w // 2
    inner = x.value[:, : 2 * h, : 2 * w]

    def pull(d: Array) -> Array:
        out = np.zeros_like(x.value)
        out[:, : 2 * h, : 2 * w] = np.repeat(np.repeat(d / 4, 2, axis=1), 2, axis=2)
        return out

    return Node(inner.reshape(m, h, 2, w, 2, c).mean(axis=(2, 4)), Edge(x, pull))


# Losses, means over the examples


def cross_entropy(logits: Node, labels: Array) -> Node:
    """Mean of -log softmax(logits)[label]; logits (..., classes), labels (...) of integers."""
    flat = logits.value.reshape(-1, logits.value.shape[-1])
    rows, labels = np.arange(len(flat)), labels.reshape(-1)
    shifted = flat - flat.max(axis=1, keepdims=True)
    value = np.mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, labels])

    def pull(d: Array) -> Array:
        p = _softmax(flat)
        p[rows, labels] -= 1
        return (p * (d / len(flat))).reshape(logits.value.shape)

    return Node(np.asarray(value), Edge(logits, pull))


def logistic(scores: Node, labels: Array) -> Node:
    """Mean of log(1 + exp(-label score)), labels -1 or +1."""
    margins = -labels * scores.value
    value = np.mean(np.logaddexp(0, margins))
    return Node(
        np.asarray(value),
        Edge(scores, lambda d: -labels * np.exp(-np.logaddexp(0, -margins)) * (d / len(labels))),
    )


def squares(output: Node, target: Array) -> Node:
    """Mean over all elements of (output - target)^2 / 2."""
    residual = output.value - target
    return Node(np.asarray(np.mean(residual * residual) / 2), Edge(output, lambda d: residual * (d / residual.size)))


def distances(output: Node, target: Array) -> Node:
    """Mean over all elements of |output - target|."""
    residual = output.value - target
    return Node(np.asarray(np.mean(np.abs(residual))), Edge(output, lambda d: np.sign(residual) * (d / residual.size)))
