"""The AdamW family over seven decades of initial rates: what the findings say, on breast_cancer."""

from functools import cache

import numpy as np
import pytest

from hypergrad_papers.adamw.runs import METHODS, PROBLEMS, RATES, open_task, run_from
from hypergrad_problems.newton import find_minimum
from paper_figs.sweep_data import is_below

pytest.importorskip("sklearn")

KEEP_BETA1 = [name for name in METHODS if name != "AdamW" and "beta1" not in name]


@cache
def run_all(method):
    """Losses and rates at the end, one entry per initial rate."""
    return np.array([run_from("logistic", method, lr) for lr in RATES]).T


@pytest.mark.parametrize("method", KEEP_BETA1)
def test_rates_that_adapt_come_back_from_far_too_low(method):
    least = find_minimum(PROBLEMS["logistic"]())
    assert run_all("AdamW")[0][0] - least > 0.6
    assert (run_all(method)[0][np.array(RATES) <= 0.1] - least).max() < 3e-3


def test_adamw_at_its_best_rate_is_beaten_by_none_on_a_convex_task():
    best = {method: run_all(method)[0].min() for method in METHODS}
    assert [method for method in METHODS if is_below(best[method], best["AdamW"])] == []


def test_published_rule_hardly_leaves_a_rate_far_too_high():
    _, rates = run_all("Auto, gradient")
    assert RATES[-1] == 10
    assert 8 < rates[-1] < 12


def test_published_rule_of_beta1_wrecks_most_runs():
    assert np.median(run_all("Auto, gradient, beta1 by published")[0]) > 1000 * run_all("AdamW")[0].min()
    assert np.median(run_all("Auto, gradient, beta1 by derivative")[0]) < 1.1 * run_all("AdamW")[0].min()
    assert np.median(run_all("Auto, gradient")[0]) < np.median(run_all("Auto, gradient, beta1 by derivative")[0])


def test_network_is_that_of_the_published_weights_on_digits():
    thetas, evaluate = open_task("mlp")
    assert [theta.shape for theta in thetas] == [(32, 64), (32,), (10, 32), (10,)]
    loss, gradients = evaluate(thetas)
    # ten classes by chance: log 10 = 2.303, to the size of the first outputs
    assert abs(loss - np.log(10)) < 0.05
    assert [gradient.shape for gradient in gradients] == [theta.shape for theta in thetas]
    assert all(gradient.dtype == np.float32 for gradient in gradients)


def test_unknown_task_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="'nothing': give one of logistic, softmax, mlp"):
        open_task("nothing")
