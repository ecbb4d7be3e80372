"""TuningFreeAdamW: AdamW that needs no learning rate, and whose answer is an average."""

import warnings
from collections.abc import Iterable, Mapping, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from hypergrad._core.averaging import AveragingOptimizer
from hypergrad._core.checks import show
from hypergrad._core.defaults import AUTO, DefaultNumber
from hypergrad._core.describe import OTHERS, describe
from hypergrad._core.files import PathName
from hypergrad._core.options import NOT_STOP, OPTIONS, Nonfinite, Variant, freeze
from hypergrad._core.policy import Kind, Policy
from hypergrad.errors import ArgumentError, AveragesWarning
from hypergrad_reference.adamw_free_rule import Rule
from hypergrad_reference.adamw_free_schedule import VARIANTS, G

if TYPE_CHECKING:
    from hypergrad._core.backend import DeviceChoice

STARTS = {"G": ((0.7, 0.995), 1e-4), "K": ((0.9, 0.999), 1e-5)}
"""The betas and the lr_start of a variant, where the caller gives none."""
BETAS = STARTS["G"][0]

HINT = (
    "the parameters hold points of training, and the answer is their average: save opt.averages(), or the model inside "
    "`with opt.averaged_weights():`, or call opt.use_averages() at the end of training"
)


class Options:
    """The options of TuningFreeAdamW, those of groups excepted."""

    variant: Variant
    delay: int
    every: int
    maximize: bool
    grad_scale: float
    clear_grad: bool
    nonfinite: Nonfinite


Settings = freeze(Options)


def form_policy(o: Options) -> Policy:
    """The constants of the step."""
    return Policy("global", G.lr_min, G.lr_max, o.nonfinite, o.clear_grad)


def form_rule(o: Options) -> Rule:
    """The rule with these constants."""
    constants = VARIANTS[o.variant]._replace(delay=bool(o.delay), every=o.every)
    return Rule(constants, -o.grad_scale if o.maximize else o.grad_scale)


@describe(
    nonfinite=NOT_STOP,
    params=OTHERS["params"].replace(', "lr": ...', ', "betas": ...'),
    betas='the shares that the running means of g and of g^2 keep in a step; (0.9, 0.999) with variant="K"',
    weight_decay="decoupled, theta (1 - lr weight_decay), in units of 1 / lr; lr weight_decay stays below 1/2",
    lr_start='where the search for a rate starts; 1e-5 with variant="K". A tenth or ten times as much changes little',
    delay="1: the cosine of a step moves the rate of the next, in one pass over the arrays instead of two",
    lr="is not taken: there is none to tune. What the rate is stands in current_lr and lr_history",
)
class TuningFreeAdamW(AveragingOptimizer, Options):
    """AdamW without a learning rate and without a horizon. The weights to use are the averages.

        c  = <g, a> / (||g|| ||a||),   a the way from the iterate back to its average
        lr = lr exp(0.3 phi c),        more while it climbs, less later: `hypergrad_reference.adamw_free`

    While training the parameters hold the points where gradients are to be taken, between the iterate and its average.
    The loss there says little; `averages`, `averaged_weights` and `use_averages` give the answer.

    Where it fails: runs of 500 steps and fewer, fine-tuning, batches of 4 and fewer. Where data can be fitted exactly,
    stop by validation. It was measured on runs of 1000 to 4000 steps. Not from a paper: found by experiment, and
    measured by `make arena`.

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

    settable = ("nonfinite", "grad_scale")

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
        variant: Variant = "G",
        maximize: bool = False,
        grad_scale: float = 1.0,
        clear_grad: bool = False,
        nonfinite: Nonfinite = "raise",
        use_gpu: bool | None = None,
        device: "DeviceChoice" = AUTO,
        records_to: "PathName | None" = None,
        lr: None = None,
    ) -> None:
        _refuse_rate("", lr)
        own_betas, own_start = STARTS[OPTIONS["variant"].check("variant", variant)]
        if not isinstance(lr_start, DefaultNumber):
            own_start = OPTIONS["lr_start"].check("lr_start", lr_start)
        given = {**locals(), "lr": own_start, "betas": own_betas if betas is BETAS else betas}
        del given["lr_start"]
        if not isinstance(params, (Mapping, Set, np.ndarray)) and isinstance(params, Iterable):
            params = list(params)
            for number, entry in enumerate(params):
                if isinstance(entry, Mapping):
                    _refuse_rate(f"params[{number}]: ", entry.get("lr"))
        super().__init__(params, given, Kind(Settings, form_policy, form_rule))

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
        at_points = self._lent is None and any(one.next_clock for one in self._run.state.learned)
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
