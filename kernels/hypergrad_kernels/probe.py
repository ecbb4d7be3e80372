"""Host code of probe.cl: what memory gives to the traffic of the other kernels."""

import numpy as np

from hypergrad_kernels.launcher import Buffer, Call, Scalar
from hypergrad_reference.types import Vector


def call_update_traffic(theta: Vector, grad: Vector, exp_avg: Vector, exp_avg_sq: Vector) -> Call:
    """The call that adds grad to the other three: four arrays read, three written."""
    return Call(
        "probe", "update_traffic", theta.dtype, (),
        [
            Scalar(np.uint64, theta.size),
            Buffer("theta", theta, written=True),
            Buffer("grad", grad),
            Buffer("exp_avg", exp_avg, written=True),
            Buffer("exp_avg_sq", exp_avg_sq, written=True),
        ],
    )  # fmt: skip


def call_read_traffic(grad: Vector, exp_avg: Vector, exp_avg_sq: Vector, out: Vector) -> Call:
    """The call that sums grad + exp_avg + exp_avg_sq block by block.

    out    (ceil(n / BLOCK),), written
    """
    return Call(
        "probe", "read_traffic", grad.dtype, (),
        [
            Scalar(np.uint64, grad.size),
            Scalar(np.uint64, out.size),
            Buffer("out", out, written=True),
            Buffer("grad", grad),
            Buffer("exp_avg", exp_avg),
            Buffer("exp_avg_sq", exp_avg_sq),
        ],
    )  # fmt: skip
