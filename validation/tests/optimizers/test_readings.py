"""What a user may read of an optimizer, and keep."""

import numpy as np
import pytest
from snapshots import EVERY, step_once

from hypergrad import AdamW, AutoHypergradientAdamW, HypergradientAdamW


def test_repr_is_the_published_one_with_today_s_names():
    x = [np.ones(1)]
    assert repr(HypergradientAdamW(x, device="numpy")) == (
        "HypergradientAdamW(lr=0.001000, beta_hyper=1e-07, lr_range=[1e-06, 1.0])"
    )
    assert repr(AutoHypergradientAdamW(x, device="numpy")) == (
        "AutoHypergradientAdamW(lr=0.001000, beta1=0.9000, hyper_lr=0.01, lr_range=[1e-06, 1.0], "
        "adapt_momentum=False, track_surprise=False)"
    )


@pytest.mark.parametrize("kind", EVERY)
def test_defaults_groups_and_state_read_as_in_the_published_code(kind):
    x = np.ones((2, 3))
    opt = step_once(kind, [x], gradients=[np.ones((2, 3))])
    assert opt.defaults["lr"] == opt.param_groups[0]["lr"] == opt.current_lr == 0.5
    assert opt.state[id(x)]["step"] == 1
    assert all(kept.shape == (2, 3) for name, kept in opt.state[id(x)].items() if name != "step")


def test_state_of_adamw_has_the_published_names():
    x = np.ones((2, 3))
    opt = step_once(AdamW, [x], gradients=[np.ones((2, 3))])
    assert sorted(opt.state[id(x)]) == ["exp_avg", "exp_avg_sq", "step"]
    assert opt.defaults["betas"] == (0.9, 0.999)


def test_constructor_names_are_attributes():
    opt = AutoHypergradientAdamW([np.ones(1)], device="numpy", warmup_steps=3, trauma_threshold=0.25, beta_min=0.75)
    assert (opt.warmup_steps, opt.trauma_threshold, opt.beta_min, opt.beta_max) == (3, 0.25, 0.75, 0.9995)
    assert (opt.hyper_lr, opt.hyper_lr_beta, opt.lr_min, opt.lr_max) == (0.01, 1.0, 1e-6, 1.0)
    assert HypergradientAdamW([np.ones(1)], device="numpy", hyper_lr=1e-4).hyper_lr == 1e-4


def test_surprise_reads_zero_before_tracking_starts():
    opt = AutoHypergradientAdamW([np.ones(2)], track_surprise=True, warmup_steps=2, device="numpy")
    for _ in range(2):
        opt.step(gradients=[np.ones(2)])
        assert (opt.current_surprise, opt.accumulated_surprise, opt.current_surprise_gain) == (0.0, 0.0, 0.0)
        assert len(opt.surprise_history) == 0
    opt.step(gradients=[np.ones(2)])
    assert opt.current_surprise > 0
    assert len(opt.surprise_history) == len(opt.s_bar_history) == 1


def test_history_starts_with_the_first_rate_and_grows_with_each_adaptation():
    opt = HypergradientAdamW([np.ones(2)], lr=1.0, hyper_lr=1.0, device="numpy")
    sizes = []
    for _ in range(3):
        opt.step(gradients=[np.ones(2)])
        sizes.append(len(opt.lr_history))
    assert sizes == [1, 2, 3]  # the first step has no direction; a clip that leaves the value counts
    assert opt.lr_history.tolist() == [1.0, 1.0, 1.0]
    assert opt.last_record.reason == "lr_max"


def test_histories_are_flat_doubles():
    opt = AutoHypergradientAdamW([np.ones(2)], warmup_steps=0, adapt_momentum=True, device="numpy")
    for _ in range(50):
        opt.step(gradients=[np.ones(2)])
    for history in (opt.lr_history, opt.beta1_history):
        assert (history.dtype, history.shape, history.flags.writeable) == (np.float64, (50,), False)


def read_histories(opt):
    return [opt.lr_history, opt.beta1_history, opt.surprise_history, opt.s_bar_history]


def test_history_that_was_kept_stays_as_it_was_and_hinders_no_step(device):
    for where in ("numpy", device):
        opt = AutoHypergradientAdamW(
            [np.ones(2)], warmup_steps=0, adapt_momentum=True, track_surprise=True, device=where
        )
        kept = []
        for step in range(300):
            if step % 7 == 0:
                views = [
                    given for history in read_histories(opt) for given in (np.asarray(history), memoryview(history))
                ]
                kept.append((views, [view.tobytes() for view in views]))
            opt.step(gradients=[np.full(2, 1.0 + step)])
        assert all([view.tobytes() for view in views] == before for views, before in kept)
        assert [len(history) for history in read_histories(opt)] == [300] * 4


def test_history_cannot_be_written_to():
    opt = AutoHypergradientAdamW([np.ones(2)], warmup_steps=0, device="numpy")
    with pytest.raises(ValueError, match="read-only"):
        opt.lr_history[0] = 1.0
    for name in ("lr_history", "lr_histories", "beta1_history", "beta1_histories", "surprise_history", "s_bar_history"):
        with pytest.raises(AttributeError):
            setattr(opt, name, [1.0])


def test_records_say_why_and_are_bounded():
    opt = HypergradientAdamW([np.ones(1)], device="numpy")
    for _ in range(1200):
        opt.step(gradients=[np.ones(1)])
    assert len(opt.records) == 1000
    assert opt.last_record.step == 1200
    assert opt.last_record.hypergradient < 0
