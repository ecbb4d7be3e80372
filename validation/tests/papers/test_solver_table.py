"""The authors' solver table: settings, tuning, cells and its command; the counts on trial are in test_claims_hdm.py.

Numbers without another source are those measured with the authors' code, unchanged (Chu et al. 2025 (HDM), commit
f848bca, start A unless it says B).
"""

from types import SimpleNamespace

import numpy as np
import pytest

from hypergrad import minimize
from hypergrad._minimize.table import METHODS
from hypergrad_papers.hdm2025.solver_table import (
    DIGIT_PAIRS,
    SOLVERS,
    Record,
    cell,
    choose,
    count_baseline,
    hdm_grid,
    main,
    make_problem,
    run_setting,
)
from hypergrad_problems.quadratics import hdm_toy

TOY = hdm_toy()


def problem_of(name, start="a"):
    task, dataset = name.split()
    return make_problem(dataset, task, start)


@pytest.mark.parametrize(
    ("name", "start", "counts"),
    [
        ("svm a1a", "a", [1000, 1000, 566, 1000, 1000, 1000]),
        ("svm a3a", "a", [1000, 1000, 1000, 552, 732, 1000]),
        ("svm a1a", "b", [1000, 1000, 467, 310, 365, 1000]),
    ],
)
def test_adam_over_its_rates(name, start, counts):
    problem = problem_of(name, start)
    grid = SOLVERS["Adam"].grid(problem.smoothness_estimate)
    assert [run_setting("Adam", problem, setting).njev for setting in grid] == counts


@pytest.mark.parametrize(
    ("method", "options", "iterations", "values", "printed"),
    [
        # the self-test table of the authors' code: first values, iterations, and (nF, nG)
        ("gd", {}, 22, [0, -2.75, -2.9375, -2.984375, -2.99609375], (0, 22)),
        ("gd_hb", {"momentum": 0.15}, 18, [0, -2.75, -2.924375, -2.99748594, -2.99926734], (0, 18)),
        ("agd_cvx", {}, 29, [0, -2.75, -2.9375, -2.99193941, -2.9998976], (0, 29)),
        ("adam", {"lr": 1e-3}, 1000, [0, -0.005997, -0.01198784, -0.01797243, -0.02395064], (0, 1000)),
        ("adagrad", {"lr": 4.0}, 14, [0, 23.99999976, -1.10519742, -2.90256651, -2.9950721], (0, 14)),
    ],
)
def test_self_test_table_of_the_authors(method, options, iterations, values, printed):
    """Source: Chu et al. 2025 (HDM), authors' code; measured values as printed, to 8 decimals."""
    given = {"gtol": 1e-6, "history": True, "maxiter": 1000, **options}
    if "smoothness" in METHODS[method].options:
        given["smoothness"] = 4.0
    result = minimize(TOY.value_and_gradient, TOY.x0, jac=True, method=method, options=given)
    assert np.abs(result.history["fun"][:5] - values).max() <= 0.5e-8
    assert count_baseline(result) == printed
    assert printed == (0, iterations)


def test_adam_ends_where_the_self_test_ends():
    given = {"gtol": 1e-6, "lr": 1e-3}
    result = minimize(TOY.value_and_gradient, TOY.x0, jac=True, method="adam", options=given)
    assert abs(result.fun - -2.800826) <= 0.5e-6


@pytest.mark.parametrize(
    ("counts", "winner", "solved"), [([5, 3, 3, 4], 1, True), ([1000] * 3, 0, False), ([1001, 999], 1, False)]
)
def test_winner_has_the_fewest_iterations_and_comes_first(counts, winner, solved):
    none = np.zeros(0)
    row = choose("Adam", [Record({"lr": i}, 0, ng, 0.0, 0.0, none, none, none) for i, ng in enumerate(counts)])
    assert (row.setting, row.solved, row.ng, row.spent) == ({"lr": winner}, solved, counts[winner], sum(counts))


@pytest.mark.parametrize(("solver", "counts"), [("HDM-Best", (1000, 1000)), ("GD", (0, 1000))])
def test_run_that_is_lost_early_is_no_winner(solver, counts):
    """Where theirs goes on with NaN, ours stops: few gradients, and nothing solved."""
    calls = []

    def lose(x):
        calls.append(x)
        return (-float(len(calls)), np.ones(2)) if len(calls) < 4 else (-9.0, np.full(2, np.nan))

    problem = SimpleNamespace(value_and_gradient=lose, x0=np.zeros(2))
    (setting, *_) = SOLVERS[solver].grid(1.0)
    result = run_setting(solver, problem, setting)
    assert (result.status, len(calls)) == (3, 4)
    assert (result.nfev, result.njev) == counts


def test_grid_has_20_settings_with_the_rate_outermost():
    grid = hdm_grid(2.0)
    assert len(grid) == 20
    assert [(s["hyper_lr"] * 2, s["hyper_lr_beta"]) for s in grid[3:6]] == [(0.1, 10), (0.1, 100), (1, 1)]


@pytest.mark.parametrize("solver", ["HDM-Best", "OSGM-Best", "AGD-CVX", "BFGS"])
def test_cell_is_the_run_of_its_setting(solver):
    record = cell("breast_cancer", "svm", "a", solver, 0)
    problem = make_problem("breast_cancer", "svm")
    result = run_setting(solver, problem, record.setting)
    assert (record.nf, record.ng, record.value) == (result.nfev, result.njev, result.fun)
    assert record.values[0] == record.least[0] == problem.value(problem.x0)
    assert record.least[-1] <= record.values.min()
    assert len(record.values) == len(record.gnorms)


def test_osgm_best_is_counted_with_its_probes_and_stops_at_its_budget():
    """The gradient at the start, three probes and one a trial, of 1000; more where it looks ahead, which is late."""
    record = cell("breast_cancer", "logistic", "a", "OSGM-Best", 0)
    steps = len(record.values) - 1
    assert steps > 900
    assert steps + 4 <= record.ng <= 1001
    assert len(record.least) >= record.ng


def test_bundled_problems_have_two_labels():
    """Neither has a label 0, which would make its row a constant: f at 0 would not see it."""
    for name in ("breast_cancer", "digits", *DIGIT_PAIRS):
        problem = make_problem(name, "logistic")
        assert set(np.abs(problem.rows[:, -1])) == {1.0}


def test_command_prints_every_solver_on_bundled_data(capsys):
    assert main(["breast_cancer", "--task", "svm"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("SVM breast_cancer: 569 rows, 31 weights, L = ")
    assert all(name in out for name in SOLVERS)


def test_command_names_a_set_that_is_not_there(capsys):
    assert main(["nothing"]) == 2
    assert "no data set is called 'nothing'" in capsys.readouterr().err
