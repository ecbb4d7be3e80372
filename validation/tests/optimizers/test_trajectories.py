"""Whole runs: the classes are the rules of the reference, and a device changes no bit of a run."""

import os
import warnings
from functools import cache, partial

import numpy as np
import pytest
from trajectories import TRAJECTORIES, find_gradient, start_run

import hypergrad
from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import AveragesWarning
from hypergrad_kernels.device import open_device
from hypergrad_reference import adam_hd, adamw, adamw_auto, adamw_hd, adamw_rule, delayed, sgd_hd, surprise
from hypergrad_reference.hypergradient import SCHEDULES, schedule_additive
from hypergrad_reference.sums import BLOCK

BY_NAME = {trajectory.name: trajectory for trajectory in TRAJECTORIES}


def run(name, device, steps=None):
    trajectory = BY_NAME[name]
    thetas = start_run()
    opt = trajectory.optimizer(trajectory.group(thetas), device=device, **trajectory.options)
    go_on(opt, thetas, range(steps or trajectory.steps))
    return thetas, opt


def go_on(opt, thetas, steps):
    for step in steps:
        opt.step(gradients=find_gradient(thetas, step))


@cache
def run_numpy(name):
    return run(name, "numpy")


def show(thetas, opt):
    """All that a run leaves behind; arrays as bytes, and the text of a float tells its every bit."""
    state = opt.state_dict()
    arrays = [{name: kept.tobytes() for name, kept in entry.pop("arrays").items()} for entry in state["tensors"]]
    histories = {name: history.tobytes() for name, history in state.pop("histories").items()}
    return [theta.tobytes() for theta in thetas], arrays, histories, str(state), list(map(str, opt.records))


def test_every_optimizer_has_a_run():
    kinds = {name for name in hypergrad.__all__ if isinstance(getattr(hypergrad, name), type)} - {"Optimizer"}
    assert kinds == {trajectory.optimizer.__name__ for trajectory in TRAJECTORIES}


@pytest.mark.parametrize("name", BY_NAME)
def test_device_changes_no_bit(name, device):
    assert show(*run(name, device)) == show(*run_numpy(name))


@cache
def open_context(device, as_gpu):
    """A context whose device has the launch shapes of CPUs, or those of GPUs and copies of arrays."""
    cl = pytest.importorskip("pyopencl")
    context = cl.Context([device])
    with pytest.MonkeyPatch.context() as patch:
        if as_gpu:
            patch.setenv("HYPERGRAD_AS_GPU", "1")
        else:
            patch.delenv("HYPERGRAD_AS_GPU", raising=False)
        assert open_device(context).is_cpu != as_gpu
    return context


SHORT = (
    "AdamW", "SGDHD-delayed-nesterov", "HypergradientAdamW-delayed", "AutoHypergradientAdamW-delayed-direction-amsgrad",
    "TuningFreeAdamW-delayed",
)  # fmt: skip
KINDS = {"as-a-gpu": True}
if "oclgrind" in os.environ.get("OCL_ICD_VENDORS", ""):  # too slow for the runs above
    KINDS["as-a-cpu"] = False


