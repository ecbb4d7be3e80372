"""OSGM-Best, the online scaled gradient method with heavy ball, as the authors' code has it.

    trial      x+ = x - p g + beta d,   d = x - x_previous,   p diagonal
    den        = ||g||^2 + 1e-12 in phase 1, ||g||^2 + (tau/2) ||d||^2 in phase 2,   tau = L^2 / 2
    learners   of p and beta on v g / den and <v, d> / den, v = g+ + omega (x+ - x):  AdaGrad with rates
               eta = 1 / L and min(1, L), then clipped to [0, 1e5 / L] and [0, 0.9995]
    lookahead  in phase 2, if ||g+|| > 2 ||g||:  c = x+ - t p g+, the first t of 1, 0.8, 0.8^2, ... above 1e-6 with
               f(c) <= f(x+) - (t/2) <g+, p g+>;  otherwise, or if there is none, c = x+
    null step  x = c if f(c) <= f(x), else x stays and the next d is 0
    phase 2    begins when more than min(maxiter / 4, 200) steps (and 20) are accepted net of 2 a refusal: L becomes
               the mean of ||g+ - g|| / ||x+ - x|| over the accepted steps longer than 1e-3, and p's AdaGrad sum 0

In phase 1 eta shrinks by 0.8 every 50 iterations. L starts as the largest curvature met by three probes of length 1e-4.
Oddities kept: with maxiter = 1000 phase 2 takes more than 200 net accepted steps, so that short runs never look ahead;
if none was longer than 1e-3, L becomes NaN and p with it (NumPy warns), which `step_corrected` prevents; min(1, L) ties
the method to the scale of f.

Source: authors' code (branch of June 2025) for Gao et al. 2025 (Part II), whose abstract names the parts; the body of
the paper is not known. The gradient budget of the code is the driver's business.
"""

from typing import NamedTuple

import numpy as np

from hypergrad_reference.learner import adagrad
from hypergrad_reference.objective import Objective
from hypergrad_reference.types import Vector

PROBE = 1e-4  # length of the probes of the curvature
BETA_MAX = 0.9995
LONG_STEP = 1e-3  # in x: shorter steps tell nothing about the curvature


class Constants(NamedTuple):
    """What the user sets; the authors set nothing."""

    smoothness: float | None = None  # L; None is an estimate by probes, three gradients
    seed: int = 0  # of the directions of the probes; the authors draw theirs from NumPy's global generator
    beta: float = 0.95  # at the start
    omega: float = 0.0  # of the potential, in units of L
    maxiter: int = 1000  # sets only when phase 2 begins


class State(NamedTuple):
    """What OSGM-Best carries from one iteration to the next."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # (n,), at x
    displacement: Vector  # d = x - x_previous, (n,), zeros at the start and after a refusal

    P: Vector  # the diagonal p, (n,), zeros at the start
    memory: Vector  # AdaGrad's sum for p, (n,)
    beta: float  # momentum
    momentum_memory: float  # AdaGrad's sum for beta
    lr: float  # eta of p

    smoothness: float  # L, estimated
    phase: int  # 1 or 2
    accepted: int  # steps, net: less 2 a refusal, never below 0
    ratio_sum: float  # of ||g+ - g|| / ||x+ - x|| over the long accepted steps
    ratio_count: int
    iteration: int  # k of the iteration to come, from 1


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1; f and its gradient at x0, (n,) float64, and the probes unless smoothness is given.

    Raises ValueError unless smoothness is None or > 0.
    """
    value, gradient = objective.value_and_gradient(x0)
    smoothness = constants.smoothness
    if smoothness is None:
        smoothness = probe_smoothness(objective, x0, gradient, constants.seed)
    if not smoothness > 0:
        raise ValueError(f"smoothness is {smoothness}: give L > 0, or None where the gradient is not constant")
    zeros = np.zeros_like(x0)
    return State(
        x=x0.copy(),
        value=value,
        gradient=gradient,
        displacement=zeros,
        P=zeros,
        memory=zeros,
        beta=constants.beta,
        momentum_memory=0.0,
        lr=1 / smoothness,
        smoothness=smoothness,
        phase=1,
        accepted=0,
        ratio_sum=0.0,
        ratio_count=0,
        iteration=1,
    )


def probe_smoothness(objective: Objective, x: Vector, gradient: Vector, seed: int) -> float:
    """The largest ||grad f(x + delta) - g|| / 1e-4 over three random delta of length 1e-4; 1e-5 for each inf or NaN.

    gradient    g, (n,), at x
    seed        of numpy.random.default_rng

    >>> from hypergrad_reference.objective import Quadratic
    >>> square, x = Quadratic(np.array([[2.0]]), np.array([0.0])), np.array([4.0])
    >>> round(probe_smoothness(square, x, square.gradient(x), seed=0), 6)
    2.0
    """
    curvatures = []
    for direction in np.random.default_rng(seed).standard_normal((3, len(x))):
        probe = x + PROBE * direction / np.linalg.norm(direction)
        curvature = float(np.linalg.norm(objective.gradient(probe) - gradient)) / PROBE
        curvatures.append(curvature if np.isfinite(curvature) else 1e-5)
    return max(curvatures)


