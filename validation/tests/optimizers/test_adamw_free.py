"""TuningFreeAdamW: the class is the rule of the reference, and its averages are handed over without a trace."""

import copy
import hashlib
import math
import pickle
import warnings
from functools import cache

import numpy as np
import pytest
from trajectories import find_gradient, start_run

from hypergrad import TuningFreeAdamW
from hypergrad.errors import ArgumentError, AveragesWarning, CheckpointError, NonFiniteError
from hypergrad_reference import adamw_free, adamw_free_variants
from hypergrad_reference.adamw_free_schedule import VARIANTS

FORMS = {
    "exact": {},
    "K": {"variant": "K"},
    "delayed": {"delay": 1},
    "lazy": {"every": 8},
    "lazy-delayed": {"every": 8, "delay": 1},
}


def run(steps, **options):
    thetas = start_run()
    opt = TuningFreeAdamW(thetas, device=options.pop("device", "numpy"), **options)
    for t in range(steps):
        opt.step(gradients=find_gradient(thetas, t))
    return thetas, opt


def show(thetas, opt):
    state = opt.state_dict()
    arrays = [{name: kept.tobytes() for name, kept in entry.pop("arrays").items()} for entry in state["tensors"]]
    histories = {name: history.tobytes() for name, history in state.pop("histories").items()}
    return [theta.tobytes() for theta in thetas], arrays, histories, str(state)


@pytest.mark.parametrize("form", FORMS)
def test_class_is_the_step_of_the_reference(form):
    options = FORMS[form]
    variant = options.get("variant", "G")
    constants = VARIANTS[variant]._replace(delay=bool(options.get("delay")), every=options.get("every", 1))
    of_adamw = adamw_free.ADAMW_K if variant == "K" else adamw_free.ADAMW_G
    start = 1e-5 if variant == "K" else 1e-4
    init, step = adamw_free.init, adamw_free.step
    if constants.every > 1:
        init, step = adamw_free_variants.init_lazy, adamw_free_variants.step_lazy
    elif constants.delay:
        init, step = adamw_free_variants.init_delayed, adamw_free_variants.step_delayed
    points, records = start_run(), []
    state = init(points, start)
    for t in range(300):
        points, state, record = step(points, find_gradient(points, t), state, constants, of_adamw)
        records.append(record)
    thetas, opt = run(300, **options)
    assert [theta.tobytes() for theta in thetas] == [point.tobytes() for point in points]
    assert list(map(str, opt.records)) == list(map(str, records))
    for theta, kept in zip(thetas, state.kept, strict=True):
        own = opt.state[id(theta)]
        assert own["step"] == kept.moments.step
        assert own["exp_avg"].tobytes() == kept.moments.exp_avg.tobytes()
        assert own["lag_fast"].tobytes() == kept.lag_fast.tobytes()
    answers = [
        y + y.dtype.type(1 - constants.interpolation) * kept.lag_fast
        for y, kept in zip(points, state.kept, strict=True)
    ]
    assert [x.tobytes() for x in opt.averages()] == [x.tobytes() for x in answers]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("steps", [3, 32, 107])
def test_saved_run_goes_on_bit_for_bit(form, steps, tmp_path):
    thetas, opt = run(steps, **FORMS[form])
    with pytest.warns(AveragesWarning):
        opt.save(tmp_path / "state.npz")
    resumed = TuningFreeAdamW(thetas, device="numpy", **FORMS[form])
    resumed.load(tmp_path / "state.npz")
    assert resumed.current_lr == opt.current_lr
    for t in range(steps, steps + 30):
        resumed.step(gradients=find_gradient(thetas, t))
    assert show(thetas, resumed) == show(*run(steps + 30, **FORMS[form]))


@pytest.mark.parametrize("form", FORMS)
def test_averaged_weights_are_handed_back_to_the_bit(form):
    thetas, opt = run(120, **FORMS[form])
    before, answers = show(thetas, opt), opt.averages()
    with opt.averaged_weights() as lent:
        assert lent is opt
        for theta, answer in zip(thetas, answers, strict=True):
            assert theta.tobytes() == answer.tobytes()
        assert [x.tobytes() for x in opt.averages()] == [x.tobytes() for x in answers]
        thetas[0][...] = 77
    assert show(thetas, opt) == before


def test_averaged_weights_are_handed_back_after_an_exception():
    thetas, opt = run(50)
    before = show(thetas, opt)

    def fail():
        thetas[3] /= 3
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), opt.averaged_weights():
        fail()
    assert show(thetas, opt) == before
    opt.step(gradients=find_gradient(thetas, 50))
    assert show(thetas, opt) == show(*run(51))


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("step", lambda opt, thetas: opt.step(gradients=find_gradient(thetas, 5))),
        ("averaged_weights", lambda opt, thetas: opt.averaged_weights().__enter__()),
        ("use_averages", lambda opt, thetas: opt.use_averages()),
        ("load_state_dict", lambda opt, thetas: opt.load_state_dict(opt.state_dict())),
        ("add_param_group", lambda opt, thetas: opt.add_param_group({"params": [np.ones(3)]})),
    ],
)
def test_nothing_else_is_done_while_weights_are_lent(name, call):
    thetas, opt = run(5)
    before = show(thetas, opt)
    with opt.averaged_weights(), pytest.raises(ArgumentError, match=f"{name} inside .*leave the block first"):
        call(opt, thetas)
    assert show(thetas, opt) == before


