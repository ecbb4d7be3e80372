"""AdamW at several fixed rates, and the two optimizers that adapt theirs, on a quadratic and on real data."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from hypergrad import AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import BuildError, DeviceNotFoundError
from hypergrad_problems.data import load
from hypergrad_problems.newton import find_minimum
from hypergrad_problems.problem import Problem
from hypergrad_problems.quadratics import quadratic, random_rotation
from hypergrad_problems.set_models import mean_logistic
from hypergrad_problems.training import Run, have_equal_bits, train
from paper_figs.cells import Runner
from paper_figs.opencl import describe_device
from paper_figs.store import Result

STEPS = 400
RATES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
START = 1e-4
"""Where the optimizers that adapt their rate begin: far too low."""

METHODS: dict[str, tuple[Any, dict[str, Any]]] = {
    "AdamW": (AdamW, {}),
    "HypergradientAdamW": (HypergradientAdamW, {"hyper_lr": 1e-3}),
    "AutoHypergradientAdamW": (AutoHypergradientAdamW, {}),
}


@cache
def problems() -> dict[str, Problem]:
    """By name; both have n > 16 and neither divides a vector's width."""
    return {
        "quadratic": quadratic(np.geomspace(0.01, 1.0, 50), rotation=random_rotation(50), optimum=0.0),
        "breast_cancer": mean_logistic(load("breast_cancer"), reg=1e-3),
    }


def cell(problem: str, method: str, lr: float, device: str) -> Run:
    """One run, without weight decay, in float32."""
    make, options = METHODS[method]
    return train(make, problems()[problem], STEPS, lr=lr, weight_decay=0.0, device=device, **options)


def kernels_cell(problem: str, method: str, lr: float, opencl: Mapping[str, Any]) -> Run:
    """The same run on the OpenCL device that opencl describes."""
    return cell(problem, method, lr, "opencl")


def compute(runner: Runner) -> Result:
    """Every run on NumPy and, where there is a device, on OpenCL; the verdict compares their bits."""
    inputs = [
        {"problem": problem, "method": method, "lr": lr}
        for problem in problems()
        for method in METHODS
        for lr in (RATES if method == "AdamW" else (START,))
    ]
    reference = runner.run(cell, [{**i, "device": "numpy"} for i in inputs])
    try:
        opencl = describe_device()
        kernels = runner.here().run(kernels_cell, [{**i, "opencl": opencl} for i in inputs])
    except (DeviceNotFoundError, BuildError) as error:
        device, verdict = "numpy", f"not run: {str(error).splitlines()[0]}"
    else:
        differing = [
            i for i, one, other in zip(inputs, reference, kernels, strict=True) if not have_equal_bits(one, other)
        ]
        device = kernels[0].device
        verdict = f"all {len(inputs)} runs equal in every bit" if not differing else f"runs differ: {differing}"
    least = {name: find_minimum(problem) for name, problem in problems().items()}
    arrays = {
        f"{i['problem']}/{i['method']}/{i['lr']:g}/{name}": array
        for i, run in zip(inputs, reference, strict=True)
        for name, array in (("gap", run.loss - least[i["problem"]]), ("lr", run.lr))
    }
    return Result(arrays, {"device": device, "OpenCL against NumPy": verdict})
