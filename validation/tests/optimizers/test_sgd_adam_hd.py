"""SGDHD and AdamHD: the classes are the reference, on NumPy and on every OpenCL device, bit for bit."""

from functools import partial

import numpy as np
import pytest

from hypergrad import SGDHD, AdamHD
from hypergrad.errors import ArgumentError
from hypergrad_reference import adam_hd, sgd_hd
from hypergrad_reference.hypergradient import schedule_additive, schedule_multiplicative

SHAPES = [(3,), (17, 5), (4099,)]
STEPS = 200

additive = partial(schedule_additive, hyper_lr=1e-6)
multiplicative = partial(schedule_multiplicative, hyper_lr=1e-2)

HEAVY_BALL = sgd_hd.Constants(0.9, 0.5)
NESTEROV = sgd_hd.Constants(0.9, nesterov=True, weight_decay=1e-4)
METHODS = {
    "sgd": (
        partial(SGDHD, lr=1e-2, hyper_lr=1e-6, weight_decay=1e-3),
        lambda *a: sgd_hd.step(*a, additive, sgd_hd.Constants(weight_decay=1e-3)),
        sgd_hd.init,
    ),
    "heavy_ball": (
        partial(SGDHD, lr=1e-2, momentum=0.9, dampening=0.5, hyper_lr=1e-6),
        lambda *a: sgd_hd.step(*a, additive, HEAVY_BALL),
        partial(sgd_hd.init, constants=HEAVY_BALL),
    ),
    "nesterov": (
        partial(SGDHD, lr=1e-2, momentum=0.9, nesterov=True, hyper_lr=1e-2, rule="multiplicative", weight_decay=1e-4),
        lambda *a: sgd_hd.step(*a, multiplicative, NESTEROV),
        partial(sgd_hd.init, constants=NESTEROV),
    ),
    "adam": (
        partial(AdamHD, lr=1e-2, hyper_lr=1e-6, weight_decay=1e-3),
        lambda *a: adam_hd.step(*a, additive, adam_hd.Constants(weight_decay=1e-3)),
        adam_hd.init,
    ),
}


def start(dtype):
    rng = np.random.default_rng(0)
    thetas = [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]
    return thetas, [rng.random(shape).astype(dtype) for shape in SHAPES]


def gradients(curvatures, thetas, t):
    grads = [a * theta for a, theta in zip(curvatures, thetas, strict=True)]
    if t % 7 == 3:
        grads[1] = None
    return grads


def run_class(make, device, dtype, first=0, opt=None, thetas=None, steps=STEPS):
    fresh, curvatures = start(dtype)
    thetas = fresh if thetas is None else thetas
    opt = make(thetas, device=device) if opt is None else opt
    for t in range(first, first + steps):
        opt.step(gradients=gradients(curvatures, thetas, t))
    return thetas, opt


def run_reference(step, init, dtype):
    thetas, curvatures = start(dtype)
    state = init(thetas, 1e-2)
    for t in range(STEPS):
        thetas, state, _ = step(thetas, gradients(curvatures, thetas, t), state)
    return thetas, state


def bits(thetas):
    return [theta.tobytes() for theta in thetas]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_class_is_the_reference(method, dtype):
    make, step, init = METHODS[method]
    thetas, opt = run_class(make, "numpy", dtype)
    expected, state = run_reference(step, init, dtype)
    assert bits(thetas) == bits(expected)
    assert opt.current_lr == state.lr != 1e-2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", METHODS)
def test_opencl_is_numpy(method, dtype, device):
    make, _, _ = METHODS[method]
    thetas, opt = run_class(make, device, dtype)
    expected, oracle = run_class(make, "numpy", dtype)
    assert bits(thetas) == bits(expected)
    assert opt.lr_history.tolist() == oracle.lr_history.tolist()
    assert list(map(str, opt.records)) == list(map(str, oracle.records))


@pytest.mark.parametrize("method", METHODS)
def test_saved_run_goes_on_bit_for_bit(method, tmp_path):
    make, _, _ = METHODS[method]
    expected, oracle = run_class(make, "numpy", np.float32)
    thetas, opt = run_class(make, "numpy", np.float32, steps=90)
    opt.save(tmp_path / "state.npz")
    resumed = make(thetas, device="numpy")
    resumed.load(tmp_path / "state.npz")
    thetas, resumed = run_class(make, "numpy", np.float32, 90, resumed, thetas, STEPS - 90)
    assert bits(thetas) == bits(expected)
    assert resumed.lr_history.tolist() == oracle.lr_history.tolist()


def test_rate_may_turn_negative():
    theta = np.array([1.0])
    opt = SGDHD([theta], lr=0.0, hyper_lr=1.0, use_gpu=False)
    opt.step(gradients=[np.array([1.0])])
    opt.step(gradients=[np.array([-2.0])])
    assert opt.current_lr == -2.0
    assert theta[0] == 1.0 - 4.0


def test_rate_stays_finite_where_a_sum_overflows():
    theta = np.array([1.0], np.float32)
    opt = SGDHD([theta], lr=0.5, hyper_lr=1.0, use_gpu=False, nonfinite="propagate")
    for _ in range(2):
        opt.step(gradients=[np.array([1e30], np.float32)])
    assert opt.current_lr == 0.5
    assert opt.last_record.reason == "non-finite sum"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"lr": -1.0}, "lr=-1.0"),
        ({"momentum": 1.0}, "momentum=1.0"),
        ({"dampening": 2.0, "momentum": 0.5}, "dampening=2.0"),
        ({"nesterov": True}, "nesterov=True"),
        ({"hyper_lr": -1e-3}, "hyper_lr=-0.001"),
        ({"weight_decay": -1.0}, "weight_decay=-1.0"),
        ({"rule": "sideways"}, "rule='sideways'"),
        ({"lr_scope": "tensor"}, "lr_scope='tensor'"),
    ],
)
def test_bad_option_is_named(options, named):
    with pytest.raises(ArgumentError, match=named.replace("(", r"\(")):
        SGDHD([np.zeros(3)], use_gpu=False, **options)
