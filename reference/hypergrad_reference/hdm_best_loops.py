"""HDM-Best with a diagonal P in two passes over the arrays, so that kernels and NumPy give one run the same bits.

It is `hdm_best`, or `hdm_best_corrected`, in every equation and every scalar. But each inner product here is the
exact total of block sums in the order of hypergrad_reference.sums, and the elements are seen by two loops alone:

    sums        <g+, d>, ||g+||^2, ||g+ - g||^2, ||x+ - x||^2     hdm_loops.inner_products
    scalars     den, beta, lr, accepted or not                    the functions of hdm_best
    adapt       P and U; x, g, d; the next trial point            hdm_loops.adapt_adagrad
    guess       L, lr = 1 / L, U = 0                              hdm_best.guess_curvature

||g||^2 and ||d||^2 are those that the last accepted step has summed as ||g+||^2 and ||x+ - x||^2. In one dimension a
sum is a product, and a run has the bits of hdm_best.

Source: Chu et al. 2025 (HDM), as hdm_best; the order of the sums is this project's contract.
"""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from hypergrad_reference import hdm_best, hdm_best_corrected, hdm_loops
from hypergrad_reference.hdm_best import Constants
from hypergrad_reference.hdm_best_corrected import clip_scales
from hypergrad_reference.hdm_loops import Arrays, Scalars
from hypergrad_reference.objective import Objective
from hypergrad_reference.stepsize import DIAGONAL, SCALAR, Stepsize
from hypergrad_reference.sums import block_sums, total
from hypergrad_reference.types import Vector

EPS = 1e-12  # of AdaGrad, outside the root


class Loops(NamedTuple):
    """Who runs the two loops. They may write into the arrays of a state, which then counts no more."""

    inner_products: Callable[[Arrays, Vector], Mapping[str, Vector]]  # as hdm_loops.inner_products
    adapt: Callable[[Arrays, Vector, bool, Scalars], Arrays]  # as hdm_loops.adapt_adagrad


Guess = Callable[[hdm_best.State, Constants], hdm_best.State]
"""The guess of the curvature."""

NUMPY = Loops(hdm_loops.inner_products, hdm_loops.adapt_adagrad)


class State(NamedTuple):
    """What the method carries from one iteration to the next."""

    best: hdm_best.State  # its arrays and its scalars
    trial: Vector  # x+ of the iteration to come, (n,)
    grad_sq: float  # ||g||^2
    move_sq: float  # ||d||^2

    @property
    def x(self) -> Vector:
        """The iterate, (n,)."""
        return self.best.x

    @property
    def value(self) -> float:
        """f(x)."""
        return self.best.value

    @property
    def gradient(self) -> Vector:
        """The gradient at x, (n,)."""
        return self.best.gradient

    @property
    def P(self) -> Stepsize:
        """The diagonal stepsize, (n,)."""
        return self.best.P

    @property
    def beta(self) -> Stepsize:
        """The momentum, ()."""
        return self.best.beta

    @property
    def lr(self) -> float:
        """The rate of P."""
        return self.best.lr

    @property
    def smoothness(self) -> float:
        """L, given or guessed."""
        return self.best.smoothness


