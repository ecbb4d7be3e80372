"""torch's own test_optim.py, run against the optimizers of hypergrad.torch: `make torch-suite TORCH_TESTS=.../test`.

The file is not part of torch's wheel: TORCH_TESTS names the folder `test` of a checkout of torch of the release that is
installed. Its list of optimizers is replaced by ours before it is imported; what does not apply is skipped with the
reason below, and everything else must pass.
"""

import sys
import unittest
from pathlib import Path

from torch.testing._internal import common_optimizers as common

from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW, TuningFreeAdamW

CLASS = "TestOptimRenewed"
NOT_OURS = {
    "test_tensor_lr": "compares with a plain number to the bit, while a float32 tensor is another rate",
    "test_cpu_load_state_dict": "needs a GPU",
    "test_rosenbrock_sparse": "sparse gradients are refused",
    "test_complex": "compares each tensor for itself; all tensors share a learned rate here",
    "test_complex_2d": "as test_complex",
    "test_grad_scaling_autocast_fused_optimizers": "there is no fused form",
    "test_save_load_equality_with_weights_only": "compares state dicts with `==`, which tensors do not take",
}
"""Tests of that file that ask for something else than these optimizers promise."""
DECAYS = "its zero gradients come with weight decay, which moves parameters; it knows that of the name AdamW alone"
GIVES_RATE = "gives a rate, which this class refuses"
NOT_OURS_OF = {
    SGDHD: {"test_param_groups_lr": "climbs a loss without bound, by a rate that grows, until nothing is finite"},
    HypergradientAdamW: {"test_step_is_noop_for_zero_grads": DECAYS},
    AutoHypergradientAdamW: {"test_step_is_noop_for_zero_grads": DECAYS},
    TuningFreeAdamW: {
        "test_param_group_with_lrscheduler_goes_right_direction": GIVES_RATE,
        "test_param_groups_lr": GIVES_RATE,
    },
}
"""Those that ask it of a class."""


def list_inputs(kind):
    """Options that every class takes."""
    other = {"eps": 1e-6} if kind is TuningFreeAdamW else {"lr": 0.002}
    options = [{}, other, {"weight_decay": 0.1}, {"maximize": True}]
    return [common.OptimizerInput(params=None, kwargs=given, desc=" ".join(given) or "default") for given in options]


def describe(kind):
    """A class as torch's tests want it described."""
    refused = NOT_OURS | NOT_OURS_OF.get(kind, {})
    skips = tuple(common.DecorateInfo(unittest.skip(reason), CLASS, name) for name, reason in refused.items())
    return common.OptimizerInfo(
        kind,
        optim_inputs_func=lambda device, dtype=None: list_inputs(kind),
        optim_error_inputs_func=lambda device, dtype: [],
        supported_impls=(),
        supports_complex=True,
        skips=skips,
    )


def main(folder):
    """Run the file."""
    kinds = (SGDHD, AdamHD, HypergradientAdamW, AutoHypergradientAdamW, TuningFreeAdamW)
    common.optim_db[:] = [describe(kind) for kind in kinds]
    sys.path.insert(0, str(folder))
    import test_optim

    sys.argv = ["test_optim.py", "-v"]
    unittest.main(module=test_optim, defaultTest=[name for name in dir(test_optim) if name.startswith(CLASS)])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
