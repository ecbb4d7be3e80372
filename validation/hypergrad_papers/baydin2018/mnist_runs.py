"""The MNIST runs of Baydin et al. 2018, step for step: the authors' weights, batches and order of operations.

The authors published what their PyTorch program logged at every step. Everything random in it comes from one stream of
32-bit words, the Mersenne Twister MT19937 seeded with one integer:

    weights        for each linear layer its matrix (out x in, by rows), then its bias: uniform on +-1/sqrt(in)
    permutations   one whose first 128 entries give the training loss before training, then one for each epoch
    batches        consecutive blocks of 128 of the permutation, the last one shorter

Source: measured against the published logs of GitHub gbaydin/hypergradient-descent, results/.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike, NDArray

from hypergrad_problems.data import Mnist, normalize_mnist
from hypergrad_reference import adam_hd, sgd_hd
from hypergrad_reference.hypergradient import (
    Record,
    Schedule,
    schedule_additive,
    schedule_multiplicative,
)
from hypergrad_reference.rule import Sums
from hypergrad_reference.types import Vector

BATCH = 128
HIDDEN = {"logreg": (), "mlp": (1000, 1000), "small mlp": (128, 128)}
"""Widths between the pixels and the ten classes: rectifiers follow each; the last is ours, for small images."""


class Row(NamedTuple):
    """A line of the authors' logs."""

    epoch: int  # from 1; 0 before training
    iteration: int  # step + 1; 0 before training
    loss: float  # mean cross-entropy of the batch before the step, without the L2 term
    loss_epoch: float  # mean of loss over the epoch on its last row, else nan
    valid_loss_epoch: float  # mean cross-entropy of the test images after the epoch, else nan
    alpha: float  # rate of the step
    alpha_epoch: float  # mean of alpha over the epoch on its last row, else nan


Columns = dict[str, NDArray[np.float64]]
"""A run by columns, one for each field of Row; row 0 is before training, then there is one row per step."""


class Words:
    """The stream of 32-bit words that a run draws from.

    >>> Words(1).draw(5)
    array([1791095845, 4282876139, 3093770124, 4005303368,     491263],
          dtype=uint32)
    """

    def __init__(self, seed: int) -> None:
        self._state = np.random.RandomState(seed)

    def draw(self, n: int) -> NDArray[np.uint32]:
        """The next n words."""
        return self._state.randint(0, 2**32, n, dtype=np.uint32)


def initial_weights(words: Words, widths: Sequence[int]) -> list[NDArray[np.float32]]:
    """Matrix (out, in) and bias (out,) of each layer, every operation in float32.

        (w mod 2^24) 2^-24 (2 b) - b,    b = 1 / sqrt(in)

    >>> initial_weights(Words(1), (784, 10))[0][0, :4]
    array([ 0.01840226, -0.01576351, -0.00692363,  0.01676318], dtype=float32)
    """
    thetas = []
    for fan_in, fan_out in pairwise(widths):
        b = 1 / math.sqrt(fan_in)
        for shape in ((fan_out, fan_in), (fan_out,)):
            unit = (words.draw(math.prod(shape)) % 2**24).astype(np.float32) * np.float32(2**-24)
            thetas.append((unit * np.float32(2 * b) - np.float32(b)).reshape(shape))
    return thetas


def permutation(words: Words, n: int) -> NDArray[np.int64]:
    """Shuffle 0..n-1: for i = 0..n-2, swap the entries i and i + (w mod (n - i)).

    >>> permutation(Words(1), 6)
    array([1, 5, 2, 0, 3, 4])
    """
    partners = np.arange(n - 1) + words.draw(n - 1) % np.arange(n, 1, -1)
    order = list(range(n))
    for i, j in enumerate(partners.tolist()):
        order[i], order[j] = order[j], order[i]
    return np.array(order)


