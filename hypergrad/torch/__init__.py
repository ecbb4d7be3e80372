"""The rules that learn their rate, as optimizers of torch.

    group["lr"]              what the user or a scheduler wrote
    group["effective_lr"]    the rate that acts: the learned rate times group["lr"] / group["base_lr"]

The rules, their schedules and their totals are those of `hypergrad_reference`; what is here are the two loops over the
elements, in operations of torch. In the NumPy classes the learned rate stands in group["lr"]; here that is the
scheduler's.
"""

from hypergrad._core.extras import require

require("torch", (2, 6))

from hypergrad.torch.adam_hd import AdamHD  # noqa: E402
from hypergrad.torch.adamw_auto import AutoHypergradientAdamW  # noqa: E402
from hypergrad.torch.adamw_free import TuningFreeAdamW  # noqa: E402
from hypergrad.torch.adamw_hd import HypergradientAdamW  # noqa: E402
from hypergrad.torch.sgd_hd import SGDHD  # noqa: E402

__all__ = ["SGDHD", "AdamHD", "AutoHypergradientAdamW", "HypergradientAdamW", "TuningFreeAdamW"]