@pytest.mark.parametrize("as_gpu", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", SHORT)
def test_short_run_has_the_same_bits_with_the_shapes_of_gpus(name, as_gpu, device):
    assert show(*run(name, open_context(device, as_gpu), 6)) == show(*run(name, "numpy", 6))


@pytest.mark.parametrize("name", BY_NAME)
def test_resumed_run_goes_on_bit_for_bit(name, tmp_path):
    trajectory = BY_NAME[name]
    thetas, opt = run(name, "numpy", steps=32)  # the second tensor sat the last one out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AveragesWarning)  # it says what else to save
        opt.save(tmp_path / "state.npz")
    resumed = trajectory.optimizer(trajectory.group(thetas), device="numpy", **trajectory.options)
    resumed.load(tmp_path / "state.npz")
    go_on(resumed, thetas, range(32, 60))
    *expected, records = show(*run(name, "numpy", steps=60))
    *got, later = show(thetas, resumed)
    assert got == expected
    assert later == records[32:]


# The whole algorithms of the reference, as they stand in its files.

OF_ADAMW = adamw.Constants()  # whose values are the defaults of all optimizers here


def compare(name, thetas, moments, records):
    got, opt = run_numpy(name)
    assert [theta.tobytes() for theta in got] == [theta.tobytes() for theta in thetas]
    assert list(map(str, opt.records)) == list(map(str, records))
    for theta, own in zip(got, moments, strict=True):
        kept = opt.state[id(theta)]
        assert kept["step"] == own.step
        assert kept["exp_avg"].tobytes() == own.exp_avg.tobytes()
        assert kept["exp_avg_sq"].tobytes() == own.exp_avg_sq.tobytes()
    return opt


def test_adamw_is_the_reference():
    thetas = start_run()
    moments = [adamw.init(theta) for theta in thetas]
    for step in range(1000):
        thetas, moments = adamw.step(thetas, find_gradient(thetas, step), moments, 1e-2, OF_ADAMW)
    records = [(adamw_rule.Record(step + 1, 1e-2, 1e-2),) for step in range(1000)]
    opt = compare("AdamW", thetas, moments, records)
    assert list(opt.lr_history) == [1e-2]


@pytest.mark.parametrize(
    ("name", "schedule", "constants"),
    [
        ("HypergradientAdamW", adamw_hd.schedule_linear, adamw_hd.Constants(1e-6)),
        ("HypergradientAdamW-log", adamw_hd.schedule_log, adamw_hd.Constants(1e-5)),
        ("HypergradientAdamW-decay", adamw_hd.schedule_linear, adamw_hd.Constants(1e-6, decay_in_hypergradient=True)),
    ],
)
def test_hypergradient_adamw_is_the_reference(name, schedule, constants):
    thetas, records = start_run(), []
    state = adamw_hd.init(thetas, 1e-3)
    for step in range(BY_NAME[name].steps):
        grads = find_gradient(thetas, step)
        thetas, state, record = adamw_hd.step(thetas, grads, state, schedule, constants, OF_ADAMW)
        records.append(record)
    opt = compare(name, thetas, state.moments, records)
    assert list(opt.lr_history) == [1e-3] + [record.lr for record in records if record.reason != "no direction"]
    assert {record.reason for record in records} == {"no direction", "adapted"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("AutoHypergradientAdamW", {"momentum_rule": "published", "watch": surprise.Watch()}),
        ("AutoHypergradientAdamW-rate-alone", {}),
        ("AutoHypergradientAdamW-derivative", {"momentum_rule": "derivative", "normalization": "cosine"}),
    ],
)
def test_auto_hypergradient_adamw_is_the_reference(name, options):
    thetas, records, seen = start_run(), [], []
    state, constants = adamw_auto.init(thetas, 1e-3, OF_ADAMW.beta1), adamw_auto.Constants()
    for step in range(BY_NAME[name].steps):
        grads = find_gradient(thetas, step)
        thetas, state, record = adamw_auto.step(thetas, grads, state, constants, OF_ADAMW, **options)
        records.append(record)
        seen.append(state.surprise)
    opt = compare(name, thetas, [kept.moments for kept in state.kept], records)
    adapted = [record for record in records if record.reason != "warmup"]
    assert list(opt.lr_history) == [1e-3] + [record.lr for record in adapted]
    if "momentum_rule" in options:
        assert list(opt.beta1_history) == [OF_ADAMW.beta1] + [record.beta1 for record in adapted]
    if "watch" in options:
        tracked = seen[constants.warmup_steps :]
        assert list(opt.surprise_history) == [one.surprise for one in tracked]
        assert list(opt.s_bar_history) == [one.accumulated for one in tracked]
        assert opt.current_surprise_gain == state.surprise.gain


# With delay 1 the classes are those of `delayed`.