def _forward(thetas: Sequence[Vector], x: Vector) -> tuple[list[Vector], Vector]:
    """The input of every layer, and the output of the last."""
    inputs = [x]
    for weights, bias in zip(thetas[:-2:2], thetas[1:-2:2], strict=True):
        inputs.append(np.maximum(inputs[-1] @ weights.T + bias, 0))
    return inputs, inputs[-1] @ thetas[-2].T + thetas[-1]


def _cross_entropy(z: Vector, labels: NDArray[np.uint8]) -> tuple[float, Vector]:
    """Mean of -log softmax(z) at the labels, and the logarithms of the softmax."""
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    return float(-log_p[np.arange(len(labels)), labels].mean()), log_p


def _columns(rows: Sequence[Row]) -> Columns:
    return dict(zip(Row._fields, np.array(rows, np.float64).T, strict=True))


def loss(thetas: Sequence[Vector], x: Vector, labels: NDArray[np.uint8]) -> float:
    """Mean cross-entropy of the images x, one per row."""
    return _cross_entropy(_forward(thetas, x)[1], labels)[0]


def loss_and_gradients(thetas: Sequence[Vector], x: Vector, labels: NDArray[np.uint8]) -> tuple[float, list[Vector]]:
    """Mean cross-entropy of the images x, one per row, and its gradient for each tensor."""
    inputs, z = _forward(thetas, x)
    value, log_p = _cross_entropy(z, labels)
    delta = np.exp(log_p)
    delta[np.arange(len(labels)), labels] -= 1
    delta /= len(labels)
    grads: list[Vector] = []
    for i in reversed(range(len(inputs))):
        grads[:0] = [delta.T @ inputs[i], delta.sum(axis=0)]
        if i:
            delta = (delta @ thetas[2 * i]) * (inputs[i] > 0)
    return value, grads


def schedule_inverse_sqrt(step: int, lr: float, sums: Sums | None) -> Record:
    """Apply lr / sqrt(t): what the Adam baselines of the paper's Figures 2 to 4 do, on logistic regression."""
    return schedule_additive(step, lr, sums, 0.0)._replace(applied=lr / math.sqrt(step))


class Method(NamedTuple):
    """A method with its constants bound."""

    init: Callable[[list[Vector], float], Any]  # (thetas, lr) to the state
    step: Callable[[list[Vector], list[Vector], Any], tuple[list[Vector], Any, float]]  # to thetas, state, rate applied


def methods(hyper_lr: float, momentum: float = 0.9, weight_decay: float = 1e-4) -> dict[str, Method]:
    """Every method by its name: _hd is the additive rule, _hdm the multiplicative one, no ending the plain method.

    hyper_lr        beta, or beta' of the multiplicative rule
    momentum        mu of sgdn, which is Nesterov's
    weight_decay    L2, coupled

    adam_hd is the authors' PyTorch program, whose rate moves from tensor to tensor; adam_hd_lua their Lua program;
    adam_hd_paper the rule of the paper; adam_inverse_sqrt plain Adam with lr / sqrt(t).
    """
    constants = adam_hd.Constants(weight_decay=weight_decay)
    plain = sgd_hd.Constants(weight_decay=weight_decay)
    nesterov = sgd_hd.Constants(momentum, nesterov=True, weight_decay=weight_decay)

    def sgd(schedule: Schedule, of_sgd: sgd_hd.Constants) -> Method:
        def step(thetas: list[Vector], grads: list[Vector], state: Any) -> tuple[list[Vector], Any, float]:
            thetas, state, record = sgd_hd.step(thetas, grads, state, schedule, of_sgd)
            return thetas, state, record.applied

        return Method(partial(sgd_hd.init, constants=of_sgd), step)

    def adam(rule: Callable[..., tuple[list[Vector], Any, Record]], schedule: Schedule) -> Method:
        def step(thetas: list[Vector], grads: list[Vector], state: Any) -> tuple[list[Vector], Any, float]:
            thetas, state, record = rule(thetas, grads, state, schedule, constants)
            return thetas, state, record.applied

        return Method(adam_hd.init, step)

    def step_pytorch(thetas: list[Vector], grads: list[Vector], state: Any) -> tuple[list[Vector], Any, float]:
        thetas, state, records = adam_hd.step_pytorch(thetas, grads, state, hyper_lr, constants)
        return thetas, state, records[-1].applied

    fixed = partial(schedule_additive, hyper_lr=0.0)
    additive = partial(schedule_additive, hyper_lr=hyper_lr)
    multiplicative = partial(schedule_multiplicative, hyper_lr=hyper_lr)
    return {
        "sgd": sgd(fixed, plain),
        "sgd_hd": sgd(additive, plain),
        "sgd_hdm": sgd(multiplicative, plain),
        "sgdn": sgd(fixed, nesterov),
        "sgdn_hd": sgd(additive, nesterov),
        "sgdn_hdm": sgd(multiplicative, nesterov),
        "adam": adam(adam_hd.step_lua, fixed),
        "adam_inverse_sqrt": adam(adam_hd.step_lua, schedule_inverse_sqrt),
        "adam_hd": Method(adam_hd.init, step_pytorch),
        "adam_hd_lua": adam(adam_hd.step_lua, additive),
        "adam_hd_paper": adam(adam_hd.step, additive),
        "adam_hdm": adam(adam_hd.step, multiplicative),
    }


