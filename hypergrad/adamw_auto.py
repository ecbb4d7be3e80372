"""AutoHypergradientAdamW: AdamW that learns its rate, and beta1 if wanted, at a pace that tunes itself."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypergrad.adamw_family import AdamWFamily
from hypergrad.checks import check_rate_bounds
from hypergrad.errors import ArgumentError
from hypergrad.history import History
from hypergrad.optimizer import Plan, Sums, make_plan
from hypergrad.rates import Rates
from hypergrad.states import ArrayFit, HistoryFit, Progress, Range
from hypergrad.tensors import Tensor
from hypergrad_reference import adamw_auto, surprise
from hypergrad_reference.adamw_auto import MOMENTUM_RULES, NORMALIZERS, Constants, State
from hypergrad_reference.adamw_loops import Update
from hypergrad_reference.sums import BLOCK, total, weighted_total
from hypergrad_reference.types import Vector

if TYPE_CHECKING:
    from hypergrad.backend import DeviceChoice


class AutoHypergradientAdamW(AdamWFamily):
    """AdamW whose rate follows a normalised hypergradient through AdaGrad.

        h  = clip(-<g_t, d_{t-1}> / ||g_{t-1}||^2, -1, 1),   G = 0.99 G + 0.01 h^2
        lr = lr - hyper_lr h / (sqrt(G) + 1e-12),   by at most a tenth of lr, within [lr_min, lr_max]

    hyper_lr            >= 0, step of the rate, in units of lr
    hyper_lr_beta       >= 0, step of beta1
    lr_min, lr_max      bounds of the rate
    adapt_momentum      adapt beta1 too, within [beta_min, beta_max]
    track_surprise      form the surprise signal for the model to read (12 bytes more a float32 parameter)
    surprise_gamma      in [0, 1], memory of the gradient's running mean
    surprise_alpha      in [0, 1], share of the newest surprise in the accumulated one
    trauma_threshold    > 0, accumulated surprise at which the gain is largest
    warmup_steps        steps before anything adapts
    lr_scope            "global" or "group", as in HypergradientAdamW
    normalization       what <g_t, d_{t-1}> is divided by: "gradient" ||g_{t-1}||^2, "direction" ||d_{t-1}||^2, or
                        "cosine" ||g_t|| ||d_{t-1}||, which does not depend on the scale of the loss
    momentum_rule       what moves beta1: "seed" <g_t, m_{t-1}>, or "derivative", the derivative of the next loss

    The other arguments, and what is raised, are those of AdamW.

    >>> opt = AutoHypergradientAdamW([np.array([4.0])], use_gpu=False)
    >>> opt
    AutoHypergradientAdamW(lr=0.001000, beta1=0.9000, hyper_lr=0.01, lr_range=[1e-06, 1.0], adapt_momentum=False, \
track_surprise=False)
    """

    options = (
        "hyper_lr", "hyper_lr_beta", "lr_min", "lr_max", "adapt_momentum", "track_surprise", "surprise_gamma",
        "surprise_alpha", "trauma_threshold", "beta_min", "beta_max", "warmup_steps", "amsgrad", "lr_scope",
        "normalization", "momentum_rule", "maximize", "grad_scale", "clear_grad", "scalar_convention", "nonfinite",
    )  # fmt: skip
    settable: tuple[str, ...] = (*AdamWFamily.settable, "hyper_lr", "hyper_lr_beta")

    hyper_lr: float
    hyper_lr_beta: float
    adapt_momentum: bool
    track_surprise: bool
    surprise_gamma: float
    surprise_alpha: float
    trauma_threshold: float
    beta_min: float
    beta_max: float
    warmup_steps: int
    normalization: str
    momentum_rule: str

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        hyper_lr: float = 0.01,
        hyper_lr_beta: float = 1.0,
        lr_min: float = 1e-6,
        lr_max: float = 1.0,
        adapt_momentum: bool = False,
        track_surprise: bool = False,
        surprise_gamma: float = 0.9,
        surprise_alpha: float = 0.1,
        trauma_threshold: float = 0.5,
        beta_min: float = 0.5,
        beta_max: float = 0.9995,
        warmup_steps: int = 10,
        use_gpu: bool = True,
        *,
        amsgrad: bool = False,
        lr_scope: str = "global",
        normalization: str = "gradient",
        momentum_rule: str = "seed",
        maximize: bool = False,
        grad_scale: float = 1.0,
        clear_grad: bool = False,
        scalar_convention: str = "exact",
        nonfinite: str = "raise",
        device: "DeviceChoice" = None,
    ) -> None:
        self._take(
            hyper_lr=hyper_lr, hyper_lr_beta=hyper_lr_beta, lr_min=lr_min, lr_max=lr_max,
            adapt_momentum=adapt_momentum, track_surprise=track_surprise, surprise_gamma=surprise_gamma,
            surprise_alpha=surprise_alpha, trauma_threshold=trauma_threshold, beta_min=beta_min, beta_max=beta_max,
            warmup_steps=warmup_steps, normalization=normalization, momentum_rule=momentum_rule,
        )  # fmt: skip
        check_rate_bounds(lr, self.lr_min, self.lr_max)
        if self.beta_min > self.beta_max:
            raise ArgumentError(f"beta_min={beta_min!r} is above beta_max={beta_max!r}: exchange them")
        if self.momentum_rule == "derivative" and scalar_convention != "exact":
            raise ArgumentError("momentum_rule='derivative' is defined for scalar_convention='exact' only")
        if self._derives_momentum and not self.beta_min > 0:
            raise ArgumentError(f"momentum_rule='derivative' needs beta_min={beta_min!r} above 0")
        super().__init__(
            params, lr=lr, lr_min=self.lr_min, lr_max=self.lr_max, lr_scope=lr_scope, betas=betas, eps=eps,
            weight_decay=weight_decay, amsgrad=amsgrad, maximize=maximize, grad_scale=grad_scale,
            clear_grad=clear_grad, scalar_convention=scalar_convention, nonfinite=nonfinite, use_gpu=use_gpu,
            device=device,
        )  # fmt: skip
        self._states = [
            State(base, self._read_beta1(self._rates, scope)) for scope, base in enumerate(self._rates.bases)
        ]
        self._surprise = surprise.State()
        self._beta1_histories = [History([state.beta1]) for state in self._states]
        self._surprise_history, self._s_bar_history = History(), History()

    # What the model and the user read.

    @property
    def beta1_history(self) -> NDArray[np.float64]:
        """beta1 at first and after every adaptation, as lr_history is; of the first group under lr_scope="group"."""
        return self._beta1_histories[0].read()

    @property
    def beta1_histories(self) -> list[NDArray[np.float64]]:
        """The same for each base rate: of each group under lr_scope="group"."""
        return [history.read() for history in self._beta1_histories]

    @property
    def surprise_history(self) -> NDArray[np.float64]:
        """S of every step that was tracked, as lr_history is."""
        return self._surprise_history.read()

    @property
    def s_bar_history(self) -> NDArray[np.float64]:
        """S_bar of every step that was tracked, as lr_history is."""
        return self._s_bar_history.read()

    @property
    def current_surprise(self) -> float:
        """S, how far the latest gradient was from its expectation, in [0, 1]; 0 before tracking starts."""
        return self._surprise.surprise

    @property
    def accumulated_surprise(self) -> float:
        """S_bar, the running mean of S, in [0, 1]; 0 before tracking starts."""
        return self._surprise.accumulated

    @property
    def current_surprise_gain(self) -> float:
        """S_bar exp(-S_bar / trauma_threshold), for x * (1 + scale * gain); 0 before tracking starts."""
        return self._surprise.gain

    # The schedule.

    @property
    def _tracking(self) -> bool:
        return self.track_surprise and self._steps >= self.warmup_steps

    def _name_products(self, tensor: Tensor) -> tuple[str, ...]:
        names = ["grad_grad"]  # the next step's normalizer, and the surprise's
        if tensor.moved and self._steps >= self.warmup_steps:
            names.append("grad_direction")
            names += [name for name in NORMALIZERS[self.normalization][1] if name not in names]
            if self.adapt_momentum:
                names += MOMENTUM_RULES[self.momentum_rule][1]
        if self._tracking and "grad_ema" in tensor.arrays:
            names.append("deviation_deviation")
        return tuple(names)

    def _schedule(self, rates: Rates, sums: Sums) -> Plan:
        normalize, _ = NORMALIZERS[self.normalization]
        follow = MOMENTUM_RULES[self.momentum_rule][0] if self.adapt_momentum else None
        states, records = [], []
        for scope, state in enumerate(self._states):
            state = state._replace(lr=rates.bases[scope], beta1=self._read_beta1(rates, scope))
            products = self._total(rates, scope, sums)
            constants = Constants(
                self.hyper_lr, self.hyper_lr_beta, *self._bound_rate(rates, scope),
                self.beta_min, self.beta_max, self.warmup_steps,
            )  # fmt: skip
            state, record = adamw_auto.schedule(self._steps + 1, state, products, constants, normalize, follow)
            states.append(state)
            records.append(record)
        return make_plan(rates, records, (states, self._observe(sums)))

    def _get_beta1(self, plan: Plan, group: int) -> float:
        states, _ = plan.state
        return states[plan.rates.scopes[group]].beta1 if self.adapt_momentum else super()._get_beta1(plan, group)

    def _check_groups(
        self, groups: Sequence[Mapping[str, Any]], dtypes: Sequence[set[Any]] | None = None
    ) -> list[dict[str, Any]]:
        checked = super()._check_groups(groups, dtypes)
        beta1s = [options["betas"][0] for options in checked]
        if self._derives_momentum and 0 in beta1s:
            where = self._name_group(beta1s.index(0))
            raise ArgumentError(f"{where}momentum_rule='derivative' needs beta1=0.0 above 0")
        if self.adapt_momentum and self.lr_scope == "global" and len(set(beta1s)) > 1:
            raise ArgumentError(
                f"adapt_momentum=True adapts one beta1, the groups have {beta1s}: make them equal, or lr_scope='group'"
            )
        return checked

    def _read_beta1(self, rates: Rates, scope: int) -> float:
        """The beta1 of a scope's first group, which all share if it is adapted."""
        return float(self._options[rates.members(scope)[0]]["betas"][0])

    def _open_scope(self, scope: int) -> None:
        super()._open_scope(scope)
        state = State(self._rates.bases[scope], self._read_beta1(self._rates, scope))
        self._states.append(state)
        self._beta1_histories.append(History([state.beta1]))

    def _total(self, rates: Rates, scope: int, sums: Sums) -> adamw_auto.Sums | None:
        movers = [t for t in self._find_movers(rates, scope, sums) if "grad_direction" in sums[t.position]]
        if not movers:
            return None

        def add(name: str, power: int) -> float:
            """An inner product over the movers, each weighted with a power of its group's share of the base rate."""
            terms = [(rates.ratios[t.group] ** power, sums[t.position].get(name)) for t in movers]
            return weighted_total((weight, blocks) for weight, blocks in terms if blocks is not None)

        return adamw_auto.Sums(
            grad_direction=add("grad_direction", 1),
            last_grad_sq=total(t.arrays["grad_grad"] for t in movers),
            grad_sq=add("grad_grad", 0),
            direction_sq=add("direction_direction", 2),
            grad_exp_avg=add("grad_exp_avg", 0),
            lr_grad_beta1_derivative=weighted_total(
                (t.numbers["lr"], sums[t.position]["grad_beta1_derivative"])
                for t in movers
                if "grad_beta1_derivative" in sums[t.position]
            ),
        )

    def _observe(self, sums: Sums) -> surprise.State | None:
        if not self._tracking:
            return None
        return surprise.observe(
            self._surprise,
            total(s["grad_grad"] for s in sums.values()),
            total(s.get("deviation_deviation", s["grad_grad"]) for s in sums.values()),
            self.surprise_gamma,
            self.surprise_alpha,
            self.trauma_threshold,
        )

    def _make_update(self, tensor: Tensor, grad: Vector, plan: Plan) -> Update:
        u = super()._make_update(tensor, grad, plan)
        kept = tensor.arrays
        if self._tracking:
            known = kept.get("grad_ema")
            u = u._replace(
                grad_ema=np.empty(tensor.theta.size, tensor.theta.dtype) if known is None else known,
                gamma=None if known is None else self.surprise_gamma,
            )
        if self._derives_momentum:
            u = u._replace(
                last_grad=kept["last_grad"] if "last_grad" in kept else np.empty(tensor.theta.size, tensor.theta.dtype)
            )
        return u

    def _keep(self, tensor: Tensor, update: Update, sums: Mapping[str, Vector], plan: Plan) -> None:
        super()._keep(tensor, update, sums, plan)
        tensor.arrays["grad_grad"] = sums["grad_grad"]  # the next step's normalizer

    @property
    def _derives_momentum(self) -> bool:
        return self.adapt_momentum and self.momentum_rule == "derivative"

    def _raise_beta1(self, tensor: Tensor, beta1: float) -> float:
        if self._derives_momentum:
            return tensor.numbers.get("beta1_power", 1.0) * beta1
        return super()._raise_beta1(tensor, beta1)

    def _settle(self, plan: Plan) -> None:
        super()._settle(plan)
        self._states, observed = plan.state
        if self.adapt_momentum:
            for number, group in enumerate(self._param_groups):
                options = self._options[number]
                options["betas"] = group["betas"] = (self._get_beta1(plan, number), options["betas"][1])
            self._defaults["betas"] = self._param_groups[0]["betas"]
        for history, record in zip(self._beta1_histories, plan.records, strict=True):
            if math.isfinite(record.beta1_hypergradient):
                history.append(record.beta1)
        if observed is not None:
            self._surprise = observed
            self._surprise_history.append(observed.surprise)
            self._s_bar_history.append(observed.accumulated)

    # Saving.

    def _list_arrays(self, tensor: Tensor, progress: Progress) -> dict[str, ArrayFit]:
        arrays, length = super()._list_arrays(tensor, progress), tensor.theta.size
        if not progress.step:
            return arrays
        arrays["grad_grad"] = ArrayFit(-(-length // BLOCK), 0.0)
        if self._derives_momentum:
            arrays["last_grad"] = ArrayFit(length)
        if self.track_surprise:  # a tensor that took few steps may have sat out every one that was tracked
            latest = progress.steps if progress.moved else progress.step
            tracked = latest > self.warmup_steps
            arrays["grad_ema"] = ArrayFit(length, required=tracked)
        return arrays

    def _list_history_fits(self) -> dict[str, HistoryFit]:
        beta1s = {f"beta1_{scope}": HistoryFit(Range(0.0, 1.0), 1) for scope in range(len(self._beta1_histories))}
        tracked = HistoryFit(Range(0.0, 1.0), 0)
        return super()._list_history_fits() | beta1s | {"surprise": tracked, "s_bar": tracked}

    def _list_ranges(self) -> dict[str, Range]:
        names = [f"{of}_accumulator{scope}" for scope in range(len(self._states)) for of in ("lr", "beta1")]
        signal = dict.fromkeys(("surprise", "accumulated", "gain"), Range(0.0, 1.0))
        return (
            super()._list_ranges()
            | dict.fromkeys(names, Range(0.0))
            | signal
            | {"grad_sq_ema": Range(0.0, optional=True)}
        )

    def _histories(self) -> dict[str, History]:
        beta1s = {f"beta1_{scope}": history for scope, history in enumerate(self._beta1_histories)}
        return super()._histories() | beta1s | {"surprise": self._surprise_history, "s_bar": self._s_bar_history}

    def _dump_schedule(self) -> dict[str, float | None]:
        scalars = super()._dump_schedule()
        for scope, state in enumerate(self._states):
            scalars[f"lr_accumulator{scope}"] = state.lr_accumulator
            scalars[f"beta1_accumulator{scope}"] = state.beta1_accumulator
        return scalars | self._surprise._asdict()

    def _load_schedule(self, scalars: Mapping[str, Any]) -> None:
        super()._load_schedule(scalars)
        self._states = [
            State(
                base,
                self._read_beta1(self._rates, scope),
                float(scalars[f"lr_accumulator{scope}"]),
                float(scalars[f"beta1_accumulator{scope}"]),
            )
            for scope, base in enumerate(self._rates.bases)
        ]
        grad_sq_ema, *signal = (scalars[name] for name in surprise.State._fields)
        self._surprise = surprise.State(None if grad_sq_ema is None else float(grad_sq_ema), *map(float, signal))
        self._defaults["betas"] = self._param_groups[0]["betas"]

    def __repr__(self) -> str:
        return (
            f"AutoHypergradientAdamW(lr={self.current_lr:.6f}, beta1={self._states[0].beta1:.4f}, "
            f"hyper_lr={self.hyper_lr}, lr_range=[{self.lr_min}, {self.lr_max}], "
            f"adapt_momentum={self.adapt_momentum}, track_surprise={self.track_surprise})"
        )
