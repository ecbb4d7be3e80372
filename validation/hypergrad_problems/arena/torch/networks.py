"""The networks. Sizes are those at which a run takes a minute or so on one core."""

import torch
from torch import Tensor, nn
from torch.nn import functional


def make_convolution() -> nn.Module:
    """Two convolutions and two layers on images of 28 x 28; 134 thousand parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=2), nn.ReLU(), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(800, 160), nn.ReLU(), nn.Linear(160, 10),
    )  # fmt: skip


def make_perceptron() -> nn.Module:
    """784-512-512-10; 670 thousand parameters."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    )


class Residual(nn.Module):
    """Two convolutions with batch normalisation beside a shortcut (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """relu(branch + shortcut)."""
        return functional.relu(self.branch(x) + self.shortcut(x))


def make_residual() -> nn.Module:
    """Seven convolutions in three residual blocks, batch normalisation, a mean over the image; 77 thousand."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10),
    )  # fmt: skip


class Recurrent(nn.Module):
    """An embedding of 64, one recurrent layer of 128, and a readout of every position."""

    def __init__(self, symbols: int, cell: type[nn.RNNBase]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, 64)
        self.cell = cell(64, 128, batch_first=True)
        self.readout = nn.Linear(128, symbols)

    def forward(self, codes: Tensor) -> Tensor:
        """Scores of the next symbol, (batch, length, symbols)."""
        states, _ = self.cell(self.embedding(codes))
        scores: Tensor = self.readout(states)
        return scores


class Block(nn.Module):
    """Causal attention and two layers, each after a normalisation and beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mix, self.join = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """X, and what attention and the layers add to it."""
        batch, length, width = x.shape
        parts = self.mix(self.before(x)).view(batch, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.join(seen.transpose(1, 2).reshape(batch, length, width))
        result: Tensor = x + self.layers(self.between(x))
        return result


class Transformer(nn.Module):
    """Embeddings of symbols and places, blocks with four heads, and a readout of every position."""

    def __init__(self, symbols: int, length: int, width: int, blocks: int) -> None:
        super().__init__()
        self.symbols, self.places = nn.Embedding(symbols, width), nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks = nn.Sequential(*(Block(width, 4) for _ in range(blocks)))
        self.last, self.readout = nn.LayerNorm(width), nn.Linear(width, symbols, bias=False)
        nn.init.normal_(self.symbols.weight, std=0.02)

    def forward(self, codes: Tensor) -> Tensor:
        """Scores of the next symbol, (batch, length, symbols)."""
        x = self.symbols(codes) + self.places[: codes.shape[1]]
        scores: Tensor = self.readout(self.last(self.blocks(x)))
        return scores
