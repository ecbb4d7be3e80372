"""Each kernel, described once: tuning, benchmark, conformance and the table of kernels/README.md read this."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hypergrad_kernels import adamw, adamw_free, delayed, hdm, probe, sgd_hd, sums
from hypergrad_kernels.calls import Call
from hypergrad_reference import hdm_loops
from hypergrad_reference.adamw import exact_scalars
from hypergrad_reference.adamw_free import Scalars as FreeScalars
from hypergrad_reference.loops import (
    LEFT_BEHIND,
    STOPPED,
    Arrays,
    Operands,
    Update,
    inner_products,
    update,
    update_and_sum,
)
from hypergrad_reference.rule import Averages
from hypergrad_reference.sgd_hd import Nesterov
from hypergrad_reference.sums import BLOCK
from hypergrad_reference.types import Vector

Draw = Callable[[str], Vector]
"""Gives the array of a name, (n,); the same dtype for each."""
Arguments = tuple[Any, ...]


class Kernel(NamedTuple):
    """A kernel; what it moves per element is the `traffic` of the form of a call."""

    file: str  # FILE.cl
    kernel: str
    blockwise: bool  # it sums block by block; otherwise it writes element by element
    call: Callable[..., Call]  # host code
    reference: Callable[..., dict[str, Vector | None]] | None  # the same arguments; the arrays afterwards, by name
    probe: str | None  # key of the kernel with no arithmetic that it is timed beside
    sample: Callable[[Draw], Arguments]  # of `call`, by which the kernel is judged


def make_out(rows: int, like: Vector) -> Vector:
    """Room for the block sums of arrays like one."""
    return np.zeros((rows, -(-like.size // BLOCK)), like.dtype)


def _update(u: Update, clear_grad: bool = False) -> dict[str, Vector | None]:
    theta, arrays = update(u)
    return {"theta": theta, "grad": np.zeros_like(u.grad) if clear_grad else None, **arrays._asdict()}


def _inner_products(names: tuple[str, ...], o: Operands, out: Vector) -> dict[str, Vector | None]:
    return {"out": np.array(list(inner_products(names, o).values()))}


def _lags(o: Operands, out: Vector) -> dict[str, Vector | None]:
    return {"left": np.array(list(inner_products(adamw_free.LAGS, o).values()))}


def _update_and_sum(
    names: tuple[str, ...], o: Operands, u: Update, out: Vector, clear_grad: bool = False
) -> dict[str, Vector | None]:
    stop = STOPPED in names
    passed = update_and_sum(names[: len(names) - stop], o, u, stop)
    cleared = np.zeros_like(u.grad) if passed.stays is None else np.where(passed.stays, u.grad, 0)
    arrays = {"theta": passed.theta, "grad": cleared if clear_grad else None, **passed.arrays._asdict()}
    return arrays | {"out": np.array(list(passed.blocks.values()))}


def _hdm_inner_products(a: hdm_loops.Arrays, trial_gradient: Vector, out: Vector) -> dict[str, Vector | None]:
    return {"out": np.array(list(hdm_loops.inner_products(a, trial_gradient).values()))}


def _adapt(learner: hdm_loops.Learner, *arguments: Any) -> dict[str, Vector | None]:
    return learner(*arguments)._asdict()


SCALARS = exact_scalars(1e-3, 0.9, 0.999, 1e-8, 1e-2, 0.9**7, 0.999**7)
PRODUCTS = ("grad_direction", "grad_grad")


def _draw_update(draw: Draw) -> Arguments:
    return (Update(draw("theta"), draw("grad"), 1.0, Arrays(draw("exp_avg"), draw("exp_avg_sq")), SCALARS),)


def _draw_operands(draw: Draw) -> Arguments:
    o = Operands(draw("theta"), draw("grad"), 1.0, Arrays(draw("exp_avg"), draw("exp_avg_sq")), SCALARS)
    return PRODUCTS, o, make_out(len(PRODUCTS), o.theta)


FREE = FreeScalars(0.7, 0.3, 0.999, 0.001, 40.0, 3e-3, 1e-5, 1e-8, 0.7, 0.95, 0.8, 0.6)
AVERAGES = Averages(FREE.b, FREE.rho, LEFT_BEHIND)


def _draw_free(draw: Draw) -> Arguments:
    arrays = Arrays(
        draw("exp_avg"), draw("exp_avg_sq"), lag_slow=draw("lag_slow"), lag_fast=draw("lag_fast"),
        left=make_out(len(LEFT_BEHIND), draw("theta")).reshape(-1),
    )  # fmt: skip
    return (Update(draw("theta"), draw("grad"), 1.0, arrays, FREE),)


def _draw_lags(draw: Draw) -> Arguments:
    arrays = Arrays(lag_slow=draw("lag_slow"), lag_fast=draw("lag_fast"))
    o = Operands(draw("theta"), draw("grad"), 1.0, arrays, averages=AVERAGES)
    return o, make_out(3, o.theta)


def _draw_sgd(draw: Draw) -> Arguments:
    arrays = Arrays(direction=draw("direction"), velocity=draw("velocity"))
    return (Update(draw("theta"), draw("grad"), 1.0, arrays, Nesterov(1e-2, 0.9)),)


def _draw_delayed(draw: Draw) -> Arguments:
    (u,) = _draw_update(draw)
    return PRODUCTS, Operands(u.theta, u.grad, 1.0, u.arrays, SCALARS), u, make_out(len(PRODUCTS), u.theta)


def _draw_sgd_delayed(draw: Draw) -> Arguments:
    (u,) = _draw_sgd(draw)
    return PRODUCTS, Operands(u.theta, u.grad, 1.0, u.arrays), u, make_out(len(PRODUCTS), u.theta)


def _draw_iteration(draw: Draw) -> Arguments:
    return hdm_loops.Arrays(*map(draw, hdm_loops.Arrays._fields)), draw("trial_gradient")


def _draw_iteration_sums(draw: Draw) -> Arguments:
    a, trial_gradient = _draw_iteration(draw)
    return a, trial_gradient, make_out(len(hdm_loops.INNER_PRODUCTS), a.x)


def _draw_adapt(draw: Draw) -> Arguments:
    return hdm_loops.adapt_adagrad, *_draw_iteration(draw), True, hdm_loops.Scalars(3.0, 0.7, 1e-3, -0.2, 0.9, 0.95)


def _draw_traffic(draw: Draw) -> Arguments:
    return tuple(map(draw, ("theta", "grad", "exp_avg", "exp_avg_sq")))


def _draw_reads(draw: Draw) -> Arguments:
    arrays = tuple(map(draw, ("grad", "exp_avg", "exp_avg_sq")))
    return *arrays, make_out(1, arrays[0])[0]


KERNELS: dict[str, Kernel] = {
    "adamw": Kernel("adamw", "adamw", False, adamw.call_update, _update, "update_traffic", _draw_update),
    "sums": Kernel("sums", "inner_products", True, sums.call_sums, _inner_products, "read_traffic", _draw_operands),
    "sgd_hd": Kernel("sgd_hd", "sgd_hd", False, sgd_hd.call_update, _update, "update_traffic", _draw_sgd),
    "adamw_free": Kernel(
        "adamw_free", "adamw_free", True, adamw_free.call_update, _update, "update_traffic", _draw_free
    ),
    "lags": Kernel("adamw_free", "lags", True, adamw_free.call_lags, _lags, "read_traffic", _draw_lags),
    "adamw_delayed": Kernel(
        "adamw", "adamw_delayed", True, delayed.call_delayed, _update_and_sum, "update_traffic", _draw_delayed
    ),
    "sgd_hd_delayed": Kernel(
        "sgd_hd", "sgd_hd_delayed", True, delayed.call_delayed, _update_and_sum, "update_traffic", _draw_sgd_delayed
    ),
    "hdm_sums": Kernel(
        "hdm", "inner_products", True,
        hdm.call_inner_products, _hdm_inner_products, "read_traffic", _draw_iteration_sums,
    ),
    "hdm": Kernel("hdm", "adapt", False, hdm.call_adapt, _adapt, "update_traffic", _draw_adapt),
    "update_traffic": Kernel("probe", "update_traffic", False, probe.call_update_traffic, None, None, _draw_traffic),
    "read_traffic": Kernel("probe", "read_traffic", True, probe.call_read_traffic, None, None, _draw_reads),
}  # fmt: skip
"""By the name that benchmarks and figures know."""


def find_kernel(file: str, kernel: str) -> Kernel:
    """The description of a kernel. Raises ValueError if there is none."""
    for described in KERNELS.values():
        if (described.file, described.kernel) == (file, kernel):
            return described
    known = ", ".join(f"{described.file}.cl: {described.kernel}" for described in KERNELS.values())
    raise ValueError(f"{file}.cl has no kernel {kernel!r} that is described: give one of {known}")
