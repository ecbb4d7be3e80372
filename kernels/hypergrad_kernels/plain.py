"""Host code of plain.cl, as plain as the kernels: arrays go to the device and come back at every call."""

from importlib.resources import files

import numpy as np
import pyopencl as cl
from numpy.typing import NDArray

from hypergrad_kernels.device import Device
from hypergrad_reference.adamw import ExactScalars
from hypergrad_reference.sums import BLOCK

Floats = NDArray[np.float32]


def _get_kernel(device: Device, name: str) -> cl.Kernel:
    text = files("hypergrad_kernels").joinpath("plain.cl").read_text("utf-8")
    return cl.Kernel(device.build("plain", text, ()), name)


def _send(device: Device, array: Floats) -> cl.Buffer:
    flags = cl.mem_flags.READ_WRITE | cl.mem_flags.COPY_HOST_PTR
    return cl.Buffer(device.context, flags, hostbuf=array)


def step_adamw(
    device: Device, theta: Floats, grad: Floats, exp_avg: Floats, exp_avg_sq: Floats, scalars: ExactScalars
) -> tuple[Floats, Floats, Floats]:
    """The new theta, exp_avg and exp_avg_sq of one step of AdamW; hypergrad_reference.adamw.apply_exact.

    theta, grad, exp_avg, exp_avg_sq    (n,) float32, n > 0; unchanged
    scalars                             of this step

    Raises BuildError if the device does not compile the kernel.
    """
    buffers = [_send(device, array) for array in (theta, grad, exp_avg, exp_avg_sq)]
    numbers = [np.float32(scalar) for scalar in scalars]
    _get_kernel(device, "adamw")(device.queue, (theta.size,), None, np.uint64(theta.size), *buffers, *numbers)
    after = (np.empty_like(theta), np.empty_like(exp_avg), np.empty_like(exp_avg_sq))
    for array, buffer in zip(after, (buffers[0], buffers[2], buffers[3]), strict=True):
        cl.enqueue_copy(device.queue, array, buffer)
    return after


def sum_products(device: Device, x: Floats, y: Floats) -> Floats:
    """The sums of x * y, block by block; hypergrad_reference.sums.block_sums.

    x, y    (n,) float32, n > 0

    Returns (ceil(n / 4096),) float32. Raises BuildError if the device does not compile the kernel.
    """
    out = np.empty(-(-x.size // BLOCK), np.float32)
    buffers = [_send(device, array) for array in (x, y, out)]
    _get_kernel(device, "inner_product")(device.queue, out.shape, None, np.uint64(x.size), *buffers)
    cl.enqueue_copy(device.queue, out, buffers[2])
    return out
