"""The transition from an adapted to a fixed rate (Baydin et al. 2018, section 5.1).

    gamma_t = delta(t) alpha_t + (1 - delta(t)) alpha_inf        delta(1) = 1, delta(t) -> 0
    theta_t = theta_{t-1} - gamma_t d_t

Theorem 5.1: for f convex with an L-Lipschitz gradient bounded by M, full gradients, 0 < alpha_inf < 1/L and
t delta(t) -> 0, theta_t converges to a minimiser. The text points to the multiplicative rule, whose rate may grow like
(1 + beta')^t; the proof is for the additive one, by |alpha_t| <= |alpha_0| + t beta M^2. Since h_1 = 0, t - 1 will do:

    |gamma_t - alpha_inf| <= delta(t) (|alpha_0| + (t - 1) beta M^2 + alpha_inf)        derived here
"""

from collections.abc import Callable

from hypergrad_reference.hypergradient import Record, Schedule
from hypergrad_reference.rule import Sums


def inverse_square(step: int) -> float:
    """delta(t) = 1 / t^2, the paper's example; t delta(t) -> 0, which 1 / t does not satisfy.

    >>> inverse_square(1), inverse_square(4)
    (1.0, 0.0625)
    """
    return 1 / step**2


def schedule_transition(
    step: int,
    lr: float,
    sums: Sums | None,
    adapt: Schedule,
    lr_final: float,
    delta: Callable[[int], float] = inverse_square,
) -> Record:
    """The next rate of any rule, and its blend with a fixed one.

        alpha_t = adapt(t, alpha_{t-1}, sums)
        gamma_t = delta(t) alpha_t + (1 - delta(t)) alpha_inf

    step, lr, sums    t, alpha_{t-1} and the inner products; h_t stays -<g_t, d_{t-1}>
    adapt             schedule_additive or schedule_multiplicative, constants bound
    lr_final          alpha_inf, a rate that one would trust if it were fixed
    delta             from the step number to a weight in [0, 1], with delta(1) = 1

    Returns the record of adapt, `applied` being gamma_t. Raises ValueError for a weight outside [0, 1].
    Source: Baydin et al. 2018, section 5.1. The derivative of the loss for alpha_{t-1} is delta(t-1) h_t; that the rule
    has no such factor is how we read it.

    >>> from functools import partial
    >>> from hypergrad_reference.hypergradient import schedule_additive
    >>> adapt = partial(schedule_additive, hyper_lr=0.25)
    >>> record = schedule_transition(2, 1.0, Sums(4.0, 9.0, 4.0), adapt, lr_final=0.5)
    >>> record.lr, record.applied
    (2.0, 0.875)
    """
    weight = delta(step)
    if not 0 <= weight <= 1:
        raise ValueError(f"delta({step}) is {weight}: give a delta with values in [0, 1]")
    record = adapt(step, lr, sums)
    return record._replace(applied=weight * record.lr + (1 - weight) * lr_final)
