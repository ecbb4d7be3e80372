"""The OpenCL runtimes of this machine, and how pyopencl's loader comes to see those that no .icd file names.

A program asks a loader for platforms. The loader reads .icd files, once in a process; each names the library of a
runtime. The loader of pyopencl's wheel reads the folder of the system, or what OCL_ICD_VENDORS or OPENCL_VENDOR_PATH
names, and with a folder also its own, where pip puts PoCL. It does not find Intel's runtime from pip, whose .icd file
names a path of the machine that it was built on; nor NVIDIA's, which comes with the driver of the GPU, in a container
often without its .icd file. So this package asks first with OCL_ICD_VENDORS set, for that moment, to a folder that
holds the system's .icd files and one more for each.

A user who sets one of the two variables has chosen: nothing is added. Nothing is added either to a number in
PYOPENCL_CTX, which counts the platforms that pyopencl lists by itself.

Nothing here imports pyopencl, but explain_import.
"""

import ctypes
import os
import platform
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import NamedTuple

from hypergrad_kernels.errors import DeviceError

DESCRIPTION = re.compile("opencl(:(?P<part>[^:]*)(:(?P<index>[0-9]+))?)?")
"""How a user names a device."""
SYSTEM = "/etc/OpenCL/vendors"
VENDORS = "OCL_ICD_VENDORS"
VARIABLES = (VENDORS, "OPENCL_VENDOR_PATH")
"""They say where the loader looks; the first that is set counts."""
CACHE = "POCL_CACHE_DIR"
"""It says where PoCL keeps what it compiled."""
SWITCHES = ("PYOPENCL_NO_CACHE", "PYOPENCL_COMPILER_OUTPUT")
"""pyopencl reads them as it is imported or compiles, and fails where they are neither true nor false."""
PACKAGE = "intel-opencl-rt"
LIBRARY = Path("lib/libintelocl.so") if sys.platform != "win32" else Path("Library/bin/intelocl64.dll")
"""The package that brings a runtime, and what it brings, below sys.prefix."""
NVIDIA = "libnvidia-opencl.so.1"
"""The library of a runtime that is part of a driver."""
DRIVER = "the driver of the GPU, without an .icd file"
LINKED = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib")
"""Folders of libraries, beside those of LD_LIBRARY_PATH and of the linker's cache."""
LINKER_CACHE = "/etc/ld.so.cache"
INSTALL = "pip install intel-opencl-rt intel-cmplr-lib-rt"
FOLDER = "hypergrad-opencl-"
"""Begins the name of the folder that is there for a moment."""
FORKED = (
    "this process was forked after OpenCL was used, which would hang here: start workers by spawn or forkserver, "
    "multiprocessing.get_context('spawn'), or use device='numpy'"
)

_imported = os.getpid()  # the process that imported this module,
_asked: int | None = None  # and the one that first asked for platforms: in a fork, its parent


class Runtime(NamedTuple):
    """The library of a runtime, and who names it: an .icd file, a variable or a package."""

    library: str  # a path, or a name that the linker resolves
    source: str


def find_choice() -> tuple[str, str] | None:
    """The variable by which the user says where runtimes are, and its value."""
    for name in VARIABLES:
        value = os.environ.get(name)
        if value and not Path(value).name.startswith(FOLDER):  # a process started in that moment inherits ours
            return name, value
    return None


def find_runtimes() -> list[Runtime]:
    """The runtimes that a first question for platforms would find now."""
    return [*_find_named(), *find_added(), *_find_beside()]


def find_added() -> list[Runtime]:
    """The runtimes that the loader has to learn of: the one from pip, and that of a driver."""
    if find_choice() is not None:
        return []
    others = [*_find_named(), *_find_beside()]
    if others and os.environ.get("PYOPENCL_CTX", "")[:1].isdigit():
        return []
    library, driver = find_library(), find_driver()
    found = [] if library is None else [(LIBRARY.name, Runtime(str(library), f"{PACKAGE} from pip"))]
    found += [] if driver is None else [(NVIDIA, Runtime(driver, DRIVER))]
    # Two of the kind in one process might clash: that of the system serves.
    return [own for name, own in found if not any(Path(other.library).name.startswith(name) for other in others)]