def init(loops: Loops, objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 1 of hdm_best; one evaluation of f and its gradient at x0, (n,) float64.

    Raises ValueError unless smoothness > 0, P is diagonal and beta a scalar.
    """
    if constants.shape is not DIAGONAL or constants.momentum is not SCALAR:
        raise ValueError("shape is not DIAGONAL, or momentum not SCALAR: hdm_best takes any")
    best = hdm_best.init(objective, x0, constants)
    best = best._replace(gradient=best.gradient.copy())  # the loops may write into it
    return State(best, x0.copy(), total([block_sums(best.gradient, best.gradient)]), 0.0)


def step(loops: Loops, objective: Objective, state: State, constants: Constants) -> State:
    """One iteration of hdm_best; one evaluation of f and its gradient.

    Raises ArithmeticError, with nothing written, where a scalar is not finite: P would not recover from it.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square = Quadratic(np.array([[2.0]]), np.array([0.0]))
    >>> constants = Constants(smoothness=2.0, hyper_lr=0.25)
    >>> state = step(NUMPY, square, init(NUMPY, square, np.array([4.0]), constants), constants)
    >>> state.x, state.P.round(9), state.trial.round(9), state.grad_sq
    (array([4.]), array([0.25]), array([2.]), 64.0)
    >>> state = step(NUMPY, square, state, constants)
    >>> state.x.round(9), state.best.displacement.round(9), round(state.move_sq, 9), state.best.ratio_sum
    (array([2.]), array([-2.]), 4.0, 2.0)
    """
    return _step(loops, objective, state, constants, hdm_best.guess_curvature)


def init_corrected(loops: Loops, objective: Objective, x0: Vector, constants: Constants) -> State:
    """The state before iteration 2 of hdm_best_corrected; one evaluation of f and its gradient at x0, (n,) float64.

    Raises ValueError unless smoothness > 0, P is diagonal and beta a scalar.
    """
    state, c = init(loops, objective, x0, constants), constants._replace(clip=clip_scales)
    scalars, best = _decide(state, c, slope=0.0)  # x+ = x: the first iteration of the authors, who evaluate f again
    arrays = loops.adapt(_list_arrays(state), state.gradient.copy(), False, scalars)
    return _take(state, best, arrays)


def step_corrected(loops: Loops, objective: Objective, state: State, constants: Constants) -> State:
    """One iteration of hdm_best_corrected; one evaluation of f and its gradient. `constants.clip` does not count.

    Raises ArithmeticError as `step` does.

    >>> from hypergrad_reference.objective import Quadratic
    >>> square, constants = Quadratic(np.array([[2.0]]), np.array([0.0])), Constants(np.inf, hyper_lr=0.25)
    >>> state = step_corrected(NUMPY, square, init_corrected(NUMPY, square, np.array([4.0]), constants), constants)
    >>> state.x.round(9), state.best.displacement.round(9), state.best.iteration
    (array([2.]), array([-2.]), 3)
    """
    constants = constants._replace(clip=clip_scales)
    return _step(loops, objective, state, constants, hdm_best_corrected.guess_curvature)


def _step(loops: Loops, objective: Objective, state: State, constants: Constants, guess: Guess) -> State:
    value, gradient = objective.value_and_gradient(state.trial)
    blocks = loops.inner_products(_list_arrays(state), gradient)
    sums = {name: total([blocks[name]]) for name in hdm_loops.INNER_PRODUCTS}
    scalars, best = _decide(state, constants, sums["trial_displacement"])
    # |r| <= ||g+|| ||g|| / den: with these all that `adapt` computes is finite
    largest = scalars.rate * math.sqrt(sums["trial_trial"]) * math.sqrt(state.grad_sq) / scalars.denominator
    if not all(map(math.isfinite, (*sums.values(), scalars.denominator, scalars.rate, scalars.beta, largest))):
        raise FloatingPointError(f"iteration {state.best.iteration}: a scalar is not finite; nothing was written")
    accepted = value < state.value
    if accepted:
        best = hdm_best.count_step(best, math.sqrt(sums["change_change"]), math.sqrt(sums["move_move"]))
        best = best._replace(value=value)
        state = state._replace(grad_sq=sums["trial_trial"], move_sq=sums["move_move"])
    else:
        best = hdm_best.count_refusal(best)
        state = state._replace(move_sq=0.0)
    after = guess(best, constants)  # before anything is written, since it may fail
    arrays = loops.adapt(_list_arrays(state), gradient, accepted, scalars)
    if after.guessed and not best.guessed:
        arrays = arrays._replace(accumulator=after.memory)
    return _take(state, after, arrays)


def _decide(state: State, constants: Constants, slope: float) -> tuple[Scalars, hdm_best.State]:
    """The scalars of `adapt`, and the state with what is learned besides P; slope is <g+, d>."""
    s = state.best
    denominator = hdm_best.find_denominator(s, state.grad_sq, state.move_sq)
    learned = hdm_best.learn_momentum(s, np.array(slope) / denominator, constants)
    low, high = constants.clip(np.array([-math.inf, math.inf]), s.smoothness)
    return Scalars(denominator, s.lr, EPS, float(low), float(high), float(learned.beta)), learned


def _list_arrays(state: State) -> Arrays:
    s = state.best
    return Arrays(s.x, s.gradient, s.displacement, s.P, s.memory, state.trial)


def _take(state: State, best: hdm_best.State, a: Arrays) -> State:
    """The state with new scalars and new arrays."""
    best = best._replace(x=a.x, gradient=a.gradient, displacement=a.displacement, P=a.P, memory=a.accumulator)
    return state._replace(best=best, trial=a.trial)
