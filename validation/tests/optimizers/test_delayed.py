"""delay=1: one pass a step, the rate one move behind, and three ways to meet what is not finite."""

from functools import partial

import numpy as np
import pytest

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import ArgumentError, CheckpointError, NonFiniteError

OPTIMIZERS = {
    "SGDHD": partial(SGDHD, lr=1e-2, hyper_lr=1e-3),
    "SGDHD, Nesterov": partial(SGDHD, lr=1e-2, hyper_lr=1e-3, momentum=0.9, nesterov=True),
    "AdamHD": partial(AdamHD, lr=1e-2, hyper_lr=1e-3, rule="multiplicative"),
    "HypergradientAdamW": partial(HypergradientAdamW, lr=1e-2, hyper_lr=1e-6),
    "HypergradientAdamW, log": partial(HypergradientAdamW, lr=1e-2, hyper_lr=1e-4, log_scale=True),
    "AutoHypergradientAdamW": partial(AutoHypergradientAdamW, lr=1e-2, warmup_steps=3, track_surprise=True),
}
NAN, INF = float("nan"), float("inf")


def draw(step, sizes=(5, 4099), dtype=np.float32):
    rng = np.random.default_rng([7, step])
    return [rng.standard_normal(n).astype(dtype) + dtype(0.5) for n in sizes]


def start(sizes=(5, 4099), dtype=np.float32):
    return [np.linspace(-1, 1, n, dtype=dtype) for n in sizes]


def show(opt, thetas):
    state = opt.state_dict()
    arrays = [{name: kept.tobytes() for name, kept in entry.pop("arrays").items()} for entry in state["tensors"]]
    return [theta.tobytes() for theta in thetas], arrays, str(state), str(opt.records)


# The rate.


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_on_one_stream_of_gradients_the_rate_is_the_exact_one_a_step_later(name):
    """Gradients that do not depend on theta give both forms the same directions, hence the same hypergradients."""
    exact, late = OPTIMIZERS[name](start(), device="numpy"), OPTIMIZERS[name](start(), device="numpy", delay=1)
    for step in range(40):
        before = exact.current_lr
        exact.step(gradients=draw(step))
        late.step(gradients=draw(step))
        assert late.last_record.lr_before == before
        assert late.current_lr == exact.current_lr
    assert late.lr_history.tobytes() == exact.lr_history.tobytes()
    assert len(set(late.lr_history)) > 30


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_moves_with_the_rate_that_stood_before_it(name):
    """As an optimizer that is given that rate and learns nothing."""
    thetas, twins = start(), start()
    late = OPTIMIZERS[name](thetas, device="numpy", delay=1)
    plain = OPTIMIZERS[name](twins, device="numpy", hyper_lr=0.0)
    for step in range(12):
        plain.param_groups[0]["lr"] = late.current_lr
        late.step(gradients=draw(step))
        plain.step(gradients=draw(step))
        assert [theta.tobytes() for theta in thetas] == [theta.tobytes() for theta in twins]
    assert late.current_lr != late.lr_history[0]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_rate_that_is_written_is_what_the_next_step_takes(name):
    opt = OPTIMIZERS[name](start(), device="numpy", delay=1)
    for step in range(6):
        opt.step(gradients=draw(step))
    opt.param_groups[0]["lr"] = 0.25
    opt.step(gradients=draw(6))
    assert opt.last_record.lr_before == 0.25
    assert getattr(opt.last_record, "applied", 0.25) == 0.25


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_record_holds_the_rates_of_this_step_and_the_next(name):
    opt = OPTIMIZERS[name](start(), device="numpy", delay=1)
    for step in range(8):
        opt.step(gradients=draw(step))
    for record, following in zip(opt.records, opt.records[1:], strict=False):
        assert following.lr_before == record.lr
    assert opt.records[0].lr_before == 1e-2
    assert opt.current_lr == opt.last_record.lr


def test_with_a_hyper_lr_of_0_it_is_adamw():
    thetas, twins = start(), start()
    late = HypergradientAdamW(thetas, lr=1e-2, hyper_lr=0.0, delay=1, device="numpy")
    plain = AdamW(twins, lr=1e-2, device="numpy")
    for step in range(5):
        late.step(gradients=draw(step))
        plain.step(gradients=draw(step))
    assert [theta.tobytes() for theta in thetas] == [theta.tobytes() for theta in twins]


@pytest.mark.parametrize("rule", ["additive", "multiplicative"])
def test_scale_of_the_loss_and_the_rates_does_not_matter(rule):
    """f -> 8 f with lr / 8, and hyper_lr / 64 where h carries both: no bit of theta changes."""
    runs = []
    for scale in (1.0, 8.0):
        theta = np.linspace(1, 2, 50, dtype=np.float32)
        options = {"hyper_lr": 1e-3 / scale**2 / (scale if rule == "additive" else 1 / scale**2)}
        opt = SGDHD([theta], lr=0.125 / scale, rule=rule, delay=1, device="numpy", **options)
        for _ in range(20):
            opt.step(gradients=[np.float32(scale) * theta])
        runs.append(theta.tobytes())
    assert runs[0] == runs[1]


