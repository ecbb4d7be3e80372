"""How far the rates of `delayed` are from those of the exact rules: what is proven, as functions of what a run shows.

Two runs, of the exact and of the delayed form, start alike. At step t the exact one moves with x_t and learns from h_t,
the delayed one with x'_t and h'_t; x is the rate, or its logarithm for `schedule_log`. With F the schedule,

    x_t = F(x_{t-1}, h_t),    x'_{t+1} = F(x'_t, h'_t),    x_0 = x'_1

**One stream.** Were the hypergradients the same, x'_{t+1} would be x_t: the delayed rate is one move behind, no more.

**Two runs.** |x_t - x'_t| <= |x_t - x_{t-1}| + |x_{t-1} - x'_t|: one move, and what the moves before it differed by.
Where F(x, h) = clip(x - beta h), the clip brings no two numbers further apart, so

    |x_t - x'_t| <= beta |h_t| + beta sum_{s < t} |h_s - h'_s|                                 `bound_by_hypergradients`

With |h| <= H this is at most beta (2 t - 3) H, for h_1 = h'_1 = 0: the worst case, of two runs that move apart at every
step. Within [lr_min, lr_max] no two rates are further apart than these bounds.

**Auto.** F(x, u) = clip(x - u, 0.9 x, 1.1 x), then within [lr_min, lr_max], with u = hyper_lr h / (sqrt(G) + 1e-12).
As a function of x it has slope 0.9, 1 or 1.1, the last only where x < -10 u, the limit from above; as a function of u
its slope is at most 1 in size. So the same sum holds with u for beta h, but the distance so far may grow by a tenth
where the smaller of the two rates met that limit (`bound_by_moves`). And u alone is limited: h^2 / G_s is
100 (1 - 0.99 G_{s-1} / G_s) <= 100 log(G_s / (0.99 G_{s-1})), whose sum over k moves is at most 100 k log(1 / 0.99),
because G starts at 1 and never exceeds it; hence, by Cauchy and Schwarz, sum |u_s| <= 1.0026 hyper_lr k, and after k
moves of the one and k - 1 of the other

    |lr_t - lr'_t| <= 1.0026 hyper_lr (2 k - 1),   0.9^k / 1.1^(k-1) <= lr_t / lr'_t <= 1.1^k / 0.9^(k-1)   `limit_auto`

**In terms of the function.** For gradient descent, d = g, on functions with mu <= Hessian <= L that both runs meet in
the same order, delta_t = ||theta_t - theta'_t|| and the distance of the rates, eps_t = |x_t - x'_t|, obey

    delta_t <= q_t delta_{t-1} + ||g'_t|| eps_t,    q_t = max(|1 - x_t L|, |1 - x_t mu|)
    eps_t   <= beta |h_t| + beta K sum_{s < t} (||g_{s-1}|| delta_{s-1} + ||g'_s|| delta_{s-2}),    K = max(|mu|, L)

the first since theta - x grad f(theta) is q-Lipschitz, the second since <a, b> - <a', b'> = <a - a', b> + <a', b - b'>.
All of it is of first order in beta: as beta -> 0 the distance is beta |h_t|, one move, and a term in beta^2
(`bound_by_curvature`).

Source: derived here.
"""

from collections.abc import Sequence

import numpy as np

from hypergrad_reference.adamw_auto import DECAY, EPS, LARGEST_CHANGE
from hypergrad_reference.types import Vector

GROWTH = float(np.sqrt(-np.log(DECAY) / (1 - DECAY)))
"""How fast sum |u_s| grows, at most, with hyper_lr and the number of moves: less than 1.0026."""


def bound_by_hypergradients(h: Vector, delayed_h: Vector, hyper_lr: float) -> Vector:
    """Bounds of |x_t - x'_t| for t = 1 .. T, additive and logarithmic rules.

        beta |h_t| + beta sum_{s < t} |h_s - h'_s|

    h, delayed_h    (T,)  h_t of the two runs; nan where there was none, the same steps in both
    hyper_lr        beta, of both

    >>> bound_by_hypergradients(np.array([np.nan, 4.0, 2.0]), np.array([np.nan, 3.0, 9.0]), 0.5)
    array([0. , 2. , 1.5])
    """
    h, delayed_h = np.nan_to_num(h), np.nan_to_num(delayed_h)
    apart = np.cumsum(np.abs(h - delayed_h))
    bounds: Vector = hyper_lr * (np.abs(h) + np.concatenate([[0.0], apart[:-1]]))
    return bounds


def form_moves(h: Vector, accumulator: Vector, hyper_lr: float) -> Vector:
    """u_t of AutoHypergradientAdamW, before any limit; 0 where h is nan.

    h, accumulator    (T,)  h_t after its clip, and G_t

    >>> form_moves(np.array([np.nan, -0.5]), np.array([1.0, 0.25]), 0.5)
    array([ 0. , -0.5])
    """
    moves: Vector = hyper_lr * np.nan_to_num(h) / (np.sqrt(accumulator) + EPS)
    return moves


