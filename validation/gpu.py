"""What a GPU does with the kernels, within eight minutes: `python3 validation/gpu.py`, or `make gpu`.

Needs Python >= 3.11, a GPU and its driver. What else it needs, pyopencl and NumPy above all, it takes from where it
runs, or installs into .cache/gpu. Then `hypergrad bench` compares every kernel case and two runs of 10 000 steps with
NumPy, bit for bit, and measures each kernel beside a copy of the same bytes on the device, and steps of 2^10 to 2^28
elements. The tables come last, out/gpu.json holds them too, and what the time or the memory did not allow is named.

Options are those of `hypergrad bench`: --device opencl:PART for another device than the first GPU.
"""

import os
import subprocess
import sys
import time
import venv
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".cache" / "gpu"
NEEDED = ("numpy", "scipy", "pyopencl", "platformdirs", "tabulate")
"""What the kernels, their reference and the command import; not the runtime for CPUs, which is large."""
CHAPTERS = (".", "reference", "kernels", "validation")
SECONDS = 460
"""What the measurements have of the eight minutes where nothing has to be installed."""


def find_python() -> str:
    """An interpreter that has what is needed: this one, or that of an environment made for it."""
    if all(map(find_spec, NEEDED)):
        return sys.executable
    python = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    venv.create(FOLDER, with_pip=True)
    pip = [python, "-m", "pip", "install", "--quiet", "--constraint", ROOT / "constraints.txt", *NEEDED]
    if subprocess.run(pip, check=False).returncode:
        sys.exit(f"pip has not installed {', '.join(NEEDED)}: run this with a Python that has them")
    return str(python)


def main(options: list[str]) -> int:
    """The exit code of `hypergrad bench`: 1 where the device computes other bits, 2 where there is no GPU."""
    begin = time.monotonic()
    python = find_python()
    (ROOT / "out").mkdir(exist_ok=True)
    path = os.pathsep.join(str(ROOT / chapter) for chapter in CHAPTERS)
    parts = [word for part in ("bits", "copies", "steps") for word in ("--only", part)]
    if "--seconds" not in options:
        options = ["--seconds", str(max(1, SECONDS - round(time.monotonic() - begin))), *options]
    if "--device" not in options:
        options = ["--need-gpu", *options]
    save = str(ROOT / "out/gpu.json")
    command = [python, "-W", "ignore", "-m", "hypergrad", "bench", *parts, "--save", save, *options]
    return subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