def find_driver() -> str | None:
    """The library of NVIDIA's runtime, by which the linker finds it; it is not loaded."""
    folders = [*os.environ.get("LD_LIBRARY_PATH", "").split(":"), *LINKED]
    for folder in filter(None, folders):
        if Path(folder, NVIDIA).is_file():
            return str(Path(folder, NVIDIA))
    with suppress(OSError):
        return NVIDIA if NVIDIA.encode() in Path(LINKER_CACHE).read_bytes() else None
    return None


def find_library() -> Path | None:
    """Where pip or conda has put the library of Intel's runtime."""
    places = [Path(sys.prefix, LIBRARY)]
    metadata = import_module("importlib.metadata")  # slow, and `import hypergrad` has no need of it
    with suppress(metadata.PackageNotFoundError):
        files = metadata.distribution(PACKAGE).files or ()
        places[:0] = [Path(str(file.locate())) for file in files if file.name == LIBRARY.name]
    return next((Path(os.path.normpath(place)) for place in places if place.is_file()), None)


def _is_installed() -> bool:
    metadata = import_module("importlib.metadata")
    with suppress(metadata.PackageNotFoundError):
        return bool(metadata.distribution(PACKAGE))
    return False


def _find_named() -> list[Runtime]:
    """What the user's variable names, else the system's."""
    name, value = find_choice() or ("", SYSTEM)
    path = Path(value)
    if path.is_dir():
        return [runtime for icd in sorted(path.glob("*.icd")) for runtime in _read_icd(icd)]
    if value.endswith(".icd"):
        return _read_icd(path if path.is_file() else Path(SYSTEM, path))
    return [Runtime(value, name)] if name and (path.is_file() or "/" not in value) else []


def _find_beside() -> list[Runtime]:
    """The runtimes in the folder of pyopencl's loader, which reads it unless it was given one file."""
    choice, spec = find_choice(), find_spec("pyopencl")
    alone = choice is not None and choice[0] == VENDORS and not Path(choice[1]).is_dir()
    if spec is None or spec.origin is None or alone:
        return []
    return [runtime for icd in sorted(Path(spec.origin).parent.glob(".libs/*.icd")) for runtime in _read_icd(icd)]


def _read_icd(icd: Path) -> list[Runtime]:
    try:
        library = icd.read_bytes().decode(errors="replace").strip() if icd.is_file() else ""
    except OSError:
        return []
    beside = icd.parent / library
    try:
        return [Runtime(str(beside) if beside.is_file() else library, str(icd))] if library else []
    except ValueError:  # a null character is no part of a path
        return [Runtime(library, str(icd))]


@contextmanager
def asking() -> Iterator[None]:
    """Ask for platforms in this, one thread at a time.

    The first time, the loader is told of the runtimes that no .icd file names; os.environ is afterwards what it was.
    Raises DeviceError in a forked child whose parent has asked.
    """
    global _asked
    check_fork()
    first, _asked = _asked is None, os.getpid()
    added = find_added() if first else []
    with ExitStack() as stack:
        if os.environ.get(CACHE) == "":  # PoCL would end the process
            stack.enter_context(_changing(CACHE, None))
        if added:
            name, value = VENDORS, added[-1].library
            if sys.platform == "win32":
                name = "OCL_ICD_FILENAMES"  # what this loader reads beside the system's; untested
            else:
                with suppress(OSError):  # without a folder one library is named alone, which hides the others
                    value = stack.enter_context(_write_folder([each.library for each in added]))
            stack.enter_context(_changing(name, value))
        yield


@contextmanager
def _changing(name: str, value: str | None) -> Iterator[None]:
    """Set a variable, or unset it, for a moment."""
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


@contextmanager
def _write_folder(libraries: list[str]) -> Iterator[str]:
    """A folder of .icd files: those of the system, and one for each library."""
    with TemporaryDirectory(prefix=FOLDER) as name:
        for icd in Path(SYSTEM).glob("*.icd"):
            Path(name, icd.name).symlink_to(icd)
        for number, library in enumerate(libraries):
            Path(name, f"{FOLDER}added{number or ''}.icd").write_text(library, "utf-8")
        yield name