# The pass.


@pytest.mark.parametrize(("nonfinite", "launches"), [("propagate", 1), ("stop", 1), ("raise", 2), ("skip", 2)])
def test_a_step_is_one_launch_and_one_wait_unless_it_looks_ahead(nonfinite, launches, device, monkeypatch):
    theta = np.ones(5000, np.float32)
    opt = AutoHypergradientAdamW([theta], warmup_steps=1, delay=1, nonfinite=nonfinite, device=device)
    for step in range(3):
        opt.step(gradients=draw(step, [5000]))
    launcher, counts = opt._run.backend._launcher, {"launches": 0, "waits": 0}
    run, collect = launcher.run, launcher.arrays.collect

    def count_run(launches, reals):
        counts["launches"] += len(launches)
        run(launches, reals)

    def count_wait():
        counts["waits"] += 1
        collect()

    monkeypatch.setattr(launcher, "run", count_run)
    monkeypatch.setattr(launcher.arrays, "collect", count_wait)
    opt.step(gradients=draw(3, [5000]))
    assert counts == {"launches": launches, "waits": launches}


# What is not finite.


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_policies_that_look_ahead_change_nothing(name, nonfinite, where):
    thetas = start()
    opt = OPTIMIZERS[name](thetas, device=where, delay=1, nonfinite=nonfinite)
    for step in range(5):
        opt.step(gradients=draw(step))
    before = show(opt, thetas)
    grads = draw(5)
    grads[1][4097] = NAN
    if nonfinite == "raise":
        with pytest.raises(NonFiniteError, match=r"gradient of params\[1\] holds nan at \[4097\]; nothing was changed"):
            opt.step(gradients=grads)
        assert show(opt, thetas) == before
    else:
        opt.step(gradients=grads)
        assert opt.skipped == 1
        assert show(opt, thetas)[:2] == before[:2]
        assert opt.last_record.lr == opt.last_record.lr_before == opt.current_lr


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [NAN, INF, -INF, 1e300])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_stop_keeps_elements_that_would_not_be_finite_and_steps_the_rest(name, bad, dtype, where):
    if dtype == np.float64:
        bad = np.copysign(1.7e308, bad) if bad == 1e300 else bad
    thetas, twins = start(dtype=dtype), start(dtype=dtype)
    opt = OPTIMIZERS[name](thetas, device=where, delay=1, nonfinite="stop")
    twin = OPTIMIZERS[name](twins, device="numpy", delay=1, nonfinite="propagate")
    for step in range(5):
        opt.step(gradients=draw(step, dtype=dtype))
        twin.step(gradients=draw(step, dtype=dtype))
    before = [theta.copy() for theta in thetas]
    kept = {n: a.copy() for n, a in opt.state[id(thetas[1])].items() if n != "step"}
    grads = draw(5, dtype=dtype)
    with np.errstate(over="ignore"):
        grads[1][[2, 4097]] = bad
    with pytest.raises(NonFiniteError, match=r"2 of params\[1\]; the rest of step 6 was taken"):
        opt.step(gradients=grads)
    twin.step(gradients=[grads[0], np.where(np.isin(np.arange(4099), [2, 4097]), dtype(0), grads[1])])
    assert thetas[0].tobytes() == twins[0].tobytes()
    stayed = np.isin(np.arange(4099), [2, 4097])
    assert np.array_equal(thetas[1], np.where(stayed, before[1], twins[1]))
    for array, was in kept.items():
        now = opt.state[id(thetas[1])][array]
        assert np.array_equal(now, np.where(stayed, was, twin.state[id(twins[1])][array])), array
    assert opt.current_lr == opt.last_record.lr_before
    assert opt.skipped == 0


@pytest.mark.parametrize("n", [1, 3, 17])
def test_stop_counts_no_more_elements_than_there_are(n, where):
    """A kernel works on whole vectors; with a decay that is inf in float32 their padding is not finite either."""
    opt = SGDHD([np.ones(n, np.float32)], weight_decay=1e160, delay=1, nonfinite="stop", device=where)
    with pytest.raises(NonFiniteError, match=rf"all that they had: {n} of params\[0\]"):
        opt.step(gradients=[np.ones(n, np.float32)])


