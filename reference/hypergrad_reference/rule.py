"""What a rule of an optimizer is, and the total over parameter groups that every rule learns from.

    products    which inner products a step needs of a tensor       loop 1 forms them: `loops.inner_products`
    total       their sums over the tensors that share one rate     `total_over_groups`
    schedule    scalars to scalars: the next rate, and a record that says why it moved
    scalars     what loop 2 needs: `loops.update`

A rule is a value: a NamedTuple of constants with the pure functions of `Rule`, which see numbers and never arrays.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeVar

from hypergrad_reference.sums import total, weighted_total
from hypergrad_reference.types import Vector

Scalars: TypeAlias = tuple[float, ...]
"""What loop 2 needs: a NamedTuple, whose type says which update it belongs to."""


Bounds: TypeAlias = tuple[float, float]
"""The smallest and the largest value of a learned rate."""


class Sums(NamedTuple):
    """Inner products of one step, over the tensors that moved at t-1 and have a gradient at t; nan if not formed.

    rho is the rate of a tensor's group in units of the rate that is learned. The last two, of rules with averages, and
    ||g_t||^2 beside them, are over all tensors that have a gradient.
    """

    grad_direction: float = (
        math.nan
    )  # sum rho <g_t, d_{t-1}>, minus the derivative of the loss for the rate of step t-1
    grad_grad: float = math.nan  # sum ||g_t||^2
    direction_direction: float = math.nan  # sum rho^2 ||d_{t-1}||^2
    last_grad_grad: float = math.nan  # sum ||g_{t-1}||^2
    grad_exp_avg: float = math.nan  # sum <g_t, m_{t-1}>
    decayed_grad_direction: float = math.nan  # grad_direction, weight decay included
    lr_grad_beta1_derivative: float = math.nan  # sum lr <g_t, dd_{t-1}/dbeta1>, lr as used at t-1
    step_step: float = 0.0  # sum ||step||^2 of step t-1, over the tensors that moved then
    grad_lag: float = math.nan  # sum <g_t, a>, a from the iterate towards its past
    lag_lag: float = math.nan  # sum ||a||^2


class Term(NamedTuple):
    """What tensors with one history contribute to the sums of a step."""

    ratio: float  # rho, their rate in units of the rate that is learned
    lr: float  # their rate and decoupled weight decay at step t-1
    weight_decay: float
    blocks: Sequence[Mapping[str, Vector]]  # for each tensor its block sums, by name of the product
    last_grad_grad: Sequence[Vector] = ()  # for each tensor the block sums of ||g_{t-1}||^2


def total_over_groups(terms: Sequence[Term]) -> Sums | None:
    """Sum the inner products over all tensors that share a learned rate.

        grad_direction            sum rho <g, d>
        decayed_grad_direction    sum rho (<g, d> + wd <g, theta>) / (1 - lr wd)
        direction_direction       sum rho^2 ||d||^2

    A group steps with rho times the learned rate, so its share of the derivative carries a factor rho. With decay, the
    step was theta_t = theta_{t-1} (1 - lr wd) - lr d, hence, put in terms of theta_t, -dtheta_t/dlr is
    (d + wd theta_t) / (1 - lr wd). Tensors of one factor are added exactly before anything is rounded.

    terms    one per history; all have the same products

    Returns None where no tensor counts, as in a first step. Source: derived here.

    >>> import numpy as np
    >>> one = Term(1.0, 0.25, 0.0, [{"grad_direction": np.array([3.0]), "grad_theta": np.array([5.0])}])
    >>> two = Term(2.0, 0.5, 0.5, [{"grad_direction": np.array([1.0]), "grad_theta": np.array([4.0])}])
    >>> sums = total_over_groups([one, two])
    >>> sums.grad_direction, sums.decayed_grad_direction, sums.grad_grad
    (5.0, 11.0, nan)
    """
    if not terms:
        return None
    formed = terms[0].blocks[0].keys()

    def add(name: str, power: int) -> float:
        if name not in formed:
            return math.nan
        return weighted_total((term.ratio**power, [blocks[name] for blocks in term.blocks]) for term in terms)

    return Sums(
        grad_direction=add("grad_direction", 1),
        grad_grad=add("grad_grad", 0),
        direction_direction=add("direction_direction", 2),
        last_grad_grad=total(blocks for term in terms for blocks in term.last_grad_grad),
        grad_exp_avg=add("grad_exp_avg", 0),
        decayed_grad_direction=_total_decayed(terms) if "grad_theta" in formed else math.nan,
        lr_grad_beta1_derivative=weighted_total(
            (term.lr, [blocks["grad_beta1_derivative"] for blocks in term.blocks]) for term in terms
        )
        if "grad_beta1_derivative" in formed
        else math.nan,
    )


def total_with_averages(formed: Sequence[Mapping[str, Vector]], left: Sequence[Mapping[str, Vector]]) -> Sums | None:
    """Sum the inner products that a rule with averages learns from, over all tensors.

    formed    for each tensor its block sums, by name of the product; one that has not moved yet has no <g, a>
    left      for each tensor that moved at t-1 the block sums that the pass of that step left behind

    Returns None where there is nothing to sum.

    >>> import numpy as np
    >>> formed = [{"grad_grad": np.array([4.0]), "lag_lag": np.array([1.0])}, {"grad_grad": np.array([5.0])}]
    >>> sums = total_with_averages(formed, [{"step_step": np.array([2.0])}])
    >>> sums.grad_grad, sums.lag_lag, sums.grad_lag, sums.step_step
    (9.0, 1.0, nan, 2.0)
    """
    if not formed:
        return None

    def add(tensors: Sequence[Mapping[str, Vector]], name: str, without: float = math.nan) -> float:
        blocks = [sums[name] for sums in tensors if name in sums]
        return total(blocks) if blocks else without

    return Sums(
        grad_grad=add(formed, "grad_grad"), grad_lag=add(formed, "grad_lag"), lag_lag=add(formed, "lag_lag"),
        step_step=add(left, "step_step", 0.0),
    )  # fmt: skip


def _total_decayed(terms: Iterable[Term]) -> float:
    alike: dict[tuple[float, float, float], list[Mapping[str, Vector]]] = {}
    for term in terms:
        alike.setdefault((term.ratio, term.lr, term.weight_decay), []).extend(term.blocks)
    return math.fsum(
        ratio
        * decay_grad_direction(
            total(blocks["grad_direction"] for blocks in tensors),
            total(blocks["grad_theta"] for blocks in tensors),
            lr,
            weight_decay,
        )
        for (ratio, lr, weight_decay), tensors in alike.items()
    )


def decay_grad_direction(grad_direction: float, grad_theta: float, lr: float, weight_decay: float) -> float:
    """<g_t, d_{t-1}> of one tensor, with its weight decay: minus the derivative of the next loss with respect to lr.

        -dL/dlr = (<g_t, d_{t-1}> + wd <g_t, theta_t>) / (1 - lr wd)

    grad_direction    <g_t, d_{t-1}>
    grad_theta        <g_t, theta_t>, theta_t the point where g_t was taken
    lr, weight_decay  as used at step t-1; lr weight_decay != 1

    >>> decay_grad_direction(3.0, 2.0, 0.5, 0.5)
    5.333333333333333
    """
    return (grad_direction + weight_decay * grad_theta) / (1 - lr * weight_decay)


class Options(NamedTuple):
    """What the tensors of a parameter group step with at t; scalars in float64."""

    lr: float
    beta1: float = 0.0
    beta2: float = 0.0
    eps: float = 1.0
    weight_decay: float = 0.0  # decoupled
    learned: Any = None  # what the rule has learned, with the clock of its averages


class History(NamedTuple):
    """What tensors share that are of one group and have always stepped together; scalars in float64.

    Whatever loop 2 left behind in numbers is here, so it is formed once for all of them.
    """

    group: int
    step: int = 0  # number of steps that they have taken
    moved: bool = False  # whether they took the latest step of the optimizer
    observed: bool = False  # whether the running mean of their gradient has begun
    lr: float = math.nan  # of their latest step, as the next three
    weight_decay: float = math.nan
    last_beta1_power: float = 1.0  # product of the beta1 of all their steps but the latest
    beta1_power: float = 1.0  # with the latest
    scalars: Scalars | None = None  # what loop 2 was given; None where loop 1 will not ask for it

    def advance(self, options: Options, scalars: Scalars, observed: bool) -> "History":
        """The history after a step.

        >>> History(0, 1, beta1_power=0.5).advance(Options(0.25, beta1=0.5), (1.0,), False)[1:6]
        (2, True, False, 0.25, 0.0)
        """
        return History(
            self.group, self.step + 1, True, self.observed or observed, options.lr, options.weight_decay,
            self.beta1_power, self.beta1_power * options.beta1, scalars,
        )  # fmt: skip


class Averages(NamedTuple):
    """What an optimizer must know of a rule whose answer is an average of the iterates; see `adamw_free`."""

    interpolation: float  # b: the caller's arrays hold theta + b E2
    rho: float  # a = E1 - rho E2
    left: tuple[str, ...]  # products whose block sums loop 2 leaves in `loops.Arrays.left`, row by row
    every: int = 1  # of the lazy form: a is formed at every so-many-th step; see `adamw_free_schedule.looks`


class Traits(NamedTuple):
    """What an optimizer must know of its rule before the first step."""

    keeps: tuple[str, ...]  # names of the arrays kept of a tensor, fields of `loops.Arrays`; zeros at first
    grad_scale: float = 1.0  # every gradient is multiplied by it first; negative to climb
    couples_decay: bool = False  # weight decay is part of the gradient
    adapts_beta1: bool = False  # beta1 is learned, as the field `beta1` of what is learned
    decays_hypergradient: bool = False  # the derivative includes weight decay, which needs lr weight_decay != 1
    remembers_norm: bool = False  # the block sums of ||g_t||^2 are kept for the next step
    averages: Averages | None = None  # of a rule that has some: the rate learns from them, in every tensor


class Record(Protocol):
    """Why a rate moved in one step, or did not. Each rule has a NamedTuple of its own; its first fields are these."""

    @property
    def step(self) -> int:
        """The step of the optimizer that the record belongs to, from 1."""
        ...

    @property
    def lr_before(self) -> float:
        """The learned rate before the step."""
        ...

    @property
    def lr(self) -> float:
        """The learned rate after it."""
        ...

    @property
    def hypergradient(self) -> float:
        """h, the derivative of the loss at t with respect to the rate of step t-1, in units of loss / lr.

        Negative: a larger rate would have helped. nan where none was formed.
        """
        ...

    @property
    def reason(self) -> str:
        """What the rule did with h, or why it did nothing, in a few words."""
        ...


class Rate(NamedTuple):
    """What most rules learn: a rate alone."""

    lr: float


Learned = TypeVar("Learned", bound=tuple[Any, ...])


class Rule(Protocol[Learned]):
    """What an optimizer asks of its rule. The functions are pure; constants are fields of the rule."""

    @property
    def traits(self) -> Traits:
        """What an optimizer must know of the rule before the first step."""
        ...

    def init(self, lr: float, beta1: float) -> Learned:
        """What is learned, before the first step; lr is a field of it."""
        ...

    def edit(self, learned: Learned, lr: float, beta1: float) -> Learned:
        """What is learned, after the user has written another rate or beta1."""
        ...

    def products(self, step: int, history: History) -> tuple[str, ...]:
        """The inner products that the schedule of step t needs of a tensor; keys of `loops.INNER_PRODUCTS`."""
        ...

    def schedule(self, step: int, learned: Learned, sums: Sums | None, bounds: Bounds) -> tuple[Learned, Record]:
        """What is learned at step t, and a record, which is a NamedTuple.

        sums      None where no tensor tells how the rate of step t-1 did
        bounds    of the rate; a rule that has none passes over them
        """
        ...

    def scalars(self, options: Options, history: History) -> Scalars:
        """What loop 2 needs at the next step of the tensors of a history."""
        ...
