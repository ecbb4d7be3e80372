"""The bench of divisions cuts what the kernels of today say, and names what they no longer say."""

from importlib.util import find_spec

import pytest

import bench_divisions
from hypergrad_kernels.device import open_device
from hypergrad_kernels.kernels import KERNELS


@pytest.mark.parametrize("name", bench_divisions.CUTS)
def test_kernel_without_divisions_is_another(name, device, monkeypatch):
    text = bench_divisions.cut(name)
    assert text != bench_divisions.read_text(KERNELS[name].file)
    assert "SQRT(x) sqrt" not in text
    rows = bench_divisions.measure_divisions(open_device(device), 4096, repeats=3)
    probed = [name for name in bench_divisions.CUTS if KERNELS[name].probe]
    beside_torch = 3 if find_spec("torch") else 0
    assert probed
    assert len(rows) == len(bench_divisions.CUTS) + 2 + 2 * len(probed) + beside_torch
    monkeypatch.setitem(bench_divisions.CUTS, name, (("no such text", ""),))
    with pytest.raises(ValueError, match="adapt CUTS"):
        bench_divisions.cut(name)
