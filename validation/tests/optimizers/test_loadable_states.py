"""What loads can be stepped, and goes on as the run that it is of; a state of another run is refused."""

import copy
import inspect

import numpy as np
import pytest
from snapshots import OPTIMIZERS, freeze, show
from trajectories import TRAJECTORIES, find_gradient, start_run

from hypergrad import SGDHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import BrokenOptimizerError, CheckpointError

BY_NAME = {trajectory.name: trajectory for trajectory in TRAJECTORIES}


def make(name, device, thetas=None):
    trajectory = BY_NAME[name]
    thetas = start_run() if thetas is None else thetas
    return thetas, trajectory.optimizer(trajectory.group(thetas), device=device, **trajectory.options)


def go_on(thetas, opt, steps):
    for step in steps:
        opt.step(gradients=find_gradient(thetas, step))


@pytest.mark.parametrize("steps", [0, 2, 32, 33], ids="after-{}".format)
@pytest.mark.parametrize("name", BY_NAME)
def test_every_state_that_is_given_is_taken_and_goes_on_the_same(name, steps):
    thetas, opt = make(name, "numpy")
    go_on(thetas, opt, range(steps))
    state = opt.state_dict()
    others, resumed = make(name, "numpy", [theta.copy() for theta in thetas])
    resumed.load_state_dict(state)
    assert show(others, resumed) == show(thetas, opt)
    for one in ((thetas, opt), (others, resumed)):
        go_on(*one, range(steps, steps + 9))
    assert show(others, resumed) == show(thetas, opt)


@pytest.mark.parametrize("name", ["SGDHD-nesterov", "AdamHD", "AdamW-amsgrad", "AutoHypergradientAdamW-derivative"])
def test_state_crosses_between_numpy_and_a_device(name, device, tmp_path):
    thetas, opt = make(name, "numpy")
    go_on(thetas, opt, range(30))
    parameters, resumed = start_run(), None
    for first, where in ((0, device), (10, "numpy"), (20, device)):
        parameters, following = make(name, where, parameters)
        if resumed is not None:
            resumed.save(tmp_path / "run.npz")
            following.load(tmp_path / "run.npz")
        resumed = following
        go_on(parameters, resumed, range(first, first + 10))
    assert show(parameters, resumed) == show(thetas, opt)


def test_state_is_a_copy_in_both_directions():
    thetas, opt = make("AutoHypergradientAdamW", "numpy")
    go_on(thetas, opt, range(20))
    state = opt.state_dict()
    kept = copy.deepcopy(state)
    go_on(thetas, opt, range(20, 24))
    assert str(state) == str(kept)
    opt.load_state_dict(state)
    go_on(thetas, opt, range(20, 24))
    assert str(state) == str(kept)
    before = show(thetas, opt)
    for entry in state["tensors"]:
        for array in entry["arrays"].values():
            array[...] = 0.0
    for history in state["histories"].values():
        history[...] = 0.0
    assert show(thetas, opt) == before


def test_rate_that_was_written_and_not_yet_stepped_with_is_part_of_a_state():
    for kind in OPTIMIZERS:
        runs = []
        for resume in (False, True):
            x = [np.array([1.0, -2.0]), np.array([3.0])]
            opt = kind([{"params": x[:1]}, {"params": x[1:]}], lr=0.5, device="numpy")
            for _ in range(3):
                opt.step(gradients=[x[0], x[1]])
            opt.param_groups[1]["lr"] = 0.25
            if resume:
                state = opt.state_dict()
                opt = kind([{"params": x[:1]}, {"params": x[1:]}], device="numpy")
                opt.load_state_dict(state)
                assert opt.param_groups[1]["lr"] == 0.25
            for _ in range(3):
                opt.step(gradients=[x[0], x[1]])
            runs.append([[theta.tolist() for theta in x], opt.param_groups[0]["lr"], opt.param_groups[1]["lr"]])
        assert runs[0] == runs[1], kind


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize("lr_scope", ["global", "group"])
@pytest.mark.parametrize("rates", [(0.5, 0.25), (0.5, None), (None, 0.25)])
def test_rate_written_to_a_state_counts_as_one_written_to_its_groups(kind, lr_scope, rates, where):
    more = {} if kind is AdamW else {"lr_scope": lr_scope}
    thetas = [[np.ones(3), np.ones(2)] for _ in range(2)]
    one, other = (
        kind([{"params": [x], "lr": 0.1}, {"params": [y], "lr": 0.07}], lr=0.2, device=where, **more) for x, y in thetas
    )
    for opt in (one, other):
        opt.step(gradients=[np.ones(3), np.ones(2)])
    state = one.state_dict()
    for number, rate in enumerate(rates):
        if rate is not None:
            state["groups"][number]["lr"] = other.param_groups[number]["lr"] = rate
    one.load_state_dict(state)
    for opt in (one, other):
        opt.step(gradients=[np.ones(3), np.ones(2)])
    assert freeze([thetas[0], one.state_dict()]) == freeze([thetas[1], other.state_dict()])


