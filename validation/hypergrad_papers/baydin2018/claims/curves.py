"""Curves of figures 2 and 3: rates from small ones, multiplicative rules, a falling rate."""

import numpy as np

from hypergrad_papers.baydin2018.runs import NAMES, PAPER, RATES, SEEDS, epoch_means, settings, train
from hypergrad_papers.checks import Check, at_most, near, true
from hypergrad_papers.claims import Extent, Run, claim


@claim(
    PAPER,
    "15",
    source="Figure 2, read off its curves",
    reason="other weights and minibatches: three seeds of an independent run had 0.0170 to 0.0185, "
    "and peaks of 0.0179 to 0.0196",
    needs=("mnist",),
    extent=Extent.FULL,
)
def sgd_hd_from_small_rates(run: Run) -> list[Check]:
    """Figure 2, logistic regression by SGD-HD (beta = 1e-4): the rate from initial rates of 1e-3 down to 1e-6."""
    rates = [lr for lr in RATES if lr <= 1e-3]
    logs = run(train, [settings("sgd_hd", hyper_lr=1e-4, epochs=50, lr=lr) for lr in rates])
    means = np.array([epoch_means(log, "alpha_epoch")[1:] for log in logs])
    checks = []
    for lr, log, mean in zip(rates, logs, means, strict=True):
        checks += [
            near(f"from {lr:g}, mean rate of epoch 1", 0.0180, mean[0], rel=0.08),
            near(f"from {lr:g}, highest rate", 0.0188, log["alpha"].max(), rel=0.08),
        ]
    apart = (means.max(axis=0) / means.min(axis=0) - 1)[4:].max()
    return [*checks, at_most("epochs 5 to 50, the four mean rates apart by", apart, 0.01)]


@claim(
    PAPER,
    "16",
    source="Figure 2, read off its curves",
    reason="other weights and minibatches: two seeds of an independent run had 0.0553 and 0.0585, and 0.298 and 0.302",
    needs=("mnist",),
)
def multiplicative_sgd_hd(run: Run) -> list[Check]:
    """Figure 2, logistic regression by multiplicative SGD-HD (beta' = 0.02) from a rate of 0.1, epoch 1."""
    [log] = run(train, [settings("sgd_hdm", hyper_lr=0.02, epochs=1, lr=0.1)])
    return [
        near("mean rate", 0.0573, epoch_means(log, "alpha_epoch")[1], rel=0.08),
        near("validation loss", 0.300, epoch_means(log, "valid_loss_epoch")[1], rel=0.03),
    ]


@claim(
    PAPER,
    "17",
    source="Figure 2, read off its curves",
    reason="other weights and minibatches: two seeds of an independent run had 0.0080 and 0.0077",
    needs=("mnist",),
)
def multiplicative_adam_hd(run: Run) -> list[Check]:
    """Figure 2, logistic regression by multiplicative Adam-HD (beta' = 0.02) from a rate of 0.01, epoch 1."""
    [log] = run(train, [settings("adam_hdm", hyper_lr=0.02, epochs=1, lr=0.01)])
    return [near("mean rate", 0.00813, epoch_means(log, "alpha_epoch")[1], rel=0.08)]


@claim(
    PAPER,
    "18",
    source="Figure 2, read off its curves",
    reason="other weights and minibatches, and a rate read off a logarithmic axis",
    needs=("mnist",),
)
def beta_of_figure_2(run: Run) -> list[Check]:
    """Figure 2, network: rates are those of beta = 1e-5 (SGD-HD), 1e-7 (Adam-HD), not of the printed 1e-4."""
    shown = {  # by iteration, which is the number of the step + 1
        "sgd_hd": (1e-5, {23: 1.5e-4, 81: 5.1e-4, 168: 1.06e-3}),
        "adam_hd": (1e-7, {4: 9e-5, 13: 4.5e-4, 19: 5.6e-4}),
    }
    runs = [
        settings(method, model="mlp", hyper_lr=hyper_lr, epochs=1, lr=1e-6, max_steps=steps)
        for method, (beta, curve) in shown.items()
        for hyper_lr, steps in ((beta, max(curve)), (1e-4, min(curve)))
    ]
    logs = run(train, runs)
    checks = []
    for (method, (beta, curve)), drawn, printed in zip(shown.items(), logs[::2], logs[1::2], strict=True):
        name = NAMES[method]
        checks += [
            near(f"{name}, beta = {beta:g}, iteration {iteration}", rate, drawn["alpha"][iteration - 1], rel=0.2)
            for iteration, rate in curve.items()
        ]
        first = min(curve)
        apart = abs(printed["alpha"][first - 1] / curve[first] - 1)
        checks.append(true(f"{name}, beta = 0.0001, iteration {first}: off by more than 20 %", apart > 0.2))
    return checks


@claim(
    PAPER,
    "19",
    source="Figure 3, read off its curves",
    reason="convex and slow, so hardly up to the minibatches; the first epoch is up to the initial weights",
    needs=("mnist",),
)
def adam_with_a_falling_rate(run: Run) -> list[Check]:
    """Figure 3, logistic regression: Adam with a rate of 0.001 / sqrt(t), training loss, medians of three seeds."""
    logs = run(train, [settings("adam_inverse_sqrt", epochs=20, seed=seed) for seed in SEEDS])
    losses = np.array([epoch_means(log, "loss_epoch") for log in logs])
    checks = []
    for epoch, value, rel in ((1, 0.8635, 0.03), (10, 0.3723, 0.01), (20, 0.3358, 0.01)):
        ours = losses[:, epoch]
        spread = f"epoch {epoch}, median of {len(ours)} ({ours.min():.4g} to {ours.max():.4g})"
        checks.append(near(spread, value, float(np.median(ours)), rel=rel))
    return checks
