"""What runs on this machine, what an optimizer uses and why, and what is missing: `hypergrad doctor`.

Whatever a runtime or its compiler may end is done in a process of its own.
"""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Any, NamedTuple

from tabulate import tabulate

from hypergrad.errors import BuildError, DeviceNotFoundError
from hypergrad_kernels import runtime

SELF_TEST = 257
"""Elements of the largest arrays of a self-test: every tail, few seconds."""
REFUSES, DIFFERS = "does not compile", "computes other bits"
"""How the verdicts begin on a device that does not work, and on one that is wrong."""
PACKAGES = (
    "hypergrad-opencl", "numpy", "scipy", "pyopencl",
    "intel-opencl-rt", "intel-cmplr-lib-rt", "pocl-binary-distribution",
)  # fmt: skip
PREFIXES = (
    "OCL_ICD_", "OPENCL_", "PYOPENCL_", "POCL_", "CL_CONFIG_", "OCLGRIND_", "XDG_CACHE_HOME", "HYPERGRAD_AS_GPU",
)  # fmt: skip
"""How the names of the variables begin that the loader, runtimes and pyopencl read."""
ORDER = "the first that compiles of: GPUs, Intel's runtime, which pip installs with this package, all others"


class ChildError(RuntimeError):
    """A process that was started to look at something has not come back with an answer."""


class Library(NamedTuple):
    """The library of a runtime, who names it, and "yes" or why it cannot be loaded."""

    library: str
    source: str
    loads: str


class Device(NamedTuple):
    """A device as a new process finds it, and what its self-test says."""

    device: str
    runtime: str
    float64: bool
    rank: int  # the lowest that compiles is used
    self_test: str = ""


class Survey(NamedTuple):
    """What a new process finds."""

    libraries: list[Library]
    devices: list[Device]
    preferred: int | None  # the device that PYOPENCL_CTX names
    trouble: str | None  # why there is no device, or none that PYOPENCL_CTX names
    cache: str | None  # why pyopencl cannot keep what was compiled


class Report(NamedTuple):
    """What the doctor says."""

    versions: dict[str, str]
    variables: dict[str, str]
    libraries: list[Library]
    devices: list[Device]
    uses: str
    why: str
    notes: list[str]
    remedies: list[str]
    healthy: bool  # some device computes NumPy's bits, and none computes others

    def as_document(self) -> dict[str, Any]:
        """As plain dicts and lists, for JSON."""
        libraries, devices = ([row._asdict() for row in rows] for rows in (self.libraries, self.devices))
        return {**self._asdict(), "libraries": libraries, "devices": devices}

    def show(self) -> str:
        """As text."""
        parts = [tabulate(list({**self.versions, **self.variables}.items()), tablefmt="plain", disable_numparse=True)]
        if self.libraries:
            rows = [(*each[:2], "yes" if each.loads == "yes" else "no") for each in self.libraries]
            parts.append(tabulate(rows, ("runtime", "named by", "loads")))
        if self.devices:
            tested = [(d.device, d.runtime, "yes" if d.float64 else "no", d.self_test) for d in self.devices]
            parts.append(tabulate(tested, ("device", "version", "float64", "self-test")))
        parts.append(f"used: {self.uses}\n      {self.why}")
        return "\n\n".join([*parts, *self.notes, "\n".join(self.remedies) or "nothing is missing"])


def examine() -> Report:
    """Look at everything, and test each device."""
    try:
        told = json.loads(_run("from hypergrad_command.doctor import survey; print(survey())"))
        found = Survey([Library(*row) for row in told[0]], [Device(*row) for row in told[1]], *told[2:])
    except ChildError as error:
        trouble = f"asking for platforms {error}: name one runtime alone by {runtime.VENDORS}"
        found = Survey([Library(*each, "not tried") for each in runtime.find_runtimes()], [], None, trouble, None)
    devices = [device._replace(self_test=_test(index)) for index, device in enumerate(found.devices)]
    wrong = [device.device for device in devices if device.self_test.startswith(DIFFERS)]
    healthy = not wrong and any(device.self_test == "ok" for device in devices)
    uses, why = _choose(devices, found)
    remedies = [library.loads for library in found.libraries if library.loads not in ("yes", "not tried")]
    remedies += [found.trouble] if found.trouble is not None and found.trouble not in remedies else []
    remedies += [f"{name} computes other bits than NumPy: choose another by device=" for name in wrong]
    if devices and not wrong and not healthy:
        remedies.append(f"no device is usable: {runtime.find_remedy()}")
    variables = {name: value for name, value in sorted(os.environ.items()) if name.startswith(PREFIXES)}
    variables.pop("PYOPENCL_HOME", None)  # pyopencl's own
    return Report(
        _list_versions(), variables, found.libraries, devices, uses, why, _list_notes(found), remedies, healthy
    )