@pytest.mark.parametrize("kind", [HypergradientAdamW, AutoHypergradientAdamW])
@pytest.mark.parametrize("rate", [50.0, 1e-9, -0.5])
def test_rate_written_to_a_state_outside_its_bounds_is_refused(kind, rate):
    opt = kind([np.ones(3)], device="numpy")
    opt.step(gradients=[np.ones(3)])
    state = opt.state_dict()
    state["groups"][0]["lr"] = rate
    with pytest.raises(CheckpointError, match=rf"state\['groups'\]: lr={rate!r}: give a number in"):
        opt.load_state_dict(state)


def test_records_of_what_was_before_a_load_are_gone():
    thetas, opt = make("AutoHypergradientAdamW", "numpy")
    state = opt.state_dict()
    go_on(thetas, opt, range(3))
    opt.load_state_dict(state)
    assert (opt.last_record, len(opt.records)) == (None, 0)


# Options.


OTHERS = {
    "amsgrad": True, "maximize": True, "grad_scale": 0.5, "clear_grad": True, "scalar_convention": "shader",
    "nonfinite": "skip", "lr_min": 1e-5, "lr_max": 0.5, "log_scale": True, "lr_scope": "group",
    "decay_in_hypergradient": True, "hyper_lr": 0.5, "hyper_lr_beta": 0.5, "adapt_momentum": True,
    "track_surprise": True, "surprise_gamma": 0.5, "surprise_alpha": 0.5, "trauma_threshold": 0.25, "beta_min": 0.25,
    "beta_max": 0.75, "warmup_steps": 3, "normalization": "cosine", "momentum_rule": "derivative", "momentum": 0.5,
    "dampening": 0.5, "nesterov": True, "rule": "multiplicative", "delay": 1,
}  # fmt: skip
"""Of every option, a value that is not the default."""


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_options_of_a_state_are_those_of_the_constructor_but_the_device_and_those_of_groups(kind):
    opt = kind([np.ones(2)], device="numpy")
    told = [
        name
        for name in inspect.signature(kind).parameters
        if name not in ("params", "use_gpu", "device", "records_to", *kind.aliases)
    ]
    state = opt.state_dict()
    assert sorted([*state["options"], *state["groups"][0]]) == sorted(told)
    assert all(value == getattr(opt, name) for name, value in state["options"].items())


def make_small(kind):
    return kind([np.ones(2)], device="numpy")


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in OPTIMIZERS for name in make_small(kind).state_dict()["options"]],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_state_of_other_options_is_refused_with_the_difference(kind, name):
    options = {name: OTHERS[name]} | ({"momentum": 0.5} if name == "nesterov" else {})
    x, y = np.array([1.0, -2.0, 3.0]), np.array([1.0, -2.0, 3.0])
    other, opt = kind([x], device="numpy", **options), kind([y], device="numpy")
    for _ in range(12):
        other.step(gradients=[x / 2])
    before = show([y], opt)
    with pytest.raises(
        CheckpointError, match=f"other options.*{name}={OTHERS[name]!r} instead of {getattr(opt, name)!r}"
    ):
        opt.load_state_dict(other.state_dict())
    assert show([y], opt) == before
    same = kind([y], device="numpy", **options)
    same.load_state_dict(other.state_dict())
    y[:] = x
    for one, z in ((other, x), (same, y)):
        one.step(gradients=[z / 2])
    assert x.tobytes() == y.tobytes()


def test_run_goes_on_with_another_option_if_it_is_written_to_the_state():
    x = np.array([1.0, -2.0])
    opt, other = AdamW([x], device="numpy"), AdamW([x], nonfinite="skip", device="numpy")
    state = opt.state_dict()
    state["options"]["nonfinite"] = "skip"
    other.load_state_dict(state)
    other.step(gradients=[np.array([np.nan, 1.0])])
    assert other.skipped == 1


