"""A small optimizer to be saved, and commands that read what it wrote."""

import os
import stat
import subprocess
import sys

import numpy as np

from hypergrad import HypergradientAdamW


def make(kind=HypergradientAdamW, steps=3):
    x = np.ones(2)
    opt = kind([x], lr=0.5, device="numpy")
    for _ in range(steps):
        opt.step(gradients=[np.ones(2)])
    return opt


def list_names(folder):
    return sorted(path.name for path in folder.iterdir())


def run(module, *arguments, **environment):
    """A command in a process of its own."""
    path = os.pathsep.join(filter(None, sys.path))
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], env={**os.environ, "PYTHONPATH": path, **environment},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)
