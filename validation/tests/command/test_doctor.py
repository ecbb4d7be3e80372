"""`hypergrad doctor` tells what there is, what is used and why, and remedies that work."""

import json
import os
import signal
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from hypergrad import AdamW
from hypergrad_command import command, doctor
from hypergrad_command.doctor import Device, Library, Survey
from hypergrad_kernels import runtime
from hypergrad_validation import conformance

needs_intel = pytest.mark.skipif(runtime.find_library() is None, reason=f"needs {runtime.PACKAGE} from pip")


def run(capsys, *arguments):
    """Exit code and output."""
    code = command.main(("doctor", *arguments))
    return code, capsys.readouterr().out


@pytest.fixture
def quick(monkeypatch):
    """Self-tests that say this of each device, without running."""
    verdicts = {}
    monkeypatch.setattr(doctor, "_test", lambda index: verdicts.get(index, "ok"))
    return verdicts


@pytest.fixture
def found(monkeypatch, quick):
    """A survey of two devices, of which the second comes first."""
    monkeypatch.delenv("PYOPENCL_CTX", raising=False)
    devices = [Device("PoCL: CPU", "3.1", True, 2), Device("Intel: CPU", "2026", True, 1)]

    def survey(**changes):
        given = Survey([Library("/lib/a.so", "/etc/a.icd", "yes")], devices, None, None, None)._replace(**changes)
        monkeypatch.setattr(doctor, "_run", lambda _: json.dumps(given))

    survey()
    return survey


def test_doctor_names_runtimes_devices_and_what_is_used(capsys, some_device):
    code, shown = run(capsys, "--json")
    report = json.loads(shown)
    assert code == 0
    assert "ok" in {device["self_test"] for device in report["devices"]}
    assert {library["library"] for library in report["libraries"]} == {e.library for e in runtime.find_runtimes()}
    assert report["uses"] == AdamW([np.ones(3)]).device
    assert report["versions"]["numpy"] == np.__version__
    assert report["variables"] == {n: v for n, v in report["variables"].items() if os.environ[n] == v}


def test_doctor_shows_what_it_found(capsys, found):
    code, shown = run(capsys)
    assert code == 0
    assert "used: opencl: Intel: CPU" in shown
    assert all(text in shown for text in ("/lib/a.so", "/etc/a.icd", "PoCL: CPU", "nothing is missing", doctor.ORDER))


def test_device_that_does_not_compile_is_told_and_another_used(capsys, found, quick):
    quick[1] = "does not compile: error: unknown target CPU"
    code, shown = run(capsys)
    assert (code, "used: opencl: PoCL: CPU" in shown, "unknown target CPU" in shown) == (0, True, True)
    quick[0] = quick[1]
    code, shown = run(capsys)
    assert (code, "used: numpy" in shown, "no device is usable" in shown) == (1, True, True)


def test_doctor_fails_if_one_device_of_two_computes_other_bits(capsys, found, quick):
    quick[0] = "computes other bits: adamw, planted: theta: 1 of 2 elements differ"
    code, shown = run(capsys)
    assert code == 1
    assert "PoCL: CPU computes other bits than NumPy: choose another by device=" in shown


def test_doctor_says_that_a_variable_chose(capsys, found, monkeypatch):
    monkeypatch.setenv("PYOPENCL_CTX", "Portable")
    found(preferred=0)
    assert "used: opencl: PoCL: CPU\n      PYOPENCL_CTX='Portable' names it" in run(capsys)[1]
    found(trouble="PYOPENCL_CTX='Portable' names no device")
    assert "used: numpy\n      PYOPENCL_CTX='Portable' names no device" in run(capsys)[1]


def test_doctor_tells_of_a_library_that_cannot_be_loaded_and_of_a_cache(capsys, found):
    found(libraries=[Library("b.so", "/etc/b.icd", "/etc/b.icd names b.so, which: remove it")], cache="no space")
    code, shown = run(capsys)
    assert code == 0
    assert "remove it" in shown
    assert "pyopencl's cache cannot be used (no space)" in shown


@pytest.mark.parametrize("way", ["os.abort()", "sys.exit('broken')"])
def test_doctor_survives_a_runtime_that_ends_its_process(way, capsys, monkeypatch):
    ending = [sys.executable, "-c", f"import os, sys; {way}"]
    start = subprocess.run
    monkeypatch.setattr(doctor.subprocess, "run", lambda _, **settings: start(ending, **settings))
    code, shown = run(capsys)
    assert code == 1
    assert f"asking for platforms {'ends its process by signal 6' if 'abort' in way else 'fails: broken'}" in shown
    verdict = doctor._test(0)
    assert verdict == (f"ends its process by signal {signal.SIGABRT:d}" if "abort" in way else "fails: broken")


def test_self_test_tells_a_difference(device, monkeypatch):
    monkeypatch.setattr("hypergrad_kernels.device.list_devices", lambda: [device])
    outcome = conformance.Outcome("adamw", "planted", ["theta: 1 of 2 elements differ"])
    monkeypatch.setattr(conformance, "conform", lambda *_: [outcome])
    assert doctor.self_test(0) == "computes other bits: adamw, planted: theta: 1 of 2 elements differ"


