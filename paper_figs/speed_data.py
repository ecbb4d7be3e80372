"""GB/s of kernels and of whole steps beside probes of the same traffic, over the number of elements."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from hypergrad.errors import BuildError, DeviceNotFoundError
from hypergrad_papers.claims import Extent
from paper_figs.cells import Runner
from paper_figs.opencl import describe_device
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


def measure(sizes: Sequence[int], repeats: int, opencl: Mapping[str, Any]) -> dict[str, Any]:
    """One measurement of every size, and when it was taken; opencl describes the device."""
    from hypergrad_kernels.device import open_device
    from hypergrad_validation.bench import measure_sizes

    measured = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return {"rows": list(measure_sizes(open_device(), sizes, repeats)), "measured": measured}


def compute(runner: Runner) -> Result:
    """Measured in this process, once for a device, its driver, its launch shapes and a version of the code."""
    try:
        opencl = describe_device()
    except (DeviceNotFoundError, BuildError) as error:
        return Result({}, {"speed": f"not run: {str(error).splitlines()[0]}"})
    sizes = [1 << power for power in POWERS + ((LARGEST,) if runner.extent >= Extent.FULL else ())]
    (done,) = runner.here().run(measure, [{"sizes": sizes, "repeats": REPEATS, "opencl": opencl}])
    names = list(dict.fromkeys(row["name"] for row in done["rows"]))
    arrays = {
        name: np.array([[row["low"], row["gb_per_s"], row["high"]] for row in done["rows"] if row["name"] == name])
        for name in names
    }
    facts: dict[str, Any] = {
        "speed": f"medians of {REPEATS} turns, {done['measured']}",
        "device": opencl["device"],
        "platform": opencl["platform"],
        "compute units": opencl["compute_units"],
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
