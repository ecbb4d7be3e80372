"""HDM-Best: numbers of the authors' code run unchanged, the loops of the kernels, the faults and their correction."""

from itertools import pairwise

import numpy as np
import pytest

from hypergrad_papers.hdm2025.published import COUNTS, FEWEST, LOGISTIC_A1A, MOST, SVM_A1A, SVM_A1A_END, find_precision
from hypergrad_problems import data, quadratics, set_models
from hypergrad_problems.runs import run, solve
from hypergrad_reference import hdm_best, hdm_best_corrected, hdm_loops
from hypergrad_reference.objective import Quadratic
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR


@pytest.fixture(scope="module")
def svm_states():
    problem = set_models.hdm_svm(data.load("a1a", reading="authors"))
    L = problem.smoothness_estimate
    return L, solve(hdm_best, problem, hdm_best.Constants(L, 10 / L, 10.0), gtol=1e-4)


@pytest.fixture(scope="module")
def logistic_states():
    problem = set_models.hdm_logistic(data.load("a1a", reading="authors"))
    L = problem.smoothness_estimate
    return solve(hdm_best, problem, hdm_best.Constants(L, 100 / L, 3.0), gtol=1e-4)


@pytest.mark.parametrize("row", SVM_A1A, ids=lambda row: f"k={row.k}")
def test_svm_a1a_follows_the_authors_trajectory(svm_states, row):
    L, states = svm_states
    k, value, gnorm, beta, lr, largest, accepted = row
    state = states[k - 1]
    assert state.value == pytest.approx(value, rel=find_precision(k))
    assert state.lr * L == pytest.approx(lr, rel=1e-14)  # at most four products
    assert state.accepted == accepted
    # The printed digits, loosened where the value is: a gradient near the optimum moves like the root of the value.
    rel = max(1e-5, find_precision(k) ** 0.5)
    assert np.abs(state.gradient).max() == pytest.approx(gnorm, rel=rel)
    assert float(state.beta) == pytest.approx(beta, rel=rel)
    assert float(state.P.max()) * L == pytest.approx(largest, rel=rel)


def test_svm_a1a_takes_the_published_number_of_iterations(svm_states):
    _, states = svm_states
    refused = sum(after.x is before.x for before, after in pairwise(states))
    published, _ = COUNTS["svm", "a1a"]["HDM-Best"]
    assert FEWEST <= len(states) - published <= MOST
    assert refused == pytest.approx(34, abs=3)
    assert not states[-1].guessed
    assert states[-1].value == pytest.approx(SVM_A1A_END, rel=find_precision(1))  # f is flat there


@pytest.mark.parametrize(("k", "value"), LOGISTIC_A1A.items(), ids=[f"k={k}" for k in LOGISTIC_A1A])
def test_logistic_a1a_follows_the_authors_trajectory(logistic_states, k, value):
    assert logistic_states[k - 1].value == pytest.approx(value, rel=find_precision(k))


def test_logistic_a1a_guesses_the_curvature_when_the_authors_do(logistic_states):
    guessed = next(state for state in logistic_states if state.guessed)
    assert guessed.iteration - 1 == pytest.approx(258, abs=2)
    assert guessed.ratio_count == pytest.approx(237, abs=2)
    assert guessed.smoothness == pytest.approx(54.6317643376, rel=1e-2)
    assert len(logistic_states) == pytest.approx(688, abs=35)  # 683 to 698 under last-bit changes of L
    assert np.abs(logistic_states[-1].gradient).max() < 1e-4


QUADRATIC = quadratics.quadratic(np.geomspace(2e-4, 2.0, 30), optimum=0.5, x0=np.linspace(-2.0, 3.0, 30))
CONSTANTS = hdm_best.Constants(2.0, 0.5, maxiter=80)  # the guess comes after 20 net accepted steps


