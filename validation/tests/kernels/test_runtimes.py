"""The simulator that looks for races and stray accesses does report them: each is planted once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ICD = Path("/usr/lib/oclgrind/liboclgrind-rt-icd.so")
SCRIPT = """
import numpy as np
import pyopencl as cl
device = cl.get_platforms()[0].get_devices()[0]
context = cl.Context([device])
queue = cl.CommandQueue(context)
buffer = cl.Buffer(context, cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR, hostbuf=np.zeros(16, np.float32))
kernel = cl.Kernel(cl.Program(context, '''%s''').build(), "planted")
kernel(queue, (16,), (4,), buffer)
queue.finish()
"""
SOUND = "__kernel void planted(__global float *x) { x[get_global_id(0)] += 1; }"


def watch(kernel):
    """What the simulator says of a kernel over 16 floats."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT % kernel],
        env={**os.environ, "OCL_ICD_VENDORS": str(ICD), "OCLGRIND_DATA_RACES": "1", "PYOPENCL_NO_CACHE": "1"},
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stderr


@pytest.mark.skipif(not ICD.exists(), reason="needs oclgrind: apt install oclgrind")
@pytest.mark.parametrize(
    ("kernel", "report"),
    [
        (SOUND.replace("x[get_global_id(0)]", "x[get_global_id(0) / 8]"), "data race"),
        (SOUND.replace("x[get_global_id(0)]", "x[get_global_id(0) + 1]"), "Invalid write"),
        (SOUND.replace("x[get_global_id(0)] += 1", "x[0] = x[get_global_id(0) + 8]"), "Invalid read"),
    ],
    ids=["race", "write-out-of-bounds", "read-out-of-bounds"],
)
def test_planted_fault_is_reported(kernel, report):
    assert report in watch(kernel)
    assert watch(SOUND) == ""