@pytest.mark.parametrize("form", FORMS)
def test_used_averages_are_the_parameters_and_training_can_go_on(form):
    thetas, opt = run(150, **FORMS[form])
    answers, rate = opt.averages(), opt.current_lr
    opt.use_averages()
    assert [theta.tobytes() for theta in thetas] == [answer.tobytes() for answer in answers]
    assert [x.tobytes() for x in opt.averages()] == [answer.tobytes() for answer in answers]
    assert opt.current_lr == rate
    for t in range(150, 200):
        opt.step(gradients=find_gradient(thetas, t))
    assert all(np.isfinite(x).all() for x in opt.averages())
    assert opt.records[150].clock == 1


@pytest.mark.parametrize("make", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copy_goes_on_alike(make):
    thetas, opt = run(40)
    twins, twin = make((thetas, opt))
    for params, one in ((thetas, opt), (twins, twin)):
        for t in range(40, 60):
            one.step(gradients=find_gradient(params, t))
    assert show(twins, twin) == show(thetas, opt)


def test_answer_is_as_good_as_the_mean_of_all_samples():
    rng = np.random.default_rng(0)
    theta = np.full(100, 3.0)
    opt = TuningFreeAdamW([theta], device="numpy")
    for _ in range(1500):
        opt.step(gradients=[theta + rng.standard_normal(100)])
    assert np.linalg.norm(opt.averages()[0]) < 1.5 * math.sqrt(100 / 1500)  # 1: no method is better in expectation


@pytest.mark.parametrize(
    "make",
    [
        lambda x: TuningFreeAdamW([x], device="numpy", lr=1e-3),
        lambda x: TuningFreeAdamW([{"params": [x], "lr": 1e-3}], device="numpy"),
        lambda x: TuningFreeAdamW([x], device="numpy").add_param_group({"params": [np.ones(2)], "lr": 1e-3}),
    ],
)
def test_learning_rate_is_refused_and_the_message_says_why(make):
    with pytest.raises(ArgumentError, match=r"lr=0.001: TuningFreeAdamW finds its rate itself, leave lr out; lr_start"):
        make(np.ones(3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "H"}, "variant"),
        ({"delay": 2}, "delay=2: give 0, or 1"),
        ({"every": 0}, "every=0: give 1"),
        ({"every": 1.5}, "every=1.5: give a whole number"),
        ({"lr_start": 0.0}, "lr_start=0.0"),
        ({"lr_start": math.nan}, "lr_start=nan"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
    ],
)
def test_option_out_of_range_is_named(options, message):
    with pytest.raises(ArgumentError, match=message):
        TuningFreeAdamW([np.ones(3)], device="numpy", **options)


def test_start_of_a_variant_is_its_own_unless_given():
    def start(**options):
        opt = TuningFreeAdamW([np.ones(3)], device="numpy", **options)
        return opt.current_lr, opt.param_groups[0]["betas"]

    assert start() == (1e-4, (0.7, 0.995))
    assert start(variant="K") == (1e-5, (0.9, 0.999))
    assert start(variant="K", lr_start=1e-3, betas=(0.5, 0.9)) == (1e-3, (0.5, 0.9))


