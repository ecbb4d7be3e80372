"""Why validation lags: what is told of a run on networks that fit every digit."""

import math

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("joblib")

from hypergrad_problems.arena.lag import FACTORS, METHODS, TASKS, Look, Seen, compare, follow
from paper_figs import lag


@pytest.mark.parametrize("name", TASKS)
def test_network_of_a_look_is_the_one_that_learns(name):
    task = TASKS[name](0)
    start = task.problem.start
    assert task.look(start).train == pytest.approx(task.problem.loss(start), rel=1e-12)  # another order of sums
    assert task.look(start).validation == pytest.approx(task.problem.test_loss(start), rel=1e-12)


def test_second_task_begins_with_weights_that_know_other_digits():
    task = TASKS["0-4, then 5-9"](0)
    assert set(task.data.train[1]) == set(range(5, 10))
    known = TASKS["all digits"](0)._replace(data=task.data)
    assert task.look(task.problem.start).wrong == 1 > known.look(known.problem.start).wrong


def test_rescaled_loss_is_that_of_the_best_factor():
    task = TASKS["all digits"](0)
    look, surer = task.look(task.problem.start), task.look(2 * task.problem.start)  # scores 8 times as large
    assert surer.rescaled < 0.5 * surer.validation
    assert surer.validation > look.validation > look.rescaled
    scores, labels = np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0])
    assert compare(scores, labels) == pytest.approx((math.log1p(math.exp(-1)) + math.log1p(math.exp(1))) / 2)
    assert FACTORS.min() < 1 < FACTORS.max()


@pytest.mark.parametrize("method", ["TuningFreeAdamW", "cosine 0.01"])
def test_run_depends_on_its_seed_alone(method):
    first, again, other = (follow("all digits", method, seed, steps=50) for seed in (0, 0, 1))
    assert first == again != other
    assert len(first.answers) == len(first.points) == 50
    assert (first.points == first.answers) == (method not in lag.METHODS[:3])


def test_table_says_the_end_the_least_and_where_the_rows_are_fitted():
    def look(train, validation):
        return Look(train, validation, wrong=0.02, rescaled=0.4, norm=21.0)

    way = [look(1.0, 0.7), look(0.02, 0.65), look(0.01, 0.5), look(0.001, 0.6)]
    row = list(lag.tabulate({"one": [Seen(way, [look(1.0, 0.8)], 0.01)]}))[2]
    assert row == "| one | 0.001 | 0.600 | 2.0 % | 0.400 | 0.800 | 0.500 | 0.650, 50 % | 0.01 | 21.0 |"
    assert np.isnan(lag.find_fitted(Seen([look(1.0, 0.7)], [], 0.01))).all()
    assert set(METHODS) >= {"TuningFreeAdamW", "K", "cosine 0.01"}


def test_validation_loss_rises_after_an_exact_fit_and_one_factor_of_the_scores_takes_most_of_it_back():
    """As the page on tuning says; at the points of training the loss is the same, so averages are not the cause."""
    ours, cosine = (follow("0-4, then 5-9", method, 0) for method in ("TuningFreeAdamW", "cosine 0.003"))
    end, least = ours.answers[-1], min(look.validation for look in ours.answers)
    assert end.train < cosine.answers[-1].train / 10
    assert end.validation > 1.3 * least
    assert end.validation - end.rescaled > (end.validation - least) / 2
    assert ours.points[-1].validation > 0.95 * end.validation
