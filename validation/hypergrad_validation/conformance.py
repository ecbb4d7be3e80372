"""Each case of cases.py as a trial of a kernel: the call, the arrays it may touch, and what they should hold after.

What the kernel tests, `hypergrad doctor` and `hypergrad conform` share.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from hypergrad import AutoHypergradientAdamW
from hypergrad_kernels.arrays import Arrays
from hypergrad_kernels.calls import Call
from hypergrad_kernels.device import Device
from hypergrad_kernels.kernels import KERNELS, Kernel
from hypergrad_kernels.launcher import Launcher
from hypergrad_reference.adamw_auto import Record
from hypergrad_reference.types import Vector
from hypergrad_validation.budget import Budget
from hypergrad_validation.cases import CASES, Case
from hypergrad_validation.compare import find_differences

LONG_RUN = 10_000
"""Steps of a long run."""
HASHES = {
    0: "5dd3dc215d1d0f816293491e61df307c35c33b6c5d1ee5b3aa5dc8cf4041b9bc",
    1: "a6e7db3b4fe764d23362cdf72642835ad8ee112ba053d4693a57fd1f91b8574e",
}
"""SHA-256 of a long run, by its delay; where tanh or exp of the C library round otherwise than glibc's, another."""


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


def make_trial(kernel: Kernel, case: Case) -> Trial:
    """The trial of a kernel that has a reference."""
    assert kernel.reference is not None
    arguments = case.arguments()
    call = kernel.call(*arguments)
    arrays = dict(_list_arrays(arguments)) | dict(zip(call.form.arrays, call.arrays, strict=True))
    after = kernel.reference(*arguments)
    wanted = {name: array.copy() if (a := after.get(name)) is None else a for name, array in arrays.items()}
    return Trial(call, arrays, wanted)


def _list_arrays(arguments: Iterable[Any]) -> Iterator[tuple[str, Vector]]:
    """Name and array of every field that holds one, at any depth."""
    for argument in arguments:
        if hasattr(argument, "_asdict"):
            fields = argument._asdict()
            yield from ((name, value) for name, value in fields.items() if isinstance(value, np.ndarray))
            yield from _list_arrays(fields.values())


def list_trials() -> Iterator[tuple[str, Callable[[Any], Trial], Any]]:
    """The kernel's file, what makes the trial, and the case, of every trial."""
    for name, cases in CASES.items():
        make = partial(make_trial, KERNELS[name])
        for case in cases:
            yield KERNELS[name].file, make, case


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


def compare_kernels(device: Device, budget: Budget | None = None) -> Iterator[dict[str, Any]]:
    """For each file of kernels: how many cases were run, how many differ, and how the first does.

    budget    of seconds; the cases that do not fit are counted among what was left out
    """
    ran: dict[str, list[Outcome]] = {kernel: [] for kernel, _, _ in list_trials()}
    for outcome in conform(device, sys.maxsize):
        ran[outcome.kernel].append(outcome)
        if budget is not None and budget.left < 0:
            left = sum(1 for _ in list_trials()) - sum(map(len, ran.values()))
            budget.leave_out(f"{left} kernel cases: the seconds for them were over")
            break
    for kernel, mine in ran.items():
        wrong = [outcome for outcome in mine if outcome.differences]
        first = f"{wrong[0].case}: {wrong[0].differences[0]}" if wrong else "equal bits" if mine else "NOT RUN"
        yield {"what": f"{kernel}.cl", "cases": len(mine), "differ": len(wrong), "verdict": first}


def compare_long_run(device: Device, steps: int, delay: int) -> dict[str, Any]:
    """A row for the parameters, rates and records of a long run."""
    wanted, got = (hash_long_run(where, steps, delay=delay) for where in ("numpy", device.context))
    verdict = f"SHA-256 {got}" if got == wanted else f"NumPy {wanted}, device {got}"
    what = f"{steps} steps" + (", delay=1" if delay else "")
    return {"what": what, "cases": 1, "differ": int(got != wanted), "verdict": verdict}


def _show_record(r: Record) -> str:
    """The text of a record that the hash of the long run is of, whatever fields a record has today."""
    return (
        f"Record(step={r.step!r}, lr_before={r.lr_before!r}, lr={r.lr!r}, beta1_before={r.beta1_before!r}, "
        f"beta1={r.beta1!r}, hypergradient={r.normalized!r}, beta1_hypergradient={r.beta1_normalized!r}, "
        f"grad_direction={-r.hypergradient!r}, beta1_numerator={r.beta1_hypergradient!r}, "
        f"normalizer={r.normalizer!r}, lr_accumulator={r.lr_accumulator!r}, "
        f"beta1_accumulator={r.beta1_accumulator!r}, reason={r.reason!r})"
    )


def hash_long_run(device: Any, steps: int, **more: Any) -> str:
    """The SHA-256 of parameters, rates and records of AutoHypergradientAdamW with every option on.

    device    as the optimizers take it
    more      options beside these, as delay=1

    Three tensors in two groups, float32, of which one sits out every seventh step.
    """
    rng = np.random.default_rng(0)
    thetas = [rng.standard_normal(n, np.float32) for n in (3, 4099, 17)]
    curvatures = [rng.random(theta.size, np.float32) + np.float32(0.1) for theta in thetas]
    opt = AutoHypergradientAdamW(
        [{"params": thetas[:2]}, {"params": thetas[2:], "lr": 5e-4}], lr=1e-3, amsgrad=True, adapt_momentum=True,
        momentum_rule="derivative", normalization="cosine", track_surprise=True, hyper_lr_beta=0.01, device=device,
        **more,
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
        digest.update(_show_record(opt.last_record).encode())
    for history in (opt.lr_history, opt.beta1_history, opt.surprise_history, opt.s_bar_history):
        digest.update(history.tobytes())
    for theta in thetas:
        digest.update(theta.tobytes())
    return digest.hexdigest()
