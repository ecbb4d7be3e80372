"""The step that all optimizers share: look at everything first, then write, and never stop half-way."""

import math
import signal
import threading
from abc import ABC, abstractmethod
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from hypergrad_reference import adamw
from hypergrad_reference.adamw import ExactScalars, Scalars, ShaderScalars
from hypergrad_reference.adamw_loops import Operands, Update
from hypergrad_reference.types import Vector

from hypergrad import checkpoint
from hypergrad.backend import open_backend
from hypergrad.errors import ArgumentError, BrokenOptimizerError, CheckpointError, NonFiniteError
from hypergrad.tensors import Tensor, check_memory, collect_groups, find_gradients, flatten_gradient

if TYPE_CHECKING:
    from hypergrad.backend import DeviceChoice

RECORDS = 1000
KEPT_ARRAYS = ("grad_ema", "last_grad")
KEPT_SCALARS = ("lr", "weight_decay", "beta1_power", "last_beta1_power")
FORM_SCALARS: dict[str, Callable[..., Scalars]] = {"exact": adamw.exact_scalars, "shader": adamw.shader_scalars}
SCALARS: dict[str, type[ExactScalars] | type[ShaderScalars]] = {"exact": ExactScalars, "shader": ShaderScalars}

Sums = dict[int, dict[str, Vector]]
"""Block sums by position of the tensor and name of the product."""


class Plan(NamedTuple):
    """What a schedule has decided about the step to come."""

    rates: Sequence[float]  # of each group
    beta1s: Sequence[float]  # of each group
    record: Any  # a NamedTuple that says why
    state: Any = None  # the schedule's own state after the step


class SkippedRecord(NamedTuple):
    """A step that was not taken."""

    step: int
    lr: float
    reason: str


@contextmanager
def defer_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back until the block is done."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pending: list[tuple[int, Any]] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: pending.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if pending and callable(previous):
            previous(*pending[0])


def check_range(
    name: str, value: float, low: float, high: float, open_high: bool = False, open_low: bool = False
) -> None:
    """Raise ArgumentError unless value is a finite number from low to high."""
    inside = (
        isinstance(value, (int, float, np.integer, np.floating))
        and math.isfinite(value)
        and (low < value if open_low else low <= value)
        and (value < high if open_high else value <= high)
    )
    if not inside:
        left, right = "(" if open_low else "[", ")" if open_high else "]"
        raise ArgumentError(f"{name}={value!r}: give a number in {left}{low}, {high}{right}")


