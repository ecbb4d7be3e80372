"""What the schedule of TuningFreeAdamW does, formula by formula, and what must not happen to its rate."""

import math

import numpy as np
import pytest
from free_runs import FORMS, drive, noisy_quadratic, start, sums

from hypergrad_problems.arena import models, tape
from hypergrad_problems.arena.problems import make_problem
from hypergrad_problems.arena.rows import load_digits
from hypergrad_problems.arena.training import Split, learn
from hypergrad_reference.adamw_free import average, init, step
from hypergrad_reference.adamw_free_schedule import G, K, Learned, Target, schedule, watch_target

# What must not go wrong


@pytest.mark.parametrize(("form", "gain", "first"), [("G", 0.3, 100.0), ("K", 0.2, 100.0), ("K", 0.4, 100.0)])
def test_rate_does_not_fall_to_nothing_after_a_forced_overshoot(form, gain, first):
    """Steps of long ago make up the averages then. Without phi the last of these runs ends at a rate of 1e-12."""
    constants, of_adamw = FORMS[form]
    points = start(200)
    state, rates = init(points, first), []
    for t in range(2000):
        points, state, record = step(points, noisy_quadratic(points, t), state, constants._replace(gain=gain), of_adamw)
        rates.append(record.lr)
    assert min(rates) > 1e-3
    answer = average(points, state, constants)[0]
    assert np.geomspace(1e-3, 1, 200) @ answer**2 / 2 < 1  # at the start: 7.7


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["random rows", "digits 100"])
def test_exact_fits_do_not_make_the_rate_run_away(name, form):
    """Gradients fall by 1e3 once all data are fitted, and Adam makes full steps of them: the guard lowers the rate."""
    problem = make_problem(name, 0)
    rng = np.random.default_rng(0)
    constants, _ = FORMS[form]
    points, state, records = drive(
        lambda points, t: [problem.gradient(points[0], rng)], [problem.start], 1000, form, 1e-4 if form == "G" else 1e-5
    )
    assert max(record.lr for record in records) < 1
    assert problem.loss(average(points, state, constants)[0]) < problem.loss(problem.start) / 10


def test_long_exact_fit_does_not_blow_up():
    """Adam forgets the gradients of the beginning. A guard that only hinders a rise leaves 1500 times that loss."""
    problem = make_problem("digits 100", 5)
    rng = np.random.default_rng([5, 2])
    points, state, records = drive(lambda points, t: [problem.gradient(points[0], rng)], [problem.start], 5000)
    assert "guard" in {record.reason for record in records}
    assert max(problem.loss(average(points, state)[0]), problem.loss(points[0])) < problem.loss(problem.start) / 1000


def test_steps_without_a_gradient_do_not_lower_the_rate():
    _, state, _ = drive(noisy_quadratic, start(30), 50)
    learned = state.learned
    for t in range(51, 351):
        learned, _ = schedule(t, learned, sums(0.0, 0.0, 1.0, 0.0))
    assert learned.lr == state.learned.lr


def test_moved_target_restarts_the_climb_within_20_steps():
    """A network on digits whose labels are permuted after 1000 steps."""
    inputs, labels = load_digits()
    other = np.random.default_rng(0).permutation(10)
    model, parameters = models.mlp((64, 128, 10), tape.cross_entropy, np.random.default_rng(0))
    before, after = (
        learn("digits", model, parameters, Split((inputs, y), (inputs[:0], y[:0])), l2=1e-3)
        for y in (labels, other[labels])
    )

    def gradient(points, t):
        return [(before if t < 1000 else after).gradient(points[0], np.random.default_rng([9, t]))]

    _, _, records = drive(gradient, [before.start], 1100)
    restarts = [record.step for record in records if record.reason == "restart: target moved"]
    assert restarts
    assert 1000 < restarts[0] <= 1020
    first = restarts[0]
    assert records[first].reason == "climbing"
    assert records[first - 1].clock < records[first - 2].clock / 19


@pytest.mark.parametrize("seed", range(5))
def test_stationary_noise_raises_no_false_alarm(seed):
    norms = np.sqrt(np.random.default_rng(seed).chisquare(10, 20_000))  # of a gradient of 10 equal components
    target = Target()
    for norm in norms:
        target, moved = watch_target(target, float(norm))
        assert not moved