def test_after_a_stop_the_run_goes_on_and_learns_nothing_from_what_stayed(tmp_path):
    thetas = start()
    opt = AutoHypergradientAdamW(thetas, warmup_steps=1, delay=1, nonfinite="stop", device="numpy")
    for step in range(3):
        opt.step(gradients=draw(step))
    grads = draw(3)
    grads[0][1] = NAN
    with pytest.raises(NonFiniteError, match=r"gradient of params\[0\] holds nan at \[1\]"):
        opt.step(gradients=grads)
    assert opt.last_record.reason == "non-finite sum"
    opt.save(tmp_path / "state.npz")
    twins = [theta.copy() for theta in thetas]
    twin = AutoHypergradientAdamW(twins, warmup_steps=1, delay=1, nonfinite="stop", device="numpy")
    twin.load(tmp_path / "state.npz")
    reasons = []
    for step in range(4, 7):
        opt.step(gradients=draw(step))
        twin.step(gradients=draw(step))
        reasons.append(opt.last_record.reason)
    assert reasons[0] == "no direction"
    assert not {"no direction", "non-finite sum"} & set(reasons[1:])
    assert show(opt, thetas)[:3] == show(twin, twins)[:3]


@pytest.mark.parametrize("copied", [False, True])
def test_stop_clears_every_gradient_but_what_it_refused(copied, where):
    theta = np.ones(4, np.float32)
    opt = AutoHypergradientAdamW([theta], clear_grad=True, delay=1, nonfinite="stop", device=where)
    grad = np.array([1, INF, 2, 3], np.float64 if copied else np.float32)
    with pytest.raises(NonFiniteError, match=r"1 of params\[0\]"):
        opt.step(gradients=[grad])
    assert grad.tolist() == [0, INF, 0, 0]


@pytest.mark.parametrize("nonfinite", ["raise", "stop", "skip", "propagate"])
def test_sum_that_overflows_is_known_after_the_step_and_said(nonfinite):
    theta = np.zeros(3, np.float32)
    opt = SGDHD([theta], lr=1e-30, hyper_lr=1e-3, delay=1, nonfinite=nonfinite, device="numpy")
    opt.step(gradients=[np.full(3, 1e19, np.float32)])
    second = partial(opt.step, gradients=[np.full(3, 1e20, np.float32)])
    if nonfinite in ("raise", "stop"):
        with pytest.raises(NonFiniteError, match=r"non-finite sum to learn from.*step 2 was taken, and the rate stays"):
            second()
    else:
        second()
    assert opt.last_record.reason == "non-finite sum"
    assert opt.current_lr == 1e-30
    assert opt.state[id(theta)]["step"] == 2
    assert np.isfinite(theta).all()


# Options and states.


@pytest.mark.parametrize("kind", [SGDHD, AdamHD, HypergradientAdamW, AutoHypergradientAdamW])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"delay": 2}, "delay=2: give 0, or 1"),
        ({"delay": True}, "delay=True"),
        ({"delay": 0.5}, "delay=0.5: give a whole number"),
        ({"nonfinite": "stop"}, "nonfinite='stop' needs a rule"),
    ],
)
def test_options_out_of_range_are_refused_by_name(kind, options, words):
    with pytest.raises(ArgumentError, match=words):
        kind([np.ones(2)], device="numpy", **options)


def test_stop_is_refused_where_no_pass_both_looks_and_writes():
    with pytest.raises(ArgumentError, match="needs a rule"):
        AdamW([np.ones(2)], nonfinite="stop", device="numpy")
    opt = HypergradientAdamW([np.ones(2)], device="numpy")
    with pytest.raises(ArgumentError, match="needs a rule"):
        opt.nonfinite = "stop"
    opt.step(gradients=[np.ones(2)])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_of_schema_3_which_has_no_delay_is_that_of_delay_0(name):
    exact = OPTIMIZERS[name](start(), device="numpy")
    exact.step(gradients=draw(0))
    state = exact.state_dict()
    assert state["options"].pop("delay") == 0
    with pytest.raises(CheckpointError, match="delay"):
        OPTIMIZERS[name](start(), device="numpy").load_state_dict(state)
    state["schema"] = 3
    OPTIMIZERS[name](start(), device="numpy").load_state_dict(state)
    with pytest.raises(CheckpointError, match="of other options: delay=0 instead of 1"):
        OPTIMIZERS[name](start(), device="numpy", delay=1).load_state_dict(state)


def test_state_of_another_delay_goes_on_where_its_options_say_so():
    """The rate that a state holds is that of the step before under 0, and that of the step to come under 1."""
    exact = HypergradientAdamW(start(), lr=1e-2, hyper_lr=1e-6, device="numpy")
    for step in range(3):
        exact.step(gradients=draw(step))
    state = exact.state_dict()
    state["options"]["delay"] = 1
    late = HypergradientAdamW(start(), lr=1e-2, hyper_lr=1e-6, delay=1, device="numpy")
    late.load_state_dict(state)
    late.step(gradients=draw(3))
    assert late.last_record.lr_before == exact.current_lr
    assert late.last_record.reason == "adapted"