def test_options_given_as_numbers_of_numpy_are_saved_and_fit_plain_ones(tmp_path):
    kinds = {"momentum": np.float32(0.5), "hyper_lr": np.float64(0.25), "nesterov": np.True_}
    given = SGDHD([np.ones(2)], lr=np.float32(0.5), weight_decay=np.float32(0.25), device="numpy", **kinds)
    given.save(tmp_path / "run.npz")
    plain = SGDHD([np.ones(2)], momentum=0.5, hyper_lr=0.25, nesterov=True, device="numpy")
    plain.load(tmp_path / "run.npz")
    assert plain.param_groups[0]["weight_decay"] == 0.25


# Parameters.


@pytest.mark.parametrize(
    ("params", "words"),
    [
        (lambda x: [np.ones(3), np.ones((2, 2))], r"\['tensors'\] has 3 entries, the optimizer 2"),
        (
            lambda x: [np.ones(3), np.ones((2, 2)), np.ones(2)],
            r"\['tensors'\]\[2\]\['shape'\]\[0\] is 1, that of params",
        ),
        (lambda x: [np.ones(3), np.ones(4), np.ones(1)], r"\['tensors'\]\[1\]\['shape'\] has 2 entries"),
        (lambda x: [np.ones(3, np.float32), np.ones((2, 2)), np.ones(1)], r"\['dtype'\] is 'float64', that of params"),
        (lambda x: [{"params": x[:1]}, {"params": x[1:]}], r"\['groups'\] has 1 entries, the optimizer 2"),
    ],
    ids=["fewer", "shorter", "flat", "dtype", "groups"],
)
def test_state_of_other_parameters_is_refused(params, words):
    def draw():
        return [np.ones(3), np.ones((2, 2)), np.ones(1)]

    with pytest.raises(CheckpointError, match=words):
        AdamW(params(draw()), device="numpy").load_state_dict(AdamW(draw(), device="numpy").state_dict())


def test_state_of_tensors_in_other_groups_is_refused():
    def group(border):
        x = [np.ones(2) for _ in range(3)]
        return [{"params": x[:border]}, {"params": x[border:], "weight_decay": 0.5}]

    with pytest.raises(CheckpointError, match=r"\['tensors'\]\[1\]\['group'\] is 1, that of params\[1\] is 0"):
        AdamW(group(2), device="numpy").load_state_dict(AdamW(group(1), device="numpy").state_dict())


def test_nan_that_was_let_through_may_be_saved_and_loaded_where_it_may_be_let_through():
    states = []
    for nonfinite in ("propagate", "raise"):
        opt = AdamW([np.ones(2)], nonfinite=nonfinite, device="numpy")
        opt.step(gradients=[np.array([1.0, np.nan if nonfinite == "propagate" else 1.0])])
        states.append(opt.state_dict())
        opt.load_state_dict(states[-1])
    states[0]["options"]["nonfinite"] = "raise"
    with pytest.raises(CheckpointError, match=r"\['exp_avg'\]\[1\] is nan, not a finite number"):
        opt.load_state_dict(states[0])


def test_load_forgets_what_a_failed_step_left_on_a_device(device, monkeypatch):
    from hypergrad_kernels.device import open_device

    opened = open_device(device)
    monkeypatch.setattr(opened, "in_place", False)
    params = [np.ones(70_000, np.float32), np.ones(70_001, np.float32)]
    opt = AdamW(params, lr=0.5, device=opened.cl_device)
    state, backend = opt.state_dict(), opt._run.backend

    def fail():
        raise RuntimeError("device lost")

    with monkeypatch.context() as patch:  # when all is written, and nothing of it has come back
        prepare = backend.prepare
        patch.setattr(
            backend,
            "prepare",
            lambda *given: (prepare(*given), patch.setattr(backend._launcher.arrays, "collect", fail)),
        )
        with pytest.raises(BrokenOptimizerError, match="device lost"):
            opt.step(gradients=params)
    for theta in params:
        theta[:] = 7.0
    opt.load_state_dict(state)
    opt.step(gradients=[None, np.ones_like(params[1])])
    assert (params[0] == 7.0).all()
    assert not opt.state_dict()["tensors"][0]["arrays"]["exp_avg"].any()