class AdamWFamily(ABC):
    """AdamW with a schedule between its two loops. What differs between the optimizers is the schedule alone."""

    group_options = ("lr", "betas", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        amsgrad: bool,
        maximize: bool,
        grad_scale: float,
        clear_grad: bool,
        scalar_convention: str,
        nonfinite: str,
        use_gpu: bool,
        device: "DeviceChoice",
    ) -> None:
        if scalar_convention not in SCALARS:
            raise ArgumentError(f"scalar_convention={scalar_convention!r}: give one of {sorted(SCALARS)}")
        if scalar_convention == "shader" and amsgrad:
            raise ArgumentError("amsgrad=True: the shader has no amsgrad, use scalar_convention='exact'")
        if nonfinite not in ("raise", "skip", "propagate"):
            raise ArgumentError(f"nonfinite={nonfinite!r}: give 'raise', 'skip' or 'propagate'")
        check_range("grad_scale", grad_scale, -math.inf, math.inf)
        self.defaults: dict[str, Any] = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        self.amsgrad = amsgrad
        self.maximize = maximize
        self.grad_scale = grad_scale
        self.clear_grad = clear_grad
        self.scalar_convention = scalar_convention
        self.nonfinite = nonfinite
        self.skipped = 0
        self.records: deque[Any] = deque(maxlen=RECORDS)
        self._steps = 0
        self._broken: str | None = None
        self._tensors: list[Tensor] = []
        self.param_groups = collect_groups(params)
        for number, group in enumerate(self.param_groups):
            self._complete_group(number, group)
            for owner in group["params"]:
                self._tensors.append(Tensor(owner, len(self._tensors), number))
        check_memory(self._tensors)
        for tensor in self._tensors:
            tensor.moments = (adamw.init_amsgrad if amsgrad else adamw.init)(tensor.theta)
            self._check_eps(tensor)
        self._backend = open_backend(use_gpu, device, {tensor.theta.dtype.name for tensor in self._tensors})

    # What a subclass says.

    @abstractmethod
    def _name_products(self, tensor: Tensor) -> tuple[str, ...]:
        """The inner products that the schedule needs of a tensor that has a gradient."""

    @abstractmethod
    def _schedule(self, sums: Sums) -> Plan:
        """Decide the rates of this step; sums are finite unless nonfinite is "propagate"."""

    @abstractmethod
    def _settle(self, plan: Plan) -> None:
        """Take the plan's scalars into the optimizer's state, after the tensors were written."""

    # What every optimizer has.

    @property
    def device(self) -> str:
        """Who runs the loops: "numpy", or "opencl: PLATFORM: DEVICE"."""
        return self._backend.name

    @property
    def last_record(self) -> Any:
        """Why the rate moved, or did not, on the latest step; None before the first."""
        return self.records[-1] if self.records else None

    @property
    def state(self) -> dict[int, dict[str, Any]]:
        """By id(param), for each that has taken a step: step, exp_avg, exp_avg_sq, in the parameter's shape."""
        state = {}
        for tensor in self._tensors:
            moments = tensor.moments
            if moments.step:
                entry: dict[str, Any] = {
                    "step": moments.step,
                    "exp_avg": moments.exp_avg.reshape(tensor.shape),
                    "exp_avg_sq": moments.exp_avg_sq.reshape(tensor.shape),
                }
                if moments.max_exp_avg_sq is not None:
                    entry["max_exp_avg_sq"] = moments.max_exp_avg_sq.reshape(tensor.shape)
                state[id(tensor.owner)] = entry
        return state

    def zero_grad(self) -> None:
        """Set the `.grad` of every parameter that has one to None."""
        for tensor in self._tensors:
            if getattr(tensor.owner, "grad", None) is not None:
                tensor.owner.grad = None  # type: ignore[attr-defined]

    def step(
        self,
        closure: Callable[[], Any] | None = None,
        gradients: Sequence[Any] | Mapping[int, Any] | None = None,
    ) -> Any:
        """Take one step.

        closure      called first; its value is returned. It may compute the `.grad` of the parameters.
        gradients    a list in the order of the parameters, or a dict keyed by id(param); where it has none, the
                     `.grad` of a parameter counts. A tensor without any gradient sits the step out entirely, and a
                     step in which all do changes nothing.

        A gradient may have any strides; a float64 gradient of a float32 parameter is rounded to float32.
        Raises ArgumentError or ArrayTypeError for a gradient of the wrong kind and NonFiniteError for one that holds
        NaN or inf (unless nonfinite says otherwise). A step that raises has changed nothing, with one exception: after
        BrokenOptimizerError a device has failed while it was writing.
        """
        if self._broken is not None:
            raise BrokenOptimizerError(self._broken)
        loss = None if closure is None else closure()
        found = find_gradients(self._tensors, gradients)
        if not found:
            return loss
        for tensor, _ in found:
            tensor.refresh()
        for number, group in enumerate(self.param_groups):
            self._check_group(number, group)
        active = [(tensor, flatten_gradient(tensor, gradient, self.clear_grad)) for tensor, gradient in found]

        sums = self._sum(active)
        trouble = self._find_trouble(active, sums)
        if trouble is not None:
            if self.nonfinite == "raise":
                raise NonFiniteError(f"{trouble}; nothing was changed, nonfinite='skip' passes over such a step")
            self.skipped += 1
            self.records.append(SkippedRecord(self._steps + 1, self.param_groups[0]["lr"], trouble))
            return loss
        plan = self._schedule(sums)
        work = [(tensor, self._make_update(tensor, grad, plan)) for tensor, grad in active]
        self._backend.prepare([(tensor.position, u) for tensor, u in work], self.clear_grad)
        with defer_interrupt():
            self._write(work, sums, plan)
            if self.clear_grad:
                for (_, grad), (_, gradient) in zip(active, found, strict=True):
                    original = gradient if isinstance(gradient, np.ndarray) else gradient.data
                    if not np.may_share_memory(grad, original):
                        original[...] = 0
        return loss

    def _sum(self, active: Sequence[tuple[Tensor, Vector]]) -> Sums:
        work = []
        for tensor, grad in active:
            names = self._name_products(tensor)
            if self.nonfinite != "propagate" and "grad_grad" not in names:
                names = ("grad_grad", *names)  # one NaN or inf in the gradient shows in its norm
            if names:
                operands = Operands(
                    tensor.theta, grad, self._signed_scale, tensor.moments, tensor.scalars,
                    tensor.grad_ema, tensor.last_grad, tensor.last_beta1_power,
                )  # fmt: skip
                work.append((tensor.position, names, operands))
        results = self._backend.inner_products(work) if work else []
        return {position: result for (position, _, _), result in zip(work, results, strict=True)}

    def _find_trouble(self, active: Sequence[tuple[Tensor, Vector]], sums: Sums) -> str | None:
        if self.nonfinite == "propagate":
            return None
        for tensor, grad in active:
            for name, blocks in sums[tensor.position].items():
                if np.isfinite(blocks).all():
                    continue
                finite = np.isfinite(grad)
                if not finite.all():
                    place = np.unravel_index(int(np.argmin(finite)), tensor.shape)
                    where = f"[{', '.join(map(str, place))}]"
                    return f"the gradient of {tensor.name} holds {grad[int(np.argmin(finite))]} at {where}"
                if name in self._name_products(tensor):
                    return f"the sum {name} of {tensor.name} is not finite though its gradient is: scale the loss down"
        return None

    @property
    def _signed_scale(self) -> float:
        return -self.grad_scale if self.maximize else self.grad_scale

    def _make_update(self, tensor: Tensor, grad: Vector, plan: Plan) -> Update:
        group = self.param_groups[tensor.group]
        beta1, beta2 = plan.beta1s[tensor.group], group["betas"][1]
        scalars = FORM_SCALARS[self.scalar_convention](
            plan.rates[tensor.group], beta1, beta2, group["eps"], group["weight_decay"],
            self._raise_beta1(tensor, beta1), beta2 ** (tensor.moments.step + 1),
        )  # fmt: skip
        return Update(tensor.theta, grad, self._signed_scale, tensor.moments, scalars)

    def _raise_beta1(self, tensor: Tensor, beta1: float) -> float:
        """What the bias correction takes for beta1 to the power of the tensor's step."""
        return beta1 ** (tensor.moments.step + 1)

    def _write(self, work: Sequence[tuple[Tensor, Update]], sums: Sums, plan: Plan) -> None:
        try:
            self._backend.update([(tensor.position, u) for tensor, u in work], self.clear_grad)
        except BaseException as error:
            self._broken = (
                f"step {self._steps + 1} failed while it was writing ({error}); the last good step is {self._steps}: "
                "restore the parameters and load a state saved then"
            )
            raise BrokenOptimizerError(self._broken) from error
        stepped = {tensor.position: u for tensor, u in work}
        for tensor in self._tensors:
            done = stepped.get(tensor.position)
            tensor.scalars = None if done is None else done.scalars
            tensor.grad_grad = None if done is None else sums.get(tensor.position, {}).get("grad_grad")
            if done is not None:
                tensor.moments = tensor.moments._replace(step=tensor.moments.step + 1)
                tensor.lr = plan.rates[tensor.group]
                tensor.weight_decay = self.param_groups[tensor.group]["weight_decay"]
                tensor.last_beta1_power = tensor.beta1_power
                tensor.beta1_power *= plan.beta1s[tensor.group]
                tensor.grad_ema, tensor.last_grad = done.grad_ema, done.last_grad
        self._steps += 1
        self._settle(plan)
        self.records.append(plan.record)

    # Groups.

    def _complete_group(self, number: int, group: dict[str, Any]) -> None:
        unknown = set(group) - {"params", *self.group_options}
        if unknown:
            raise ArgumentError(f"params[{number}] has unknown keys {sorted(unknown)}: known are {self.group_options}")
        for option in self.group_options:
            group.setdefault(option, self.defaults[option])
        self._check_group(number, group)

    def _check_group(self, number: int, group: Mapping[str, Any]) -> None:
        where = "" if len(self.param_groups) == 1 else f"param_groups[{number}]: "
        check_range(f"{where}lr", group["lr"], 0, math.inf, open_high=True)
        if len(group["betas"]) != 2:
            raise ArgumentError(f"{where}betas={group['betas']!r}: give two numbers")
        for index, beta in enumerate(group["betas"]):
            check_range(f"{where}betas[{index}]", beta, 0, 1, open_high=True)
        check_range(f"{where}eps", group["eps"], 0, math.inf, open_low=True, open_high=True)
        check_range(f"{where}weight_decay", group["weight_decay"], 0, math.inf, open_high=True)

    def _check_eps(self, tensor: Tensor) -> None:
        eps = self.param_groups[tensor.group]["eps"]
        if tensor.theta.dtype.type(eps) == 0:
            raise ArgumentError(
                f"eps={eps!r} is 0 in {tensor.theta.dtype}, the dtype of {tensor.name}: give a larger one"
            )

    # Saving.

    def _histories(self) -> dict[str, "array[float]"]:
        return {}

    @abstractmethod
    def _dump_schedule(self) -> dict[str, float | None]:
        """The schedule's scalars, by name."""

    @abstractmethod
    def _load_schedule(self, scalars: Mapping[str, Any]) -> None:
        """Take up what _dump_schedule gave."""

    def state_dict(self) -> dict[str, Any]:
        """Everything a run needs to go on bit for bit, parameters excepted: copies of arrays, and plain numbers.

        Keys "kind", "steps", "skipped", "schedule" (scalars), "histories" (float64 arrays), "groups" (options, in the
        order of param_groups), "tensors" (a dict a parameter, in order). `records` are not part of it.
        """
        tensors = []
        for tensor in self._tensors:
            moments = tensor.moments
            entry: dict[str, Any] = {
                "step": moments.step,
                "exp_avg": moments.exp_avg.reshape(tensor.shape).copy(),
                "exp_avg_sq": moments.exp_avg_sq.reshape(tensor.shape).copy(),
            }
            if moments.max_exp_avg_sq is not None:
                entry["max_exp_avg_sq"] = moments.max_exp_avg_sq.reshape(tensor.shape).copy()
            if tensor.scalars is not None:
                entry["scalars"] = list(map(float, tensor.scalars))
            if tensor.grad_grad is not None:
                entry["grad_grad"] = tensor.grad_grad.copy()
            for name in KEPT_ARRAYS:
                kept = getattr(tensor, name)
                if kept is not None:
                    entry[name] = kept.reshape(tensor.shape).copy()
            entry.update({name: getattr(tensor, name) for name in KEPT_SCALARS})
            tensors.append(entry)
        return {
            "kind": type(self).__name__,
            "scalar_convention": self.scalar_convention,
            "steps": self._steps,
            "skipped": self.skipped,
            "schedule": self._dump_schedule(),
            "histories": {name: np.array(history) for name, history in self._histories().items()},
            "groups": [
                {name: list(group[name]) if name == "betas" else group[name] for name in self.group_options}
                for group in self.param_groups
            ],
            "tensors": tensors,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that state_dict gave; constructor options and parameters are the caller's to restore.

        Raises CheckpointError, with nothing changed, if the state is of another optimizer or other parameters.
        """
        checkpoint.check_state(self, state)
        for tensor, entry in zip(self._tensors, state["tensors"], strict=True):
            moments = tensor.moments
            moments.exp_avg[...] = entry["exp_avg"].reshape(-1)
            moments.exp_avg_sq[...] = entry["exp_avg_sq"].reshape(-1)
            if moments.max_exp_avg_sq is not None:
                moments.max_exp_avg_sq[...] = entry["max_exp_avg_sq"].reshape(-1)
            tensor.moments = moments._replace(step=int(entry["step"]))
            tensor.scalars = self._read_scalars(entry.get("scalars"))
            tensor.grad_grad = entry["grad_grad"].copy() if "grad_grad" in entry else None
            for name in KEPT_ARRAYS:
                setattr(tensor, name, entry[name].reshape(-1).copy() if name in entry else None)
            for name in KEPT_SCALARS:
                setattr(tensor, name, float(entry[name]))
        for group, saved in zip(self.param_groups, state["groups"], strict=True):
            group.update({**saved, "betas": tuple(saved["betas"])})
        self._steps, self.skipped, self._broken = int(state["steps"]), int(state["skipped"]), None
        self._load_schedule(state["schedule"])
        for name, history in self._histories().items():
            history[:] = array("d", state["histories"][name].tolist())

    def _read_scalars(self, values: Sequence[float] | None) -> Scalars | None:
        if values is None:
            return None
        kind = SCALARS[self.scalar_convention]
        if len(values) != len(kind._fields):
            raise CheckpointError(
                f"a tensor's scalars have {len(values)} entries, {kind.__name__} has {len(kind._fields)}"
            )
        return kind(*map(float, values))

    def save(self, path: Any) -> None:
        """Write state_dict to one .npz file, without pickle, whole or not at all."""
        checkpoint.save(path, self.state_dict())

    def load(self, path: Any) -> None:
        """Go on from a file that save wrote. Raises CheckpointError, with nothing changed, if it is damaged."""
        self.load_state_dict(checkpoint.load(path))
