"""
Resume after a kill
===================

A run is killed in the middle, without warning. A new process loads what was saved last and goes on. It ends with the
same bits as a run that nobody killed.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPT = """
import sys, numpy as np
from hypergrad import AutoHypergradientAdamW
w = np.load("w.npy") if "resume" in sys.argv else np.ones(1000, np.float32)
opt = AutoHypergradientAdamW([w], device="numpy")
if "resume" in sys.argv:
    opt.load("run.npz")
while len(opt.lr_history) <= 60:
    opt.step(gradients=[w * np.linspace(1, 3, 1000, dtype=np.float32)])
    if len(opt.lr_history) == 31 and "killed" in sys.argv:
        opt.save("run.npz"); np.save("w.npy", w); print("saved", flush=True)
print(opt.current_lr, w.sum())
"""


def run(mode: str, folder: Path) -> str:
    child = subprocess.Popen([sys.executable, "-c", SCRIPT, mode], cwd=folder, stdout=subprocess.PIPE, text=True)
    if mode == "killed" and child.stdout.readline() == "saved\n":
        os.kill(child.pid, signal.SIGKILL)
    return child.communicate()[0]


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    whole = run("whole", folder)
    run("killed", folder)
    print("whole:  ", whole, "resumed:", run("resume", folder), sep="", end="")