@pytest.mark.parametrize(
    ("name", "adapt", "constants"),
    [
        ("SGDHD-delayed", SCHEDULES["additive"].schedule, sgd_hd.PLAIN),
        ("SGDHD-delayed-nesterov", SCHEDULES["multiplicative"].schedule, sgd_hd.Constants(0.9, nesterov=True)),
    ],
)
def test_delayed_sgd_hd_is_the_reference(name, adapt, constants):
    thetas, records, options = start_run(), [], BY_NAME[name].options
    state = sgd_hd.init(thetas, options.get("lr", 1e-3), constants)
    schedule = partial(adapt, hyper_lr=1e-6)
    for step in range(BY_NAME[name].steps):
        thetas, state, record = delayed.step_sgd_hd(thetas, find_gradient(thetas, step), state, schedule, constants)
        records.append(record)
    got, opt = run_numpy(name)
    assert [theta.tobytes() for theta in got] == [theta.tobytes() for theta in thetas]
    assert list(map(str, opt.records)) == list(map(str, records))
    assert opt.current_lr == state.lr
    for theta, own in zip(got, state.kept, strict=True):
        assert opt.state[id(theta)]["step"] == own.step
        assert own.direction is None or opt.state[id(theta)]["direction"].tobytes() == own.direction.tobytes()


def test_delayed_adam_hd_is_the_reference():
    thetas, records = start_run(), []
    constants, schedule = adam_hd.Constants(weight_decay=1e-3), partial(schedule_additive, hyper_lr=1e-6)
    state = adam_hd.init(thetas, 1e-2)
    for step in range(1000):
        thetas, state, record = delayed.step_adam_hd(thetas, find_gradient(thetas, step), state, schedule, constants)
        records.append(record)
    opt = compare("AdamHD-delayed", thetas, [kept.moments for kept in state.kept], records)
    assert opt.current_lr == state.lr


@pytest.mark.parametrize(
    ("name", "schedule", "constants", "weight_decay"),
    [
        ("HypergradientAdamW-delayed", adamw_hd.schedule_linear, adamw_hd.Constants(1e-6), 0.01),
        ("HypergradientAdamW-delayed-log", adamw_hd.schedule_log, adamw_hd.Constants(1e-5), 0.01),
        (
            "HypergradientAdamW-delayed-decay",
            adamw_hd.schedule_linear,
            adamw_hd.Constants(1e-6, decay_in_hypergradient=True),
            0.1,
        ),
    ],
)
def test_delayed_hypergradient_adamw_is_the_reference(name, schedule, constants, weight_decay):
    thetas, records, of_adamw = start_run(), [], OF_ADAMW._replace(weight_decay=weight_decay)
    state = delayed.AdamWState(1e-3, adamw_hd.init(thetas, 1e-3))
    for step in range(BY_NAME[name].steps):
        grads = find_gradient(thetas, step)
        thetas, state, record = delayed.step_adamw_hd(thetas, grads, state, schedule, constants, of_adamw)
        records.append(record)
    opt = compare(name, thetas, state.own.moments, records)
    assert list(opt.lr_history) == [1e-3] + [record.lr for record in records if record.reason != "no direction"]
    assert {record.reason for record in records} == {"no direction", "adapted"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("AutoHypergradientAdamW-delayed", {"momentum_rule": "published", "watch": surprise.Watch()}),
        ("AutoHypergradientAdamW-delayed-rate-alone", {}),
        ("AutoHypergradientAdamW-delayed-derivative", {"momentum_rule": "derivative", "normalization": "cosine"}),
    ],
)
def test_delayed_auto_hypergradient_adamw_is_the_reference(name, options):
    thetas, records, seen, constants = start_run(), [], [], adamw_auto.Constants()
    state = delayed.AutoState(1e-3, adamw_auto.init(thetas, 1e-3, OF_ADAMW.beta1))
    for step in range(BY_NAME[name].steps):
        grads = find_gradient(thetas, step)
        thetas, state, record = delayed.step_adamw_auto(thetas, grads, state, constants, OF_ADAMW, **options)
        records.append(record)
        seen.append(state.own.surprise)
    opt = compare(name, thetas, [kept.moments for kept in state.own.kept], records)
    adapted = [record for record in records if record.reason != "warmup"]
    assert list(opt.lr_history) == [1e-3] + [record.lr for record in adapted]
    if "momentum_rule" in options:
        assert list(opt.beta1_history) == [OF_ADAMW.beta1] + [record.beta1 for record in adapted]
    if "watch" in options:
        assert list(opt.surprise_history) == [one.surprise for one in seen[constants.warmup_steps :]]


