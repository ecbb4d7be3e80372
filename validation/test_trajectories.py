"""Whole runs: the classes are the rules of the reference, and a device changes no bit of a run."""

from functools import cache, partial

import numpy as np
import pytest

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad_reference import adamw, adamw_auto, adamw_hd, surprise
from hypergrad_reference.sums import BLOCK, block_sums, total
from hypergrad_validation.cases import TRAJECTORIES, find_gradient, start_run

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


@pytest.mark.parametrize("name", BY_NAME)
def test_device_changes_no_bit(name, device):
    assert show(*run(name, device)) == show(*run_numpy(name))


@pytest.mark.parametrize("name", BY_NAME)
def test_resumed_run_goes_on_bit_for_bit(name, tmp_path):
    trajectory = BY_NAME[name]
    thetas, opt = run(name, "numpy", steps=32)  # the second tensor sat the last one out
    opt.save(tmp_path / "state.npz")
    resumed = trajectory.optimizer(trajectory.group(thetas), device="numpy", **trajectory.options)
    resumed.load(tmp_path / "state.npz")
    go_on(resumed, thetas, range(32, 60))
    *expected, records = show(*run(name, "numpy", steps=60))
    *got, later = show(thetas, resumed)
    assert got == expected
    assert later == records[32:]


# The rules, put together from functions of the reference alone.

BETA1, BETA2, EPS, DECAY = 0.9, 0.999, 1e-8, 0.01  # defaults of all optimizers here


class Run:
    """Tensors, moments, and the scalars of each tensor's latest step; None for one that sat the latest step out."""

    def __init__(self):
        self.thetas = start_run()
        self.moments = [adamw.init(theta) for theta in self.thetas]
        self.scalars = [None] * len(self.thetas)

    def find_movers(self, grads):
        return [i for i, grad in enumerate(grads) if grad is not None and self.scalars[i] is not None]

    def sum_grad_direction(self, grads):
        return total(
            block_sums(grads[i], adamw.direction_exact(self.moments[i], self.scalars[i]))
            for i in self.find_movers(grads)
        )

    def apply(self, grads, lr, beta1):
        for i, grad in enumerate(grads):
            self.scalars[i] = None
            if grad is not None:
                t = self.moments[i].step + 1
                self.scalars[i] = adamw.exact_scalars(lr, beta1, BETA2, EPS, DECAY, beta1**t, BETA2**t)
                self.thetas[i], self.moments[i] = adamw.apply_exact(
                    self.thetas[i], grad, self.moments[i], self.scalars[i]
                )


def compare(run, records, name):
    thetas, opt = run_numpy(name)
    assert [theta.tobytes() for theta in thetas] == [theta.tobytes() for theta in run.thetas]
    assert list(map(str, opt.records)) == list(map(str, records))
    for i, moments in enumerate(run.moments):
        kept = opt.state[id(thetas[i])]
        assert kept["step"] == moments.step
        assert kept["exp_avg"].tobytes() == moments.exp_avg.tobytes()
        assert kept["exp_avg_sq"].tobytes() == moments.exp_avg_sq.tobytes()


def test_adamw_is_the_reference():
    run = Run()
    for step in range(1000):
        run.apply(find_gradient(run.thetas, step), 1e-2, BETA1)
    _, opt = run_numpy("AdamW")
    compare(run, opt.records, "AdamW")
    assert list(opt.lr_history) == [1e-2]


@pytest.mark.parametrize(
    ("name", "schedule", "beta_hyper"),
    [
        ("HypergradientAdamW", adamw_hd.schedule_linear, 1e-6),
        ("HypergradientAdamW-log", adamw_hd.schedule_log, 1e-5),
    ],
)
def test_hypergradient_adamw_is_the_reference(name, schedule, beta_hyper):
    run, lr, records = Run(), 1e-3, []
    for step in range(1000):
        grads = find_gradient(run.thetas, step)
        if run.find_movers(grads):
            record = schedule(step + 1, lr, run.sum_grad_direction(grads), beta_hyper, 1e-6, 1.0)
        else:
            record = adamw_hd.keep_rate(step + 1, lr)
        lr = record.lr
        records.append(record)
        run.apply(grads, lr, BETA1)
    compare(run, records, name)
    _, opt = run_numpy(name)
    assert list(opt.lr_history) == [1e-3] + [record.lr for record in records if record.reason != "no direction"]
    assert {record.reason for record in records} == {"no direction", "adapted"}


def test_auto_hypergradient_adamw_is_the_reference():
    run, records = Run(), []
    state, constants = adamw_auto.State(1e-3, BETA1), adamw_auto.Constants()
    observed, grad_emas = [surprise.State()], [None] * len(run.thetas)
    last = grad_emas
    for step in range(1000):
        grads = find_gradient(run.thetas, step)
        if step >= constants.warmup_steps:
            present = [(g, e) for g, e in zip(grads, grad_emas, strict=True) if g is not None]
            deviations = [g if e is None else g - e for g, e in present]
            norms = total(block_sums(g, g) for g, _ in present), total(block_sums(d, d) for d in deviations)
            observed.append(surprise.observe(observed[-1], *norms, gamma=0.9, alpha=0.1, trauma_threshold=0.5))
            grad_emas = [
                e if g is None else g if e is None else surprise.follow(e, g, 0.9)
                for g, e in zip(grads, grad_emas, strict=True)
            ]
        movers = run.find_movers(grads)
        sums = adamw_auto.Sums(
            grad_direction=run.sum_grad_direction(grads),
            last_grad_sq=total(block_sums(last[i], last[i]) for i in movers),
            grad_exp_avg=total(block_sums(grads[i], run.moments[i].exp_avg) for i in movers),
        )
        state, record = adamw_auto.schedule(
            step + 1, state, sums if movers else None, constants, follow=adamw_auto.follow_moment
        )
        records.append(record)
        run.apply(grads, state.lr, state.beta1)
        last = grads
    name = "AutoHypergradientAdamW"
    compare(run, records, name)
    _, opt = run_numpy(name)
    adapted = [record for record in records if record.reason != "warmup"]
    assert list(opt.lr_history) == [1e-3] + [record.lr for record in adapted]
    assert list(opt.beta1_history) == [BETA1] + [record.beta1 for record in adapted]
    assert list(opt.surprise_history) == [seen.surprise for seen in observed[1:]]
    assert list(opt.s_bar_history) == [seen.accumulated for seen in observed[1:]]
    assert opt.current_surprise_gain == observed[-1].gain


# What must not matter, in all optimizers, since each forms sums of its own.

OPTIMIZERS = {
    "SGDHD": partial(SGDHD, lr=1e-2, hypergrad_lr=1e-6, momentum=0.9, nesterov=True),
    "AdamHD": partial(AdamHD, lr=1e-3, hypergrad_lr=1e-6, rule="multiplicative"),
    "AdamW": partial(AdamW, lr=1e-2),
    "HypergradientAdamW": partial(HypergradientAdamW, lr=1e-3, beta_hyper=1e-6),
    "AutoHypergradientAdamW": partial(AutoHypergradientAdamW, adapt_momentum=True, track_surprise=True),
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