def survey() -> str:
    """A Survey of this process, as JSON."""
    missing = runtime.explain_import()
    if missing is not None:
        return json.dumps(Survey([], [], None, missing, None))
    from hypergrad_kernels import device as opencl

    listed = opencl.list_devices()
    preferred = trouble = None
    if not listed:
        trouble = runtime.explain_absence()
    elif os.environ.get("PYOPENCL_CTX"):
        try:
            preferred = listed.index(opencl.find_preferred())
        except DeviceNotFoundError as error:
            trouble = str(error)
    libraries = [Library(*each, runtime.explain_trouble(each) or "yes") for each in runtime.find_runtimes()]
    devices = [
        Device(opencl.find_name(each), each.platform.version.strip(), bool(each.double_fp_config), opencl.rank(each))
        for each in listed
    ]
    return json.dumps(Survey(libraries, devices, preferred, trouble, opencl.explain_cache()))


def self_test(index: int) -> str:
    """Run every small kernel case on one device: "ok", or what is wrong."""
    from hypergrad_kernels.device import find_complaint, list_devices, open_device
    from hypergrad_validation.conformance import conform

    try:
        outcomes = conform(open_device(list_devices()[index]), SELF_TEST)
        wrong = next((outcome for outcome in outcomes if outcome.differences), None)
    except BuildError as error:
        return f"{REFUSES}: {find_complaint(error)}"
    return "ok" if wrong is None else f"{DIFFERS}: {wrong.kernel}, {wrong.case}: {wrong.differences[0]}"


def _test(index: int) -> str:
    try:
        return _run(f"from hypergrad_command.doctor import self_test; print(self_test({index}))").strip()
    except ChildError as error:
        return str(error)


def _run(script: str) -> str:
    """What a script prints in a process of its own, which a compiler may take with it."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    child = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if child.returncode < 0:
        raise ChildError(f"ends its process by signal {-child.returncode}")
    if child.returncode:
        raise ChildError(f"fails: {child.stderr.strip().splitlines()[-1]}")
    return child.stdout


def _choose(devices: list[Device], found: Survey) -> tuple[str, str]:
    """What device="auto" means here, and why."""
    value = os.environ.get("PYOPENCL_CTX")
    if not devices or (value and found.preferred is None):
        return "numpy", found.trouble or ""
    if value and found.preferred is not None:
        order, why = [devices[found.preferred]], f"PYOPENCL_CTX={value!r} names it"
    else:
        order, why = sorted(devices, key=lambda device: device.rank), ORDER
    for device in order:
        if not device.self_test.startswith(REFUSES):
            return f"opencl: {device.device}", why
    return "numpy", f"{', '.join(device.device for device in order)}: no kernel compiles"


def _list_notes(found: Survey) -> list[str]:
    """What need not be changed and may surprise."""
    notes = []
    library, choice = runtime.find_library(), runtime.find_choice()
    if library is not None and not any(runtime.LIBRARY.name in each.library for each in found.libraries):
        reason = f"{choice[0]} is set" if choice else "PYOPENCL_CTX counts platforms, which it would shift"
        notes.append(f"not used: {library}, from pip ({reason})")
    if found.cache is not None:
        notes.append(f"every process compiles again: pyopencl's cache cannot be used ({found.cache})")
    if "pyopencl" in sys.modules:
        from hypergrad_kernels.device import list_devices

        seen = len(list_devices())
        if seen < len(found.devices):
            notes.append(
                f"this process sees {seen} devices, a new one {len(found.devices)}: pyopencl was asked for its "
                "platforms before hypergrad"
            )
    return notes


def _list_versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "platform": platform.platform()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions
