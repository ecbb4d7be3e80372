"""Every problem is its own derivative's primitive, and knows its constants; f and g share their products."""

import numpy as np
import pytest
from scipy import sparse

from hypergrad_problems import linear_models, matched_quadratics, quadratics, set_models, softmax, toys
from hypergrad_problems.data import Dataset, load

RNG = np.random.default_rng(0)
DENSE = Dataset("drawn", RNG.standard_normal((12, 5)), np.where(RNG.random(12) < 0.5, -1.0, 1.0), "drawn")
SPARSE = DENSE._replace(features=sparse.csr_array(DENSE.features * (RNG.random((12, 5)) < 0.4)))
CLASSES = DENSE._replace(labels=np.arange(12) % 3.0)

PROBLEMS = {
    "quadratic": quadratics.quadratic(
        [0.5, 2.0, 7.0], rotation=quadratics.random_rotation(3), optimum=[1.0, -2.0, 3.0]
    ),
    "saddle": quadratics.quadratic([-1.0, 2.0]),
    "hdm toy": quadratics.hdm_toy(),
    "spike toy": quadratics.spike_toy(),
    "least squares": matched_quadratics.matched_least_squares(1e-1),
    "svm": linear_models.smoothed_svm(DENSE.features, DENSE.labels, reg=0.25),
    "svm sparse": linear_models.smoothed_svm(SPARSE.features, SPARSE.labels),
    "logistic": linear_models.logistic(DENSE.features, DENSE.labels, reg=0.1, mean=True),
    "logistic sparse": linear_models.logistic(SPARSE.features, SPARSE.labels),
    "softmax": softmax.softmax_regression(CLASSES, reg=0.1),
    "rosenbrock": toys.rosenbrock(4),
    "quartic": toys.quartic(3),
    "huber": toys.huber([1.0, 0.25, 3.0]),
}
CONVEX = [name for name, problem in PROBLEMS.items() if problem.strong_convexity >= 0]
SMOOTH = [name for name in CONVEX if np.isfinite(PROBLEMS[name].smoothness)]


def points(problem, count=5):
    rng = np.random.default_rng(1)
    return [rng.standard_normal(problem.x0.size) for _ in range(count)]


def differentiate(function, x, v, step=1e-5):
    """A central difference: error step^2 f'''/6 + u f / step."""
    return (function(x + step * v) - function(x - step * v)) / (2 * step)


@pytest.mark.parametrize("name", PROBLEMS)
def test_gradient_is_the_derivative_of_the_value(name):
    problem = PROBLEMS[name]
    for x, v in zip(points(problem), reversed(points(problem)), strict=True):
        gradient = problem.gradient(x)
        # 1e-10 f''' / 6 + 1e-11 f, and at a kink of phi'' another step phi''': f and f''' stay below 1e5 here
        assert abs(differentiate(problem.value, x, v) - gradient @ v) <= 1e-5 * (1 + np.abs(gradient) @ np.abs(v))


@pytest.mark.parametrize("name", PROBLEMS)
def test_hessian_product_is_the_derivative_of_the_gradient(name):
    problem = PROBLEMS[name]
    for x, v in zip(points(problem), reversed(points(problem)), strict=True):
        product = problem.hessian_product(x, v)
        difference = differentiate(problem.gradient, x, v, 1e-6)
        assert np.abs(difference - product).max() <= 1e-5 * (1 + np.abs(product).max())


@pytest.mark.parametrize("name", PROBLEMS)
def test_value_and_gradient_are_those_taken_apart(name):
    problem = PROBLEMS[name]
    for x in points(problem):
        value, gradient = problem.value_and_gradient(x)
        # the two paths may add in another order: a few roundings of sums that do not cancel
        assert abs(value - problem.value(x)) <= 1e-14 * abs(value)
        assert gradient.tobytes() == problem.gradient(x).tobytes()


@pytest.mark.parametrize("name", [name for name, p in PROBLEMS.items() if p.optimum is not None])
def test_optimum_is_stationary_and_has_the_least_value(name):
    problem = PROBLEMS[name]
    value, gradient = problem.value_and_gradient(problem.optimum)
    # cond(A) u = 2e-15 for the least squares, exact zeros elsewhere
    assert np.abs(gradient).max() <= 1e-12
    assert abs(value - problem.optimal_value) <= 1e-24 + 1e-15 * abs(problem.optimal_value)
    assert all(problem.value(x) >= problem.optimal_value for x in points(problem))


