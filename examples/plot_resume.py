"""
Resume after a kill
===================

A run saves after step 30 and is killed after step 45, without warning. A new process loads what was saved and takes the
steps from 31 on. It ends with the same bits as a run that nobody killed: the same rate, the same hash of the weights.
"""

import subprocess
import sys
import tempfile

SCRIPT = """
import hashlib, os, signal, sys
import numpy as np
from hypergrad import AutoHypergradientAdamW
mode = sys.argv[1]
w = np.load("w.npy") if mode == "resumed" else np.ones(1000, np.float32)
opt = AutoHypergradientAdamW([w], lr=0.05, device="numpy")
if mode == "resumed":
    opt.load("run.npz")
while opt.steps < 60:
    opt.step(gradients=[w * np.linspace(1, 3, 1000, dtype=np.float32)])
    if mode == "killed" and opt.steps == 30:
        opt.save("run.npz")
        np.save("w.npy", w)
    if mode == "killed" and opt.steps == 45:
        os.kill(os.getpid(), signal.SIGKILL)
print("step", opt.steps, "rate", opt.current_lr, "weights", hashlib.sha256(w).hexdigest()[:16])
"""

with tempfile.TemporaryDirectory() as folder:
    for mode in ("whole", "killed", "resumed"):
        done = subprocess.run([sys.executable, "-c", SCRIPT, mode], cwd=folder, stdout=subprocess.PIPE, text=True)
        print(f"{mode}: exit code {done.returncode} {done.stdout}".rstrip())
