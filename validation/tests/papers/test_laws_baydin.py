"""The laws of `hypergrad_papers.baydin2018.laws` hold for every method, and steps are pure and refuse what is wrong."""

import math
from copy import deepcopy
from functools import partial

import numpy as np
import pytest

from hypergrad_papers.baydin2018 import law_runs, laws
from hypergrad_papers.baydin2018.law_runs import EPS, LR, METHODS, RULES, SGD, STEPS, Problem, rates, run
from hypergrad_papers.baydin2018.laws import FROM_ZERO
from hypergrad_reference import adam_hd, sgd_hd
from hypergrad_reference.adam_hd import Constants
from hypergrad_reference.hypergradient import schedule_additive, schedule_multiplicative
from hypergrad_reference.rule import Sums
from hypergrad_reference.transition import schedule_transition

DTYPES = [np.float32, np.float64]


@pytest.mark.parametrize("method", METHODS)
def test_hypergradient_is_the_derivative_of_the_next_loss(method):
    check = laws.derivative_error.judge(method)
    assert check.holds
    assert check.ours > 0  # it was computed in another way


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", METHODS)
def test_hyper_lr_of_zero_is_the_base_method(method, rule, dtype):
    assert laws.is_base_without_hyper_lr.judge(method, rule, dtype).holds


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", METHODS)
def test_first_step_is_that_of_the_base_method(method, rule):
    assert laws.is_base_at_first.judge(method, rule).holds


@pytest.mark.parametrize("method", METHODS)
def test_rate_is_the_first_one_plus_all_inner_products(method):
    assert laws.accumulation_error.judge(method).holds
    _, records = run(method, Problem(), partial(schedule_additive, hyper_lr=law_runs.ADDITIVE[method]))
    assert abs(records[-1].lr - LR) > 1e-2


@pytest.mark.parametrize(("method", "expected"), FROM_ZERO.items())
def test_rate_of_zero_starts_along_the_gradient(method, expected):
    assert laws.error_from_zero.judge(method, expected).holds


