"""HDM-Best: hypergradient descent with heavy ball, AdaGrad learners and a null step, as the authors' code has it.

    trial      x+ = x - P g + beta d,   d = x - x_previous
    den        = ||g||^2 + (1/4) L^2 ||d||^2       after the curvature guess;   ||g||^2 + 1e-12   before it
    stepsize   r = -g+ g / den,   U = U + r^2,   P = clip(P - lr r / (sqrt(U) + 1e-12), 0, 1e10 / L)
    momentum   m = <g+, d> / den, V = V + m^2,   beta = clip(beta - lr_beta m / (sqrt(V) + 1e-12), 0, 0.9995)
    null step  x = x+ if f(x+) < f(x), else x stays and the next d is 0
    guess      once more than min(maxiter / 4, 200) steps (and 20) are accepted net of 2 a refusal, L becomes the mean
               of ||g+ - g|| / ||x+ - x|| over the accepted steps longer than 1e-3, lr = 1/L, U = 0

Until the guess lr shrinks by 0.8 every 50 iterations. The published runs have a diagonal P and a scalar beta.
Faults of the code that this module keeps, and `hdm_best_corrected` does not: the first iteration never moves (P = 0
and d = 0), so that hyper_lr is the real first stepsize; L = inf clips P to 0 forever; a guess without a single step
longer than 1e-3 makes P NaN forever (NumPy warns). Kept by both: a refusal restarts the momentum although beta stays;
a full P is clipped entry by entry, so that no entry off its diagonal can be negative.

The inner products here are NumPy's, whose last bits depend on its version and on the processor. hdm_best_loops is the
same rule for a diagonal P with block sums, in two passes that a device can run.

Source: Chu et al. 2025 (HDM), Algorithm 3 and the authors' code, from which are the clip, the decay, the guess and
all numbers; sums of curvature ratios run in the order of the steps.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from hypergrad_reference.learner import adagrad
from hypergrad_reference.objective import Objective
from hypergrad_reference.stepsize import DIAGONAL, SCALAR, Shape, Stepsize
from hypergrad_reference.types import Vector

BETA_MAX = 0.9995
LONG_STEP = 1e-3  # in x: shorter steps tell nothing about the curvature


def clip_nonnegative(P: Stepsize, smoothness: float) -> Stepsize:
    """Clip each entry of P to [0, 1e10 / L].

    >>> clip_nonnegative(np.array([-1.0, 2.0]), 4.0), clip_nonnegative(np.array([-1.0, 2.0]), np.inf)
    (array([0., 2.]), array([0., 0.]))
    """
    return np.minimum(np.maximum(P, 0.0), 1e10 / smoothness)


def leave_unclipped(P: Stepsize, smoothness: float) -> Stepsize:
    """P as it is, for functions that are not convex."""
    return P


class Constants(NamedTuple):
    """What the user sets; the defaults are the authors' for convex functions, their momentum as the drivers have it.

    Not convex, the authors take hyper_lr = 2 / L, clip = leave_unclipped, decay = 0.05 and decay_floor = 1e-2; with a
    diagonal momentum, V starts at 1e-4.
    """

    smoothness: float  # L, an estimate; finite unless the method is to stand still
    hyper_lr: float | None = None  # lr, AdaGrad's rate for P; None is 10 / L, or 0.1 if L = inf
    hyper_lr_beta: float = 10.0  # AdaGrad's rate for beta
    beta: float = 0.95  # at the start
    maxiter: int = 1000  # sets only when the curvature is guessed
    shape: Shape = DIAGONAL  # of P
    momentum: Shape = SCALAR  # of beta
    momentum_memory: float = 0.0  # V at the start
    clip: Callable[[Stepsize, float], Stepsize] = clip_nonnegative
    decay: float = 0.8  # of lr, every 50 iterations until the guess
    decay_floor: float = 1e-3  # of lr, relative to hyper_lr


class State(NamedTuple):
    """What HDM-Best carries from one iteration to the next."""

    x: Vector  # (n,)
    value: float  # f(x)
    gradient: Vector  # (n,), at x
    displacement: Vector  # d, (n,), zeros at the start and after a refusal

    P: Stepsize  # as large as the shape says, zeros at the start
    memory: Stepsize  # U, as large as P
    beta: Stepsize  # momentum, () or (n,)
    momentum_memory: Stepsize  # V, as large as beta
    lr: float

    smoothness: float  # L: given, then guessed
    guessed: bool
    accepted: int  # steps, net: less 2 a refusal, never below 0
    ratio_sum: float  # of ||g+ - g|| / ||x+ - x|| over the long accepted steps
    ratio_count: int
    iteration: int  # k of the iteration to come, from 1


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1; one evaluation of f and its gradient at x0, (n,) float64.

    Raises ValueError unless smoothness > 0.
    """
    c = constants
    if not c.smoothness > 0:
        raise ValueError(f"smoothness is {c.smoothness}: give L > 0, a Lipschitz constant of the gradient")
    value, gradient = objective.value_and_gradient(x0)
    P, beta = c.shape.zeros(len(x0)), c.momentum.zeros(len(x0))
    return State(
        x=x0.copy(),
        value=value,
        gradient=gradient,
        displacement=np.zeros_like(x0),
        P=P,
        memory=np.zeros_like(P),
        beta=beta + c.beta,
        momentum_memory=beta + c.momentum_memory,
        lr=first_lr(c),
        smoothness=c.smoothness,
        guessed=False,
        accepted=0,
        ratio_sum=0.0,
        ratio_count=0,
        iteration=1,
    )


