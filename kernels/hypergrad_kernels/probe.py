"""Host code of probe.cl: what memory gives to the traffic of the other kernels."""

from hypergrad_kernels.calls import OUT, Call, Form
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector


def call_update_traffic(theta: Vector, grad: Vector, exp_avg: Vector, exp_avg_sq: Vector) -> Call:
    """The call that adds grad to the other three: four arrays read, three written."""
    names = ("theta", "grad", "exp_avg", "exp_avg_sq")
    form = Form("probe", "update_traffic", theta.dtype, (), names, frozenset(names) - {"grad"})
    return Call(form, (theta.size,), (theta, grad, exp_avg, exp_avg_sq))


def call_read_traffic(grad: Vector, exp_avg: Vector, exp_avg_sq: Vector, out: Vector) -> Call:
    """The call that sums grad + exp_avg + exp_avg_sq block by block.

    out    (ceil(n / BLOCK),), written
    """
    names = ("out", "grad", "exp_avg", "exp_avg_sq")
    form = Form("probe", "read_traffic", grad.dtype, (), names, OUT, per_item=BLOCK, unread=OUT)
    return Call(form, (grad.size, out.size), (out, grad, exp_avg, exp_avg_sq))
