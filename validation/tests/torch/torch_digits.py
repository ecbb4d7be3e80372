"""A network on scikit-learn's digits from three rates, by each class at its defaults.

Run it as `python validation/tests/torch/torch_digits.py`.

Prints the final training loss (mean over the last epoch, median of three seeds), one row per optimizer, one column per
rate that it was started with. A rate of 1 for schedulefree and prodigyopt is what prodigyopt advises.
"""

import math
import statistics
import sys

import torch

from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW, TuningFreeAdamW

RATES = (1e-6, 1e-3, 1.0)
EPOCHS, BATCH = 20, 64


def list_makers():
    """The optimizers by name; the published packages where they are installed."""
    makers = {
        "torch SGD": lambda p, lr: torch.optim.SGD(p, lr=lr),
        "torch AdamW": lambda p, lr: torch.optim.AdamW(p, lr=lr),
        "SGDHD": lambda p, lr: SGDHD(p, lr=lr, nonfinite="propagate"),
        "AdamHD": lambda p, lr: AdamHD(p, lr=lr, nonfinite="propagate"),
        "HypergradientAdamW": lambda p, lr: HypergradientAdamW(p, lr=lr, nonfinite="propagate"),
        "AutoHypergradientAdamW": lambda p, lr: AutoHypergradientAdamW(p, lr=lr, nonfinite="propagate"),
        'AutoHypergradientAdamW, normalization="cosine"': lambda p, lr: AutoHypergradientAdamW(
            p, lr=lr, normalization="cosine", nonfinite="propagate"
        ),
    }
    makers["TuningFreeAdamW, which takes no rate"] = lambda p, lr: TuningFreeAdamW(p, nonfinite="propagate")
    try:
        from prodigyopt import Prodigy

        makers["prodigyopt Prodigy"] = lambda p, lr: Prodigy(p, lr=lr)
    except ImportError:
        print("prodigyopt is not installed: not run", file=sys.stderr)
    try:
        from schedulefree import AdamWScheduleFree

        makers["schedulefree AdamWScheduleFree"] = lambda p, lr: AdamWScheduleFree(p, lr=lr)
    except ImportError:
        print("schedulefree is not installed: not run", file=sys.stderr)
    return makers


def train(make, lr, seed):
    """The mean loss over the last epoch; nan where the run did not stay finite."""
    from sklearn.datasets import load_digits  # which the tests do without

    torch.manual_seed(seed)
    digits = load_digits()
    x = torch.tensor(digits.data / 16, dtype=torch.float32)
    y = torch.tensor(digits.target)
    model = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
    optimizer = make(model.parameters(), lr)
    if hasattr(optimizer, "train"):
        optimizer.train()
    for _ in range(EPOCHS):
        losses = []
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return statistics.fmean(losses)


def write_table():
    """The table, in Markdown."""
    lines = [f"| optimizer | {' | '.join(f'lr={lr:g}' for lr in RATES)} |", f"|---|{'---|' * len(RATES)}"]
    for name, make in list_makers().items():
        cells = []
        for lr in RATES:
            found = [train(make, lr, seed) for seed in range(3)]
            cells.append("not finite" if not all(map(math.isfinite, found)) else f"{statistics.median(found):.3g}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(write_table())
