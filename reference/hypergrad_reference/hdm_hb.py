"""HDM-HB, hypergradient descent with heavy ball: the stepsize and the momentum learn together.

    potential  phi(x, x-) = f(x) + omega/2 ||x - x-||^2
    trial      x+ = x - P g + beta d,   d = x - x-
    progress   h(P, beta) = (phi(x+, x) - phi(x, x-)) / (||g||^2 + tau/2 ||d||^2)
    slopes     dh/dP = -v g^T / (||g||^2 + tau/2 ||d||^2),   dh/dbeta = <v, d> / (||g||^2 + tau/2 ||d||^2),
               v = g+ + omega (x+ - x)
    learners   P = project(P - ...), beta = clip(beta - ...)
    null step  x+ if phi(x+, x) < phi(x, x-)

h is jointly convex in P and beta, x+ being affine in them. Three methods share `init`; they differ in the action:

    step            a refused step keeps x and x-, so that phi never rises, whatever omega
    step_resetting  a refused step keeps x only: the next d is 0, a restart of the momentum. The authors' code
    step_lookahead  a gradient step on phi(., x) of length 1 / (L + omega) from the trial point, then as `step`

Source: Chu et al. 2025 (HDM), header of Algorithm 3 and the authors' code, where omega = 0 and tau = L^2 / 2; the
values of the paper's theorem are not known. `step_lookahead` is derived from Gao et al. 2025 (Part II).
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np

from hypergrad_reference.learner import Learner, Projection, adagrad, adagrad_inside, box, unconstrained
from hypergrad_reference.objective import Objective
from hypergrad_reference.stepsize import DIAGONAL, SCALAR, Shape, Stepsize, start
from hypergrad_reference.types import Vector


class Constants(NamedTuple):
    """What the user sets; the defaults need no L, tau = L^2 / 2 is the authors' where it is known."""

    hyper_lr: float = 0.1  # of P; the authors' where L is not known
    hyper_lr_beta: float = 1.0  # of beta
    stepsize: Stepsize | None = None  # P_1; None is 0
    beta: float = 0.95  # at the start
    omega: float = 0.0
    tau: float = 0.0
    smoothness: float = math.nan  # L, for the lookahead
    shape: Shape = DIAGONAL  # of P
    momentum: Shape = SCALAR  # of beta
    learner: Learner = adagrad  # of both
    project: Projection = unconstrained  # of P
    clip: Projection = box(0.0, 0.9995)  # of beta


class State(NamedTuple):
    """What HDM-HB carries from one iteration to the next."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # (n,), at x
    displacement: Vector  # d = x - x-, (n,), zeros at the start

    P: Stepsize  # as large as the shape says
    memory: Stepsize  # of P's learner, as large as P
    beta: Stepsize  # () or (n,)
    momentum_memory: Stepsize  # of beta's learner, as large as beta
    iteration: int  # k of the iteration to come, from 1


class Trial(NamedTuple):
    """A stepsize and a momentum tried at a state."""

    point: Vector  # x+, (n,)
    value: float  # f(x+)
    gradient: Vector  # g+, (n,)
    steepness: Vector  # v = g+ + omega (x+ - x), (n,), the gradient of phi(., x) at x+
    denominator: float  # ||g||^2 + tau/2 ||d||^2


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1; one evaluation of f and its gradient at x0, (n,) float64.

    Raises ValueError if stepsize is not as large as the shape says.
    """
    c = constants
    P, beta = start(c.shape, len(x0), c.stepsize), c.momentum.zeros(len(x0))
    value, gradient = objective.value_and_gradient(x0)
    return State(
        x=x0.copy(),
        value=value,
        gradient=gradient,
        displacement=np.zeros_like(x0),
        P=P,
        memory=np.zeros_like(P),
        beta=beta + c.beta,
        momentum_memory=beta,
        iteration=1,
    )


def potential(value: float, displacement: Vector, omega: float) -> float:
    """The potential f(x) + omega/2 ||d||^2.

    >>> potential(1.0, np.array([3.0, 4.0]), 2.0)
    26.0
    """
    return value + omega / 2 * float(displacement @ displacement)