def run(
    digits: Mnist,
    model: str,
    method: Method,
    epochs: int,
    lr: float = 1e-3,
    seed: int = 1,
    dtype: DTypeLike = np.float32,
    max_steps: float = math.inf,
    target: float = -math.inf,
) -> Columns:
    """Train a model as the authors' program does, and log what it logs.

    digits       MNIST, in the order of its files: the order of the examples is part of the recipe; or images alike
    model        one of `HIDDEN`
    method       one of `methods`
    epochs       passes over the training images
    lr           alpha_0
    seed         of the weights and of the batches; the published runs have 1
    dtype        float32 as published, or float64 (the same initial weights and images, and float64 from there)
    max_steps    ends the run after so many steps, within an epoch if need be
    target       ends the run at the first batch loss <= target, before that row is logged, as the authors' option does

    Raises ValueError for an unknown model.
    """
    if model not in HIDDEN:
        raise ValueError(f"model is {model!r}: give one of {', '.join(HIDDEN)}")
    n, *shape = digits.train_images.shape
    images, labels = digits.train_images, digits.train_labels
    x_valid, labels_valid = normalize_mnist(digits.test_images).astype(dtype), digits.test_labels
    words = Words(seed)
    widths = (math.prod(shape), *HIDDEN[model], 10)
    thetas: list[Vector] = [theta.astype(dtype) for theta in initial_weights(words, widths)]
    state = method.init(thetas, lr)
    first = permutation(words, n)[:BATCH]
    value = loss(thetas, normalize_mnist(images[first]).astype(dtype), labels[first])
    rows = [Row(0, 0, value, value, loss(thetas, x_valid, labels_valid), lr, lr)]
    for epoch in range(1, epochs + 1):
        start = len(rows)
        for batch in np.split(permutation(words, n), range(BATCH, n, BATCH)):
            x = normalize_mnist(images[batch]).astype(dtype)
            value, grads = loss_and_gradients(thetas, x, labels[batch])
            if len(rows) > max_steps or value <= target:
                return _columns(rows)
            thetas, state, alpha = method.step(thetas, grads, state)
            rows.append(Row(epoch, len(rows) + 1, value, math.nan, math.nan, alpha, math.nan))
        rows[-1] = rows[-1]._replace(
            loss_epoch=float(np.mean([row.loss for row in rows[start:]])),
            valid_loss_epoch=loss(thetas, x_valid, labels_valid),
            alpha_epoch=float(np.mean([row.alpha for row in rows[start:]])),
        )
    return _columns(rows)
