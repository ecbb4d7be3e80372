"""nonfinite judges what a step would write, not only the gradient: moments, directions, parameters, sums and rates."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from snapshots import EVERY, FULL, OPTIMIZERS, TuningFree, freeze, get_record, take_snapshot

from hypergrad import SGDHD, AdamHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad.errors import ArgumentError, NonFiniteError

ADAM = [AdamW, HypergradientAdamW, AutoHypergradientAdamW, AdamHD]
CLIMBING = [AdamW, HypergradientAdamW, AutoHypergradientAdamW]  # that have grad_scale
NAN, INF = float("nan"), float("inf")
F32 = np.float32


def is_finite(opt, *arrays):
    """Whether everything that an optimizer holds is finite, and these arrays."""
    state = opt.state_dict()
    kept = [array for entry in state["tensors"] for array in entry["arrays"].values()]
    rates = [value for group in state["groups"] for value in (group["lr"], group["weight_decay"])]
    return all(np.isfinite(array).all() for array in (*arrays, *kept, *state["histories"].values(), rates))


class Case:
    """Steps of which the last leaves the dtype although its gradient is finite."""

    def __init__(self, kinds, grads, words, dtype=F32, theta=1.0, options=None, write=None):
        self.kinds, self.grads, self.words, self.dtype, self.theta = kinds, grads, words, dtype, theta
        self.options, self.write = options or {}, write or {}

    def make(self, kind, where, **more):
        theta = np.full(3, self.theta, self.dtype)
        opt = kind([theta], **({"lr": 1e-3, "device": where} | self.options | more))
        return opt, theta, [np.array([1.0, grad, -1.0], self.dtype) for grad in self.grads]


WOULD = r"would hold (-?inf|nan) at \[\d\].*scale the loss down, or lower the rate|is not finite though its gradient is"

CASES = {
    "square of one gradient": Case(ADAM, [1e21], WOULD),
    "square of one gradient, later": Case(ADAM, [1.0, 1.0, 1e22], WOULD),
    "square of one gradient, float64": Case(ADAM, [1e160], WOULD, np.float64),
    "negative": Case(ADAM, [-1e21], WOULD),
    "square over its bias correction": Case([AdamW], [5e19], "the corrected exp_avg_sq of params"),
    "running maximum": Case([AdamW], [1e21], WOULD, options={"amsgrad": True}),
    "shader": Case([AdamW, HypergradientAdamW], [1e21], WOULD, options={"scalar_convention": "shader"}),
    "maximize": Case([AdamW], [1e21], WOULD, options={"maximize": True}),
    "scaled": Case(CLIMBING, [1e15], WOULD, options={"grad_scale": 1e10}),
    "scaled past the dtype": Case(CLIMBING, [1e15], WOULD, options={"grad_scale": 1e30}),
    "scale past the dtype": Case(CLIMBING, [1e-15], WOULD, options={"grad_scale": 1e39}),
    "velocity": Case([SGDHD], [3e38, 3e38], WOULD, options={"momentum": 0.9, "hyper_lr": 0.0, "lr": 0.0}),
    "direction of Nesterov": Case([SGDHD], [3e38], WOULD, options={"momentum": 0.9, "nesterov": True, "lr": 1e-10}),
    "lr times gradient": Case([SGDHD], [1e15], r"params\[0\] would hold -inf at \[1\]", options={"lr": 1e30}),
    "lr past the dtype": Case([SGDHD], [0.0], r"params\[0\] would hold", options={"lr": 1e39}),
    "lr past the dtype, AdamW": Case([AdamW, AdamHD], [0.0], r"params\[0\] would hold", options={"lr": 1e39}),
    "parameter": Case([SGDHD], [-3e38], r"params\[0\] would hold inf", theta=3e38, options={"lr": 1.0}),
    "parameter by decay": Case([SGDHD], [1.0], WOULD, theta=1e38, options={"weight_decay": 100.0}),
    "parameter of Adam by decay": Case([AdamHD], [1.0], WOULD, theta=1e38, options={"weight_decay": 100.0}),
    "decay alone": Case([AdamW], [0.0], r"params\[0\] would hold", theta=3e38, options={"weight_decay": 3e4}),
    "decay that doubles": Case(
        [AdamW], [0.0] * 130, r"params\[0\] would hold", theta=1.0, options={"lr": 1.0, "weight_decay": 3.0}
    ),
    "small eps": Case(
        [AdamW], [1e10, 0.0, 0.0], r"params\[0\] would hold", options={"eps": 1e-38, "betas": (0.9, 0.0), "lr": 1.0}
    ),
    "parameter that is nan": Case(OPTIMIZERS, [1.0], r"params\[0\] holds nan at \[0\]: restore it", theta=NAN),
    "parameter that is inf": Case(OPTIMIZERS, [1.0], r"params\[0\] holds inf at \[0\]: restore it", theta=INF),
    "sum of squares": Case([AutoHypergradientAdamW], [2e19], "sum grad_grad of params.*scale the loss down"),
    "sum with the direction": Case([SGDHD], [1e19, 1e20], "sum grad_direction of params.*scale the loss down"),
    "rate": Case(
        [SGDHD, AdamHD], [1e100, 1e100], "rate has a non-finite rate", np.float64, options={"hyper_lr": 1e300}
    ),
}
PAIRS = [(case, kind) for case, this in CASES.items() for kind in this.kinds]


@pytest.mark.parametrize(("case", "kind"), PAIRS)
def test_step_that_would_leave_the_dtype_is_refused_and_changes_nothing(case, kind, where):
    this = CASES[case]
    opt, theta, grads = this.make(kind, where)
    for grad in grads:
        before = take_snapshot(opt, theta)
        try:
            opt.step(gradients=[grad])
        except NonFiniteError:
            break
    else:
        pytest.fail("every step was taken")
    with pytest.raises(NonFiniteError, match=f"({this.words}).*; nothing was changed, nonfinite='skip' passes over"):
        opt.step(gradients=[grad])
    assert take_snapshot(opt, theta) == before
    assert is_finite(opt) or not np.isfinite(theta).all()


@pytest.mark.parametrize(("case", "kind"), PAIRS)
def test_step_that_would_leave_the_dtype_is_skipped_with_its_reason(case, kind, where):
    opt, theta, grads = CASES[case].make(kind, where, nonfinite="skip")
    for grad in grads:
        before, bits = opt.state_dict(), theta.tobytes()
        opt.step(gradients=[grad])
        if opt.skipped:
            break
    after = opt.state_dict()
    assert opt.steps == after["steps"]
    assert (after.pop("skipped"), before.pop("skipped")) == (1, 0)
    assert freeze(after) == freeze(before)
    assert theta.tobytes() == bits
    reason = get_record(opt).reason
    assert "NonFinite" not in reason
    assert any(word in reason for word in ("would hold", "holds", "sum", "rate"))
    if np.isfinite(theta).all() and "lr" not in case and "decay" not in case and case != "parameter":
        for _ in range(3):  # a step of an ordinary size is taken again
            opt.step(gradients=[np.zeros(3, theta.dtype)])
        assert opt.skipped == 1 or case in ("small eps", "scale past the dtype")


@pytest.mark.parametrize(("case", "kind"), PAIRS)
def test_step_that_leaves_the_dtype_goes_on_where_that_is_wanted(case, kind, where):
    runs = []
    for place in ("numpy", where):
        if place != "numpy" and "past the dtype" in case:
            continue  # pyopencl warns of a scalar that becomes inf
        opt, theta, grads = CASES[case].make(kind, place, nonfinite="propagate")
        for grad in grads:
            opt.step(gradients=[grad])
        assert (opt.skipped, opt.state_dict()["steps"]) == (0, len(grads))
        assert math.isfinite(opt.current_lr)
        runs.append([freeze(np.isfinite(theta)), freeze(np.nan_to_num(theta))])
    assert runs[0] == runs[-1]


@pytest.mark.parametrize("kind", EVERY)
def test_large_values_that_stay_in_the_dtype_are_taken(kind, where):
    options = {"hyper_lr": 0.0} if kind in (SGDHD, AdamHD) else {}
    theta = np.full(3, 3e37, F32)
    opt = kind([theta], lr=1e-3, device=where, **options)
    for grad in (1e18, -1e18, 1.0, 0.0):
        opt.step(gradients=[np.full(3, grad, F32)])
    assert is_finite(opt, theta)


def test_moments_come_back_from_a_large_gradient(where):
    theta = np.ones(3, F32)
    opt = AdamW([theta], device=where)
    for grad in (*[1.0] * 100, 3e19, *[1.0] * 20):
        opt.step(gradients=[np.full(3, grad, F32)])
    assert opt.state_dict()["steps"] == 121
    assert is_finite(opt, theta)


SIZES = st.sampled_from([0.0, 1e-45, 1e-30, 1e-8, 1.0, 1e8, 1e18, 2e19, 1e21, 1e30, 3e38])
ANY = st.builds(lambda size, sign: size * sign, SIZES, st.sampled_from([1.0, -1.0]))
RUN = st.lists(st.tuples(ANY, ANY), min_size=1, max_size=5)
OPTIONS = st.fixed_dictionaries({
    "lr": st.sampled_from([0.0, 1e-30, 1e-3, 0.5, 1.0]),
    "weight_decay": st.sampled_from([0.0, 0.01, 3.0, 1e10]),
})  # fmt: skip


@pytest.mark.parametrize("kind", EVERY)
@given(theta=st.tuples(ANY, ANY), grads=RUN, options=OPTIONS)
def test_no_step_writes_what_is_not_finite_and_none_is_refused_without_cause(kind, theta, grads, options):
    if kind not in (AdamW, SGDHD, AdamHD):
        options = {**options, "lr": max(options["lr"], 1e-6)}
    theta = np.array(theta, F32)
    opt = kind([theta], device="numpy", **(FULL[kind] | options))
    for grad in grads:
        grad = np.array(grad, F32)
        before = take_snapshot(opt, theta)
        twin_theta = theta.copy()
        twin = kind([twin_theta], device="numpy", **(FULL[kind] | options))
        twin.load_state_dict(opt.state_dict())
        twin.nonfinite = "propagate"
        twin.step(gradients=[grad])
        try:
            opt.step(gradients=[grad])
        except NonFiniteError:
            assert take_snapshot(opt, theta) == before
            large = np.abs(grad).max() > 1e15 or np.abs(theta).max() > 1e15
            assert large or not is_finite(twin, twin_theta) or "non-finite" in get_record(twin).reason
        else:
            assert is_finite(opt, theta)
            assert theta.tobytes() == twin_theta.tobytes()


# Constants that vanish in the dtype.


@pytest.mark.parametrize("kind", ADAM)
def test_eps_that_is_written_as_0_of_the_dtype_is_refused(kind, where):
    theta = np.ones(3, F32)
    opt = kind([theta], lr=1e-3, device=where)
    opt.step(gradients=[np.ones(3, F32)])
    opt.param_groups[0]["eps"] = 1e-60
    with pytest.raises(ArgumentError, match="eps=1e-60 is 0 in float32: give more"):
        opt.step(gradients=[np.ones(3, F32)])
    opt.param_groups[0]["eps"] = 1e-45  # the least that is not 0
    opt.step(gradients=[np.ones(3, F32)])
    kind([np.ones(3)], lr=1e-3, eps=1e-60, device=where).step(gradients=[np.ones(3)])


@pytest.mark.parametrize("kind", [*ADAM, TuningFree])
def test_eps_that_is_inf_in_the_dtype_is_refused(kind, where):
    with pytest.raises(ArgumentError, match=r"eps=1e\+60 is inf in float32: give less"):
        kind([np.ones(3, F32)], eps=1e60, device=where)
    opt = kind([np.ones(3, F32)], eps=1e38, device=where)
    opt.param_groups[0]["eps"] = 3.5e38
    with pytest.raises(ArgumentError, match=r"eps=3\.5e\+38 is inf in float32: give less"):
        opt.step(gradients=[np.ones(3, F32)])
    kind([np.ones(3)], eps=1e60, device=where).step(gradients=[np.ones(3)])


@pytest.mark.parametrize("kind", [AdamW, SGDHD, AdamHD])
def test_rate_that_is_0_in_the_dtype_is_refused(kind, where):
    words = r"lr=1e-50 is 0 in float32: give 0, or more"
    with pytest.raises(ArgumentError, match=words):
        kind([np.ones(3, F32)], lr=1e-50, device=where)
    opt = kind([np.ones(3, F32)], lr=1e-3, device=where)
    opt.param_groups[0]["lr"] = 1e-50
    with pytest.raises(ArgumentError, match=words):
        opt.step(gradients=[np.ones(3, F32)])
    opt.param_groups[0]["lr"] = 1e-44
    opt.step(gradients=[np.ones(3, F32)])
    opt.param_groups[0]["lr"] = 0.0
    opt.step(gradients=[np.ones(3, F32)])
    with pytest.raises(ArgumentError, match=r"param_groups\[1\]: " + words):
        opt.add_param_group({"params": [np.ones(3, F32)], "lr": 1e-50})
    kind([np.ones(3)], lr=1e-50, device=where).step(gradients=[np.ones(3)])


def test_policy_that_is_written_later_looks_at_what_is_there(where):
    theta = np.ones(3, F32)
    opt = AdamW([theta], nonfinite="propagate", device=where)
    opt.step(gradients=[np.array([1, 1e21, 1], F32)])
    opt.nonfinite = "raise"
    with pytest.raises(NonFiniteError, match=r"exp_avg_sq of params\[0\] would hold inf at \[1\]"):
        opt.step(gradients=[np.ones(3, F32)])


def test_state_that_is_loaded_is_looked_at(where):
    spoilt, opt = (AdamW([np.ones(3, F32)], nonfinite="propagate", device=where) for _ in range(2))
    spoilt.step(gradients=[np.array([1, 1e21, 1], F32)])
    opt.nonfinite = "raise"
    opt.step(gradients=[np.ones(3, F32)])
    opt.nonfinite = "propagate"
    opt.load_state_dict(spoilt.state_dict())
    opt.nonfinite = "raise"
    with pytest.raises(NonFiniteError, match=r"exp_avg_sq of params\[0\] would hold inf at \[1\]"):
        opt.step(gradients=[np.ones(3, F32)])


BOUND = {kind: {"lr_max": 2.0**8} for kind in (HypergradientAdamW, AutoHypergradientAdamW)}


@pytest.mark.parametrize("kind", EVERY)
def test_overflow_in_one_of_several_tensors_stops_all(kind, where):
    thetas = [np.ones(3, F32), np.ones((2, 2), F32), np.ones(4)]
    opt = kind(thetas, lr=1.0, device=where, **BOUND.get(kind, {}))
    grads = [np.ones(3, F32), np.ones((2, 2), F32), np.ones(4)]
    opt.step(gradients=grads)
    before = take_snapshot(opt, thetas)
    grads[1] = np.array([[1, 1], [3e38, 1]], F32)
    opt.param_groups[0]["lr"] = 2.0**8
    with pytest.raises(NonFiniteError, match=r"params\[1\]"):
        opt.step(gradients=grads)
    opt.param_groups[0]["lr"] = opt.current_lr
    assert take_snapshot(opt, thetas) == before


def test_arrays_on_a_device_are_judged_alike(device):
    pytest.importorskip("pyopencl")
    from pyopencl import array as cl_array

    from hypergrad_kernels.device import open_device

    queue = open_device(device).queue
    theta = cl_array.to_device(queue, np.ones(3, F32))
    opt = AdamW([theta])
    with pytest.raises(NonFiniteError, match=r"exp_avg_sq of params\[0\] would hold inf at \[1\]"):
        opt.step(gradients=[cl_array.to_device(queue, np.array([1, 1e21, 1], F32))])
    assert theta.get().tolist() == [1, 1, 1]
    opt.step(gradients=[cl_array.to_device(queue, np.ones(3, F32))])