def try_heavy_ball(objective: Objective, state: State, constants: Constants) -> Trial:
    """Evaluate f and its gradient at x - P g + beta d."""
    c, s, g, d = constants, state, state.gradient, state.displacement
    point = s.x - c.shape.apply(s.P, g) + c.momentum.apply(s.beta, d)
    value, gradient = objective.value_and_gradient(point)
    steepness = gradient + c.omega * (point - s.x)
    return Trial(point, value, gradient, steepness, float(g @ g) + c.tau / 2 * float(d @ d))


def progress(state: State, trial: Trial, omega: float) -> float:
    """h(P, beta)."""
    after = potential(trial.value, trial.point - state.x, omega)
    return (after - potential(state.value, state.displacement, omega)) / trial.denominator


def slopes(state: State, trial: Trial, constants: Constants) -> tuple[Stepsize, Stepsize]:
    """dh/dP and dh/dbeta, as large as P and beta; zeros at a stationary point with d = 0, where h is undefined."""
    of_P = -constants.shape.outer(trial.steepness, state.gradient)
    of_beta = constants.momentum.outer(trial.steepness, state.displacement)
    if trial.denominator == 0:
        return np.zeros_like(of_P), np.zeros_like(of_beta)
    return of_P / trial.denominator, of_beta / trial.denominator


def step(objective: Objective, state: State, constants: Constants) -> State:
    """One iteration; one evaluation of f and its gradient. A refused step keeps x and x-.

    >>> from hypergrad_reference.objective import Quadratic
    >>> from hypergrad_reference.learner import ogd
    >>> square = Quadratic(np.array([[2.0]]), np.array([0.0]))
    >>> constants = Constants(hyper_lr=0.25, hyper_lr_beta=0.125, beta=0.5, learner=ogd)
    >>> state = step(square, init(square, np.array([4.0]), constants), constants)
    >>> state = step(square, state, constants)
    >>> state.x, state.displacement, state.P
    (array([2.]), array([-2.]), array([0.375]))
    >>> state = step(square, state, constants)
    >>> state.x, state.displacement, state.P, state.beta
    (array([-0.5]), array([-2.5]), array([0.3125]), array(0.484375))
    """
    trial = try_heavy_ball(objective, state, constants)
    return _move(state, trial.point, trial.value, trial.gradient, _learn(state, trial, constants), constants.omega)


def step_resetting(objective: Objective, state: State, constants: Constants) -> State:
    """One iteration as the authors' code has it: as `step`, but after a refused step d = 0."""
    after = step(objective, state, constants)
    return after._replace(displacement=np.zeros_like(after.x)) if after.x is state.x else after


def step_lookahead(objective: Objective, state: State, constants: Constants) -> State:
    """One iteration with the monotone lookahead x+ - v / (L + omega); two evaluations of f and its gradient."""
    trial = try_heavy_ball(objective, state, constants)
    ahead = trial.point - trial.steepness / (constants.smoothness + constants.omega)
    learned = _learn(state, trial, constants)
    return _move(state, ahead, *objective.value_and_gradient(ahead), learned, constants.omega)


def _learn(state: State, trial: Trial, constants: Constants) -> State:
    c, s = constants, state
    of_P, of_beta = slopes(s, trial, c)
    P, memory = c.learner(s.P, of_P, s.memory, s.iteration, c.hyper_lr)
    beta, momentum_memory = c.learner(s.beta, of_beta, s.momentum_memory, s.iteration, c.hyper_lr_beta)
    return s._replace(
        P=c.project(P),
        memory=memory,
        beta=np.asarray(c.clip(beta)),
        momentum_memory=momentum_memory,
        iteration=s.iteration + 1,
    )


def _move(state: State, point: Vector, value: float, gradient: Vector, learned: State, omega: float) -> State:
    displacement = point - state.x
    if not potential(value, displacement, omega) < potential(state.value, state.displacement, omega):
        return learned
    return learned._replace(x=point, value=value, gradient=gradient, displacement=displacement)


osgm_hb = partial(Constants, hyper_lr=10.0, hyper_lr_beta=100.0, beta=0.0, learner=adagrad_inside, clip=box(-1.0, 1.0))
"""Constants of OSGM with heavy ball, for `step_resetting`: the authors' MATLAB code, osgmhxm."""
