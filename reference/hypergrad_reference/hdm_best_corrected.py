"""HDM-Best, corrected: `hypergrad_reference.hdm_best` without the oddities that do harm.

1. No iteration is lost at the start: P begins as the authors' first iteration, which cannot move, would leave it. The
   rest of the run is theirs, one evaluation earlier.
2. L = inf means that L is not known: P is clipped at 0 only, until the guess.
3. The curvature is not guessed before a step longer than 1e-3 was accepted, where the authors' P becomes NaN.
4. A full P is not clipped entry by entry, which would keep it from most inverses.

Source: derived here; every difference has a test.
"""

import numpy as np

from hypergrad_reference import hdm_best
from hypergrad_reference.hdm_best import Constants, State
from hypergrad_reference.learner import adagrad
from hypergrad_reference.objective import Objective
from hypergrad_reference.stepsize import Stepsize
from hypergrad_reference.types import Vector


def clip_scales(P: Stepsize, smoothness: float) -> Stepsize:
    """Clip a scalar or diagonal P to [0, 1e10 / L], to [0, inf] if L = inf; leave a full P alone.

    >>> clip_scales(np.array([-1.0, 2.0]), np.inf), clip_scales(np.array([[1.0, -1.0], [0.0, 1.0]]), 4.0)
    (array([0., 2.]), array([[ 1., -1.],
           [ 0.,  1.]]))
    """
    if P.ndim == 2:
        return P
    return np.minimum(np.maximum(P, 0.0), 1e10 / smoothness if np.isfinite(smoothness) else np.inf)


def init(objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 2, the first that can move; one evaluation of f and its gradient at x0, (n,) float64.

    Raises ValueError unless smoothness > 0.
    """
    s = hdm_best.init(objective, x0, constants)
    slope = -constants.shape.outer(s.gradient, s.gradient) / (float(s.gradient @ s.gradient) + 1e-12)
    P, memory = adagrad(s.P, slope, s.memory, 1, s.lr)
    return s._replace(P=clip_scales(P, s.smoothness), memory=memory, iteration=2)


def step(objective: Objective, state: State, constants: Constants) -> State:
    """One iteration; one evaluation of f and its gradient. `constants.clip` is not used.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square, constants = Quadratic(np.array([[2.0]]), np.array([0.0])), Constants(np.inf, hyper_lr=0.25)
    >>> state = step(square, init(square, np.array([4.0]), constants), constants)
    >>> state.x.round(9), state.displacement.round(9), state.iteration
    (array([2.]), array([-2.]), 3)
    """
    return guess_curvature(hdm_best.advance(objective, state, constants._replace(clip=clip_scales)), constants)


def guess_curvature(state: State, constants: Constants) -> State:
    """What hdm_best.guess_curvature does, once a step was long."""
    return hdm_best.guess_curvature(state, constants) if state.ratio_count else state