def test_arrays_have_the_bits_of_the_kernels_loops():
    """hdm_loops under the scalars of the reference, through refusals and the guess."""
    states = solve(hdm_best, QUADRATIC, CONSTANTS, gtol=1e-8)
    arrays = hdm_loops.start(QUADRATIC.x0, states[0].gradient)
    for before, after in pairwise(states):
        assert arrays.x.tobytes() == before.x.tobytes()
        assert arrays.displacement.tobytes() == before.displacement.tobytes()
        assert arrays.P.tobytes() == before.P.tobytes()
        d = before.displacement
        tau = 0.25 * float(d @ d) * before.smoothness**2 if before.guessed else 1e-12
        scalars = hdm_loops.Scalars(
            denominator=float(before.gradient @ before.gradient) + tau,
            rate=before.lr,
            eps=1e-12,
            low=0.0,
            high=1e10 / before.smoothness,
            beta=float(after.beta),
        )
        trial_gradient = QUADRATIC.gradient(arrays.trial)
        arrays = hdm_loops.adapt_adagrad(arrays, trial_gradient, after.x is not before.x, scalars)
        if after.guessed and not before.guessed:
            arrays = arrays._replace(accumulator=np.zeros_like(arrays.accumulator))
        assert arrays.accumulator.tobytes() == after.memory.tobytes()
    assert states[-1].guessed
    assert any(after.x is before.x for before, after in pairwise(states[1:]))


def test_self_test_toy_gives_the_authors_numbers():
    constants = hdm_best.Constants(4.0, 0.25, 10.0, momentum=DIAGONAL, momentum_memory=1e-4)
    states = solve(hdm_best, quadratics.hdm_toy(), constants, gtol=1e-6)
    assert len(states) == 32
    assert [state.value for state in states[:5]] == pytest.approx([0, 0, -2.75, -2.75, -2.85902574], abs=5e-9)


def test_first_iteration_only_sets_the_stepsize_to_the_rate():
    problem = quadratics.quadratic([1.0, 2.0, 4.0], x0=[1.0, 0.0, -3.0])  # no gradient along x_2
    after = run(hdm_best, problem, hdm_best.Constants(4.0, 0.25), 1)[1]
    assert after.x.tobytes() == problem.x0.tobytes()
    np.testing.assert_allclose(after.P, [0.25, 0.0, 0.25], rtol=2e-10)  # 1e-12 / |r_i|, r_1 = -1/145


def test_refusal_restarts_the_momentum_and_keeps_beta():
    states = solve(hdm_best, QUADRATIC, CONSTANTS, gtol=1e-8)
    refused = [(before, after) for before, after in pairwise(states[2:]) if after.x is before.x]
    assert refused
    for before, after in refused:
        assert not after.displacement.any()
        assert after.accepted == max(0, before.accepted - 2)
        following = hdm_best.step(QUADRATIC, after, CONSTANTS)
        assert float(following.beta) == float(after.beta)


def test_rate_decays_every_50_iterations_down_to_its_floor_until_the_guess():
    constants = hdm_best.Constants(2.0, 5.0, maxiter=10**6, decay=0.5, decay_floor=0.2)
    state = hdm_best.init(QUADRATIC, QUADRATIC.x0, constants)
    rates = []
    for k in (1, 48, 49, 50, 99, 149):
        rates.append(
            hdm_best.step(QUADRATIC, state._replace(iteration=k, lr=rates[-1] if rates else 5.0), constants).lr
        )
    assert rates == [5.0, 5.0, 2.5, 2.5, 1.25, 1.0]
    guessed = state._replace(iteration=49, guessed=True)
    assert hdm_best.step(QUADRATIC, guessed, constants).lr == 5.0


