"""What the author of AutoHypergradientAdamW states on spiking networks, put to the test."""

from functools import cache

import numpy as np
import pytest

from hypergrad_papers.adamw.spiking_runs import (
    DRAWS,
    SHIFT,
    TRANSITIONS,
    WINDOW,
    compare_times,
    find_transition,
    form_signal,
    run_network,
)

pytest.importorskip("sklearn")

SEEDS = range(4)
SOON = 10  # steps after the shift
BEFORE, AFTER = slice(SHIFT - 5, SHIFT), slice(SHIFT, SHIFT + 5)


@cache
def run(method, forced, seed):
    return run_network(method, forced, seed, steps=SHIFT + SOON + 10)


@pytest.mark.parametrize("method", ["Auto", "Auto, as advised", "Auto, gain 10"])
def test_dark_images_silence_more_than_half_of_the_neurons(method):
    before, after = np.median([run(method, True, seed).silent[[SHIFT - 1, SHIFT]] for seed in SEEDS], axis=0)
    assert before < 0.2
    assert after > 0.5


@pytest.mark.parametrize("seed", SEEDS)
def test_gradients_grow_where_most_neurons_fall_silent_and_shrink_where_all_do(seed):
    ratios = {}
    for method in ("Auto", "Auto, as advised"):
        norms = run(method, True, seed).grad_norm
        ratios[method] = norms[AFTER].mean() / norms[BEFORE].mean()
    assert ratios["Auto"] > 2
    assert run("Auto, as advised", True, seed).silent[SHIFT] == 1
    # they do not vanish: the output's biases still learn, and the surrogate has a slope below the threshold
    assert 0.2 < ratios["Auto, as advised"] < 1


def test_rate_rises_where_there_is_room_and_stays_at_the_advised_bound():
    higher = [run("Auto", True, s).lr[SHIFT + SOON] > run("Auto", False, s).lr[SHIFT + SOON] for s in SEEDS]
    assert sum(higher) >= 3
    for seed in SEEDS:
        assert run("Auto, as advised", True, seed).lr[SHIFT + SOON] == 2e-3


@pytest.mark.parametrize("seed", SEEDS)
def test_gain_falls_where_it_is_meant_to_rise(seed):
    forced, twin = (run("Auto, gain 10", dark, seed) for dark in (True, False))
    assert forced.surprise[AFTER].mean() > twin.surprise[AFTER].mean()
    assert forced.gain[SHIFT + SOON] < twin.gain[SHIFT + SOON]


def test_a_constant_gain_wakes_the_neurons_as_soon():
    silent = {
        method: np.mean([run(method, True, seed).silent[SHIFT : SHIFT + SOON].mean() for seed in range(12)])
        for method in ("Auto", "Auto, gain 10", "Auto, held gain 10")
    }
    gained = silent["Auto"] - silent["Auto, gain 10"]
    # one seed differs from the next by as much as is gained, the means over twelve by less than half of it
    assert 0 < gained < 2 * (silent["Auto"] - silent["Auto, held gain 10"])


def test_surprise_marks_no_natural_transition():
    runs = [run_network("AdamW, surprise", False, seed) for seed in range(16)]
    signals = [form_signal(run) for run in runs]
    scatter = np.concatenate(signals).std()
    for field, sign in TRANSITIONS.values():
        times = [find_transition(getattr(run, field), sign) for run in runs]
        for offset in (-WINDOW, 0):
            mark = compare_times(signals, [time + offset for time in times])
            # about four standard errors of the mean; a p of one in twenty comes up on one machine in twenty
            assert abs(mark.signal - mark.shifted) < scatter / 2


def test_shifted_times_find_a_mark_that_is_there_and_none_that_is_not():
    rng = np.random.default_rng(5)
    signals, times = list(rng.standard_normal((8, 300))), rng.integers(100, 200, 8).tolist()
    assert compare_times(signals, times).p > 0.05
    for signal, time in zip(signals, times, strict=True):
        signal[time : time + WINDOW] += 2
    assert compare_times(signals, times).p == 1 / (1 + DRAWS)
