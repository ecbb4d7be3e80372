"""Whatever the machine is like, kernels run where some runtime works, and elsewhere NumPy does with the reason."""

import os
from pathlib import Path

import numpy as np
import pytest
from places import NOTHING, needs_intel

from hypergrad import AdamW, AutoHypergradientAdamW
from hypergrad_kernels import runtime

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


WITHOUT_HOME = """
    import os, pwd
    os.environ.pop("HOME", None)
    def find_nobody(number):
        raise KeyError(number)
    pwd.getpwuid = find_nobody
    """


@pytest.mark.skipif(os.name != "posix", reason="users without an entry are those of POSIX")
def test_kernels_run_for_a_user_without_a_home(some_device, tmp_path, run_script):
    """As in a container that was started with the number of a user whom it does not know."""
    done = run_script(WITHOUT_HOME + STEP, XDG_CACHE_HOME=None, POCL_CACHE_DIR=tmp_path / "pocl")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == run_numpy()


def test_damaged_caches_are_done_without(some_device, tmp_path, run_script):
    cache = tmp_path / "cache"
    first = run_script(STEP, XDG_CACHE_HOME=cache)
    kept = [file for file in cache.rglob("*") if file.is_file() and file.parent.name != "shapes"]
    for file in kept:
        file.write_bytes(b"damaged")
    again = run_script(STEP, XDG_CACHE_HOME=cache)
    assert (again.returncode, again.stdout) == (0, first.stdout), again.stderr


def test_lock_that_a_killed_process_left_is_not_waited_for(some_device, tmp_path, run_script, monkeypatch):
    """pyopencl waits a minute for it, in every process, and then fails."""
    pytest.importorskip("pyopencl")
    from hypergrad_kernels.device import explain_cache

    cache = tmp_path / "cache"
    variables = {"XDG_CACHE_HOME": cache, "PYOPENCL_NO_CACHE": None}
    first = run_script(STEP, **variables)
    folders = list((cache / "pyopencl").glob("*/"))
    if not folders:
        pytest.skip("needs Intel's runtime: others remember what they compile themselves")
    lock = folders[0] / "lock"
    lock.touch()
    os.utime(lock, (0, 0))
    again = run_script(STEP, **variables, timeout=50)
    assert (again.returncode, again.stdout, again.stderr) == (0, first.stdout, "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert explain_cache() == f"a process that was killed has left {lock}: delete it"
    lock.unlink()
    assert explain_cache() is None
    lock.touch()  # of a process that is at work
    assert explain_cache() is None


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
