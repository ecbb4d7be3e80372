"""Whatever the machine is like, kernels run where some runtime works, and elsewhere NumPy does with the reason."""

import os
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from hypergrad import AdamW, AutoHypergradientAdamW
from hypergrad.errors import BuildError, DeviceWarning
from hypergrad_kernels import runtime

ROOT = Path(__file__).resolve().parents[3]
NOTHING = "/nonexistent"
VARIABLES = (*runtime.VARIABLES, "PYOPENCL_CTX")
needs_intel = pytest.mark.skipif(runtime.find_library() is None, reason=f"needs {runtime.PACKAGE} from pip")


@pytest.fixture
def clean(monkeypatch):
    """Nobody has chosen a runtime, and nobody has asked for one in this process."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(runtime, "_asked", None)


@pytest.fixture
def system(tmp_path, monkeypatch, clean):
    """A folder in place of the system's, with one runtime; pip's PoCL is not there."""
    folder = tmp_path / "vendors"
    folder.mkdir()
    (folder / "some.icd").write_text("libsome.so\n")
    monkeypatch.setattr(runtime, "SYSTEM", str(folder))
    monkeypatch.setattr(runtime, "_find_beside", list)
    monkeypatch.setattr(runtime, "find_library", lambda: Path("/venv/lib/libintelocl.so"))
    return folder


def look():
    """What the loader is told, while it is asked."""
    before = dict(os.environ)
    with runtime.asking():
        told = os.environ.get(runtime.VENDORS)
        names = {icd.name: icd.read_text() for icd in Path(told).iterdir()} if told and Path(told).is_dir() else told
    assert dict(os.environ) == before
    assert not told or not Path(told).exists()
    return names


ADDED = {f"{runtime.FOLDER}added.icd": "/venv/lib/libintelocl.so"}


def test_runtime_from_pip_is_seen_beside_the_systems(system):
    assert look() == {"some.icd": "libsome.so\n", **ADDED}
    assert [found.library for found in runtime.find_runtimes()] == ["libsome.so", "/venv/lib/libintelocl.so"]


def test_loader_is_told_once(system):
    assert look() is not None
    assert look() is None


@pytest.mark.parametrize(
    ("name", "value", "seen"),
    [
        ("OCL_ICD_VENDORS", NOTHING, NOTHING),
        ("OCL_ICD_VENDORS", "libsome.so", "libsome.so"),
        ("OPENCL_VENDOR_PATH", NOTHING, None),
        ("PYOPENCL_CTX", "0", None),
        ("PYOPENCL_CTX", "1:0", None),
    ],
)
def test_who_has_chosen_is_left_alone(name, value, seen, system, monkeypatch):
    monkeypatch.setenv(name, value)
    assert look() == seen
    assert not runtime.find_added()


@pytest.mark.parametrize(
    ("name", "value"),
    [("OCL_ICD_VENDORS", ""), ("PYOPENCL_CTX", "Intel"), ("OCL_ICD_VENDORS", "/tmp/hypergrad-opencl-x")],
)
def test_what_chooses_no_runtime_adds_the_one_from_pip(name, value, system, monkeypatch):
    monkeypatch.setenv(name, value)
    assert look() == {"some.icd": "libsome.so\n", **ADDED}


def test_number_counts_the_runtime_from_pip_where_it_is_the_only_one(system, monkeypatch):
    (system / "some.icd").unlink()
    monkeypatch.setenv("PYOPENCL_CTX", "0")
    assert [found.library for found in runtime.find_added()] == ["/venv/lib/libintelocl.so"]


def test_the_systems_own_intel_runtime_serves(system):
    (system / "intel.icd").write_text("/opt/intel/lib/libintelocl.so.2026")
    assert look() is None


@pytest.mark.parametrize("empty", [True, False], ids=["nothing-else", "no-folder-can-be-written"])
def test_library_is_named_without_a_folder(empty, system, monkeypatch):
    def refuse(**_):
        raise FileNotFoundError("no usable temporary directory")

    if empty:
        (system / "some.icd").unlink()
    monkeypatch.setattr(runtime, "TemporaryDirectory", refuse)
    with runtime.asking():
        assert os.environ[runtime.VENDORS] == "/venv/lib/libintelocl.so"
    assert runtime.VENDORS not in os.environ


def test_question_that_fails_leaves_no_trace(system):
    def fail():
        with runtime.asking():
            folders.append(os.environ[runtime.VENDORS])
            raise KeyError

    folders = []
    with pytest.raises(KeyError):
        fail()
    assert runtime.VENDORS not in os.environ
    assert not Path(folders[0]).exists()


def test_unreadable_vendors_are_passed_over_and_named(system):
    (system / "garbage.icd").write_bytes(bytes(range(256)))
    (system / "empty.icd").touch()
    (system / "folder.icd").mkdir()
    (system / "gone.icd").symlink_to(NOTHING)
    os.mkfifo(system / "pipe.icd")
    (system / "text.icd").write_text(str(system / "text.so"))
    (system / "text.so").write_text("not a library")
    found = {Path(each.source).name: each for each in runtime.find_runtimes()}
    assert set(found) == {"garbage.icd", "some.icd", "text.icd", f"{runtime.PACKAGE} from pip"}
    for name in ("garbage.icd", "some.icd", "text.icd"):
        assert f"remove {system / name}" in runtime.explain_trouble(found[name])
    assert "--force-reinstall" in runtime.explain_trouble(found[f"{runtime.PACKAGE} from pip"])


def write_distribution(folder, *files):
    info = folder / "lib/site-packages/intel_opencl_rt-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: intel-opencl-rt\nVersion: 1\n")
    (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))
    return info.parent


def test_library_is_found_where_pip_recorded_it(tmp_path, monkeypatch):
    place = write_distribution(tmp_path / "venv", "../libintelocl.so", "../other.so")
    (tmp_path / "venv/lib/libintelocl.so").touch()
    moved = tmp_path / "moved"
    (tmp_path / "venv").rename(moved)
    assert not place.exists()
    monkeypatch.syspath_prepend(moved / "lib/site-packages")
    assert runtime.find_library() == moved / "lib/libintelocl.so"


def test_library_that_pip_left_out_is_no_library(tmp_path, monkeypatch, clean):
    """pip install --target installs the package without what lies above site-packages."""
    monkeypatch.syspath_prepend(write_distribution(tmp_path, "../libintelocl.so"))
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert runtime.find_library() is None
    monkeypatch.setattr(runtime, "find_runtimes", list)
    assert "pip install --target leaves out" in runtime.explain_absence()


def test_library_of_a_prefix_needs_no_record(tmp_path, monkeypatch):
    def lack(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", lack)
    monkeypatch.setattr("sys.prefix", str(tmp_path))
    assert runtime.find_library() is None
    (tmp_path / runtime.LIBRARY).parent.mkdir(parents=True)
    (tmp_path / runtime.LIBRARY).touch()
    assert runtime.find_library() == tmp_path / runtime.LIBRARY


@pytest.mark.parametrize(
    ("system", "machine", "libc", "installs"),
    [
        ("Linux", "x86_64", "glibc", True), ("Windows", "AMD64", "", True), ("Linux", "aarch64", "glibc", False),
        ("Linux", "x86_64", "", False), ("Darwin", "arm64", "", False), ("Darwin", "x86_64", "", False),
    ],
)  # fmt: skip
def test_remedy_is_one_for_this_machine(system, machine, libc, installs, monkeypatch):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr("platform.libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(runtime, "find_library", lambda: Path("/lib"))
    assert (runtime.INSTALL in runtime.find_remedy()) == installs
    assert (f"PyPI has none for {system} on {machine}" in runtime.find_remedy()) == (not installs)


@pytest.mark.parametrize(
    ("system", "machine", "wanted"),
    [
        ("linux", "x86_64", True), ("win32", "AMD64", True), ("linux", "aarch64", False), ("darwin", "arm64", False),
        ("darwin", "x86_64", False), ("win32", "ARM64", False), ("linux", "riscv64", False), ("linux", "i686", False),
    ],
)  # fmt: skip
def test_runtime_is_wanted_where_there_are_wheels_of_it(system, machine, wanted):
    requirements = pytest.importorskip("packaging.requirements")
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    found = {requirement.name: requirement for requirement in map(requirements.Requirement, lines)}
    for name in ("intel-opencl-rt", "intel-cmplr-lib-rt"):
        assert found[name].marker.evaluate({"sys_platform": system, "platform_machine": machine}) == wanted
    assert found["pyopencl"].marker is None
    assert not found["pyopencl"].extras


# Whole processes, for which any device will do.


STEP = """
    import sys
    import numpy as np
    from hypergrad import AdamW, AutoHypergradientAdamW
    for kind in (AdamW, AutoHypergradientAdamW):
        x = [np.linspace(-1, 1, 100, dtype=np.float32)]
        opt = kind(x, device="opencl")
        for _ in range(2):
            opt.step(gradients=[x[0] + 1])
        print(opt.device, x[0].tobytes().hex())
    """


def run_numpy():
    lines = []
    for kind in (AdamW, AutoHypergradientAdamW):
        x = [np.linspace(-1, 1, 100, dtype=np.float32)]
        opt = kind(x, device="numpy")
        for _ in range(2):
            opt.step(gradients=[x[0] + 1])
        lines.append(x[0].tobytes().hex())
    return lines


ENVIRONMENTS = {
    "plain": {},
    "no-cache-folder": {"XDG_CACHE_HOME": "{file}"},
    "no-home": {"HOME": "{file}", "XDG_CACHE_HOME": None},
    "home-unset": {"HOME": None, "XDG_CACHE_HOME": None},
    "relative-home": {"HOME": "file", "XDG_CACHE_HOME": "{file}/x"},
    "no-temporary-folder": {"TMPDIR": "{file}", "TEMP": "{file}", "TMP": "{file}"},
    "nothing-can-be-written": {"HOME": "{file}", "XDG_CACHE_HOME": "{file}", "TMPDIR": "{file}"},
    "pocl-cache-empty": {"POCL_CACHE_DIR": ""},
    "caches-turned-off": {"PYOPENCL_NO_CACHE": "1"},
    "caches-turned-off-and-not-there": {"PYOPENCL_NO_CACHE": "1", "XDG_CACHE_HOME": "{file}"},
}


@pytest.mark.parametrize("environment", ENVIRONMENTS.values(), ids=ENVIRONMENTS)
def test_kernels_run_whatever_cannot_be_written(environment, some_device, tmp_path, run_script):
    (tmp_path / "file").touch()
    given = {name: value and value.format(file=tmp_path / "file") for name, value in environment.items()}
    done = run_script(STEP, **{"POCL_CACHE_DIR": tmp_path / "pocl", **given})
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == run_numpy()
    assert "opencl: " in done.stdout


def test_damaged_caches_are_done_without(some_device, tmp_path, run_script):
    cache = tmp_path / "cache"
    first = run_script(STEP, XDG_CACHE_HOME=cache)
    kept = [file for file in cache.rglob("*") if file.is_file() and file.parent.name != "shapes"]
    for file in kept:
        file.write_bytes(b"damaged")
    again = run_script(STEP, XDG_CACHE_HOME=cache)
    assert (again.returncode, again.stdout) == (0, first.stdout), again.stderr


CHOOSE = """
    import warnings
    import numpy as np
    from hypergrad import AdamW, SGDHD
    from hypergrad.errors import DeviceWarning
    for device in ("auto", "opencl"):
        for kind in (AdamW, SGDHD):
            x = np.ones(3)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                try:
                    opt = kind([x], device=None if device == "auto" else device)
                    opt.step(gradients=[np.ones(3)])
                    print(device, opt.device, x[0] < 1, *(one.message for one in told))
                except Exception as error:
                    print(device, type(error).__name__, x[0] == 1, error)
    """
REFUSALS = {
    "points-to-nothing": (
        "OCL_ICD_VENDORS",
        "{folder}/nothing",
        "OCL_ICD_VENDORS='{folder}/nothing' points to nothing",
    ),
    "no-library": ("OCL_ICD_VENDORS", "{folder}/text.so", "OCL_ICD_VENDORS names {folder}/text.so, which cannot be"),
    "icd-of-no-library": ("OCL_ICD_VENDORS", "{folder}/text.icd", "{folder}/text.icd names {folder}/text.so, which"),
    "icd-of-garbage": ("OCL_ICD_VENDORS", "{folder}/garbage.icd", "{folder}/garbage.icd names"),
    "unknown-name": ("OCL_ICD_VENDORS", "libnothing.so", "OCL_ICD_VENDORS names libnothing.so, which cannot be loaded"),
    "another-library": (
        "OCL_ICD_VENDORS",
        "libm.so.6",
        "OCL_ICD_VENDORS names libm.so.6, which cannot be loaded (it is no",
    ),
    "icd-that-is-not-there": ("OCL_ICD_VENDORS", "nothing.icd", "OCL_ICD_VENDORS='nothing.icd' points to nothing"),
    "wrong-context": ("PYOPENCL_CTX", "no such device", "PYOPENCL_CTX='no such device' names no device"),
    "empty-switch": ("PYOPENCL_NO_CACHE", "", "PYOPENCL_NO_CACHE='' is neither true nor false to pyopencl: unset it"),
    "wrong-switch": ("PYOPENCL_COMPILER_OUTPUT", "maybe", "PYOPENCL_COMPILER_OUTPUT='maybe' is neither true nor false"),
    "wrong-number": ("PYOPENCL_CTX", "99", "PYOPENCL_CTX='99' names no device"),
}


@pytest.mark.parametrize(("name", "value", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_numpy_serves_with_the_reason_and_opencl_is_refused(name, value, reason, some_device, tmp_path, run_script):
    (tmp_path / "text.so").write_text("not a library")
    (tmp_path / "text.icd").write_text(f"{tmp_path}/text.so")
    (tmp_path / "garbage.icd").write_bytes(bytes(range(1, 256)))
    done = run_script(CHOOSE, **{name: value.format(folder=tmp_path)})
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines), done.stderr) == (0, 4, "")
    reason = reason.format(folder=tmp_path)
    assert all(line.startswith("auto numpy True NumPy does the work: ") and reason in line for line in lines[:2])
    assert all(line.startswith("opencl DeviceNotFoundError True") and reason in line for line in lines[2:])
    assert not any(line.count("device=") > 1 for line in lines)


def test_remedy_of_all_these_gives_a_device(some_device, run_script):
    lines = run_script(CHOOSE).stdout.splitlines()  # the variable unset
    assert len(lines) == 4
    assert all(" opencl: " in line and " True" in line for line in lines)


LATE = """
    import os
    import pyopencl
    from hypergrad import AdamW
    import numpy as np
    try:
        pyopencl.get_platforms()
    except pyopencl.Error:
        pass
    os.environ.pop("OCL_ICD_VENDORS", None)
    try:
        print(AdamW([np.ones(3)], device="opencl").device)
    except Exception as error:
        print(type(error).__name__, error)
    """


@needs_intel
def test_who_asked_pyopencl_first_is_told_what_to_do_and_it_works(run_script):
    library = runtime.find_library()
    done = run_script(LATE, OCL_ICD_VENDORS=NOTHING, OPENCL_VENDOR_PATH=None)
    assert "DeviceNotFoundError no OpenCL device was found: pyopencl was asked for its platforms before" in done.stdout
    assert f"start Python with OCL_ICD_VENDORS={library}" in done.stdout
    assert "opencl: Intel" in run_script(LATE, OCL_ICD_VENDORS=library).stdout


@needs_intel
def test_pip_alone_gives_a_device(run_script):
    done = run_script(STEP, OCL_ICD_VENDORS=None, OPENCL_VENDOR_PATH=None, PYOPENCL_CTX="Intel")
    assert done.stdout.startswith("opencl: Intel"), done.stderr


def test_pocl_says_that_its_cache_cannot_be_written(tmp_path, run_script):
    pocl = [found.library for found in runtime.find_runtimes() if "pocl" in found.library]
    if not pocl:
        pytest.skip("needs PoCL: apt install pocl-opencl-icd, or make on-pip")
    (tmp_path / "file").touch()
    done = run_script(CHOOSE, OCL_ICD_VENDORS=pocl[0], POCL_CACHE_DIR=tmp_path / "file/cache")
    assert "auto numpy True NumPy does the work: " in done.stdout
    assert done.stdout.count("set POCL_CACHE_DIR to a folder") == 4
    remedied = run_script(CHOOSE, OCL_ICD_VENDORS=pocl[0], POCL_CACHE_DIR=tmp_path / "cache")
    assert "auto opencl: " in remedied.stdout


LIMITED = """
    import warnings
    import numpy as np
    from hypergrad import AdamW, SGDHD
    for n in (1000, 70_000_000):
        for device in ("auto", "opencl"):
            for kind in (AdamW, SGDHD):
                x = [np.zeros(7, np.float32), np.zeros(n, np.float32)]
                with warnings.catch_warnings(record=True) as told:
                    warnings.simplefilter("always")
                    try:
                        opt = kind(x, device=None if device == "auto" else device)
                        print(n, device, opt.device, *(one.message for one in told))
                    except Exception as error:
                        print(n, device, type(error).__name__, error)
    """
LIMITS = {"POCL_MEMORY_LIMIT": "1", "CL_CONFIG_CPU_FORCE_MAX_MEM_ALLOC_SIZE": "256MB"}
"""The least that PoCL's variable takes, in GB, of which an array may have a quarter; and Intel's."""


RUNTIMES = {Path(found.library).name: found.library for found in runtime.find_runtimes()}


@pytest.mark.parametrize("library", RUNTIMES.values(), ids=RUNTIMES)
def test_no_runtime_needs_pyopencls_caches(library, tmp_path, run_script):
    (tmp_path / "file").touch()
    done = run_script(CHOOSE, OCL_ICD_VENDORS=library, PYOPENCL_CTX=None, XDG_CACHE_HOME=tmp_path / "file")
    if "compiles a kernel" in done.stdout:
        pytest.skip(f"{library} knows no such processor")
    assert (done.returncode, done.stderr, done.stdout.count(" opencl: ")) == (0, "", 4)


@pytest.mark.parametrize("library", RUNTIMES.values(), ids=RUNTIMES)
def test_array_beyond_what_the_device_takes_is_named_with_both_numbers(library, run_script):
    done = run_script(LIMITED, OCL_ICD_VENDORS=library, PYOPENCL_CTX=None, **LIMITS)
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (0, 8), done.stderr
    if "clgrind" in library or "does not compile" in lines[0] or "compiles a kernel" in lines[0]:
        pytest.skip(f"{library} has no limit, or knows no such processor")
    numbers, limit = "params[1] has 280000000 bytes and", "takes at most 268435456 in one array"
    assert all(" opencl: " in line for line in lines[:4])
    assert all(line.startswith(f"70000000 auto numpy NumPy does the work: {numbers}") for line in lines[4:6])
    assert all(line.startswith(f"70000000 opencl DeviceError {numbers}") for line in lines[6:])
    assert all(limit in line for line in lines[4:])


# The choice.


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