# What must not matter, in all optimizers, since each forms sums of its own.

OPTIMIZERS = {
    "SGDHD": partial(SGDHD, lr=1e-2, hyper_lr=1e-6, momentum=0.9, nesterov=True),
    "AdamHD": partial(AdamHD, lr=1e-3, hyper_lr=1e-6, rule="multiplicative"),
    "AdamW": partial(AdamW, lr=1e-2),
    "HypergradientAdamW": partial(HypergradientAdamW, lr=1e-3, hyper_lr=1e-6),
    "AutoHypergradientAdamW": partial(AutoHypergradientAdamW, adapt_momentum=True, track_surprise=True),
    "SGDHD-delayed": partial(SGDHD, lr=1e-2, hyper_lr=1e-6, momentum=0.9, nesterov=True, delay=1),
    "HypergradientAdamW-delayed": partial(HypergradientAdamW, lr=1e-3, hyper_lr=1e-6, delay=1, nonfinite="stop"),
    "AutoHypergradientAdamW-delayed": partial(
        AutoHypergradientAdamW, adapt_momentum=True, track_surprise=True, delay=1, nonfinite="propagate"
    ),
}
SHUFFLED = [3, 0, 4, 2, 1]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_order_of_tensors_does_not_matter(name):
    ordered, thetas = start_run(), start_run()
    opt = OPTIMIZERS[name](ordered, use_gpu=False)
    other = OPTIMIZERS[name]([thetas[i] for i in SHUFFLED], use_gpu=False)
    for step in range(100):
        opt.step(gradients=find_gradient(ordered, step))
        grads = find_gradient(thetas, step)
        other.step(gradients=[grads[i] for i in SHUFFLED])
    assert [theta.tobytes() for theta in thetas] == [theta.tobytes() for theta in ordered]
    assert list(map(str, other.records)) == list(map(str, opt.records))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_split_at_blocks_does_not_matter(name, dtype):
    whole = np.random.default_rng(3).standard_normal(3 * BLOCK + 5).astype(dtype)
    split = whole.copy()
    parts = [split[:BLOCK], split[BLOCK : 3 * BLOCK], split[3 * BLOCK :]]
    opt, other = OPTIMIZERS[name]([whole], use_gpu=False), OPTIMIZERS[name](parts, use_gpu=False)
    curvature = np.linspace(1, 2, whole.size, dtype=dtype)
    for _ in range(50):
        opt.step(gradients=[curvature * whole])
        grad = curvature * split
        other.step(gradients=[grad[:BLOCK], grad[BLOCK : 3 * BLOCK], grad[3 * BLOCK :]])
    assert split.tobytes() == whole.tobytes()
    assert list(map(str, other.records)) == list(map(str, opt.records))


@pytest.mark.parametrize("name", BY_NAME)
def test_gradients_are_written_to_only_if_asked(name):
    trajectory = BY_NAME[name]
    thetas = start_run()
    opt = trajectory.optimizer(trajectory.group(thetas), device="numpy", **trajectory.options)
    grads = find_gradient(thetas, 5)
    before = [grad.copy() for grad in grads]
    opt.step(gradients=grads)
    for grad, kept in zip(grads, before, strict=True):
        assert np.array_equal(grad, np.zeros_like(kept) if opt.clear_grad else kept)