def test_guess_is_the_mean_of_the_long_steps_and_happens_once():
    states = solve(hdm_best, QUADRATIC, CONSTANTS, gtol=1e-8)
    first = next(k for k, state in enumerate(states) if state.guessed)
    accepted = [(a, b) for a, b in pairwise(states[: first + 1]) if b.x is not a.x]
    moves = [(np.linalg.norm(b.gradient - a.gradient), np.linalg.norm(b.x - a.x)) for a, b in accepted]
    ratios = [change / move for change, move in moves if move > 1e-3]
    assert states[first].accepted == 21
    assert states[first].smoothness == pytest.approx(np.mean(ratios), rel=1e-14)
    assert states[first].lr == 1 / states[first].smoothness
    assert not states[first].memory.any()
    assert states[first].P.any()
    assert {state.smoothness for state in states[first:]} == {states[first].smoothness}
    # Without memory AdaGrad's next step has the full length of the rate, up or down, except for eps and the clip.
    P, after = states[first].P, states[first + 1]
    free = (np.sqrt(after.memory) > 1e-5) & (after.P > 0)
    assert free.sum() > 10
    np.testing.assert_allclose(np.abs(after.P - P)[free], states[first].lr, rtol=1e-6)


# Oddities, and their correction


def test_infinite_smoothness_freezes_the_authors_method_and_not_the_corrected_one():
    constants = hdm_best.Constants(np.inf)
    assert not (run(hdm_best, QUADRATIC, constants, 300)[-1].x - QUADRATIC.x0).any()
    assert run(hdm_best_corrected, QUADRATIC, constants, 300)[-1].value < 1e-3


SHORT = quadratics.quadratic(np.geomspace(0.02, 2.0, 12), x0=np.full(12, 1e-5))


def test_short_steps_alone_turn_the_authors_stepsize_to_nan():
    with pytest.warns(RuntimeWarning, match="invalid value"):
        states = run(hdm_best, SHORT, CONSTANTS, 100)
    assert np.isnan(states[-1].P).all()
    stuck = next(k for k, state in enumerate(states) if np.isnan(state.P).all())
    assert all(state.x is states[stuck].x for state in states[stuck:])


def test_short_steps_alone_do_not_stop_the_corrected_method():
    states = run(hdm_best_corrected, SHORT, CONSTANTS, 300)
    assert not any(state.guessed for state in states)
    assert states[-1].value < 1e-6 * states[0].value


def test_full_stepsize_is_clipped_entry_by_entry_by_the_authors_only():
    """So that it cannot be the inverse of a Hessian whose inverse has negative entries."""
    problem = quadratics.quadratic([1.0, 0.1], rotation=quadratics.random_rotation(2), x0=[1.0, 2.0])
    constants = hdm_best.Constants(1.0, 1.0, shape=FULL)
    clipped, free = (run(method, problem, constants, 60) for method in (hdm_best, hdm_best_corrected))
    assert all((state.P >= 0).all() for state in clipped)
    assert any((state.P < 0).any() for state in free)


@pytest.mark.parametrize("shape", [SCALAR, DIAGONAL], ids=["scalar", "diagonal"])
def test_corrected_method_is_the_authors_without_the_wasted_iteration(shape):
    constants = CONSTANTS._replace(shape=shape)
    authors, corrected = run(hdm_best, QUADRATIC, constants, 60), run(hdm_best_corrected, QUADRATIC, constants, 59)
    for a, b in zip(authors[1:], corrected, strict=True):
        assert [np.array(field).tobytes() for field in a] == [np.array(field).tobytes() for field in b]


@pytest.mark.parametrize("smoothness", [0.0, -1.0, np.nan])
def test_smoothness_must_be_positive(smoothness):
    with pytest.raises(ValueError, match=f"smoothness is {smoothness}"):
        hdm_best.init(QUADRATIC, QUADRATIC.x0, hdm_best.Constants(smoothness))


def test_stepsize_and_momentum_keep_to_their_bounds():
    """P within [0, 1e10 / L], beta within [0, 0.9995]."""
    assert hdm_best.clip_nonnegative(np.array([-1.0, 1e20]), 2.0).tolist() == [0.0, 5e9]
    square = Quadratic(np.array([[2.0]]), np.array([0.0]))
    constants = hdm_best.Constants(smoothness=2.0, beta=5.0)  # no move yet, so that nothing but the clip changes beta
    state = hdm_best.step(square, hdm_best.init(square, np.array([4.0]), constants), constants)
    assert state.beta == 0.9995
