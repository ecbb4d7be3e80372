"""What the networks learn: images of MNIST or of scikit-learn's digits, and the next character of a text."""

import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hypergrad_problems import data
from hypergrad_problems.arena.rows import load_digits, load_pooled
from hypergrad_problems.arena.torch import networks
from hypergrad_problems.arena.training import Array

TEXT = 1_600_000
"""Characters of the text."""
MEASURED = 2048
"""Images, or characters times 8, that a loss is measured on."""


class Batch(NamedTuple):
    """Inputs and the classes to be found, of images or of every position of a text."""

    inputs: Tensor
    targets: Tensor


class Task(NamedTuple):
    """A network, and where its batches come from."""

    make: Callable[[], nn.Module]
    draw: Callable[[torch.Generator], Batch]  # a batch of the training data
    train: Callable[[], list[Batch]]  # what the training loss is measured on
    validation: Callable[[], list[Batch]]
    steps: int
    weight_decay: float = 0.0


def find_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The cross-entropy, a mean over the batch."""
    scores = model(batch.inputs)
    return functional.cross_entropy(scores.flatten(0, -2), batch.targets.flatten())


def find_misses(model: nn.Module, batch: Batch) -> Tensor:
    """The share of the batch that is classified wrongly."""
    return (model(batch.inputs).argmax(-1) != batch.targets).double().mean()


# Images


class Images(NamedTuple):
    """Images (count, 1, side, side) from 0 to 1, and their classes."""

    train: Batch
    validation: Batch

    def choose(self, classes: range) -> "Images":
        """Those of some classes."""
        parts = []
        for inputs, targets in self:
            mine = (targets >= classes.start) & (targets < classes.stop)
            parts.append(Batch(inputs[mine], targets[mine]))
        return Images(*parts)


def _read(pixels: Array, labels: Array) -> Batch:
    side = round(np.sqrt(pixels[0].size))
    return Batch(torch.tensor(pixels.reshape(-1, 1, side, side), dtype=torch.float32), torch.tensor(labels).long())


@cache
def load_mnist() -> Images:
    """The training images of MNIST, and its test images to validate on."""
    mnist = data.mnist()
    parts = ((mnist.train_images, mnist.train_labels), (mnist.test_images, mnist.test_labels))
    return Images(*(_read(images.astype(np.float32) / np.float32(255), labels) for images, labels in parts))


@cache
def load_small_mnist() -> Images:
    """MNIST's first 10000 training images as 14 x 14."""
    return _divide(*load_pooled(10_000, 14))


@cache
def load_small_digits() -> Images:
    """scikit-learn's digits as 8 x 8."""
    return _divide(*load_digits())


def _divide(pixels: Array, labels: Array) -> Images:
    """Four fifths to train on, the others to validate on."""
    order = np.random.default_rng(0).permutation(len(labels))
    cut = len(order) * 4 // 5
    first, second = order[:cut], order[cut:]
    return Images(_read(pixels[first], labels[first]), _read(pixels[second], labels[second]))


def classify(
    make: Callable[[], nn.Module], load: Callable[[], Images], batch: int, steps: int, weight_decay: float = 0.0
) -> Task:
    """The task of telling images apart."""

    def draw(generator: torch.Generator) -> Batch:
        inputs, targets = load().train
        chosen = torch.randint(len(targets), (batch,), generator=generator)
        return Batch(inputs[chosen], targets[chosen])

    def measure(part: Batch) -> list[Batch]:
        first = Batch(part.inputs[:MEASURED], part.targets[:MEASURED])
        return [Batch(*pair) for pair in zip(*(tensor.split(512) for tensor in first), strict=True)]

    return Task(make, draw, lambda: measure(load().train), lambda: measure(load().validation), steps, weight_decay)


def adapt_convolution() -> nn.Module:
    """The convolutional network after 1000 steps on the digits 0 to 4."""
    model = networks.make_convolution()
    model.load_state_dict(_learn_first_digits())
    return model