def test_save_says_once_which_weights_are_the_answer(tmp_path):
    _, opt = run(5)
    with pytest.warns(AveragesWarning, match=r"opt\.averages\(\).*averaged_weights.*use_averages"):
        opt.save(tmp_path / "one.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt.save(tmp_path / "two.npz")
        _, other = run(5)
        other.use_averages()
        other.save(tmp_path / "three.npz")
        _, third = run(5)
        with third.averaged_weights():
            third.save(tmp_path / "four.npz")
    assert "averages()" in repr(opt)


def test_weight_decay_bounds_the_rate():
    theta = np.full(20, 1e6)
    opt = TuningFreeAdamW([theta], device="numpy", weight_decay=2.0, lr_start=0.2)
    for _ in range(30):
        opt.step(gradients=[np.ones(20)])
    assert max(opt.lr_history) <= 0.25


def test_state_of_another_form_is_refused():
    _, opt = run(5)
    for options in ({"variant": "K"}, {"delay": 1}, {"every": 8}):
        other = TuningFreeAdamW(start_run(), device="numpy", **options)
        with pytest.raises(CheckpointError, match=next(iter(options))):
            other.load_state_dict(opt.state_dict())


@pytest.mark.parametrize("form", FORMS)
def test_gradient_that_is_not_finite_changes_nothing(form):
    thetas, opt = run(20, **FORMS[form])
    before = show(thetas, opt)
    grads = [np.ones_like(theta) for theta in thetas]
    grads[1][3, 2] = np.nan
    with pytest.raises(NonFiniteError, match=r"the gradient of params\[1\] holds nan at \[3, 2\]"):
        opt.step(gradients=grads)
    assert show(thetas, opt) == before
    opt.nonfinite = "skip"
    opt.step(gradients=grads)
    assert opt.skipped == 1


@pytest.mark.parametrize("form", FORMS)
def test_gradient_whose_square_is_no_number_changes_nothing(form):
    thetas, opt = run(20, **FORMS[form])
    before = show(thetas, opt)
    grads = [np.full_like(theta, 1e25) for theta in thetas]
    with pytest.raises(NonFiniteError, match=r"grad_grad of params.*scale the loss down|exp_avg_sq"):
        opt.step(gradients=grads)
    assert show(thetas, opt) == before


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
@pytest.mark.parametrize("form", FORMS)
def test_after_one_large_gradient_training_goes_on(form, nonfinite, where):
    """The square of 3e19 is no float32, though all moments are: the sums that a step leaves behind stay numbers."""
    theta = np.ones(3, np.float32)
    opt = TuningFreeAdamW([theta], device=where, nonfinite=nonfinite, **FORMS[form])
    for size in (1.0, 1.0, 3e19, 1.0, 1.0):
        try:
            opt.step(gradients=[np.full(3, size, np.float32)])
        except NonFiniteError:
            assert size == 3e19
    refused = 5 - opt.state_dict()["steps"]
    assert refused <= 1
    assert opt.skipped == (refused if nonfinite == "skip" else 0)
    assert np.isfinite(opt.state_dict()["tensors"][0]["arrays"]["left"]).all()


@pytest.mark.parametrize("sizes", [(0, 3), (3, 0), (0, 5000), (0,), (2, 0, 3)])
@pytest.mark.parametrize("form", FORMS)
def test_parameter_without_elements_leaves_its_neighbours_as_they_would_be(form, sizes, where):
    full = [size for size in sizes if size]
    runs = []
    for given, device in ((sizes, where), (full, "numpy")):
        thetas = [np.linspace(1, 2, size) for size in given]
        if thetas:
            opt = TuningFreeAdamW(thetas, device=device, **FORMS[form])
            for _ in range(20):
                opt.step(gradients=[theta.copy() for theta in thetas])
            runs.append(([theta.tobytes() for theta in thetas if theta.size], list(map(str, opt.records))))
    assert runs[0] == runs[-1]


def test_group_added_in_the_middle_starts_with_averages_of_its_own():
    thetas, opt = run(30)
    more = [np.ones(7)]
    opt.add_param_group({"params": more, "weight_decay": 1e-2})
    for t in range(30, 50):
        opt.step(gradients=[*find_gradient(thetas, t), more[0] * 2])
    assert opt.state[id(more[0])]["step"] == 20
    assert opt.averages()[-1].shape == (7,)
    assert 0 < np.abs(opt.averages()[-1]).max() < 1


def test_written_rate_is_where_the_search_goes_on():
    thetas, opt = run(30)
    opt.param_groups[0]["lr"] = 1e-2
    opt.step(gradients=find_gradient(thetas, 30))
    assert opt.last_record.lr_before == 1e-2


# Bits on devices


@cache
def hash_run(form, device):
    """The SHA-256 of parameters, rates and records of 2000 steps: three tensors, of which one rests now and then."""
    rng = np.random.default_rng(0)
    thetas = [rng.standard_normal(n, np.float32) for n in (3, 4099, 17)]
    curvatures = [rng.random(theta.size, np.float32) + np.float32(0.1) for theta in thetas]
    groups = [{"params": thetas[:2]}, {"params": thetas[2:], "weight_decay": 1e-2}]
    opt = TuningFreeAdamW(groups, device=device, **FORMS[form])
    digest = hashlib.sha256()
    for t in range(2000):
        noise = [rng.standard_normal(theta.size, np.float32) * np.float32(0.1) for theta in thetas]
        grads = [a * theta + b for a, theta, b in zip(curvatures, thetas, noise, strict=True)]
        if t % 7 == 3:
            grads[1] = None
        opt.step(gradients=grads)
        digest.update(str(opt.last_record).encode())
    for array in (opt.lr_history, *thetas, *opt.averages()):
        digest.update(array.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("form", FORMS)
def test_run_of_2000_steps_has_the_bits_of_numpy_on_every_device(form, device):
    assert hash_run(form, device) == hash_run(form, "numpy")


@pytest.mark.parametrize("form", FORMS)
def test_answer_on_a_device_is_that_of_numpy(form, device):
    thetas, opt = run(40, device=device, **FORMS[form])
    _, plain = run(40, **FORMS[form])
    before = [theta.tobytes() for theta in thetas]
    assert [x.tobytes() for x in opt.averages()] == [x.tobytes() for x in plain.averages()]
    with opt.averaged_weights():
        assert [theta.tobytes() for theta in thetas] == [x.tobytes() for x in plain.averages()]
    assert [theta.tobytes() for theta in thetas] == before
    for one in (opt, plain):
        one.use_averages()
        params = [tensor for group in one.param_groups for tensor in group["params"]]
        for t in range(40, 50):
            one.step(gradients=find_gradient(params, t))
    assert [x.tobytes() for x in opt.averages()] == [x.tobytes() for x in plain.averages()]