def bound_by_moves(lr: Vector, delayed_lr: Vector, moves: Vector, delayed_moves: Vector) -> Vector:
    """Bounds of |lr_t - lr'_t| for t = 1 .. T, AutoHypergradientAdamW.

        min(|u_t|, lr_{t-1} / 10) + A_{t-1},    A_s = c_s A_{s-1} + |u_s - u'_s|

    c_s is 1.1 where the smaller of lr_{s-1} and lr'_s was limited to a tenth upwards, x < -10 u of its own, else 1.

    lr               (T,)  lr_{t-1}, the rate before the move of step t of the exact run
    delayed_lr       (T,)  lr'_t, the same of the delayed one: the rate that step t moved with
    moves            (T,)  u_t of form_moves, and of the delayed run

    >>> bound_by_moves(np.array([1.0, 2.0]), np.array([1.0, 1.0]), np.array([0.05, -0.5]), np.array([0.0, 0.5]))
    array([0.05, 0.25])
    """
    bounds, apart = [], 0.0
    for x, other, u, v in zip(lr.tolist(), delayed_lr.tolist(), moves.tolist(), delayed_moves.tolist(), strict=True):
        bounds.append(min(abs(u), LARGEST_CHANGE * x) + apart)
        least, move = (x, u) if x < other else (other, v)
        apart = (1 + LARGEST_CHANGE if LARGEST_CHANGE * least < -move else 1.0) * apart + abs(u - v)
    return np.array(bounds)


def limit_auto(k: int, hyper_lr: float) -> tuple[float, float, float]:
    """What the limits of a move alone imply after k moves of the exact run and k - 1 of the delayed one.

    k    >= 1; with `warmup_steps` w >= 1 it is t - w at step t

    Returns the largest |lr_t - lr'_t|, and the least and the largest lr_t / lr'_t, the bounds of the rate left aside.

    >>> [round(number, 12) for number in limit_auto(2, 0.01)[1:]]
    [0.736363636364, 1.344444444444]
    """
    low, high = 1 - LARGEST_CHANGE, 1 + LARGEST_CHANGE
    return GROWTH * hyper_lr * (2 * k - 1), low**k / high ** (k - 1), high**k / low ** (k - 1)


def bound_by_curvature(
    lr: Vector,
    h: Vector,
    norms: Vector,
    delayed_norms: Vector,
    hyper_lr: float,
    curvature: tuple[float, float],
) -> tuple[Vector, Vector]:
    """Bounds of |lr_t - lr'_t| and of ||theta_t - theta'_t|| for t = 1 .. T: SGDHD, additive, without momentum.

    lr               (T,)  lr_t, the rate that step t of the exact run moves with
    h                (T,)  h_t of the exact run; nan where there was none
    norms            (T,)  ||g_t|| of the exact run, and of the delayed one
    curvature        mu and L: bounds of the eigenvalues of every Hessian between the two runs

    The delayed run enters by the norms of its gradients alone.

    >>> one, half = np.ones(3), np.full(3, 0.5)
    >>> rates, points = bound_by_curvature(half, np.array([np.nan, -1.0, -1.0]), one, one, 0.25, (0.0, 1.0))
    >>> rates, points
    (array([0.  , 0.25, 0.25]), array([0.  , 0.25, 0.5 ]))
    """
    low, high = curvature
    largest = max(abs(low), high)
    h = np.abs(np.nan_to_num(h))
    rates: list[float] = []
    points = [0.0]  # points[t] bounds the distance of theta_t
    apart = 0.0  # beta sum of |h_s - h'_s| so far
    for t in range(1, len(lr) + 1):
        rates.append(hyper_lr * float(h[t - 1]) + apart)
        q = max(abs(1 - lr[t - 1] * low), abs(1 - lr[t - 1] * high))
        points.append(float(q) * points[t - 1] + float(delayed_norms[t - 1]) * rates[-1])
        if t > 1:
            before = norms[t - 2] * points[t - 1] + delayed_norms[t - 1] * points[t - 2]
            apart += hyper_lr * largest * float(before)
    return np.array(rates), np.array(points[1:])


def find_largest_direction(beta1: float, beta2: float, steps: int) -> float:
    """The largest entry that a direction of AdamW can have within `steps` steps from the start.

        |m_hat| <= sqrt(sum a_i^2 / b_i) sqrt(v_hat),   a_i, b_i the weights of g_i in m_hat and of g_i^2 in v_hat

    by Cauchy and Schwarz; so |h_t| <= this times sum |g_t|. It is 1 at the first step.

    >>> find_largest_direction(0.9, 0.999, 1)
    1.0
    """
    return max(_largest_at(beta1, beta2, t) for t in range(1, steps + 1))


def _largest_at(beta1: float, beta2: float, t: int) -> float:
    ages: Sequence[int] = range(t)
    first, second = (1 - beta1) / (1 - beta1**t), (1 - beta2) / (1 - beta2**t)
    squares = sum((first * beta1**age) ** 2 / (second * beta2**age) for age in ages)
    return float(np.sqrt(squares))