@cache
def _learn_first_digits() -> dict[str, Tensor]:
    torch.manual_seed(0)
    model, few = networks.make_convolution(), load_mnist().choose(range(5))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=1000)
    task = classify(networks.make_convolution, lambda: few, 64, 1000)
    generator = torch.Generator().manual_seed(0)
    for _ in range(task.steps):
        optimizer.zero_grad()
        find_loss(model, task.draw(generator)).backward()
        optimizer.step()
        schedule.step()
    return dict(model.state_dict())


# Text


class Text(NamedTuple):
    """Codes of characters, and how many symbols there are; the last tenth is for validation."""

    train: Tensor
    validation: Tensor
    symbols: int


@cache
def load_text() -> Text:
    """The beginning of Python's own library, module by module in order of their names; rare characters are one."""
    folder, text = Path(sysconfig.get_paths()["stdlib"]), ""
    for path in sorted(folder.glob("*.py")):
        text += path.read_text("utf-8", errors="ignore")
        if len(text) > TEXT:
            break
    symbols = sorted({character for character in text if character.isascii()})
    known = {character: code + 1 for code, character in enumerate(symbols)}
    codes = torch.tensor([known.get(character, 0) for character in text[:TEXT]])
    cut = len(codes) * 9 // 10
    return Text(codes[:cut], codes[cut:], len(symbols) + 1)


def continue_text(
    make: Callable[[int], nn.Module], batch: int, length: int, steps: int, weight_decay: float = 0.0
) -> Task:
    """The task of the next character, at every position of a run of characters."""

    def cut_out(codes: Tensor, starts: Tensor) -> Batch:
        windows = codes[starts[:, None] + torch.arange(length + 1)]
        return Batch(windows[:, :-1], windows[:, 1:])

    def draw(generator: torch.Generator) -> Batch:
        codes = load_text().train
        return cut_out(codes, torch.randint(len(codes) - length, (batch,), generator=generator))

    def measure(codes: Tensor) -> list[Batch]:
        starts = torch.linspace(0, len(codes) - length - 1, 8 * MEASURED // length).long()
        return [cut_out(codes, part) for part in starts.split(64)]

    return Task(
        lambda: make(load_text().symbols), draw,
        lambda: measure(load_text().train), lambda: measure(load_text().validation), steps, weight_decay,
    )  # fmt: skip


def _make_transformer(width: int, blocks: int) -> Callable[[int], nn.Module]:
    return lambda symbols: networks.Transformer(symbols, 64, width, blocks)


MNIST = ("mnist",)
"""What most tasks on images need."""


class Entry(NamedTuple):
    """A task and the data sets that it needs beside what comes with the packages."""

    needs: tuple[str, ...]
    task: Task


TASKS: dict[str, Entry] = {
    "residual, batch norm": Entry(MNIST, classify(networks.make_residual, load_small_mnist, 64, 1000)),
    "residual, batch norm, digits": Entry((), classify(networks.make_residual, load_small_digits, 64, 1000)),
    "convolution": Entry(MNIST, classify(networks.make_convolution, load_mnist, 64, 2000)),
    "perceptron": Entry(MNIST, classify(networks.make_perceptron, load_mnist, 128, 2000)),
    "0-4 to 5-9": Entry(
        MNIST, classify(adapt_convolution, lambda: load_mnist().choose(range(5, 10)), 64, 600)
    ),
    "convolution, batch 4": Entry(MNIST, classify(networks.make_convolution, load_mnist, 4, 2000)),
    "GRU": Entry((), continue_text(lambda symbols: networks.Recurrent(symbols, nn.GRU), 16, 48, 1500)),
    "RNN": Entry((), continue_text(lambda symbols: networks.Recurrent(symbols, nn.RNN), 16, 48, 1500)),
    "transformer": Entry((), continue_text(_make_transformer(96, 2), 8, 64, 2000, weight_decay=0.1)),
    "transformer, batch 1": Entry((), continue_text(_make_transformer(96, 2), 1, 64, 2000, weight_decay=0.1)),
    "larger transformer": Entry((), continue_text(_make_transformer(128, 4), 8, 64, 2000, weight_decay=0.1)),
}  # fmt: skip
"""Every task by name."""
