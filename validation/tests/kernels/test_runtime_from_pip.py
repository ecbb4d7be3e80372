"""Runtimes that no .icd file names, from pip or with a driver, are seen beside the system's; remedies fit."""

import os
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from places import NOTHING, ROOT, VARIABLES

from hypergrad_kernels import runtime


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
    monkeypatch.setattr(runtime, "find_driver", lambda: None)
    return folder


@pytest.fixture
def driver(system, monkeypatch):
    """NVIDIA's runtime, which no .icd file names."""
    monkeypatch.setattr(runtime, "find_driver", lambda: "/lib/libnvidia-opencl.so.1")


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


def test_runtime_of_a_driver_is_seen_beside_the_others(system, driver, monkeypatch):
    added = {f"{runtime.FOLDER}added1.icd": "/lib/libnvidia-opencl.so.1"}
    (system / "some.icd").unlink()
    assert look() == {**ADDED, **added}
    monkeypatch.setattr(runtime, "_asked", None)
    monkeypatch.setattr(runtime, "find_library", lambda: None)
    assert look() == {f"{runtime.FOLDER}added.icd": "/lib/libnvidia-opencl.so.1"}
    (found,) = runtime.find_runtimes()
    assert "install the driver again" in runtime.explain_trouble(found)


def test_icd_file_of_a_driver_serves(system, driver):
    (system / "nvidia.icd").write_text("libnvidia-opencl.so.1\n")
    assert look() == {"some.icd": "libsome.so\n", "nvidia.icd": "libnvidia-opencl.so.1\n", **ADDED}


def test_driver_is_found_where_the_linker_finds_it(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "LINKED", (str(tmp_path / "lib"),))
    monkeypatch.setattr(runtime, "LINKER_CACHE", str(tmp_path / "ld.so.cache"))
    monkeypatch.setenv("LD_LIBRARY_PATH", f":{tmp_path / 'own'}")
    assert runtime.find_driver() is None
    (tmp_path / "ld.so.cache").write_bytes(b"\0libnvidia-opencl.so.1\0/driver/libnvidia-opencl.so.1\0")
    assert runtime.find_driver() == runtime.NVIDIA
    for folder in ("lib", "own"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / runtime.NVIDIA).touch()
        assert runtime.find_driver() == str(tmp_path / folder / runtime.NVIDIA)


WITHOUT_ICD = """
    import numpy as np
    from hypergrad_kernels import runtime
    runtime.SYSTEM = "/nonexistent"
    runtime._find_beside = list
    runtime.find_library = lambda: None
    from hypergrad import AdamW
    x = np.ones(3, np.float32)
    opt = AdamW([x], device="opencl")
    opt.step(gradients=[x.copy()])
    print(opt.device, [found.source for found in runtime.find_runtimes()])
    """


def test_library_of_a_driver_gives_a_device_though_nothing_names_it(tmp_path, run_script):
    """Another runtime under the name of NVIDIA's: what counts is that the loader is told of it."""
    libraries = [Path(found.library) for found in runtime.find_runtimes() if "pocl" in found.library]
    places = [place for library in libraries for place in (library, *(Path(f, library) for f in runtime.LINKED))]
    real = next((place for place in places if place.is_absolute() and place.is_file()), None)
    if real is None:
        pytest.skip("needs PoCL: apt install pocl-opencl-icd")
    folder = tmp_path / "lib" / "machine"  # Debian's PoCL looks for its own files from where it was found
    folder.mkdir(parents=True)
    for link, target in {folder / runtime.NVIDIA: real, folder / "pocl": real.parent / "pocl"}.items():
        link.symlink_to(target)
    (tmp_path / "share").symlink_to(real.parents[2] / "share")
    chosen = {"OCL_ICD_VENDORS": None, "OPENCL_VENDOR_PATH": None, "PYOPENCL_CTX": None}
    done = run_script(WITHOUT_ICD, LD_LIBRARY_PATH=folder, **chosen)
    assert done.stdout.startswith("opencl: Portable"), done.stderr
    assert runtime.DRIVER in done.stdout


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
