"""Every gradient is the value given, whatever memory it shares with parameters, moments or other gradients."""

import sys

import numpy as np
import pytest
from snapshots import EVERY, FULL, Param, freeze

from hypergrad import SGDHD, AdamW, AutoHypergradientAdamW, HypergradientAdamW
from hypergrad._core.gradients import Gradient, Places, keep_given
from hypergrad._core.tensors import Tensor
from hypergrad.errors import ArgumentError

N = 40


def make_params(dtype):
    """Two parameters with room beside them in the same memory."""
    memory = np.linspace(-2, 2, 4 * N).astype(dtype)
    return memory, [memory[:N], memory[2 * N : 3 * N]]


SHARED = {
    "each other": lambda memory, x, y: [y, x],
    "themselves": lambda memory, x, y: [x, y],
    "one for both": lambda memory, x, y: [x, x],
    "reversed": lambda memory, x, y: [x[::-1], y[::-1]],
    "reversed other": lambda memory, x, y: [y[::-1], x[::-1]],
    "partly": lambda memory, x, y: [memory[N // 2 : N // 2 + N], memory[N + 1 : 2 * N + 1]],
    "partly the other": lambda memory, x, y: [memory[3 * N // 2 : 5 * N // 2], memory[1 : N + 1]],
    "one element late": lambda memory, x, y: [memory[1 : N + 1], memory[2 * N - 1 : 3 * N - 1]],
    "by bytes": lambda memory, x, y: [np.frombuffer(memory.data, x.dtype)[2 * N : 3 * N], x],
    "strided": lambda memory, x, y: [memory[: 2 * N : 2], memory[1 : 2 * N : 2]],
    "broadcast": lambda memory, x, y: [np.broadcast_to(x[3], (N,)), np.broadcast_to(y[:1], (N,))],
    "none beside": lambda memory, x, y: [y, None],
    "free memory": lambda memory, x, y: [memory[N : 2 * N], memory[3 * N :]],
    "same free memory": lambda memory, x, y: [memory[N : 2 * N], memory[N : 2 * N]],
}


def run(kind, device, dtype, shared, copy, **options):
    memory, params = make_params(dtype)
    opt = kind(params, lr=0.01, device=device, **(FULL[kind] | options))
    for _ in range(3):
        grads = SHARED[shared](memory, *params)
        opt.step(gradients=[g if g is None or not copy else g.copy() for g in grads])
    state = opt.state_dict()
    return freeze([memory, [entry["arrays"] for entry in state["tensors"]], state["histories"]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("kind", EVERY)
def test_gradient_in_the_memory_of_a_parameter_counts_as_given(kind, shared, dtype, where):
    assert run(kind, where, dtype, shared, copy=False) == run(kind, "numpy", dtype, shared, copy=True)


@pytest.mark.parametrize("kind", EVERY)
def test_gradient_of_several_dimensions_counts_as_given(kind, where):
    def run(where, copy):
        x, y = np.arange(12.0).reshape(3, 4) / 8, np.arange(12.0, 24.0).reshape(3, 4) / 8
        opt = kind([x, y], lr=0.01, device=where, **FULL[kind])
        for _ in range(3):
            grads = [y, x.reshape(-1)[::-1].reshape(3, 4)]
            opt.step(gradients=[g.copy() for g in grads] if copy else grads)
        return freeze([x, y])

    assert run(where, False) == run("numpy", True)


@pytest.mark.parametrize("kind", EVERY)
def test_gradient_attribute_that_is_the_data_counts_as_given(kind, where):
    def run(where, copy):
        params = [Param(np.arange(1.0, 6.0)), Param(np.arange(2.0, 7.0))]
        opt = kind(params, lr=0.01, device=where, **FULL[kind])
        for _ in range(3):
            for param, other in zip(params, params[::-1], strict=True):
                param.grad = other.data.copy() if copy else other.data
            if copy:
                opt.step()
            else:
                opt.step(gradients={id(params[0]): params[1]})  # an object with .data, too
        return freeze([param.data for param in params])

    assert run(where, False) == run("numpy", True)


@pytest.mark.parametrize("kind", EVERY)
def test_gradient_in_the_memory_of_a_moment_counts_as_given(kind, where):
    def run(where, copy):
        x, y = np.linspace(1, 2, N), np.linspace(2, 3, N)
        opt = kind([x, y], lr=0.01, device=where, **FULL[kind])
        opt.step(gradients=[np.ones(N), np.full(N, 2.0)])
        opt.step(gradients=[np.full(N, 0.5), np.full(N, 3.0)])
        for name in [name for name, kept in opt.state[id(x)].items() if isinstance(kept, np.ndarray)]:
            of_x, of_y = opt.state[id(x)][name], opt.state[id(y)][name]
            grads = [of_y[::-1], of_x.base if of_x.base is not None and of_x.base.shape == (N,) else of_x]
            opt.step(gradients=[g.copy() for g in grads] if copy else grads)
        return freeze([x, y, [entry["arrays"] for entry in opt.state_dict()["tensors"]]])

    assert run(where, False) == run("numpy", True)


# clear_grad leaves zeros in gradients, and nowhere else.


@pytest.mark.parametrize("kind", [AdamW, HypergradientAdamW, AutoHypergradientAdamW])
@pytest.mark.parametrize("views", [(0, 0), (0, 5), (5, 0)], ids=["the same", "the second later", "the first later"])
def test_gradients_that_overlap_are_all_read_before_they_are_cleared(kind, views, where):
    def run(where, clear_grad, copy):
        params = [np.ones(N), np.full(N, 2.0)]
        opt = kind(params, lr=0.01, device=where, clear_grad=clear_grad, **FULL[kind])
        for step in range(3):
            memory = np.arange(1.0, 2 * N + 1) * (step + 1)
            grads = [memory[start : start + N] for start in views]
            opt.step(gradients=[g.copy() for g in grads] if copy else grads)
            if clear_grad:
                touched = np.zeros(2 * N, bool)
                for start in views:
                    touched[start : start + N] = True
                assert not memory[touched].any()
                assert memory[~touched].all()
        return freeze(params)

    assert run(where, True, False) == run("numpy", False, True)


def test_one_gradient_array_for_two_parameters_is_read_twice_and_cleared(where):
    grad = np.full(N, 3.0)
    params, alone = [np.ones(N), np.ones(N)], np.ones(N)
    AdamW(params, clear_grad=True, device=where).step(gradients=[grad, grad])
    AdamW([alone], device="numpy").step(gradients=[np.full(N, 3.0)])
    assert [x.tobytes() for x in params] == [alone.tobytes()] * 2
    assert not grad.any()


@pytest.mark.parametrize("shared", ["each other", "themselves", "partly", "by bytes", "partly the other"])
def test_clearing_a_gradient_that_is_a_parameter_is_refused(shared, where):
    memory, params = make_params(np.float64)
    opt = AdamW(params, clear_grad=True, device=where)
    before = freeze([memory, opt.state_dict()])
    with pytest.raises(ArgumentError, match=r"shares memory with params\[\d\].*give a copy, or clear_grad=False"):
        opt.step(gradients=SHARED[shared](memory, *params))
    assert freeze([memory, opt.state_dict()]) == before
    opt.step(gradients=[g.copy() for g in SHARED[shared](memory, *params)])


def test_clearing_a_gradient_that_is_a_moment_is_refused(where):
    x = np.ones(N)
    opt = AdamW([x], clear_grad=True, device=where)
    opt.step(gradients=[np.ones(N)])
    with pytest.raises(ArgumentError, match=r"shares memory with exp_avg of params\[0\]"):
        opt.step(gradients=[opt.state[id(x)]["exp_avg"]])


# Parameters whose memory is replaced in the middle of a run.


@pytest.mark.parametrize("kind", EVERY)
def test_data_replaced_by_the_memory_of_another_parameter_is_refused(kind, where):
    params = [Param(np.ones(N), np.ones(N)), Param(np.ones(N), np.ones(N))]
    opt = kind(params, lr=0.01, device=where)
    opt.step()
    own = params[0].data
    for other in (params[1].data, params[1].data[:], np.concatenate([own, own])[:N]):
        params[0].data = other
        if other.base is None or other.base is params[1].data:
            for _ in range(2):
                with pytest.raises(ArgumentError, match=r"share memory"):
                    opt.step()
            params[0].data = own
        opt.step()


def test_data_that_is_a_new_array_each_time_is_refused():
    class Fleeting:
        grad = None

        @property
        def data(self):
            return np.ones(3)

    with pytest.raises(ArgumentError, match=r"params\[0\] has a \.data that is a new array each time"):
        AdamW([Fleeting()], device="numpy")


# Arrays on a device.


def test_parts_of_one_buffer_on_a_device_are_told_from_each_other(device):
    cl = pytest.importorskip("pyopencl")
    from pyopencl import array as cl_array

    context = cl.Context([device])  # held here: Intel's queue does not hold it
    queue = cl.CommandQueue(context)
    whole = cl_array.to_device(queue, np.ones(4096, np.float32))
    parts = [
        cl_array.Array(queue, (1024,), np.float32, data=whole.base_data.get_sub_region(start, 4096))
        for start in (0, 4096, 2048)
    ]
    SGDHD(parts[:2], lr=0.5).step(gradients=[np.ones(1024, np.float32)] * 2)
    assert (whole.get()[:2048] == 0.5).all()
    assert (whole.get()[2048:] == 1).all()
    for pair in ([parts[0], parts[2]], [parts[2], parts[1]], [whole, parts[1]]):
        with pytest.raises(ArgumentError, match="share memory"):
            SGDHD(pair, lr=0.5)


@pytest.mark.parametrize("kind", EVERY)
def test_gradient_on_a_device_that_is_a_parameter_counts_as_given(kind, device):
    pytest.importorskip("pyopencl")
    from pyopencl import array as cl_array

    from hypergrad_kernels.device import open_device

    queue = open_device(device).queue
    hosts = [np.linspace(1, 2, N).astype(np.float32), np.linspace(2, 3, N).astype(np.float32)]
    thetas = [cl_array.to_device(queue, host) for host in hosts]
    opt, other = kind(thetas, lr=0.01, **FULL[kind]), kind(hosts, lr=0.01, device="numpy", **FULL[kind])
    for _ in range(3):
        opt.step(gradients=thetas[::-1])
        other.step(gradients=[host.copy() for host in hosts[::-1]])
    assert [theta.get().tobytes() for theta in thetas] == [host.tobytes() for host in hosts]


@pytest.mark.parametrize("device", ["numpy", "opencl"])
def test_array_given_again_is_read_again(device, some_device):
    """The very same arrays as in the step before: what is known of them is kept, their numbers are not."""
    (x, y), g = (np.ones((3, 5)), np.ones((3, 5))), np.ones((3, 5))
    kept, fresh = AdamW([x], device=device), AdamW([y], device=device)
    for value in (0.5, -2.0, 3.0):
        g[...] = value
        kept.step(gradients=[g])
        fresh.step(gradients=[g.copy()])
    assert x.tobytes() == y.tobytes()


@pytest.mark.parametrize("device", ["numpy", "opencl"])
def test_array_given_again_in_another_shape_is_refused(device, some_device):
    g = np.ones((2, 3))
    opt = AdamW([np.ones((2, 3))], device=device)
    opt.step(gradients=[g])
    g.resize((3, 2), refcheck=False)
    with pytest.raises(ArgumentError, match=r"shape \(3, 2\): the parameter has \(2, 3\)"):
        opt.step(gradients=[g])


def test_array_given_again_is_copied_again_where_it_shares_memory_with_a_parameter():
    x, y = np.array([1.0, 2.0]), np.array([1.0, 2.0])
    shared, apart = AdamW([x], device="numpy"), AdamW([y], device="numpy")
    for _ in range(3):
        shared.step(gradients=[x])
        apart.step(gradients=[y.copy()])
    assert x.tobytes() == y.tobytes()


def test_array_given_again_after_the_state_was_read_is_compared_with_it():
    x, g = np.ones(3), np.ones(3)
    opt = AdamW([x], device="numpy")
    opt.step(gradients=[g])
    moment = opt.state[id(x)]["exp_avg"]
    before = moment.copy()
    opt.step(gradients=[moment])
    expected = AdamW([np.ones(3)], device="numpy")
    expected.step(gradients=[g])
    expected.step(gradients=[before])
    assert x.tobytes() == expected.param_groups[0]["params"][0].tobytes()


def test_gradient_is_not_kept_after_zero_grad():
    x, g = np.ones(3), np.ones(3)
    opt = AdamW([x], device="numpy")
    opt.step(gradients=[g])
    opt.zero_grad()
    assert sys.getrefcount(g) == 2


def test_array_given_again_is_looked_at_where_a_step_writes_elsewhere():
    x, g = np.ones(3), np.ones(3)
    tensor = Tensor(x, 0, 0)
    places = Places({"x": x})
    given = keep_given([g], [tensor], [Gradient(g, None)], places, clear_grad=False)
    assert given.serves([g], places)
    assert not given.serves([g], Places({"x": x}))
