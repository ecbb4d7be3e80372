"""Which OpenCL device the kernels run on, and whether they give NumPy's bits there, tried in every run."""

import os
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import BuildError, DeviceNotFoundError
from hypergrad_problems.quadratics import quadratic
from hypergrad_problems.training import have_equal_bits, train

N = 10_007
"""Parameters: more than two blocks of the sums, and no multiple of any vector's width."""
STEPS = 40
OPTIMIZERS: dict[Any, dict[str, float]] = {
    SGDHD: {"lr": 0.1, "hyper_lr": 1e-6},
    AdamHD: {"hyper_lr": 1e-6},
    AdamW: {},
    HypergradientAdamW: {"hyper_lr": 1e-6},
    AutoHypergradientAdamW: {},
}
"""Every class, with options that let its rate move."""
DTYPES = (np.float32, np.float64)


class Device(NamedTuple):
    """Who runs the two loops."""

    name: str = ""  # of the OpenCL device, with its platform's version; empty: there is none, NumPy runs the loops
    trouble: str = ""  # why there is none, and what brings one

    def __str__(self) -> str:
        if self.name:
            return f"OpenCL: the kernels run on {self.name}"
        return f"OpenCL: NO DEVICE, NumPy runs the loops. {self.trouble} What to do: .venv/bin/hypergrad doctor"


class Verdict(NamedTuple):
    """Whether the kernels gave NumPy's bits."""

    compared: int  # runs
    differing: tuple[str, ...]

    def __str__(self) -> str:
        if self.differing:
            return f"{len(self.differing)} of {self.compared} runs differ from NumPy's: {', '.join(self.differing)}"
        return f"all {self.compared} runs equal NumPy's in every bit"


COMPARED = (
    f"{len(OPTIMIZERS)} optimizers, float32 and float64, {STEPS} steps on {N} parameters each: the rate and the loss "
    f"at every step, the parameters at the end"
)


def find_device() -> Device:
    """The device that device="opencl" means, which is opened; else why there is none."""
    try:
        AdamW([np.zeros(1, np.float32)], device="opencl")  # says so where pyopencl is missing, too
    except (DeviceNotFoundError, BuildError) as error:
        variable = os.environ.get("OCL_ICD_VENDORS")
        hint = f" OCL_ICD_VENDORS is set to {variable}." if variable else ""
        return Device(trouble=" ".join(str(error).removeprefix("device='opencl': ").split()) + hint)
    from hypergrad_kernels.device import open_device

    device = open_device()
    version, *_ = re.split(r"\s{2,}|,", device.cl_device.platform.version)  # PoCL lists after it how it was built
    return Device(f"{device.name}, {version.strip()}")


def compare_bits() -> Verdict:
    """Train with every optimizer on NumPy and by the kernels."""
    return Verdict(len(OPTIMIZERS) * len(DTYPES), tuple(_find_differences()))


def _find_differences() -> Iterator[str]:
    problem = quadratic(np.geomspace(0.01, 1.0, N))
    for make, options in OPTIMIZERS.items():
        for dtype in DTYPES:
            ours, theirs = (train(make, problem, STEPS, dtype, device=d, **options) for d in ("numpy", "opencl"))
            if not have_equal_bits(ours, theirs):
                yield f"{make.__name__} in {np.dtype(dtype)}"