@pytest.mark.parametrize("method", METHODS)
def test_multiplicative_rate_of_zero_stays_zero(method):
    path, records = run(method, Problem(), partial(schedule_multiplicative, hyper_lr=0.5), lr=0.0)
    assert set(rates(records)) == {0.0}
    assert {record.reason for record in records[1:]} == {"zero rate"}
    assert np.array_equal(path[0], path[-1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_additive_rule_scales_with_the_loss(method, dtype):
    assert laws.scales.judge(method, "additive", "a scaled loss", dtype).holds


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_additive_rule_scales_with_theta(method, dtype):
    assert laws.scales.judge(method, "additive", "scaled parameters", dtype).holds


@pytest.mark.parametrize("scaling", laws.SCALINGS)
@pytest.mark.parametrize("method", METHODS)
def test_multiplicative_rule_needs_no_other_hyper_lr_under_scaling(method, scaling):
    assert laws.scales.judge(method, "multiplicative", scaling).holds


@pytest.mark.parametrize("method", METHODS)
def test_multiplicative_rate_changes_by_no_more_than_hyper_lr(method):
    assert laws.moves_by_no_more_than_hyper_lr.judge(method).holds


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("seed", range(5))
def test_rate_below_the_inverse_of_the_largest_curvature_rises_and_above_that_of_the_smallest_falls(rule, seed):
    assert laws.moves_towards_the_curvatures.judge(rule, seed).holds


@pytest.mark.parametrize(("a", "lr", "hyper_lr"), laws.ONE_DIMENSION)
def test_multiplicative_rule_converges_in_one_dimension(a, lr, hyper_lr):
    assert laws.converges_in_one_dimension.judge(a, lr, hyper_lr).holds


@pytest.mark.parametrize("rows", [4, 12])
def test_multiplicative_rule_converges_on_least_squares(rows):
    assert laws.end_of_least_squares.judge(rows).holds


@pytest.mark.parametrize("hyper_lr", [0.25, 0.875])
def test_multiplicative_rule_diverges_without_smoothness(hyper_lr):
    assert laws.growth_without_smoothness.judge(hyper_lr).holds


def test_rate_stays_within_the_bound_of_the_proof():
    assert laws.use_of_the_bound.judge().holds


def test_transition_converges_where_the_plain_rule_does_not():
    for part in (laws.transition_starts, laws.transition_finds, laws.plain_rule_loses, laws.transition_uses_its_bound):
        assert part.judge().holds


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("method", METHODS)
def test_order_of_the_tensors_does_not_matter(method, rule):
    init, step = METHODS[method]
    problem, schedule = Problem(np.float32), partial(RULES[rule], hyper_lr=2.0**-8)
    forth, state = problem.start, init(problem.start, LR)
    back = forth[::-1]
    mirrored = init(back, LR)
    for _ in range(STEPS):
        grads = problem.gradients(forth)
        forth, state, _ = step(forth, grads, state, schedule)
        back, mirrored, _ = step(back, grads[::-1], mirrored, schedule)
        assert state.lr == mirrored.lr
        assert [theta.tobytes() for theta in forth] == [theta.tobytes() for theta in back[::-1]]


def arrays_of(value):
    if isinstance(value, np.ndarray):
        return [value]
    return [array for part in value for array in arrays_of(part)] if isinstance(value, tuple | list) else []


def step_pytorch(thetas, grads, state, schedule, scale=1.0):
    return adam_hd.step_pytorch(thetas, grads, state, 2.0**-8, Constants(0.75, 0.875, EPS * scale))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", [*METHODS, "adam_pytorch"])
def test_step_is_pure_and_keeps_the_dtype(method, dtype):
    """Inputs stay as they were, results share no memory with them, and the same state gives the same step again."""
    init, step = METHODS.get(method, (adam_hd.init, step_pytorch))
    problem, schedule = Problem(dtype), partial(schedule_additive, hyper_lr=2.0**-8)
    thetas, state = problem.start, init(problem.start, LR)
    for t in range(4):
        grads = problem.gradients(thetas)
        grads[1] = None if t == 2 else grads[1]
        given = (thetas, grads, state)
        kept = deepcopy(given)
        thetas, state, _ = step(*given, schedule)
        again, state_again, _ = step(*kept, schedule)
        inputs, outputs = arrays_of(given), arrays_of((thetas, state))
        assert [a.tobytes() for a in inputs] == [a.tobytes() for a in arrays_of(kept)]
        assert [a.tobytes() for a in outputs] == [a.tobytes() for a in arrays_of((again, state_again))]
        assert state.lr == state_again.lr
        assert {array.dtype for array in outputs} == {np.dtype(dtype)}
        assert not any(np.shares_memory(a, b) for a in thetas for b in inputs)
        assert not any(np.shares_memory(a, b) for a in outputs for b in grads if b is not None)


@pytest.mark.parametrize("method", SGD)
def test_tensor_counts_its_own_steps(method):
    init, step = METHODS[method]
    thetas = Problem().start
    state = init(thetas, LR)
    for absent in (None, 1, None, 0, 0):
        grads = [None if i == absent else g for i, g in enumerate(Problem().gradients(thetas))]
        thetas, state, _ = step(thetas, grads, state, partial(schedule_additive, hyper_lr=0.0))
    assert (state.step, [kept.step for kept in state.kept]) == (5, [3, 4])


@pytest.mark.parametrize(("product", "lr"), [(2.0, 0.5 * 1.25), (-2.0, 0.5 * 0.75)])
def test_cosine_past_one_by_rounding_is_held(product, lr):
    assert schedule_multiplicative(2, 0.5, Sums(product, 1.0, 1.0), hyper_lr=0.25).lr == lr


@pytest.mark.parametrize("product", [1e308, -1e308])
@pytest.mark.parametrize("rule", RULES)
def test_rate_that_would_not_be_finite_stays(rule, product):
    record = RULES[rule](2, math.copysign(1e308, product), Sums(product, 1.0, 1.0), hyper_lr=1e10)
    assert (record.lr, record.reason) == (math.copysign(1e308, product), "non-finite rate")


THETA, GRAD = [np.ones(3)], [np.ones(3)]
additive = partial(schedule_additive, hyper_lr=0.5)


def step_sgd(grads, constants=sgd_hd.PLAIN):
    """A step from the state of plain gradient descent."""
    return sgd_hd.step(THETA, grads, sgd_hd.init(THETA, 0.5), additive, constants)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: schedule_additive(1, 0.5, None, -0.5), "hyper_lr is -0.5"),
        (lambda: schedule_multiplicative(1, 0.5, None, math.inf), "hyper_lr is inf"),
        (lambda: schedule_transition(1, 0.5, None, additive, 0.1, lambda t: 1.5), r"delta\(1\) is 1.5"),
        (lambda: schedule_transition(1, 0.5, None, additive, 0.1, lambda t: -0.5), r"delta\(1\) is -0.5"),
        (lambda: sgd_hd.init(THETA, math.nan), "lr is nan"),
        (lambda: adam_hd.init(THETA, math.inf), "lr is inf"),
        (lambda: step_sgd(GRAD, sgd_hd.Constants(1.0, nesterov=True)), "momentum is 1.0"),
        (lambda: step_sgd(GRAD, sgd_hd.Constants(0.5, 1.5)), "dampening is 1.5"),
        (lambda: step_sgd(GRAD, sgd_hd.Constants(0.5, nesterov=True)), "start from an init with the momentum"),
        (lambda: step_sgd(GRAD, sgd_hd.Constants(0.5)), "start from an init with the momentum"),
        (lambda: step_sgd(GRAD * 2), "2 entries for 1 tensors"),
        (lambda: step_sgd([]), "0 entries for 1 tensors"),
        (
            lambda: step_sgd([np.ones(3, np.float32)]),
            r"grads\[0\] is float32\(3,\), thetas\[0\] is float64\(3,\)",
        ),
        (lambda: adam_hd.step(THETA, GRAD, adam_hd.init(THETA, 0.5), additive, Constants(beta2=1.0)), "beta2 is 1.0"),
        (lambda: adam_hd.step(THETA, GRAD, adam_hd.init(THETA, 0.5), additive, Constants(eps=0.0)), "eps is 0.0"),
    ],
)
def test_wrong_constant_or_gradient_is_refused_by_name(call, words):
    with pytest.raises(ValueError, match=words):
        call()
