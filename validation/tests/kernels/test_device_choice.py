"""Which device is taken where none is named: one that compiles, a GPU first."""

import numpy as np
import pytest

from hypergrad import AdamW
from hypergrad.errors import BuildError, DeviceWarning


@pytest.fixture
def broken(device, monkeypatch):
    """Two entries for a device, of which the first does not compile."""
    from hypergrad_kernels import device as opencl

    first, working, opened = [], device, opencl._open_device

    def open_device(given):
        first.append(given)
        if len(first) in refused:
            raise BuildError(
                "trial.cl does not compile on it with -D:\nnoise\nerror: unknown target CPU 'generic'\nmore"
            )
        return opened(given)

    refused = {1}
    monkeypatch.delenv("PYOPENCL_CTX", raising=False)
    monkeypatch.setattr(opencl, "list_devices", lambda: [working, working])
    monkeypatch.setattr(opencl, "_open_device", open_device)
    return refused


@pytest.mark.parametrize("chosen", ["opencl", None, "opencl:{part}"])
def test_device_that_does_not_compile_is_passed_over_quietly(chosen, broken, device):
    part = device.platform.name.split()[0].lower()
    assert AdamW([np.ones(3)], device=chosen and chosen.format(part=part)).device.startswith("opencl: ")


def test_device_asked_for_by_its_index_is_not_passed_over(broken, device):
    part = device.platform.name.split()[0].lower()
    with pytest.raises(BuildError, match="unknown target CPU"):
        AdamW([np.ones(3)], device=f"opencl:{part}:0")


def test_without_a_device_that_compiles_numpy_serves_with_one_short_line(broken):
    broken |= set(range(10))
    with pytest.warns(DeviceWarning) as told:
        assert AdamW([np.ones(3)]).device == "numpy"
    (line,) = [str(one.message) for one in told]
    assert "no OpenCL device compiles a kernel: " in line
    assert line.count("error: unknown target CPU 'generic'") == 2
    assert "\n" not in line
    with pytest.raises(BuildError, match="no OpenCL device compiles a kernel"):
        AdamW([np.ones(3)], device="opencl")


def test_gpu_comes_first_then_intels_runtime_then_any_other():
    from types import SimpleNamespace

    import pyopencl as cl

    from hypergrad_kernels.device import rank

    kinds = cl.device_type
    names = [("Portable Computing Language", kinds.CPU), ("Intel(R) OpenCL", kinds.CPU), ("Any", kinds.GPU)]
    made = [SimpleNamespace(platform=SimpleNamespace(name=name), type=kind) for name, kind in names]
    assert [device.platform.name for device in sorted(made, key=rank)] == [names[2][0], names[1][0], names[0][0]]
