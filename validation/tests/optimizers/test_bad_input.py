"""Bad input gets an error that names argument, value and remedy, and changes nothing."""

import copy
import re

import numpy as np
import pytest
from snapshots import EVERY, OPTIMIZERS, freeze, get_record, make

from hypergrad import AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import ArgumentError, ArrayTypeError, DeviceNotFoundError, NonFiniteError


@pytest.mark.parametrize("kind", OPTIMIZERS)
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": -1.0}, r"lr=-1\.0: give a number in"),
        ({"lr": float("nan")}, "lr=nan"),
        ({"lr": "fast"}, "lr='fast'"),
        ({"weight_decay": -0.5}, r"weight_decay=-0\.5"),
        ({"nonfinite": "ignore"}, "nonfinite='ignore': give one of 'raise', 'skip', 'propagate'"),
    ],
)
def test_option_out_of_range_is_named(kind, options, words):
    with pytest.raises(ArgumentError, match=words):
        make(kind, **options)


@pytest.mark.parametrize("kind", [AdamW, HypergradientAdamW, AutoHypergradientAdamW, AdamHD])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"betas": (1.0, 0.999)}, r"betas\[0\]=1\.0: give a number in \[0, 1\)"),
        ({"betas": (0.9, -0.1)}, r"betas\[1\]=-0\.1"),
        ({"betas": (0.9, 0.99, 0.999)}, r"betas=\(0\.9, 0\.99, 0\.999\): give two numbers"),
        ({"eps": 0.0}, r"eps=0\.0: give a number in \(0"),
    ],
)
def test_constant_of_adam_out_of_range_is_named(kind, options, words):
    with pytest.raises(ArgumentError, match=words):
        make(kind, **options)


def test_eps_that_rounds_to_zero_is_refused():
    with pytest.raises(ArgumentError, match="eps=1e-60 is 0 in float32"):
        make(AdamW, [np.ones(3, np.float32)], eps=1e-60)


@pytest.mark.parametrize("kind", [HypergradientAdamW, AutoHypergradientAdamW])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr_min": 0.5, "lr_max": 0.25, "lr": 0.3}, r"lr_min=0\.5 is above lr_max=0\.25"),
        ({"lr": 2.0}, r"lr=2\.0: give a number in \[1e-06, 1\.0\], between lr_min and lr_max$"),
        ({"lr_scope": "tensor"}, "lr_scope='tensor'"),
    ],
)
def test_bounds_of_a_rate_are_kept(kind, options, words):
    with pytest.raises(ArgumentError, match=words):
        make(kind, **options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"normalization": "none"}, "normalization='none': give one of"),
        ({"momentum_rule": "guess"}, "momentum_rule='guess': give one of"),
        ({"beta_min": 0.9, "beta_max": 0.5}, r"beta_min=0\.9 is above beta_max=0\.5"),
        ({"trauma_threshold": 0.0}, r"trauma_threshold=0\.0"),
        ({"surprise_gamma": 1.5}, r"surprise_gamma=1\.5"),
        ({"hyper_lr": -0.1}, r"hyper_lr=-0\.1"),
    ],
)
def test_option_of_auto_out_of_range_is_named(options, words):
    with pytest.raises(ArgumentError, match=words):
        make(AutoHypergradientAdamW, **options)


@pytest.mark.parametrize("dtype", [np.float16, np.complex128, np.int64, object, np.longdouble, ">f8"])
def test_dtype_of_a_parameter_is_refused_by_name(dtype):
    array = np.ones(3).astype(dtype)
    with pytest.raises(ArrayTypeError, match=f"params\\[0\\] has dtype {array.dtype}"):
        make(AdamW, [array])


def read_only():
    array = np.ones(3)
    array.setflags(write=False)
    return [array]


def overlapping():
    memory = np.ones(5)
    return [memory[:3], memory[2:]]


