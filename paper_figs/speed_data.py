"""GB/s of kernels and of whole steps beside probes of the same traffic, over the number of elements."""

from typing import Any

import numpy as np

from hypergrad import AdamW
from hypergrad.errors import BuildError, DeviceNotFoundError
from hypergrad_validation.claims import Extent
from paper_figs.cells import Runner
from paper_figs.store import Result

POWERS = tuple(range(10, 25, 2))
LARGEST = 26  # power of two that is added with all data sets
REPEATS = 11

PROBES = {
    "adamw": "update_traffic",
    "sums": "read_traffic",
    "AdamW": "update_traffic",
    "HypergradientAdamW": "update_traffic",
}
"""By name of a kernel or optimizer: the probe that it is held against."""


def compute(runner: Runner) -> Result:
    """Measured anew each time, in this process: times of another day or machine would say nothing about this one."""
    try:
        AdamW([np.zeros(1, np.float32)], device="opencl")
    except (DeviceNotFoundError, BuildError) as error:
        return Result({}, {"speed": f"not run: {str(error).splitlines()[0]}"})
    # they need pyopencl, which is there now
    from hypergrad_kernels.device import open_device
    from hypergrad_validation.bench import describe, measure_sizes

    device = open_device()
    sizes = [1 << power for power in POWERS + ((LARGEST,) if runner.extent >= Extent.FULL else ())]
    rows = list(measure_sizes(device, sizes, REPEATS))
    names = list(dict.fromkeys(row["name"] for row in rows))
    arrays = {
        name: np.array([[row["low"], row["gb_per_s"], row["high"]] for row in rows if row["name"] == name])
        for name in names
    }
    facts: dict[str, Any] = {
        "speed": f"medians of {REPEATS} turns",
        "device": str(describe(device)["device"]),
        "platform": str(describe(device)["platform"]),
        "compute units": describe(device)["compute_units"],
        f"n = {sizes[-1]}": [
            {
                "": name,
                "GB/s": f"{arrays[name][-1, 1]:.3g}",
                "of its probe": f"{arrays[name][-1, 1] / arrays[probe][-1, 1]:.0%}",
                "probe, GB/s": f"{arrays[probe][-1, 1]:.3g}",
            }
            for name, probe in PROBES.items()
        ],
    }
    return Result({"sizes": np.array(sizes)} | arrays, facts)
