"""TuningFreeAdamW: AdamW that needs no learning rate, and whose answer is an average."""

import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hypergrad._core.averaging import AveragingOptimizer
from hypergrad._core.checks import OPTIONS, check_options, show
from hypergrad._core.defaults import AUTO, DefaultNumber
from hypergrad._core.files import PathName
from hypergrad._core.policy import Policy
from hypergrad.errors import ArgumentError, AveragesWarning
from hypergrad_reference.adamw_free_rule import Rule
from hypergrad_reference.adamw_free_schedule import VARIANTS, G

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice

STARTS = {"G": ((0.7, 0.999), 1e-4), "K": ((0.9, 0.999), 1e-5)}
"""The betas and the lr_start of a variant, where the caller gives none."""
BETAS = STARTS["G"][0]

HINT = (
    "the parameters hold points of training, and the answer is their average: save opt.averages(), or the model inside "
    "`with opt.averaged_weights():`, or call opt.use_averages() at the end of training"
)


class Settings(NamedTuple):
    """The options of TuningFreeAdamW that do not belong to its groups."""

    variant: str
    delay: int
    every: int
    maximize: bool
    grad_scale: float
    clear_grad: bool
    nonfinite: str

    def check(self) -> "Settings":
        """The same as plain Python values."""
        return Settings(**check_options(**self._asdict()))

    def form_policy(self) -> Policy:
        """What the step is told."""
        return Policy("global", G.lr_min, G.lr_max, self.nonfinite, self.clear_grad)

    def form_rule(self) -> Rule:
        """The rule with these constants."""
        constants = VARIANTS[self.variant]._replace(delay=bool(self.delay), every=self.every)
        return Rule(constants, -self.grad_scale if self.maximize else self.grad_scale)


class TuningFreeAdamW(AveragingOptimizer):
    """AdamW without a learning rate and without a horizon. The weights to use are the averages.

        c  = <g, a> / (||g|| ||a||),   a the way from the iterate back to its average
        lr = lr exp(0.3 phi c),        more while it climbs, less later: `hypergrad_reference.adamw_free`

    While training the parameters hold the points where gradients are to be taken, between the iterate and its average.
    The loss there says little; `averages`, `averaged_weights` and `use_averages` give the answer.

    params          as in AdamW. A group may have its own betas, eps and weight_decay
    betas           two numbers in [0, 1); (0.9, 0.999) with variant="K"
    eps             > 0, in units of the gradient
    weight_decay    decoupled, >= 0, per unit of lr; lr weight_decay stays below 1/2
    lr_start        > 0, where the search for a rate starts; 1e-5 with variant="K". A tenth or ten times as much changes
                    little
    delay           1: the cosine of a step moves the rate of the next, in one pass over the arrays instead of two
    every           steps from look to look, once a hundred steps are done: 8 saves memory traffic
    variant         "G"; "K", gradients at the iterate, for smooth problems of few variables
    lr              is not taken: there is none to tune. What the rate is stands in current_lr and lr_history

    The other arguments, and what is raised, are those of AdamW.

    Where it fails: data that can be fitted exactly, fewer than about 500 steps, fine-tuning, batches of 4 and fewer.
    Not from a paper: found by experiment, and measured by `make arena`.

    >>> x = np.array([4.0, -2.0])
    >>> opt = TuningFreeAdamW([x], device="numpy")
    >>> for _ in range(500):
    ...     opt.step(gradients=[x])
    >>> bool(np.abs(opt.averages()[0]).max() < 1e-3)
    True
    >>> with opt.averaged_weights():
    ...     bool(np.array_equal(x, opt.averages()[0]))
    True
    """

    options = Settings._fields
    settable: tuple[str, ...] = ("nonfinite", "grad_scale")

    variant: str
    delay: int
    every: int
    maximize: bool
    grad_scale: float

    _hinted = False

    def __init__(
        self,
        params: Iterable[Any],
        *,
        betas: tuple[float, float] = BETAS,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        lr_start: float = DefaultNumber(1e-4),
        delay: int = 0,
        every: int = 1,
        variant: str = "G",
        maximize: bool = False,
        grad_scale: float = 1.0,
        clear_grad: bool = False,
        nonfinite: str = "raise",
        use_gpu: bool | None = None,
        device: "DeviceChoice" = AUTO,
        records_to: "PathName | None" = None,
        lr: None = None,
    ) -> None:
        _refuse_rate("", lr)
        settings = Settings(variant, delay, every, maximize, grad_scale, clear_grad, nonfinite).check()
        own_betas, own_start = STARTS[settings.variant]
        first = own_start if isinstance(lr_start, DefaultNumber) else OPTIONS["lr_start"]("lr_start", lr_start)
        defaults = {
            "lr": first, "betas": own_betas if betas is BETAS else betas, "eps": eps, "weight_decay": weight_decay,
        }  # fmt: skip
        if not isinstance(params, (Mapping, np.ndarray)) and isinstance(params, Iterable):
            params = list(params)
            for number, entry in enumerate(params):
                if isinstance(entry, Mapping):
                    _refuse_rate(f"params[{number}]: ", entry.get("lr"))
        super().__init__(params, settings, defaults, use_gpu, device, records_to)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Take up more parameters, at any time, as `Optimizer.add_param_group` says; a group has no "lr" of its own."""
        self._check_not_lent("add_param_group")
        if isinstance(group, Mapping):
            _refuse_rate("group: ", group.get("lr"))
        super().add_param_group(group)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that state_dict gave, as `Optimizer.load_state_dict` says.

        The parameters to restore are the points of training, not the averages.
        """
        self._check_not_lent("load_state_dict")
        super().load_state_dict(state)

    def save(self, path: PathName) -> None:
        """Write state_dict as `Optimizer.save` does. Once, an AveragesWarning says which weights are the answer."""
        super().save(path)
        at_points = self._lent is None and any(one.next_clock for one in self._state.learned)
        if at_points and not self._hinted:
            self._hinted = True
            warnings.warn(HINT, AveragesWarning, stacklevel=2)

    def __repr__(self) -> str:
        return (
            f"TuningFreeAdamW(lr={self.current_lr:.6g}, variant={self.variant!r}, delay={self.delay}, "
            f"every={self.every}); the weights to use are averages()"
        )


def _refuse_rate(where: str, lr: object) -> None:
    if lr is not None:
        raise ArgumentError(
            f"{where}lr={show(lr)}: TuningFreeAdamW finds its rate itself, leave lr out; lr_start says where the "
            "search starts, and hypergrad.AdamW takes a rate"
        )
