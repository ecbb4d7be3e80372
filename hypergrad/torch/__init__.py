"""The rules that learn their rate, as optimizers of torch.

    group["lr"]              what the user or a scheduler wrote
    group["effective_lr"]    the rate that acts: the learned rate times group["lr"] / group["base_lr"]

The rules, their schedules and their totals are those of `hypergrad_reference`; what is here are the two loops over the
elements, in operations of torch. In the NumPy classes the learned rate stands in group["lr"]; here that is the
scheduler's.
"""

from importlib.metadata import PackageNotFoundError, version

LEAST = (2, 6)
"""The oldest release of torch that this works with."""
REMEDY = "pip install 'hypergrad-opencl[torch]' installs it"

try:
    found = version("torch")
except PackageNotFoundError as error:
    raise ImportError(f"hypergrad.torch needs torch, which is not installed: {REMEDY}", name="torch") from error
if tuple(int(part) for part in found.split(".")[:2]) < LEAST:
    raise ImportError(f"hypergrad.torch needs torch {LEAST[0]}.{LEAST[1]} or later, not {found}: {REMEDY}")

from hypergrad.torch.adam_hd import AdamHD  # noqa: E402
from hypergrad.torch.adamw_auto import AutoHypergradientAdamW  # noqa: E402
from hypergrad.torch.adamw_free import TuningFreeAdamW  # noqa: E402
from hypergrad.torch.adamw_hd import HypergradientAdamW  # noqa: E402
from hypergrad.torch.sgd_hd import SGDHD  # noqa: E402

__all__ = ["SGDHD", "AdamHD", "AutoHypergradientAdamW", "HypergradientAdamW", "TuningFreeAdamW"]