def step_corrected(objective: Objective, state: State, constants: Constants) -> State:
    """As `step`, but phase 2 waits for a step longer than 1e-3 that met a curvature, so that L stays a number > 0.

    Derived here: with the authors' step a run in which x moves by less than 1e-3 at a time ends in NaN.
    """
    moved = _advance(objective, state, constants)
    return _end_iteration(moved, state.iteration, constants) if moved.ratio_sum else _decay(moved, state.iteration)


def step(objective: Objective, state: State, constants: Constants) -> State:
    """Iteration k of OSGM-Best. The equations are at the top of the module.

    Costs one evaluation of f and its gradient, and in phase 2 those of the lookahead.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square, constants = Quadratic(np.array([[2.0]]), np.array([0.0])), Constants(smoothness=4.0)
    >>> state = step(square, init(square, np.array([4.0]), constants), constants)
    >>> state.x, state.P.round(9), state.accepted
    (array([4.]), array([0.25]), 1)
    >>> state = step(square, state, constants)
    >>> state.x.round(9), state.displacement.round(9), state.accepted
    (array([2.]), array([-2.]), 2)
    """
    return _end_iteration(_advance(objective, state, constants), state.iteration, constants)


def _advance(objective: Objective, state: State, constants: Constants) -> State:
    """An iteration up to the change of phase: trial, learners, lookahead, null step."""
    s, g, d = state, state.gradient, state.displacement
    move = -s.P * g + s.beta * d
    trial = s.x + move
    trial_value, trial_gradient = objective.value_and_gradient(trial)

    den = float(g @ g) + (s.smoothness**2 / 4 * float(d @ d) if s.phase == 2 else 1e-12)
    steepness = trial_gradient + constants.omega * s.smoothness * move
    P, memory = adagrad(s.P, -(steepness * g) / den, s.memory, s.iteration, s.lr)
    slope = np.asarray(steepness @ d) / den
    beta, momentum_memory = adagrad(
        np.asarray(s.beta), slope, np.asarray(s.momentum_memory), s.iteration, min(1.0, s.smoothness)
    )
    adapted = s._replace(
        P=np.minimum(np.maximum(P, 0.0), 1e5 / s.smoothness),
        memory=memory,
        beta=float(np.minimum(np.maximum(beta, 0.0), BETA_MAX)),
        momentum_memory=float(momentum_memory),
        iteration=s.iteration + 1,
    )
    if s.phase == 2 and np.linalg.norm(trial_gradient) > 2 * np.linalg.norm(g):
        return _look_ahead(objective, s, adapted, trial, trial_value, trial_gradient)
    return _move(s, adapted, trial, trial_value, trial_gradient, trial, trial_gradient)


def _look_ahead(
    objective: Objective, state: State, adapted: State, trial: Vector, value: float, gradient: Vector
) -> State:
    """Search from the trial point along -p g+, with the p that was tried, and take what is found or not."""
    direction = state.P * gradient
    decrease = float(gradient @ direction)
    t = 1.0
    while t > 1e-6:
        point = trial - t * direction
        ahead = objective.value(point)
        if ahead <= value - 0.5 * t * decrease:
            # The gradient is wanted only of a point that will be taken.
            fresh = objective.gradient(point) if ahead <= state.value else gradient
            return _move(state, adapted, point, ahead, fresh, trial, gradient)
        t *= 0.8
    return _move(state, adapted, trial, value, gradient, trial, gradient)


def _move(
    state: State, adapted: State, point: Vector, value: float, gradient: Vector, trial: Vector, trial_gradient: Vector
) -> State:
    s = state
    if not value <= s.value:
        return adapted._replace(displacement=np.zeros_like(s.x), accepted=max(0, s.accepted - 2))
    length = float(np.linalg.norm(trial - s.x))
    if length > LONG_STEP:
        ratio = float(np.linalg.norm(trial_gradient - s.gradient)) / length
        adapted = adapted._replace(ratio_sum=s.ratio_sum + ratio, ratio_count=s.ratio_count + 1)
    return adapted._replace(x=point, value=value, gradient=gradient, displacement=point - s.x, accepted=s.accepted + 1)


def _end_iteration(state: State, iteration: int, constants: Constants) -> State:
    """Begin phase 2, or let the rate of phase 1 decay, after the iteration of that number."""
    s = state
    if s.phase == 1 and s.accepted > max(min(constants.maxiter / 4, 200), 20):
        smoothness = float(np.divide(s.ratio_sum, s.ratio_count))
        return s._replace(smoothness=smoothness, lr=1 / smoothness, memory=np.zeros_like(s.memory), phase=2)
    return _decay(s, iteration)


def _decay(state: State, iteration: int) -> State:
    """Let the rate of phase 1 decay every 50 iterations."""
    if state.phase == 1 and iteration % 50 == 49:
        return state._replace(lr=max(0.8 * state.lr, 1e-3 / state.smoothness))
    return state