def first_lr(constants: Constants) -> float:
    """hyper_lr where it is given, else 10 / L, else 0.1.

    >>> first_lr(Constants(smoothness=4.0)), first_lr(Constants(np.inf)), first_lr(Constants(4.0, hyper_lr=0.5))
    (2.5, 0.1, 0.5)
    """
    if constants.hyper_lr is not None:
        return constants.hyper_lr
    return 10 / constants.smoothness if np.isfinite(constants.smoothness) else 0.1


def step(objective: Objective, state: State, constants: Constants) -> State:
    """Iteration k of HDM-Best; one evaluation of f and its gradient. The equations are at the top of the module.

    A value of NaN or inf at the trial point refuses the step, yet P learns from it, and does not recover from NaN.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square = Quadratic(np.array([[2.0]]), np.array([0.0]))
    >>> constants = Constants(smoothness=2.0, hyper_lr=0.25)
    >>> state = step(square, init(square, np.array([4.0]), constants), constants)
    >>> state.x, state.P.round(9), state.accepted
    (array([4.]), array([0.25]), 0)
    >>> state = step(square, state, constants)
    >>> state.x.round(9), state.displacement.round(9), state.accepted, state.ratio_sum
    (array([2.]), array([-2.]), 1, 2.0)
    """
    return guess_curvature(advance(objective, state, constants), constants)


def advance(objective: Objective, state: State, constants: Constants) -> State:
    """An iteration up to the guess: trial, learners, decay of lr, null step."""
    c, s, g, d = constants, state, state.gradient, state.displacement
    trial = (s.x - c.shape.apply(s.P, g)) + c.momentum.apply(s.beta, d)
    trial_value, trial_gradient = objective.value_and_gradient(trial)

    den = find_denominator(s, float(g @ g), float(d @ d))
    P, memory = adagrad(s.P, -c.shape.outer(trial_gradient, g) / den, s.memory, s.iteration, s.lr)
    learned = learn_momentum(s, c.momentum.outer(trial_gradient, d) / den, c)
    adapted = learned._replace(P=c.clip(P, s.smoothness), memory=memory)
    return _move(adapted, trial, trial_value, trial_gradient)


def find_denominator(state: State, grad_sq: float, move_sq: float) -> float:
    """The denominator of the slopes, from ||g||^2 and ||d||^2."""
    return grad_sq + (0.25 * move_sq * state.smoothness**2 if state.guessed else 1e-12)


def learn_momentum(state: State, slope: Stepsize, constants: Constants) -> State:
    """What an iteration adapts besides P: beta, by AdaGrad on its slope m, and lr, by its decay."""
    s, c = state, constants
    beta, momentum_memory = adagrad(s.beta, slope, s.momentum_memory, s.iteration, c.hyper_lr_beta)
    beta = np.minimum(np.maximum(beta, 0.0), BETA_MAX)
    return s._replace(beta=beta, momentum_memory=momentum_memory, lr=_decay(s, c), iteration=s.iteration + 1)


def _decay(state: State, constants: Constants) -> float:
    if state.guessed or state.iteration % 50 != 49:
        return state.lr
    return max(constants.decay * state.lr, constants.decay_floor * first_lr(constants))


def _move(state: State, trial: Vector, value: float, gradient: Vector) -> State:
    s = state
    if not value < s.value:
        return count_refusal(s)._replace(displacement=np.zeros_like(s.x))
    displacement = trial - s.x
    s = count_step(s, float(np.linalg.norm(gradient - s.gradient)), float(np.linalg.norm(displacement)))
    return s._replace(x=trial, value=value, gradient=gradient, displacement=displacement)


def count_refusal(state: State) -> State:
    """A step was refused."""
    return state._replace(accepted=max(0, state.accepted - 2))


def count_step(state: State, change: float, length: float) -> State:
    """A step was accepted, with ||g+ - g|| and ||x+ - x||."""
    s = state._replace(accepted=state.accepted + 1)
    if length > LONG_STEP:
        s = s._replace(ratio_sum=s.ratio_sum + change / length, ratio_count=s.ratio_count + 1)
    return s


def guess_curvature(state: State, constants: Constants) -> State:
    """Replace L by the mean curvature ratio once, when enough steps are accepted; lr = 1 / L, and U is 0 again."""
    s = state
    if s.guessed or s.accepted <= max(min(constants.maxiter / 4, 200), 20):
        return s
    smoothness = float(np.divide(s.ratio_sum, s.ratio_count))
    return s._replace(smoothness=smoothness, lr=1 / smoothness, memory=np.zeros_like(s.memory), guessed=True)
