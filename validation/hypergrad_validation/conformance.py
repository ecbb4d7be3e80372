"""Each case of cases.py as a trial of a kernel: the call, the arrays it may touch, and what they should hold after.

What the kernel tests, `hypergrad doctor` and `hypergrad conform` share.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from hypergrad import AutoHypergradientAdamW
from hypergrad_kernels import adamw, sgd_hd
from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.device import Device
from hypergrad_kernels.hdm import call_adapt
from hypergrad_kernels.launcher import Call, Launcher
from hypergrad_kernels.sums import call_sums
from hypergrad_reference import hdm_loops
from hypergrad_reference.loops import Update, inner_products, update
from hypergrad_reference.types import Vector
from hypergrad_validation.cases import (
    ADAPTS,
    MOVES,
    SUMS,
    UPDATES,
    AdaptCase,
    MoveCase,
    SumsCase,
    UpdateCase,
    surround,
)
from hypergrad_validation.compare import find_differences

LEARNERS = {
    "adagrad": hdm_loops.adapt_adagrad,
    "adagrad_inside": hdm_loops.adapt_adagrad_inside,
    "ogd": hdm_loops.adapt_ogd,
}


class Trial(NamedTuple):
    """A call, the arrays it may touch, and what the reference says they hold afterwards."""

    call: Call
    arrays: dict[str, Vector]
    wanted: dict[str, Vector]

    def launch(self, launcher: Launcher) -> None:
        """Run the call, wait for it, and bring back all that it wrote."""
        launcher.launch("case", self.call)
        launcher.arrays.collect()
        launcher.arrays.fetch()


def _make_trial(call: Call, arrays: Mapping[str, Vector | None], wanted: Mapping[str, Vector | None]) -> Trial:
    present = {name: array for name, array in arrays.items() if array is not None}
    after = {name: array if (result := wanted.get(name)) is None else result for name, array in present.items()}
    return Trial(call, present, after)


def try_update(case: UpdateCase) -> Trial:
    """The trial of a case of adamw.cl."""
    u = case.make()
    return _try(adamw.call_update(u, case.clear_grad), u, case.clear_grad)


def _try(call: Call, u: Update, clear_grad: bool = False) -> Trial:
    theta, after = update(u)
    wanted = {"theta": theta, **after._asdict()}
    if clear_grad:
        wanted["grad"] = np.zeros_like(u.grad)
    return _make_trial(call, {"theta": u.theta, "grad": u.grad, **u.arrays._asdict()}, wanted)


def try_move(case: MoveCase) -> Trial:
    """The trial of a case of sgd_hd.cl."""
    u = case.make()
    return _try(sgd_hd.call_update(u), u)


def try_adapt(case: AdaptCase) -> Trial:
    """The trial of a case of hdm.cl, adapt."""
    a, trial_gradient = case.make()
    after = LEARNERS[case.learner](a, trial_gradient, case.accepted, case.scalars)
    call = call_adapt(case.learner, a, trial_gradient, case.accepted, case.scalars)
    return _make_trial(call, a._asdict() | {"trial_gradient": trial_gradient}, after._asdict())


def try_sums(case: SumsCase) -> Trial:
    """The trial of a case of sums.cl."""
    o = case.make()
    wanted = np.array(list(inner_products(case.products, o).values()))
    out = surround(np.zeros(wanted.size, case.data.dtype))
    call = call_sums(case.products, o, out.reshape(wanted.shape))
    arrays = {"theta": o.theta, "grad": o.grad, "out": out, **o.arrays._asdict()}
    return _make_trial(call, arrays, {"out": wanted})


def list_trials() -> Iterator[tuple[str, Callable[[Any], Trial], Any]]:
    """The kernel's file, what makes the trial, and the case, of every trial."""
    table: tuple[tuple[str, Callable[[Any], Trial], Sequence[Any]], ...] = (
        ("adamw", try_update, UPDATES),
        ("sums", try_sums, SUMS),
        ("sgd_hd", try_move, MOVES),
        ("hdm", try_adapt, ADAPTS),
    )
    for kernel, make, cases in table:
        for case in cases:
            yield kernel, make, case


class Outcome(NamedTuple):
    """What became of a trial."""

    kernel: str
    case: str
    differences: list[str]  # none: equal in every bit


def conform(device: Device, largest: int) -> Iterator[Outcome]:
    """Run every trial of at most `largest` elements on a device."""
    launcher = Launcher(Arrays(device))
    for kernel, make, case in list_trials():
        if case.data.n > largest:
            continue
        with np.errstate(all="ignore"):  # some cases overflow on purpose
            trial = make(case)
        trial.launch(launcher)
        yield Outcome(kernel, case.name, find_differences(trial.arrays, trial.wanted))


def hash_long_run(device: Any, steps: int) -> str:
    """The SHA-256 of parameters, rates and records of AutoHypergradientAdamW with every option on.

    device    as the optimizers take it

    Three tensors in two groups, float32, of which one sits out every seventh step.
    """
    rng = np.random.default_rng(0)
    thetas = [rng.standard_normal(n, np.float32) for n in (3, 4099, 17)]
    curvatures = [rng.random(theta.size, np.float32) + np.float32(0.1) for theta in thetas]
    opt = AutoHypergradientAdamW(
        [{"params": thetas[:2]}, {"params": thetas[2:], "lr": 5e-4}], lr=1e-3, amsgrad=True, adapt_momentum=True,
        momentum_rule="derivative", normalization="cosine", track_surprise=True, hyper_lr_beta=0.01, device=device,
    )  # fmt: skip
    digest = hashlib.sha256()
    for step in range(steps):
        grads: list[Vector | None] = [
            a * theta + rng.standard_normal(theta.size, np.float32) * np.float32(0.1)
            for a, theta in zip(curvatures, thetas, strict=True)
        ]
        if step % 7 == 3:
            grads[1] = None
        opt.step(gradients=grads)
        digest.update(repr(opt.last_record).encode())
    for history in (opt.lr_history, opt.beta1_history, opt.surprise_history, opt.s_bar_history):
        digest.update(history.tobytes())
    for theta in thetas:
        digest.update(theta.tobytes())
    return digest.hexdigest()
