"""How far the rates with delay 1 are from the exact ones: never further than is proven, on real runs and on any."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypergrad_papers.adamw.delay_runs import (
    DELAYED,
    LR,
    compare,
    compare_descent,
    find_bound,
    find_distance,
)
from hypergrad_papers.adamw.runs import METHODS, TASKS
from hypergrad_reference import adamw, adamw_auto, adamw_hd
from hypergrad_reference.delay_bounds import (
    bound_by_hypergradients,
    bound_by_moves,
    find_largest_direction,
    form_moves,
    limit_auto,
)
from hypergrad_reference.rule import Sums

compare_once = cache(compare)


def slack(steps, *numbers):
    """Of T rates in float64: each is rounded in a few operations, relative to what it is made of."""
    return 8 * steps * 2.0**-53 * max(float(np.nanmax(np.abs(x))) for x in numbers)


@pytest.mark.parametrize("method", DELAYED)
@pytest.mark.parametrize("task", TASKS)
def test_rates_of_a_real_run_are_no_further_apart_than_proven(task, method):
    pair = compare_once(task, method)
    distance, bound = find_distance(method, pair), find_bound(method, pair)
    assert (distance <= bound + slack(len(bound), pair.exact.lr, pair.delayed.lr, 1.0)).all()
    assert distance.max() > 0
    assert np.array_equal(pair.exact.before[1:], pair.exact.lr[:-1])
    assert pair.exact.lr[0] == pair.delayed.lr[0] == LR


@pytest.mark.parametrize("task", TASKS)
def test_first_distance_is_one_move(task):
    """Until the second rate is used both runs are the same, so the bound is met."""
    pair = compare_once(task, "HypergradientAdamW")
    hyper_lr = METHODS["HypergradientAdamW"][1]["hyper_lr"]
    distance = find_distance("HypergradientAdamW", pair)
    assert distance[1] == pytest.approx(hyper_lr * abs(pair.exact.h[1]), rel=1e-12)


@pytest.mark.parametrize("hyper_lr", [1e-4, 1e-3, 1e-2])
@pytest.mark.parametrize("task", ["logistic", "softmax"])
def test_descent_is_no_further_apart_than_its_curvature_allows(task, hyper_lr):
    pair, rates, points = compare_descent(task, hyper_lr, lr=0.01)
    distance = np.abs(pair.exact.lr - pair.delayed.lr)
    apart = np.array([np.linalg.norm(a - b) for a, b in zip(pair.exact.thetas, pair.delayed.thetas, strict=True)])
    assert (distance <= rates + slack(len(rates), pair.exact.lr, pair.delayed.lr)).all()
    # theta is of size 10 and rounded in every step
    assert (apart <= points + 8 * len(points) * 2.0**-53 * 10).all()


@pytest.mark.parametrize("task", ["logistic", "softmax"])
def test_distance_of_descent_is_one_move_to_first_order(task):
    """(distance - beta |h|) / beta^2 stays bounded as beta goes to 0: here it changes by less than a tenth."""
    seconds = []
    for hyper_lr in (1e-5, 1e-6):
        pair, *_ = compare_descent(task, hyper_lr, lr=0.01, steps=50)
        distance = np.abs(pair.exact.lr - pair.delayed.lr)
        seconds.append(np.abs(distance - hyper_lr * np.abs(np.nan_to_num(pair.exact.h))).max() / hyper_lr**2)
    assert seconds[0] == pytest.approx(seconds[1], rel=0.1)


@pytest.mark.parametrize("task", TASKS)
def test_limits_of_a_move_alone_hold_on_a_real_run(task):
    pair, constants = compare_once(task, "Auto, gradient"), adamw_auto.Constants()
    for t in range(constants.warmup_steps + 1, len(pair.exact.lr) + 1):
        farthest, least, most = limit_auto(t - constants.warmup_steps, constants.hyper_lr)
        exact, delayed = pair.exact.lr[t - 1], pair.delayed.lr[t - 1]
        assert abs(exact - delayed) <= farthest
        assert least * (1 - 1e-12) <= exact / delayed <= most * (1 + 1e-12)


# Any two streams of hypergradients, as if two runs had nothing in common.

STREAMS = st.lists(st.tuples(st.floats(-100, 100), st.floats(-100, 100)), min_size=2, max_size=40)


@given(STREAMS, st.sampled_from([1e-3, 0.03, 1.0]), st.booleans())
def test_additive_and_logarithmic_rates_are_no_further_apart_than_proven(streams, hyper_lr, log):
    low, high = 1e-3, 0.5
    schedule = adamw_hd.schedule_log if log else adamw_hd.schedule_linear
    h, delayed_h = np.array(streams).T
    exact, delayed = [0.1], [0.1]
    for t, (one, other) in enumerate(streams, 1):
        exact.append(schedule(t, exact[-1], one, hyper_lr, low, high).lr)
        delayed.append(schedule(t, delayed[-1], other, hyper_lr, low, high).lr)
    x, y = np.array(exact[1:]), np.array(delayed[:-1])
    distance = np.abs(np.log(x) - np.log(y)) if log else np.abs(x - y)
    bound = bound_by_hypergradients(h, delayed_h, hyper_lr)
    assert (distance <= bound + slack(len(x), h * hyper_lr, delayed_h * hyper_lr, 10.0)).all()
    worst = [hyper_lr * 100 * max(1, 2 * t - 1) for t in range(1, len(x) + 1)]  # the stream's first h need not be 0
    assert (bound <= worst).all()


@given(STREAMS, st.sampled_from([1e-3, 0.03, 1.0]), st.sampled_from([(1e-9, 1e9), (0.09, 0.12)]))
def test_rates_of_auto_are_no_further_apart_than_proven(streams, hyper_lr, bounds):
    constants = adamw_auto.Constants(hyper_lr=hyper_lr, lr_min=bounds[0], lr_max=bounds[1], warmup_steps=0)
    runs = []
    for stream in np.array(streams).T.tolist():
        learned, records = adamw_auto.Learned(0.1, 0.9), []
        for t, number in enumerate(stream, 2):
            sums = Sums(number, last_grad_grad=40.0)
            learned, record = adamw_auto.schedule(t, learned, sums, constants)
            records.append(record)
        runs.append(records)
    exact, delayed = runs
    before, delayed_before = (np.array([record.lr_before for record in records]) for records in runs)
    moves = [
        form_moves(*np.array([(record.normalized, record.lr_accumulator) for record in records]).T, hyper_lr)
        for records in runs
    ]
    distance = np.abs(np.array([record.lr for record in exact]) - delayed_before)
    bound = bound_by_moves(before, delayed_before, *moves)
    assert (distance <= bound + slack(len(bound), before, delayed_before, *moves, bound)).all()
    for k, (one, other) in enumerate(zip(exact, delayed, strict=True), 1):
        farthest, least, most = limit_auto(k, hyper_lr)
        assert abs(one.lr - other.lr_before) <= farthest * (1 + 1e-12)
        if bounds[1] > 1:
            assert least * (1 - 1e-12) <= one.lr / other.lr_before <= most * (1 + 1e-12)


def test_bound_of_auto_needs_the_growth_by_a_tenth():
    """Two rates that both rise by the limit: their distance grows by a tenth, with equal moves in both runs."""
    before, delayed_before, moves = np.array([0.1, 0.11, 0.121]), np.array([0.1, 0.11, 0.09]), np.array([-1.0] * 3)
    rising = bound_by_moves(before, delayed_before, moves, np.array([-0.98, -1.0, -1.0]))
    assert rising[2] == pytest.approx(0.0121 + 1.1 * 0.02)
    assert bound_by_moves(before, delayed_before, -moves, np.array([0.98, 1.0, 1.0]))[2] == pytest.approx(0.0121 + 0.02)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.sampled_from([(0.9, 0.999), (0.8, 0.9), (0.5, 0.3)]))
def test_direction_of_adamw_has_no_larger_entry_than_proven(gradients, betas):
    moments = adamw.init(np.zeros(1))
    most = find_largest_direction(*betas, len(gradients)) if math.prod(betas) else 1.0
    for t, g in enumerate(gradients, 1):
        scalars = adamw.exact_scalars(0.0, *betas, 1e-12, 0.0, betas[0] ** t, betas[1] ** t)
        _, moments = adamw.apply_exact(np.zeros(1), np.array([g]), moments, scalars)
        assert abs(adamw.direction_exact(moments, scalars)[0]) <= most * (1 + 1e-9)  # 1 - beta^t loses seven digits
