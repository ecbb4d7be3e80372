"""HDM-Best by two loops: the rule of hdm_best, with sums in the order of the contract."""

from types import SimpleNamespace

import numpy as np
import pytest

from hypergrad_papers.hdm2025.published import COUNTS, FEWEST, MOST, SVM_A1A_END, find_precision
from hypergrad_problems import data, quadratics, set_models
from hypergrad_problems.runs import run, solve
from hypergrad_reference import hdm_best, hdm_best_corrected, hdm_best_loops, hdm_loops
from hypergrad_reference.stepsize import DIAGONAL, FULL, SCALAR
from hypergrad_reference.sums import block_sums, total


def bind(init, step, loops=hdm_best_loops.NUMPY):
    """A method as `run` takes it."""
    return SimpleNamespace(init=lambda *given: init(loops, *given), step=lambda *given: step(loops, *given))


AUTHORS = bind(hdm_best_loops.init, hdm_best_loops.step)
CORRECTED = bind(hdm_best_loops.init_corrected, hdm_best_loops.step_corrected)
PAIRS = pytest.mark.parametrize(
    ("method", "loops"), [(hdm_best, AUTHORS), (hdm_best_corrected, CORRECTED)], ids=["authors", "corrected"]
)
LINE = SimpleNamespace(  # flat at its least value, which no run reaches
    x0=np.array([-2.0]), value_and_gradient=lambda x: (float((x[0] - 0.3) ** 4), 4 * (x - 0.3) ** 3)
)
QUADRATIC = quadratics.quadratic(np.geomspace(2e-4, 2.0, 30), optimum=0.5, x0=np.linspace(-2.0, 3.0, 30))


def show(state):
    return [np.array(field).tobytes() for field in state]


@PAIRS
@pytest.mark.parametrize("hyper_lr", [0.002, 0.05, 2.0])
def test_run_in_one_dimension_has_the_bits_of_hdm_best(method, loops, hyper_lr):
    """There a sum is one product."""
    constants = hdm_best.Constants(2.0, hyper_lr, maxiter=80)
    expected, got = run(method, LINE, constants, 120), run(loops, LINE, constants, 120)
    assert [show(state.best) for state in got] == [show(state) for state in expected]


def test_runs_in_one_dimension_meet_refusals_and_the_guess():
    runs = [run(AUTHORS, LINE, hdm_best.Constants(2.0, lr, maxiter=80), 120) for lr in (0.002, 0.05, 2.0)]
    assert any(states[-1].best.guessed for states in runs)
    assert any(not state.best.displacement.any() for states in runs for state in states[5:])


@PAIRS
def test_sums_are_those_of_the_contract(method, loops):
    """||g||^2 and ||d||^2, which a step takes over from the one before."""
    states = run(loops, QUADRATIC, hdm_best.Constants(2.0, 0.5, maxiter=80), 120)
    assert states[-1].best.guessed
    for state in states:
        assert state.grad_sq == total([block_sums(state.gradient, state.gradient)])
        assert state.move_sq == total([block_sums(state.best.displacement, state.best.displacement)])


@PAIRS
def test_trial_point_is_that_of_the_equation(method, loops):
    for state in run(loops, QUADRATIC, hdm_best.Constants(2.0, 0.5, maxiter=80), 120):
        s = state.best
        trial = (s.x - s.P * s.gradient) + s.beta * s.displacement
        # before the corrected method's first move beta, which d = 0 makes no matter, has not been learned
        assert state.trial.tobytes() == trial.tobytes()


def test_svm_a1a_takes_the_published_number_of_iterations():
    problem = set_models.hdm_svm(data.load("a1a", reading="authors"))
    L = problem.smoothness_estimate
    states = solve(AUTHORS, problem, hdm_best.Constants(L, 10 / L, 10.0), gtol=1e-4)
    published, _ = COUNTS["svm", "a1a"]["HDM-Best"]
    assert FEWEST <= len(states) - published <= MOST
    assert states[-1].value == pytest.approx(SVM_A1A_END, rel=find_precision(1))  # f is flat there


@pytest.mark.parametrize(
    "wrong", [{"shape": FULL}, {"shape": SCALAR}, {"momentum": DIAGONAL}], ids=["full", "scalar", "momentum"]
)
def test_other_shapes_are_refused(wrong):
    with pytest.raises(ValueError, match="shape is not DIAGONAL, or momentum not SCALAR"):
        AUTHORS.init(LINE, LINE.x0, hdm_best.Constants(2.0, **wrong))


def refuse_to_write(*given):
    raise AssertionError("adapt was called")


@pytest.mark.parametrize(
    "change",
    [{"lr": np.inf}, {"lr": np.nan}, {"lr": 1e308}, {"smoothness": 1e200, "guessed": True}],
    ids=lambda change: "-".join(f"{name}={value}" for name, value in change.items()),
)
def test_scalar_that_is_not_finite_stops_the_step_before_it_writes(change):
    constants = hdm_best.Constants(2.0, 0.5)
    state = run(AUTHORS, QUADRATIC, constants, 9)[-1]
    state = state._replace(best=state.best._replace(**change), grad_sq=state.grad_sq * 1e-4)
    only_sums = hdm_best_loops.Loops(hdm_loops.inner_products, refuse_to_write)
    with pytest.raises(ArithmeticError):
        hdm_best_loops.step(only_sums, QUADRATIC, state, constants)


def test_gradient_that_is_not_finite_stops_the_step_before_it_writes():
    constants = hdm_best.Constants(2.0, 0.5)
    state = run(AUTHORS, QUADRATIC, constants, 9)[-1]
    lost = SimpleNamespace(value_and_gradient=lambda x: (-1.0, np.where(np.arange(x.size) == 3, np.nan, x)))
    only_sums = hdm_best_loops.Loops(hdm_loops.inner_products, refuse_to_write)
    with pytest.raises(FloatingPointError, match="iteration 10: a scalar is not finite; nothing was written"):
        hdm_best_loops.step(only_sums, lost, state, constants)


def test_guess_that_fails_stops_the_step_before_it_writes():
    """The curvature of a linear function is 0."""
    line = SimpleNamespace(value_and_gradient=lambda x: (float(x.sum()), np.ones_like(x)))
    constants = hdm_best.Constants(2.0, 0.5, maxiter=80)
    state = AUTHORS.init(line, np.array([3.0, 4.0]), constants)
    while state.best.accepted <= 19:
        state = AUTHORS.step(line, state, constants)
    only_sums = hdm_best_loops.Loops(hdm_loops.inner_products, refuse_to_write)
    with pytest.raises(ZeroDivisionError):
        hdm_best_loops.step(only_sums, line, state, constants)


def test_inputs_are_not_written_to():
    """By loops that write into the arrays of the state."""

    def adapt(a, *given):
        after = hdm_loops.adapt_adagrad(a, *given)
        for target, result in zip(a, after, strict=True):
            target[...] = result
        return a

    loops = hdm_best_loops.Loops(hdm_loops.inner_products, adapt)
    x0, gradient = np.array([3.0, 4.0]), np.array([6.0, 8.0])
    objective = SimpleNamespace(
        value_and_gradient=lambda x: (float(x @ x), gradient if x.tolist() == [3, 4] else 2 * x)
    )
    run(
        bind(hdm_best_loops.init_corrected, hdm_best_loops.step_corrected, loops),
        objective,
        hdm_best.Constants(2.0),
        5,
        x0,
    )
    assert (x0.tolist(), gradient.tolist()) == ([3.0, 4.0], [6.0, 8.0])
