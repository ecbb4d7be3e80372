"""Kernels beside probes of the same memory traffic, in one run: make bench.

Kernel and probe each run at the launch shape that is the fastest for them of the same candidates, measured first. The
fraction is the median over turns taken one after the other; what was timed is verified afterwards, bit for bit.
"""

from functools import cache

import numpy as np
import pytest

from hypergrad_kernels.device import open_device
from hypergrad_kernels.kernels import KERNELS
from hypergrad_kernels.tuning import tune
from hypergrad_validation.bench import count_bytes
from hypergrad_validation.timing import compare, take_turns
from hypergrad_validation.workload import Workload


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory):
    """Measure launch shapes again, and leave those that the user has."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("shapes")))
        yield


@cache
def tune_once(device, name):
    tune(open_device(device), [(KERNELS[name].file, KERNELS[name].kernel, "float32")])


@pytest.mark.parametrize("power", [14, 20, 24], ids=lambda power: f"2^{power}")
@pytest.mark.parametrize("kernel", [name for name, kernel in KERNELS.items() if kernel.probe])
def test_kernel_beside_its_probe(kernel, power, device, benchmark, capsys):
    probe, n = KERNELS[kernel].probe, 1 << power
    for name in (kernel, probe):
        tune_once(device, name)
    workload = Workload(open_device(device), n)
    runs, moved = workload.list_kernels([kernel]), count_bytes()
    benchmark.pedantic(runs[kernel], rounds=21, warmup_rounds=2)
    times = take_turns({name: runs[name] for name in (kernel, probe)})
    workload.verify_kernels([kernel])
    fraction = compare([s / moved[probe] for s in times[probe]], [s / moved[kernel] for s in times[kernel]])
    rates = {name: moved[name] * n / float(np.median(times[name])) / 1e9 for name in times}
    benchmark.extra_info |= {
        "device": workload.device.name, "n": n, "gb_per_s": rates[kernel], "probe_gb_per_s": rates[probe],
        "fraction_of_probe": fraction.median, "quartiles": [fraction.low, fraction.high],
    }  # fmt: skip
    with capsys.disabled():
        print(
            f"\n{workload.device.name}: {kernel}, n = 2^{power}: {rates[kernel]:.1f} GB/s, "
            f"{fraction.median:.2f} of its probe ({fraction.low:.2f} to {fraction.high:.2f})"
        )
