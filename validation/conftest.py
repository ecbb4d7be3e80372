"""Fixtures and settings that every test shares."""

import os
import re
import subprocess
import sys
import textwrap

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy: small products in several workers would fight

import hypothesis
import numpy as np
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


def pytest_addoption(parser):
    parser.addoption("--need-device", action="store_true", help="fail, not skip, where there is no OpenCL device")


def pytest_collection_modifyitems(items):
    """An id with an address differs between processes. Without a device, those of documents warn, which is right."""
    moving = [item.nodeid for item in items if " at 0x" in item.nodeid]
    if moving:
        raise pytest.UsageError(f"tests have ids with an address: {moving}; give them ids that stay")
    for item in items:
        if not DEVICES and (item.path.name == "README.md" or item.path.parent.name == "docs"):
            item.add_marker(pytest.mark.filterwarnings("ignore::hypergrad.errors.DeviceWarning"))


@pytest.fixture(
    params=range(len(DEVICES)) or [None],
    ids=[f"{d.platform.name.strip()}-{i}" for i, d in enumerate(DEVICES)] or ["no-opencl"],
)
def device(request):
    """Each OpenCL device there is, in turn."""
    if request.param is None:
        (pytest.fail if request.config.getoption("--need-device") else pytest.skip)("no OpenCL device")
    return DEVICES[request.param]


@pytest.fixture(
    params=["numpy", *range(len(DEVICES))],
    ids=["numpy", *(f"{d.platform.name.strip()}-{i}" for i, d in enumerate(DEVICES))],
)
def where(request):
    """What an optimizer takes as device: "numpy", and each OpenCL device there is, in turn."""
    return request.param if request.param == "numpy" else DEVICES[request.param]


@pytest.fixture(autouse=True)
def _own_error_state():
    """A fault that a test plants may leave NumPy's handling of errors changed; the next test has its own."""
    with np.errstate():
        yield


@pytest.fixture
def some_device(request):
    """For what any OpenCL device will do: the first, which need not be the one that is chosen."""
    if not DEVICES:
        (pytest.fail if request.config.getoption("--need-device") else pytest.skip)("no OpenCL device")
    return DEVICES[0]


@pytest.fixture
def run_script(tmp_path):
    """Runs a script in a process of its own, in which warnings are errors; None takes a variable away."""

    def run(script, *options, timeout=120, **environment):
        file = tmp_path / "script.py"
        file.write_text(textwrap.dedent(script))
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment}
        return subprocess.run(
            [sys.executable, *(options or ("-W", "error")), str(file)],
            env={name: str(value) for name, value in variables.items() if value is not None},
            capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip

    return run


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


@pytest.fixture
def figures_folder(tmp_path, monkeypatch, for_figures):
    """Data files and pictures of these tests, apart from the user's, as their cells are."""
    from paper_figs import command

    monkeypatch.setattr(command, "FOLDER", for_figures)
    monkeypatch.setattr(command, "OUT", tmp_path / "out")
    return tmp_path


@pytest.fixture
def umask():
    """os.umask, of which files that are written then have their mode; put back afterwards."""
    previous = os.umask(0o022)
    yield os.umask
    os.umask(previous)


def pytest_terminal_summary(terminalreporter):
    """Say which devices were under test, and loudly what was not."""
    for trouble in TROUBLES:
        terminalreporter.write_line(f"NOT TESTED: {trouble}", red=True)
    if DEVICES:
        names = ", ".join(f"{d.platform.name.strip()} {d.platform.version.strip()}" for d in DEVICES)
        terminalreporter.write_line(f"OpenCL devices under test: {names}")
    else:
        terminalreporter.write_sep("=", "NO OPENCL DEVICE: no kernel was tested", red=True, bold=True)
