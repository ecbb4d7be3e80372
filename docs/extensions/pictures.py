"""Draws the picture of each rule: every optimizer on the same batches, every method on the same function."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import hypergrad

Vector = NDArray[np.float64]

STEPS, BATCH, RATES = 300, 32, (1e-4, 1e-2, 1.0)
OPTIMIZERS: dict[str, Callable[[list[Vector], float], Any]] = {
    "sgd_hd": lambda params, lr: hypergrad.SGDHD(params, lr, hyper_lr=1e-2, device="numpy"),
    "adam_hd": lambda params, lr: hypergrad.AdamHD(params, lr, hyper_lr=1e-3, device="numpy"),
    "adamw": lambda params, lr: hypergrad.AdamW(params, lr, device="numpy"),
    "adamw_hd": lambda params, lr: hypergrad.HypergradientAdamW(params, lr, hyper_lr=1e-3, device="numpy"),
    "adamw_auto": lambda params, lr: hypergrad.AutoHypergradientAdamW(params, lr, device="numpy"),
    "delayed": lambda params, lr: hypergrad.HypergradientAdamW(params, lr, hyper_lr=1e-3, delay=1, device="numpy"),
    "adamw_free": lambda params, lr: hypergrad.TuningFreeAdamW(params, lr_start=lr, device="numpy"),
}
METHODS = {
    "hdm": ("hdm", "hdm_null", "hdm_adagrad"),
    "hdm_hb": ("hdm_hb", "hdm_hb_lookahead"),
    "hdm_agd": ("hdm_agd", "agd_cvx"),
    "hdm_best": ("hdm_best",),
    "osgm": ("osgm_rz", "osgm_h", "osgm_g"),
    "osgm_best": ("osgm_best",),
}
"""By the rule's stem, which is also the name of its page."""
BASELINES = {"gd": "#8a8a8a", "l_bfgs": "#8a8a8a"}
COLORS = ("#0072b2", "#d55e00", "#009e73")  # Okabe and Ito's, which colour-blind readers distinguish
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), "-.")
SCHEMES = {"light": "#202020", "dark": "#d8d8d8"}
"""The colour of text and axes; the background is the page's."""


class Regression:
    """Logistic regression on breast_cancer, standardised, regularised by 1e-3."""

    def __init__(self) -> None:
        from sklearn.datasets import load_breast_cancer

        X, y = load_breast_cancer(return_X_y=True)
        X = (X - X.mean(0)) / X.std(0)
        self.A: Vector = (2.0 * y - 1)[:, None] * np.hstack([X, np.ones((len(X), 1))])

    def find_loss(self, w: Vector) -> float:
        """The mean over all rows."""
        return float(np.logaddexp(0, -self.A @ w).mean() + 5e-4 * w @ w)

    def find_gradient(self, w: Vector, rows: Any = slice(None)) -> Vector:
        """The gradient of the mean over some rows."""
        A = self.A[rows]
        return -A.T @ (1 / (1 + np.exp(np.minimum(A @ w, 500.0)))) / len(A) + 1e-3 * w


def run_optimizer(stem: str, lr: float, problem: Regression) -> tuple[Vector, Vector]:
    """Losses and rates, one per step; the losses of the averaged weights where those are the answer."""
    w = np.zeros(problem.A.shape[1])
    opt, draws = OPTIMIZERS[stem]([w], lr), np.random.default_rng(0)
    losses, rates = [], []
    for _ in range(STEPS):
        opt.step(gradients=[problem.find_gradient(w, draws.integers(len(problem.A), size=BATCH))])
        losses.append(problem.find_loss(opt.averages()[0] if hasattr(opt, "averages") else w))
        rates.append(opt.current_lr)
    return np.array(losses), np.array(rates)


def run_method(name: str, problem: Regression, least: float) -> tuple[Vector, Vector]:
    """The gradients evaluated and the gap to the least value."""
    gradients, gaps = [], []

    def find_gradient(w: Vector) -> Vector:
        gradients.append(len(gradients) + 1)
        gaps.append(problem.find_loss(w) - least)
        return problem.find_gradient(w)

    hypergrad.minimize(
        problem.find_loss, np.zeros(problem.A.shape[1]), jac=find_gradient, method=name,
        options={"maxiter": 200, "gtol": 1e-9},
    )  # fmt: skip
    return np.array(gradients), np.maximum(np.minimum.accumulate(gaps), 1e-15)


def draw_pictures(folder: Path) -> None:
    """Write STEM-light.svg and STEM-dark.svg for every rule, those that are there excepted."""
    wanted = [stem for stem in (*OPTIMIZERS, *METHODS) if not (folder / f"{stem}-dark.svg").exists()]
    if not wanted:
        return
    import matplotlib as mpl
    from scipy.optimize import minimize

    mpl.use("agg")
    folder.mkdir(parents=True, exist_ok=True)
    problem = Regression()
    start = np.zeros(problem.A.shape[1])
    best = minimize(problem.find_loss, start, jac=problem.find_gradient, method="BFGS", options={"gtol": 1e-10})
    for stem in wanted:
        if stem in OPTIMIZERS:
            runs = [(f"from {lr:g}", *run_optimizer(stem, lr, problem)) for lr in RATES]
        else:
            names = (*METHODS[stem], *BASELINES)
            runs = [(name, *run_method(name, problem, best.fun)) for name in names]
        for scheme, ink in SCHEMES.items():
            with mpl.rc_context(_choose_ink(ink)):
                figure = draw_optimizer(runs) if stem in OPTIMIZERS else draw_method(runs)
                figure.savefig(folder / f"{stem}-{scheme}.svg", transparent=True, metadata={"Date": None})
                mpl.pyplot.close(figure)


def _choose_ink(ink: str) -> dict[str, Any]:
    names = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    return {
        **dict.fromkeys(names, ink), "figure.constrained_layout.use": True, "font.size": 8, "svg.fonttype": "path",
        "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False, "svg.hashsalt": "hypergrad",
    }  # fmt: skip


def draw_optimizer(runs: list[tuple[str, Vector, Vector]]) -> Any:
    """Loss above, rate below."""
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(2, 1, figsize=(4.2, 3.2), sharex=True, height_ratios=(3, 2))
    for (name, losses, rates), color, dash in zip(runs, COLORS, DASHES, strict=True):
        above.plot(losses, color=color, linestyle=dash, label=name, linewidth=1.4)
        below.plot(np.abs(rates), color=color, linestyle=dash, linewidth=1.4)
    above.set(yscale="log", ylabel="training loss", ylim=(None, 10))
    turns = any((rates < 0).any() for _, _, rates in runs)  # rules without bounds
    below.set(yscale="log", xlabel="step", ylabel="size of the rate" if turns else "rate")
    figure.legend(*above.get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def draw_method(runs: list[tuple[str, Vector, Vector]]) -> Any:
    """The gap over the gradients."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(4.2, 2.8))
    looks = iter(zip(COLORS, DASHES, strict=True))
    for name, gradients, gaps in runs:
        color, dash = (BASELINES[name], ":" if name == "gd" else "--") if name in BASELINES else next(looks)
        axes.plot(gradients, gaps, color=color, linestyle=dash, label=name, linewidth=1.4)
    axes.set(yscale="log", xlim=(0, 200), xlabel="gradients evaluated", ylabel="loss above its least value")
    figure.legend(loc="outside upper center", ncols=3)
    return figure


def setup(app: Any) -> dict[str, Any]:
    """Draw before Sphinx looks for the pictures."""
    app.connect("builder-inited", lambda app: draw_pictures(Path(app.srcdir) / "rules/pictures"))
    return {"parallel_read_safe": True}
