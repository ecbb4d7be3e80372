"""Which option of AutoHypergradientAdamW keeps which law, computed from runs.

    python -m hypergrad_papers.adamw.laws

h is what moves the rate, hb what moves beta1. The laws: invariance under f -> 4 f (with eps scaled alike, so that the
directions stay), the sign of the derivative of the next loss, its size.
"""

from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate

from hypergrad import AutoHypergradientAdamW
from hypergrad_reference.adamw_auto import MOMENTUM_RULES, NORMALIZERS, MomentumRule, Normalization
from hypergrad_reference.types import Vector

STEPS = 200
SCALE = 4.0  # a power of two: scaling by it rounds nothing


class Law(NamedTuple):
    """What a quantity does, over all steps of a run on noisy gradients."""

    quantity: str
    option: str
    scaled: float  # its value under f -> 4 f, relative to that under f
    right_sign: float  # share of steps with the sign of the derivative
    true_numerator: bool  # before it is divided by the normalizer it is the derivative, to rounding


class Trace(NamedTuple):
    """What is compared, one entry per step from the second on."""

    h: Vector
    hb: Vector
    h_numerator: Vector
    hb_numerator: Vector
    lr_slope: Vector  # dL/dlr = -<g_t, d_{t-1}>
    beta1_slope: Vector  # dL/dbeta1 = -lr <g_t, dd_{t-1}/dbeta1>


def trace(normalization: Normalization, momentum_rule: MomentumRule, scale: float = 1.0) -> Trace:
    """Run on a quadratic with noise in the gradient, rate and beta1 held fixed, and keep what would have moved them."""
    rng = np.random.default_rng(0)
    curvature, x = rng.random(50) + 0.1, rng.standard_normal(50)
    options: dict[str, Any] = {
        "lr": 1e-3, "eps": scale * 1e-8, "weight_decay": 0.0, "warmup_steps": 0, "adapt_momentum": True,
        "hyper_lr": 0.0, "hyper_lr_beta": 0.0, "normalization": normalization, "device": "numpy",
    }  # fmt: skip
    opt = AutoHypergradientAdamW([x], momentum_rule=momentum_rule, **options)
    witness = AutoHypergradientAdamW([x.copy()], momentum_rule="derivative", **options)
    rows, last_move = [], x
    for step in range(STEPS):
        gradient, before = scale * (curvature * x + rng.standard_normal(50)), x.copy()
        opt.step(gradients=[gradient])
        witness.step(gradients=[gradient])
        if step:
            numerators = (opt.last_record.hypergradient, opt.last_record.beta1_hypergradient)
            quotients = [numerator / opt.last_record.normalizer for numerator in numerators]
            slope = float(gradient @ last_move) / opt.current_lr
            rows.append((*quotients, *numerators, slope, witness.last_record.beta1_hypergradient))
        last_move = x - before
    return Trace(*np.array(rows).T)


def compute_laws() -> list[Law]:
    """A row for each normalization, for h, and for each momentum rule, for hb under the published normalization."""
    laws = []
    for normalization in NORMALIZERS:
        plain, scaled = trace(normalization, "published"), trace(normalization, "published", SCALE)
        laws.append(_judge("h", f"normalization={normalization}", plain.h, scaled.h, plain.h_numerator, plain.lr_slope))
    for rule in MOMENTUM_RULES:
        plain, scaled = trace("gradient", rule), trace("gradient", rule, SCALE)
        laws.append(_judge("hb", f"momentum_rule={rule}", plain.hb, scaled.hb, plain.hb_numerator, plain.beta1_slope))
    return laws


def _judge(quantity: str, option: str, plain: Vector, scaled: Vector, numerator: Vector, slope: Vector) -> Law:
    agreement = float(np.mean(np.sign(plain) == np.sign(slope)))
    # the slope is taken from the move of x, whose entries of size 1 are rounded before they are divided by a rate of
    # 1e-3: an error of 1e-13 in each of 50 terms
    same = bool(np.all(np.abs(numerator - slope) <= 50 * 1e-13 * 4))
    return Law(quantity, option, float(np.median(scaled / plain)), agreement, same)


def render(laws: list[Law]) -> str:
    """The table as Markdown."""
    rows = [
        (law.quantity, law.option, f"{law.scaled:.4g}", "yes" if abs(law.scaled - 1) < 1e-9 else "no",
         f"{law.right_sign:.0%}", "yes" if law.true_numerator else "no")
        for law in laws
    ]  # fmt: skip
    headers = ("", "option", "under 4 f", "scale-free", "right sign", "numerator is the derivative")
    return tabulate(rows, headers, tablefmt="github", disable_numparse=True)


if __name__ == "__main__":
    print(render(compute_laws()))