@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        (read_only, ArgumentError, r"params\[0\] is updated in place and must be C-contiguous, writable"),
        (lambda: [np.ones((4, 4))[:, ::2]], ArgumentError, "C-contiguous"),
        (overlapping, ArgumentError, r"params\[0\] and params\[1\] share memory"),
        (lambda: [np.ones(2)] * 2, ArgumentError, "share memory"),
        (lambda: np.ones(3), ArrayTypeError, "params is ndarray: give a list of arrays"),
        (lambda: [[1.0, 2.0]], ArrayTypeError, r"params\[0\] is list: give a NumPy or pyopencl array"),
        (list, ArgumentError, "params holds no parameter"),
        (lambda: [None], ArgumentError, "params holds no parameter"),
        (lambda: [{"lr": 1.0}], ArgumentError, r"params\[0\] has no key 'params': it has 'lr'$"),
        (lambda: [{"params": [np.ones(2)], "momentum": 0.9}], ArgumentError, r"unknown keys \['momentum'\]"),
        (lambda: [np.ones(2), {"params": [np.ones(2)]}], ArgumentError, "mixes arrays and group dicts"),
    ],
    ids=[
        "read-only", "strided", "overlapping", "twice", "bare-array", "list", "empty", "none", "no-params",
        "unknown-key", "mixed",
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_used_are_named(params, error, words):
    with pytest.raises(error, match=words):
        make(AdamW, params())


@pytest.mark.parametrize(
    ("device", "error", "words"),
    [
        ("opencl:no such device", DeviceNotFoundError, "no such device.*(give a part|no OpenCL device|not installed)"),
        *[
            (device, (ArgumentError, DeviceNotFoundError), f"device={re.escape(repr(device))}: .*")
            for device in (
                "cuda", "cpu", "GPU", "", "AUTO", "numpy ", "opencl:a:b", "opencl:a:-1", "opencl:a:0:0", "opencl:a:٣",
                3, True, b"opencl", ["opencl"], ("numpy",), object,
            )
        ],
    ],
)  # fmt: skip
def test_device_that_is_not_there_is_named(device, error, words):
    with pytest.raises(error, match=words):
        AdamW([np.ones(3)], device=device)


def test_kinds_of_device_are_told_to_who_names_another(device):
    with pytest.raises(
        ArgumentError, match="give one of 'opencl', 'opencl:PART', 'opencl:PART:INDEX', 'numpy', 'auto'"
    ):
        AdamW([np.ones(3)], device="cpu")


# A step that raises has changed nothing.

NAN, INF = float("nan"), float("inf")
STEPS_REFUSED = {
    "nan": (lambda g: [g, np.array([[1.0, NAN]])], NonFiniteError, r"params\[1\] holds nan at \[0, 1\]"),
    "inf": (lambda g: [np.array([INF, 1.0, 1.0]), None], NonFiniteError, r"params\[0\] holds inf at \[0\]"),
    "shape": (lambda g: [np.ones(4), None], ArgumentError, r"has shape \(4,\): the parameter has \(3,\)"),
    "dtype": (lambda g: [np.ones(3, np.float32), None], ArrayTypeError, "dtype float32, the parameter float64"),
    "integers": (lambda g: [np.ones(3, int), None], ArrayTypeError, "dtype int64"),
    "too-few": (lambda g: [g], ArgumentError, "1 entries for 2 parameters"),
    "unknown-id": (lambda g: {1: g}, ArgumentError, "1 keys that are the id of no parameter"),
    "not-an-array": (lambda g: [[1.0, 2.0, 3.0], None], ArrayTypeError, "the gradient of params\\[0\\] is list"),
}


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("refused", STEPS_REFUSED)
def test_refused_step_changes_nothing(kind, refused):
    gradients, error, words = STEPS_REFUSED[refused]
    params = [np.array([1.0, 2.0, 3.0]), np.array([[4.0, 5.0]])]
    opt = make(kind, params)
    good = np.array([0.5, -1.0, 2.0])
    for _ in range(2):
        opt.step(gradients=[good, np.array([[1.0, -1.0]])])
    before = freeze([params, opt.state_dict(), list(opt.records), opt.param_groups])
    with pytest.raises(error, match=words):
        opt.step(gradients=gradients(good))
    assert freeze([params, opt.state_dict(), list(opt.records), opt.param_groups]) == before


@pytest.mark.parametrize("kind", EVERY)
def test_closure_that_raises_changes_nothing(kind):
    params = [np.array([1.0, 2.0, 3.0])]
    opt = make(kind, params)
    before = freeze([params, opt.state_dict()])
    with pytest.raises(ZeroDivisionError):
        opt.step(closure=lambda: 1 / 0, gradients=[np.ones(3)])
    assert freeze([params, opt.state_dict()]) == before


@pytest.mark.parametrize("kind", EVERY)
def test_skipped_step_counts_and_changes_nothing_else(kind):
    params = [np.array([1.0, 2.0, 3.0])]
    opt = make(kind, params, nonfinite="skip")
    opt.step(gradients=[np.ones(3)])
    before = opt.state_dict()
    theta = params[0].copy()
    opt.step(gradients=[np.array([1.0, NAN, 1.0])])
    after = opt.state_dict()
    assert (after.pop("skipped"), before.pop("skipped")) == (1, 0)
    assert freeze(after) == freeze(before)
    assert params[0].tobytes() == theta.tobytes()
    assert get_record(opt).reason == "the gradient of params[0] holds nan at [1]"


def test_sum_that_overflows_has_its_own_reason():
    theta = np.ones(3, np.float32)
    opt = AutoHypergradientAdamW([theta], device="numpy")
    with pytest.raises(NonFiniteError, match=r"the sum grad_grad of params\[0\] is not finite though its gradient is"):
        opt.step(gradients=[np.full(3, 1e30, np.float32)])
    assert theta.tolist() == [1, 1, 1]


@pytest.mark.parametrize("kind", EVERY)
def test_propagated_nan_leaves_the_rate_finite(kind):
    theta = np.array([1.0, 2.0, 3.0])
    options = {"warmup_steps": 0} if kind is AutoHypergradientAdamW else {}
    opt = make(kind, [theta], nonfinite="propagate", **options)
    for gradient in ([1.0, 1.0, 1.0], [1.0, NAN, 1.0], [1.0, 1.0, 1.0]):
        opt.step(gradients=[np.array(gradient)])
    assert np.isnan(theta[1])
    assert np.isfinite(theta[[0, 2]]).all()
    assert np.isfinite(opt.current_lr)


def test_state_of_another_optimizer_is_refused():
    opt, other = make(AdamW), make(HypergradientAdamW)
    before = freeze(copy.deepcopy(opt.state_dict()))
    with pytest.raises(ValueError, match="'HypergradientAdamW', the optimizer's is 'AdamW'"):
        opt.load_state_dict(other.state_dict())
    assert freeze(opt.state_dict()) == before