@pytest.mark.parametrize("name", SMOOTH)
def test_constants_bound_the_change_of_the_gradient(name):
    problem = PROBLEMS[name]
    xs = points(problem, 12)
    for x, y in zip(xs[::2], xs[1::2], strict=True):
        change, move = problem.gradient(x) - problem.gradient(y), x - y
        slack = 1e-12 * problem.smoothness * (move @ move)
        assert problem.strong_convexity * (move @ move) <= change @ move + slack
        assert np.linalg.norm(change) <= problem.smoothness * np.linalg.norm(move) * (1 + 1e-12)


@pytest.mark.parametrize("name", ["quadratic", "least squares"])
def test_smoothness_is_the_smallest(name):
    problem = PROBLEMS[name]
    v = points(problem)[0]
    for _ in range(5000):  # power iteration
        v = problem.hessian_product(problem.x0, v)
        v /= np.linalg.norm(v)
    assert abs(v @ problem.hessian_product(problem.x0, v) / problem.smoothness - 1) < 1e-3


def test_arrays_of_a_problem_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        PROBLEMS["hdm toy"].x0[0] = 1.0


class Counting:
    """A matrix that counts its products."""

    def __init__(self, matrix, log, name):
        self.matrix, self.log, self.name = matrix, log, name

    def __matmul__(self, vector):
        self.log.append(self.name)
        return self.matrix @ vector


@pytest.mark.parametrize("name", ["svm", "svm sparse", "logistic", "logistic sparse"])
def test_value_and_gradient_cost_one_product_each_way(name):
    problem, log = PROBLEMS[name], []
    watched = object.__new__(type(problem))
    watched.__dict__ |= problem.__dict__ | {
        "rows": Counting(problem.rows, log, "B"),
        "columns": Counting(problem.columns, log, "B^T"),
    }
    watched.value_and_gradient(np.ones(problem.x0.size))
    assert log == ["B", "B^T"]


@pytest.mark.parametrize("name", ["svm sparse", "logistic sparse"])
def test_sparse_data_stay_sparse(name):
    assert sparse.issparse(PROBLEMS[name].rows)
    assert sparse.issparse(PROBLEMS[name].columns)


@pytest.mark.parametrize("kind", [linear_models.smoothed_svm, linear_models.logistic])
def test_sparse_and_dense_data_are_one_problem(kind):
    sparse_one = kind(SPARSE.features, SPARSE.labels)
    dense_one = kind(SPARSE.features.toarray(), SPARSE.labels)
    for x in points(sparse_one):
        # sums of six terms in another order
        assert abs(sparse_one.value(x) - dense_one.value(x)) <= 1e-14 * dense_one.value(x)


@pytest.mark.parametrize("margin", [-1e4, -800.0, -30.0, 0.0, 30.0, 800.0, 1e4])
def test_logistic_is_stable_for_any_margin(margin):
    problem = linear_models.logistic(np.array([[1.0]]), np.array([1.0]))
    value, gradient = problem.value_and_gradient(np.array([margin, 0.0]))
    expected = max(0.0, -margin) + np.log1p(np.exp(-abs(margin)))
    assert abs(value - expected) <= 2e-16 * expected
    slope = -1 / (1 + np.exp(margin)) if margin < 700 else 0.0
    assert abs(gradient[0] - slope) <= 4e-16 * abs(slope) + 1e-300


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: quadratics.quadratic([]), "spectrum must be a non-empty vector"),
        (lambda: toys.rosenbrock(1), "n must be at least 2, got 1"),
        (lambda: toys.huber([-1.0]), "weights must be a vector of numbers > 0"),
        (lambda: linear_models.logistic(np.ones((2, 2)), np.ones(3)), "labels must have one entry per row"),
        (
            lambda: linear_models.smoothed_svm(np.ones((2, 2)), np.ones(2), reg=-1.0),
            "reg must be finite and >= 0, got -1",
        ),
    ],
)
def test_bad_argument_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


# The problems of the HDM-Best experiments.


@pytest.mark.parametrize(
    ("make", "start", "value"),
    [
        (set_models.hdm_svm, set_models.start_a, 695.198965729),
        (set_models.hdm_svm, set_models.start_b, 764.63127986),
        (set_models.hdm_logistic, set_models.start_a, 1015.72775341),
        (set_models.hdm_logistic, set_models.start_b, 1047.67047734),
    ],
)
def test_a1a_starts_where_the_authors_start(make, start, value):
    """Source: measured with the authors' code."""
    problem = make(load("a1a", "authors"), start)
    assert abs(problem.value(problem.x0) - value) <= 1e-11 * value
    assert abs(problem.smoothness_estimate - 11644.5614877854) <= 1e-13 * 11644.5614877854
    assert problem.rows.shape == (1605, 120)


def test_published_smoothness_of_logistic_regression_is_four_times_the_true_one():
    problem = set_models.hdm_logistic(load("a1a", "authors"))
    assert 4 * problem.smoothness <= problem.smoothness_estimate * 1.05
