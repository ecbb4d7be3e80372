"""What surprise does at a shift of the data, and what its gain is good for."""

from functools import cache

import numpy as np
import pytest

from hypergrad_papers.adamw.surprise_runs import EVERY, SHIFT, run_stream

pytest.importorskip("sklearn")

run = cache(run_stream)
BEFORE = slice(SHIFT - 100, SHIFT)


@pytest.mark.parametrize("shift", ["labels", "pixels"])
def test_surprise_leaps_at_a_shift_and_falls_below_its_level_afterwards(shift):
    surprise = run("Auto, surprise", shift, 0).surprise
    assert surprise[SHIFT] > surprise[BEFORE].max()
    assert surprise[SHIFT + 40 : SHIFT + 60].mean() < surprise[BEFORE].mean() - 0.1


def test_surprise_without_a_shift_is_as_high_as_its_threshold_all_the_time():
    accumulated = run("Auto, surprise", "none", 0).accumulated
    assert accumulated[BEFORE].min() > 0.5  # trauma_threshold


@pytest.mark.parametrize("shift", ["none", "labels"])
def test_tracking_alone_changes_no_bit_of_a_run(shift):
    plain, tracked = run("Auto", shift, 0), run("Auto, surprise", shift, 0)
    assert plain.loss.tobytes() == tracked.loss.tobytes()
    assert plain.lr.tobytes() == tracked.lr.tobytes()
    assert np.isnan(plain.surprise).all()


@pytest.mark.parametrize("seed", [0, 1])
def test_adapted_rate_rises_at_a_shift_and_the_loss_falls_sooner(seed):
    fixed, adapted = run("AdamW", "labels", seed), run("HypergradientAdamW", "labels", seed)
    assert adapted.lr[SHIFT + 20] > 1.5 * adapted.lr[SHIFT - 1]
    later = (SHIFT + 52) // EVERY
    assert adapted.loss[SHIFT // EVERY - 1] > fixed.loss[SHIFT // EVERY - 1]
    assert adapted.loss[later] < 0.8 * fixed.loss[later]


def test_gain_does_not_make_a_run_recover_sooner_from_new_labels():
    later = (SHIFT + 52) // EVERY
    gained, plain = (
        np.median([run(method, "labels", seed).loss[later] for seed in range(5)])
        for method in ("Auto, gain 10", "Auto")
    )
    assert gained > plain


def test_streams_are_the_same_up_to_the_shift():
    changed, same = run("AdamW", "labels", 0), run("AdamW", "none", 0)
    until = SHIFT // EVERY
    assert np.array_equal(changed.loss[:until], same.loss[:until])
    assert changed.loss[until] > 10 * same.loss[until]
