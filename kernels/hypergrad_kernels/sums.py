"""Host code of sums.cl: the inner products of hypergrad_reference.adamw_loops."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pyopencl as cl
from hypergrad_reference.adamw import ExactScalars, beta1_derivative_scalars
from hypergrad_reference.adamw_loops import INNER_PRODUCTS, Operands
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.program import BUFFER, prepare
from hypergrad_kernels.shapes import choose_shape, round_up


class Sums:
    """Launches of sums.cl on one device."""

    def __init__(self, arrays: Arrays) -> None:
        self.arrays = arrays
        self._kernels: dict[tuple[np.dtype[np.floating[Any]], tuple[str, ...], bool], cl.Kernel] = {}

    def prepare(self, names: tuple[str, ...], o: Operands) -> cl.Kernel:
        """The kernel for these products of operands like these; compiles it the first time. Raises BuildError."""
        factors = {factor for name in names for factor in INNER_PRODUCTS[name]}
        shader = bool(factors & {"direction", "beta1_derivative"}) and not isinstance(o.scalars, ExactScalars)
        key = (o.theta.dtype, names, shader)
        if key not in self._kernels:
            real = o.theta.dtype.type
            arguments: list[type[np.generic] | None] = [np.uint64, np.uint64, BUFFER, np.uint64, BUFFER, real]
            if factors & {"direction", "exp_avg", "beta1_derivative"}:
                arguments.append(BUFFER)
            if factors & {"direction", "beta1_derivative"}:
                arguments += [BUFFER, real, real, real]
            if "theta" in factors:
                arguments.append(BUFFER)
            if "deviation" in factors:
                arguments.append(BUFFER)
            if "beta1_derivative" in factors:
                arguments += [BUFFER, real, real]
            macros = [f"{name.upper()}={row}" for row, name in enumerate(names)]
            macros += [f"COUNT={len(names)}", *(["SHADER"] if shader else [])]
            width = choose_shape("sums", o.theta.dtype).width
            self._kernels[key] = prepare(
                self.arrays.device, "sums", "inner_products", o.theta.dtype, width, tuple(macros), arguments
            )
        return self._kernels[key]

    def compute(self, work: Sequence[tuple[Hashable, tuple[str, ...], Operands]]) -> list[dict[str, Vector]]:
        """Block sums of the inner products of several tensors, with one wait for all.

        work    for each tensor a name that its buffers are kept under, the products asked for, and their operands

        Returns one dict a tensor, as hypergrad_reference.adamw_loops.inner_products does.
        """
        outs = [np.empty((len(names), -(-o.theta.size // BLOCK)), o.theta.dtype) for _, names, o in work]
        for (name, names, o), out in zip(work, outs, strict=True):
            if out.size:
                self._launch(name, names, o, out)
        self.arrays.collect()
        return [dict(zip(names, out, strict=True)) for (_, names, _), out in zip(work, outs, strict=True)]

    def _launch(self, name: Hashable, names: tuple[str, ...], o: Operands, out: Vector) -> None:
        kernel = self.prepare(names, o)
        shape = choose_shape("sums", o.theta.dtype)
        bind = self.arrays.bind
        factors = {factor for product in names for factor in INNER_PRODUCTS[product]}
        blocks = out.shape[1]
        arguments: list[cl.Buffer | float] = [
            o.theta.size, blocks, bind((name, "out"), out, written=True), 0,
            bind((name, "grad"), o.grad), o.grad_scale,
        ]  # fmt: skip
        if factors & {"direction", "exp_avg", "beta1_derivative"}:
            arguments.append(bind((name, "exp_avg"), o.moments.exp_avg))
        if factors & {"direction", "beta1_derivative"}:
            u = "exp_avg_sq" if o.moments.max_exp_avg_sq is None else "max_exp_avg_sq"
            arguments.append(bind((name, u), getattr(o.moments, u)))
            if isinstance(o.scalars, ExactScalars):
                arguments += [o.scalars.i1, o.scalars.i2, o.scalars.eps]
            elif o.scalars is not None:
                arguments += [o.scalars.beta1_t, o.scalars.beta2_t, o.scalars.epsilon]
            else:
                raise ValueError("scalars is None: a tensor that was not stepped at t-1 has no direction")
        if "theta" in factors:
            arguments.append(bind((name, "theta"), o.theta))
        if "deviation" in factors:
            if o.grad_ema is None:
                raise ValueError("grad_ema is None: a tensor without one has no deviation")
            arguments.append(bind((name, "grad_ema"), o.grad_ema))
        if "beta1_derivative" in factors:
            if o.last_grad is None or not isinstance(o.scalars, ExactScalars):
                raise ValueError(
                    "the derivative with respect to beta1 needs last_grad and scalars of the exact convention"
                )
            arguments.append(bind((name, "last_grad"), o.last_grad))
            arguments += beta1_derivative_scalars(o.scalars.b1, o.last_beta1_power)
        kernel(self.arrays.device.queue, (round_up(blocks, shape.local_size),), (shape.local_size,), *arguments)
