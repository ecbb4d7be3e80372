"""Host code of adamw.cl: the update of hypergrad_reference.adamw_loops, in place."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import pyopencl as cl
from hypergrad_reference.adamw import ExactScalars
from hypergrad_reference.adamw_loops import Update

from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.program import BUFFER, prepare
from hypergrad_kernels.shapes import choose_shape, round_up


class AdamW:
    """Launches of adamw.cl on one device."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self._kernels: dict[tuple[np.dtype[np.floating[Any]], tuple[str, ...]], cl.Kernel] = {}

    def prepare(self, u: Update, clear_grad: bool) -> cl.Kernel:
        """The kernel for updates like this one; compiles it the first time. Raises BuildError."""
        exact = isinstance(u.scalars, ExactScalars)
        if not exact and u.moments.max_exp_avg_sq is not None:
            raise ValueError("amsgrad is not part of the shader convention: use exact_scalars")
        macros: list[str] = [] if exact else ["SHADER"]
        if u.moments.max_exp_avg_sq is not None:
            macros.append("AMSGRAD")
        if u.grad_ema is not None:
            macros.append("FOLLOW=2" if u.gamma is None else "FOLLOW=1")
        if u.last_grad is not None:
            macros.append("KEEP_GRAD")
        if clear_grad:
            macros.append("CLEAR_GRAD")
        key = (u.theta.dtype, tuple(macros))
        if key not in self._kernels:
            real = u.theta.dtype.type
            arguments: list[type[np.generic] | None] = [np.uint64, *[BUFFER] * 4]
            if u.moments.max_exp_avg_sq is not None:
                arguments.append(BUFFER)
            if u.grad_ema is not None:
                arguments += [BUFFER, real, real]
            if u.last_grad is not None:
                arguments.append(BUFFER)
            arguments += [real] * len(u.scalars)
            arguments.append(real)
            width = choose_shape("adamw", u.theta.dtype).width
            self._kernels[key] = prepare(
                self.arrays.device, "adamw", "adamw", u.theta.dtype, width, tuple(macros), arguments
            )
        return self._kernels[key]

    def launch(self, name: Hashable, u: Update, clear_grad: bool = False) -> None:
        """Enqueue the update of one tensor: u.theta, u.moments and u.grad_ema change when the queue gets there.

        name    names the tensor, so that its buffers are kept
        """
        if u.theta.size == 0:
            return
        kernel = self.prepare(u, clear_grad)
        shape = choose_shape("adamw", u.theta.dtype)
        bind = self.arrays.bind
        buffers = [
            bind((name, "theta"), u.theta, written=True),
            bind((name, "grad"), u.grad, written=clear_grad),
            bind((name, "exp_avg"), u.moments.exp_avg, written=True),
            bind((name, "exp_avg_sq"), u.moments.exp_avg_sq, written=True),
        ]
        if u.moments.max_exp_avg_sq is not None:
            buffers.append(bind((name, "max_exp_avg_sq"), u.moments.max_exp_avg_sq, written=True))
        kept: list[cl.Buffer | float] = []
        if u.grad_ema is not None:
            gamma = 0.0 if u.gamma is None else u.gamma
            kept = [bind((name, "grad_ema"), u.grad_ema, written=True), gamma, 1 - gamma]
        if u.last_grad is not None:
            kept.append(bind((name, "last_grad"), u.last_grad, written=True))
        items = round_up(-(-u.theta.size // shape.width), shape.local_size)
        kernel(
            self.arrays.device.queue, (items,), (shape.local_size,),
            u.theta.size, *buffers, *kept, *u.scalars, u.grad_scale,
        )  # fmt: skip
