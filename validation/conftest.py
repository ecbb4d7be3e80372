"""Fixtures and settings that every test shares."""

import os
import re

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: small products in several workers would fight

import hypothesis
import pytest

hypothesis.settings.register_profile("steady", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("steady")


def _find_devices():
    """The devices that compile, and for each that does not, why."""
    try:
        from hypergrad_kernels.device import list_devices, open_device
        from hypergrad_kernels.errors import BuildError
    except ImportError as error:
        return [], [f"pyopencl cannot be imported: {error}"]
    usable, troubles = [], []
    for device in list_devices():
        try:
            open_device(device)
            usable.append(device)
        except BuildError as error:
            troubles.append(str(error))
    return usable, troubles


SIMULATED = "oclgrind" in os.environ.get("OCL_ICD_VENDORS", "")
if SIMULATED:
    from hypergrad_kernels.device import Device

    # The simulator takes the memory of a NumPy array for uninitialised: it gets copies.
    Device._shares_memory = lambda self: False

    @pytest.fixture(autouse=True)
    def _no_reports(capfd):
        """A race, a stray access or an uninitialised read that the simulator reports is a failure."""
        yield
        reports = capfd.readouterr().err
        assert not re.search(r"Invalid |data race|ninitialized", reports), reports


DEVICES, TROUBLES = _find_devices()


@pytest.fixture(
    params=range(len(DEVICES)) or [None],
    ids=[f"{d.platform.name.strip()}-{i}" for i, d in enumerate(DEVICES)] or ["no-opencl"],
)
def device(request):
    """Each OpenCL device there is, in turn."""
    if request.param is None:
        pytest.skip("no OpenCL device")
    return DEVICES[request.param]


@pytest.fixture(
    params=["numpy", *range(len(DEVICES))],
    ids=["numpy", *(f"{d.platform.name.strip()}-{i}" for i, d in enumerate(DEVICES))],
)
def where(request):
    """What an optimizer takes as device: "numpy", and each OpenCL device there is, in turn."""
    return request.param if request.param == "numpy" else DEVICES[request.param]


@pytest.fixture(scope="module")
def run_once():
    """Runs the cells of claims, each once for all claims of a module."""
    results = {}

    def run(cell, inputs):
        keys = [(cell, repr(sorted(given.items()))) for given in inputs]
        for key, given in zip(keys, inputs, strict=True):
            if key not in results:
                results[key] = cell(**given)
        return [results[key] for key in keys]

    return run


@pytest.fixture
def for_figures(tmp_path, monkeypatch):
    """The figures' style, cells in this folder, apart from the user's, and no picture left open."""
    import matplotlib.pyplot as plt

    from paper_figs import cells, style

    folder = tmp_path / "data"
    monkeypatch.setattr(cells, "FOLDER", folder)
    with plt.rc_context():
        style.apply()
        yield folder
    plt.close("all")


def pytest_terminal_summary(terminalreporter):
    """Say which devices were under test, and loudly what was not."""
    for trouble in TROUBLES:
        terminalreporter.write_line(f"NOT TESTED: {trouble}", red=True)
    if DEVICES:
        names = ", ".join(f"{d.platform.name.strip()} {d.platform.version.strip()}" for d in DEVICES)
        terminalreporter.write_line(f"OpenCL devices under test: {names}")
    else:
        terminalreporter.write_sep("=", "NO OPENCL DEVICE: no kernel was tested", red=True, bold=True)