def test_self_test_tells_a_compiler_that_refuses(device, monkeypatch):
    from hypergrad.errors import BuildError

    def refuse(_):
        raise BuildError("trial.cl does not compile on it:\nbuild log\nerror: unknown target CPU 'generic'")

    monkeypatch.setattr("hypergrad_kernels.device.list_devices", lambda: [device])
    monkeypatch.setattr("hypergrad_kernels.device.open_device", refuse)
    assert doctor.self_test(0) == "does not compile: error: unknown target CPU 'generic'"


def ask(run_script, **environment):
    """The report of a doctor of its own, without self-tests."""
    script = """
        import json
        from hypergrad_command import doctor
        doctor._test = lambda _: "ok"
        print(json.dumps(doctor.examine().as_document()))
        """
    done = run_script(script, **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def test_doctor_names_the_variable_that_points_to_nothing_and_unsetting_it_helps(run_script, some_device):
    report = ask(run_script, OCL_ICD_VENDORS="/nonexistent")
    assert report["uses"] == "numpy"
    assert report["variables"]["OCL_ICD_VENDORS"] == "/nonexistent"
    assert report["remedies"] == ["OCL_ICD_VENDORS='/nonexistent' points to nothing: unset it"]
    assert ask(run_script)["remedies"] == []


@needs_intel
@pytest.mark.parametrize("name", ["OCL_ICD_VENDORS", "OPENCL_VENDOR_PATH"])
def test_doctor_says_why_the_runtime_from_pip_is_left_out(name, run_script, tmp_path):
    others = dict.fromkeys(runtime.VARIABLES)
    report = ask(run_script, **{**others, name: tmp_path})
    assert any(note.startswith("not used: ") and f"({name} is set)" in note for note in report["notes"])
    assert not ask(run_script, **others)["notes"]


def test_doctor_without_pyopencl_says_what_to_install(run_script, tmp_path):
    (tmp_path / "pyopencl.py").write_text("raise ImportError('planted')")
    report = ask(run_script, PYTHONPATH=os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))
    assert (report["uses"], report["healthy"]) == ("numpy", False)
    assert report["remedies"] == ["pyopencl cannot be imported (planted): pip install pyopencl"]


def test_doctor_names_the_variable_that_pyopencl_cannot_read(run_script):
    report = ask(run_script, PYOPENCL_NO_CACHE="")
    assert (report["uses"], report["healthy"]) == ("numpy", False)
    assert report["remedies"] == ["PYOPENCL_NO_CACHE='' is neither true nor false to pyopencl: unset it"]


@needs_intel
def test_doctor_tells_that_this_process_asked_too_early(run_script):
    script = """
        import os
        import pyopencl
        try:
            pyopencl.get_platforms()
        except pyopencl.Error:
            pass
        del os.environ["OCL_ICD_VENDORS"]
        from hypergrad_command import doctor
        doctor._test = lambda _: "ok"
        print(*doctor.examine().notes)
        """
    done = run_script(script, OCL_ICD_VENDORS="/nonexistent")
    assert "this process sees 0 devices, a new one " in done.stdout


class Environment:
    """A virtual environment that has what this one has, Intel's runtime excepted, without copying a file."""

    def __init__(self, home):
        self.home = home
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
        (self.target,) = home.glob("lib/python*/site-packages")
        self.packages = Path(str(metadata.distribution(runtime.PACKAGE).locate_file("")))
        for entry in self.packages.iterdir():
            if not entry.name.startswith(("intel_opencl", "intel_cmplr", "_")):
                (self.target / entry.name).symlink_to(entry)

    def install(self):
        """What pip install does."""
        for info in self.packages.glob("intel_*"):
            (self.target / info.name).symlink_to(info)
        for file in runtime.find_library().parent.iterdir():
            if file.is_file():
                (self.home / "lib" / file.name).symlink_to(file)

    def ask(self):
        """The doctor's report here, without self-tests."""
        script = (
            "import json; from hypergrad_command import doctor; doctor._test = lambda _: 'ok'; "
            "print(json.dumps(doctor.examine().as_document()))"
        )
        ours = [path for path in sys.path if path and "site-packages" not in path and "lib/python" not in path]
        variables = {name: value for name, value in os.environ.items() if name not in runtime.VARIABLES}
        done = subprocess.run(
            [self.home / "bin/python", "-c", script], env={**variables, "PYTHONPATH": os.pathsep.join(ours)},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return json.loads(done.stdout)


@needs_intel
def test_what_doctor_says_to_install_gives_a_device(tmp_path):
    environment = Environment(tmp_path / "environment")
    before = environment.ask()
    assert "Intel(R) OpenCL" not in {device["device"].partition(":")[0] for device in before["devices"]}
    if not before["devices"]:
        assert before["remedies"] == [f"no OpenCL runtime is installed: {runtime.INSTALL}"]
    environment.install()
    after = environment.ask()
    assert after["uses"].startswith("opencl: Intel(R) OpenCL")
    assert str(environment.home / "lib" / runtime.LIBRARY.name) in {each["library"] for each in after["libraries"]}
    assert after["remedies"] == []