def check_fork() -> None:
    """Raise DeviceError in a forked child whose parent has used OpenCL, by this package or otherwise."""
    process = os.getpid()
    if (_asked is not None and _asked != process) or (
        _asked is None and _imported != process and any(is_loaded(runtime.library) for runtime in find_runtimes())
    ):
        raise DeviceError(FORKED)


def is_loaded(library: str) -> bool:
    """Whether the library is part of this process."""
    with suppress(OSError, ValueError):
        ctypes.CDLL(library, mode=os.RTLD_NOLOAD | os.RTLD_LAZY)
        return True
    return False


def explain_load(library: str) -> str | None:
    """Why the library cannot be loaded as a runtime; None if it can."""
    try:
        loaded = ctypes.CDLL(library)
    except (OSError, ValueError) as error:
        return str(error)
    return None if hasattr(loaded, "clGetExtensionFunctionAddress") else "it is no OpenCL runtime"


def explain_trouble(runtime: Runtime) -> str | None:
    """Why a runtime's library cannot be loaded, and what to do about it; None if it can."""
    trouble = explain_load(runtime.library)
    if trouble is None:
        return None
    choice = find_choice()
    if choice is not None:
        remedy = f"unset {choice[0]}"
    elif PACKAGE in runtime.source:
        remedy = f"{INSTALL} --force-reinstall"
    elif runtime.source == DRIVER:
        remedy = "install the driver again, whole"
    else:
        remedy = f"remove {runtime.source}, or install what it names"
    text = f"{runtime.source} names {runtime.library}, which cannot be loaded ({trouble})"
    return f"{''.join(c if c.isprintable() else '?' for c in text[:400])}: {remedy}"


def explain_import() -> str | None:
    """Why pyopencl cannot be imported or used, and what to do about it; None if it can."""
    if find_spec("pyopencl") is None:
        return "pyopencl is not installed: pip install pyopencl"
    try:
        name = _find_bad_switch()
        if name is not None:
            return f"{name}={os.environ[name]!r} is neither true nor false to pyopencl: unset it"
        import_module("pyopencl.array")
    except ImportError as error:
        return f"pyopencl cannot be imported ({error}): pip install pyopencl"
    return None


def _find_bad_switch() -> str | None:
    from pytools import strtobool  # of pyopencl

    for name in SWITCHES:
        try:
            strtobool(os.environ.get(name, "no"))
        except ValueError:
            return name
    return None


def explain_absence() -> str:
    """Why no platform has a device, and what to do about it on this machine."""
    choice, runtimes = find_choice(), find_runtimes()
    if choice is not None and not runtimes:
        return f"{choice[0]}={choice[1]!r} points to nothing: unset it"
    late = [runtime for runtime in find_added() if hasattr(os, "RTLD_NOLOAD") and not is_loaded(runtime.library)]
    for runtime in runtimes:
        trouble = explain_trouble(runtime)
        if trouble is not None:
            return trouble
    if late:
        return (
            "pyopencl was asked for its platforms before hypergrad in this process: make the first optimizer before "
            f"that, or start Python with {VENDORS}={late[0].library}"
        )
    if any("pocl" in runtime.library for runtime in runtimes) and (trouble := explain_pocl_cache()):
        return f"PoCL hides its device where its cache cannot be written ({trouble}): set {CACHE} to a folder"
    if find_library() is None and _is_installed():
        return f"{PACKAGE} lacks its library, which pip install --target leaves out: install in a virtual environment"
    names = ", ".join(runtime.library for runtime in runtimes)
    remedy = f"unset {choice[0]}" if choice else find_remedy()
    return f"{names} gives none: {remedy}" if names else f"no OpenCL runtime is installed: {remedy}"


def explain_pocl_cache() -> str | None:
    """Why PoCL cannot write its cache; None if it can."""
    home = os.environ.get("HOME")
    caches = os.environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "/tmp")
    folder = Path(os.environ.get(CACHE) or f"{caches}/pocl/kcache")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        return str(error)
    return None


def find_remedy() -> str:
    """How a runtime comes to this machine, as far as PyPI has one for it."""
    system, machine = platform.system(), platform.machine()
    if (system, machine) == ("Windows", "AMD64") or (
        (system, machine) == ("Linux", "x86_64") and platform.libc_ver()[0] == "glibc"
    ):
        return INSTALL
    return f"PyPI has none for {system} on {machine}; NumPy computes the same bits"