@pytest.mark.parametrize("slope", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_rate_stays_finite_and_above_0(slope, sign):
    """Cosines of 1 forever, or of -1, with norms of any size."""
    learned = Learned(1e-4, lr_peak=1e-4)
    for t in range(1, 3000):
        learned, record = schedule(t, learned, sums(slope, sign * slope, slope, slope))
        assert 0 < record.lr < math.inf
        assert G.lr_min <= record.lr <= G.lr_max


def test_sum_that_is_not_finite_leaves_the_schedule_alone():
    learned = Learned(1e-3, 4.0, 5.0, lr_peak=1e-3)
    for given in (sums(math.inf, 1, 1, 1), sums(math.nan), sums(1, math.inf, 1, 1), sums(1, 1, 1, math.inf)):
        after, record = schedule(7, learned, given)
        assert after == learned._replace(clock=5.0, next_clock=6.0, gap=1)
        assert (record.reason, record.lr) == ("non-finite sum", 1e-3)


def test_zero_gradient_leaves_the_rate_alone():
    _, state, _ = drive(noisy_quadratic, start(30), 50)
    learned, record = schedule(51, state.learned, sums(0.0, 0.0, 1.0, 0.0))
    assert learned.lr == state.learned.lr
    assert record.cosine == 0


@pytest.mark.parametrize(
    ("reason", "given", "learned"),
    [
        ("climbing", sums(1.0, 0.5, 1.0, 9.0), Learned(1e-3, 8.0, 9.0, lr_peak=1e-3, norm_mean=1.0, norm_peak=1.0)),
        (
            "annealing",
            sums(1.0, 0.5, 1.0, 9.0),
            Learned(1e-3, 8.0, 9.0, lr_peak=1e-2, peak_step=5, norm_mean=1.0, norm_peak=1.0),
        ),
        (
            "guard",
            sums(1.0, 0.5, 1.0, 9.0),
            Learned(1e-3, 8.0, 9.0, lr_peak=6e-3, peak_step=5, norm_mean=1.0, norm_peak=1e3),
        ),
    ],
)
def test_record_says_why_the_rate_moved(reason, given, learned):
    _, record = schedule(10, learned, given)
    assert record.reason == reason
    assert record.lr > record.lr_before == 1e-3
    assert record.hypergradient < 0


NOW = Learned(1e-3, 8.0, 9.0, lr_peak=1e-3, norm_mean=1.0, norm_peak=1.0)
"""While the rate climbs, with averages over 9 steps of norm 1."""


@pytest.mark.parametrize(
    ("step", "learned", "cosine", "change"),
    [
        (2, NOW, 0.5, 0.3 * 0.5),
        (5, NOW._replace(q_peak=0.02), 0.1, 0.3 * 0.1),  # the climb rule does not hold yet
        (6, NOW._replace(q_peak=0.02), 0.1, 0.15),
        (6, NOW._replace(q_peak=0.02), -0.1, -0.15),
        (6, NOW._replace(q_peak=0.4), 0.1, 0.15 * 0.1 / 0.4),
        (6, NOW._replace(q_peak=0.4), 0.6, 0.3 * 0.6),  # the larger of the two
        (210, NOW._replace(peak_step=10), 0.5, 0.3 * 0.5 * math.sqrt(100 / 300)),
        (210, NOW._replace(norm_peak=100.0), 0.5, math.log(1 / 3) / 2),  # guard
        (210, NOW._replace(norm_peak=100.0, lr_peak=9e-3), 0.5, 0.3 * 0.5),  # below the ceiling
        (210, NOW._replace(norm_peak=40.0), -0.5, -0.3 * 0.5),
    ],
)
def test_rate_moves_as_the_formulas_say(step, learned, cosine, change):
    constants = G._replace(climb=0.15 if learned.q_peak else 0.0)
    after, record = schedule(step, learned, sums(1.0, cosine, 1.0, 9.0), constants)
    assert record.reach == 1
    assert record.log_change == pytest.approx(change, rel=1e-15)  # of one rounding, written in another order
    assert record.lr == after.lr == 1e-3 * math.exp(record.log_change)


def test_climb_ends_where_the_rate_is_half_of_its_peak():
    falling = sums(1.0, -1.0, 1.0, 9.0)
    learned = NOW._replace(lr=1.3e-3, lr_peak=2e-3)
    learned, record = schedule(40, learned, falling)
    assert (learned.peak_step, record.reason) == (40, "climbing")
    learned, record = schedule(41, learned, falling)
    assert (learned.peak_step, record.reason) == (40, "annealing")


def test_stale_averages_lose_a_tenth_of_their_clock():
    stale = sums(1.0, 0.5, 1.0, (1 / 3.0 / (G.straight * 10)) ** 2 * 0.99)
    for t, clock in ((11, 10.0), (12, 9.0)):
        learned, record = schedule(t, NOW, stale)
        assert record.reach < 1 / 3
        assert learned.next_clock == clock
    assert schedule(12, NOW, stale, K)[0].next_clock == 10


def test_delayed_reach_counts_by_the_clock_of_the_step_before():
    given = sums(1.0, 0.5, 1.0, 0.09)
    for delay, clock in ((False, NOW.next_clock), (True, NOW.clock)):
        _, record = schedule(20, NOW, given, G._replace(delay=delay))
        assert record.reach == (clock + 1) * G.straight * math.sqrt(0.09) < 1
