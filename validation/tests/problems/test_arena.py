"""The problems of the arena: their gradients, what depends on the seed, and how a run is judged."""

import numpy as np
import pytest

from hypergrad_problems import data
from hypergrad_problems.arena.contenders import FreeRunner
from hypergrad_problems.arena.problems import PROBLEMS, make_problem
from hypergrad_problems.arena.rivals import Adam, ScheduleFree
from hypergrad_problems.arena.runs import list_looks, run
from hypergrad_problems.arena.variants import CHOSEN, VARIANTS, VariantRunner
from hypergrad_reference import adamw


def make(name, seed=0):
    missing = [needed for needed in PROBLEMS[name].needs if not data.has(needed)]
    if missing:
        pytest.skip(f"{missing} are not there: HYPERGRAD_DATA names their folder")
    return make_problem(name, seed)


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradient_is_the_derivative_of_the_loss(name):
    problem = make(name)
    rng = np.random.default_rng(7)
    x = problem.start + 0.01 * rng.standard_normal(problem.start.size)
    slope = problem.full_gradient(x)
    for _ in range(3):
        direction = rng.standard_normal(x.size)
        step = 1e-6 / np.linalg.norm(direction)
        difference = (problem.loss(x + step * direction) - problem.loss(x - step * direction)) / 2
        rounding = 8 * 2.0**-53 * abs(problem.loss(x))  # of the two losses
        kinks = 1e-3 * abs(step * (slope @ direction))  # of relu and of distances, where the step crosses one
        assert abs(difference - step * (slope @ direction)) <= rounding + kinks


@pytest.mark.parametrize("name", [name for name, entry in PROBLEMS.items() if not entry.needs])
def test_gradient_of_batches_is_that_of_all_rows_in_the_mean(name):
    problem = make(name)
    rng = np.random.default_rng(0)
    full = problem.full_gradient(problem.start)
    batches = np.array([problem.gradient(problem.start, rng) for _ in range(200)])
    error = np.linalg.norm(batches.mean(axis=0) - full)
    assert error <= 4 * np.sqrt(batches.var(axis=0).sum() / 200) + 1e-12 * np.linalg.norm(full)  # 4 standard errors


@pytest.mark.parametrize("name", ["network digits", "diabetes"])
def test_problem_depends_on_the_seed_alone(name):
    one, same, other = make(name), make(name), make(name, 1)
    slopes = [p.gradient(p.start + 1, np.random.default_rng(3)) for p in (one, same, other)]
    assert slopes[0].tobytes() == slopes[1].tobytes() != slopes[2].tobytes()


def test_looks_are_five_in_the_last_twentieth():
    assert list_looks(1000) == [960, 970, 980, 990, 1000]


def test_tuned_adam_is_adamw_of_the_reference():
    problem = make("softmax digits")
    runner = Adam(problem.start, 1e-2, 50, cosine=False)
    thetas, moments = [problem.start], [adamw.init(problem.start)]
    constants = adamw.Constants(weight_decay=0.0)
    rng = np.random.default_rng([0, 2])
    for _ in range(50):
        thetas, moments = adamw.step(thetas, [problem.gradient(thetas[0], rng)], moments, 1e-2, constants)
    run(problem, runner, 0, 50)
    assert np.allclose(runner.theta, thetas[0], rtol=1e-12, atol=1e-15)  # the same sums in another order


def test_cosine_ends_at_a_rate_of_almost_nothing():
    problem = make("quadratic")
    outcome = run(problem, Adam(problem.start, 1e-2, 100, cosine=True), 0, 100)
    assert outcome.rates[0] == 1e-2
    assert outcome.rates[50] == pytest.approx(5e-3)
    assert 0 < outcome.rates[-1] < 1e-5


def test_schedule_free_answer_is_the_mean_of_its_iterates():
    problem = make("quadratic")
    runner, iterates, rng = ScheduleFree(problem.start, 1e-2), [], np.random.default_rng(0)
    for _ in range(30):
        runner.step(problem.gradient(runner.point, rng))
        iterates.append(runner.z.copy())
    assert np.allclose(runner.x, np.mean(iterates, axis=0), rtol=1e-12)  # the same sums in another order


def test_run_that_leaves_the_numbers_ends_with_infinity():
    problem = make("Rosenbrock")
    outcome = run(problem, ScheduleFree(problem.start, 1e300), 0, 100)
    assert outcome.endings["schedule-free"].train == np.inf


def test_variant_without_a_change_is_the_class():
    problem = make("digits 100")
    runners = FreeRunner("TuningFreeAdamW", problem.start), VariantRunner(CHOSEN, problem.start)
    rates = [run(problem, runner, 0, 60).rates.tolist() for runner in runners]
    assert rates[0] == rates[1]
    assert runners[0].point.tobytes() == runners[1].point.tobytes()


def test_variants_differ_from_each_other():
    assert len(set(VARIANTS.values())) == len(VARIANTS)
