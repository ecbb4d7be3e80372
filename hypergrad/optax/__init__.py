"""The rules that learn their rate, as transformations of optax.

    lr              alpha, the learned rate
    effective_lr    the rate that acts: alpha times learning_rate(t) / base_lr, that is alpha without a schedule

A transformation is two pure functions, and its state a pytree: jit, vmap, scan, sharded arrays and checkpoints work as
with every other one of optax. The rules and their schedules are those of `hypergrad_reference`.
"""

from hypergrad._core.extras import require

require("optax", (0, 2, 7))

from hypergrad._core.array_schedules import REASONS  # noqa: E402
from hypergrad.optax._learn import HypergradientState  # noqa: E402
from hypergrad.optax.adamw import auto_hypergradient_adamw, hypergradient_adamw  # noqa: E402
from hypergrad.optax.wrapper import hypergradient  # noqa: E402

__all__ = ["REASONS", "HypergradientState", "auto_hypergradient_adamw", "hypergradient", "hypergradient_adamw"]
