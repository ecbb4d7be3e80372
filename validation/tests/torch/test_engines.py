"""engine="numpy" and "opencl" on CPU tensors: the bits of the NumPy classes over whole runs."""

import copy
import gc
import hashlib
import math
import weakref

import numpy as np
import pytest
import torch
from engines import ENGINES, open_engine

import hypergrad
from hypergrad import torch as rules
from hypergrad.errors import ArgumentError, DeviceNotFoundError, NonFiniteError
from hypergrad.torch import _array_engine
from hypergrad.torch._array_engine import flatten

RUNS = {
    "sgd_hd": ("SGDHD", {"lr": 0.05, "hyper_lr": 1e-5, "weight_decay": 0.1}),
    "sgd_hd-nesterov": ("SGDHD", {"lr": 0.02, "hyper_lr": 1e-6, "momentum": 0.9, "nesterov": True}),
    "adam_hd": ("AdamHD", {"lr": 0.01, "hyper_lr": 1e-6}),
    "adamw_hd": ("HypergradientAdamW", {"lr": 0.01, "hyper_lr": 1e-6, "decay_in_hypergradient": True}),
    "adamw_hd-log-amsgrad": ("HypergradientAdamW", {"lr": 0.01, "hyper_lr": 1e-5, "log_scale": True, "amsgrad": True}),
    "adamw_auto": ("AutoHypergradientAdamW", {"lr": 0.01, "hyper_lr": 1e-3, "normalization": "cosine"}),
    "adamw_auto-surprise": ("AutoHypergradientAdamW", {"lr": 0.01, "hyper_lr": 1e-3, "track_surprise": True}),
    "adamw_auto-derivative": (
        "AutoHypergradientAdamW",
        {"lr": 0.01, "hyper_lr": 1e-3, "adapt_momentum": True, "momentum_rule": "derivative", "hyper_lr_beta": 1e-3},
    ),
    "sgd_hd-delay": ("SGDHD", {"lr": 0.02, "hyper_lr": 1e-6, "momentum": 0.9, "nesterov": True, "delay": 1}),
    "adam_hd-delay": ("AdamHD", {"lr": 0.01, "hyper_lr": 1e-6, "delay": 1, "nonfinite": "propagate"}),
    "adamw_hd-delay": ("HypergradientAdamW", {"lr": 0.01, "hyper_lr": 1e-6, "amsgrad": True, "delay": 1}),
    "adamw_auto-delay": (
        "AutoHypergradientAdamW",
        {"lr": 0.01, "hyper_lr": 1e-3, "delay": 1, "track_surprise": True, "nonfinite": "propagate"},
    ),
    "free": ("TuningFreeAdamW", {"weight_decay": 0.01}),
    "free-K": ("TuningFreeAdamW", {"variant": "K"}),
    "free-delayed": ("TuningFreeAdamW", {"delay": 1}),
    "free-lazy": ("TuningFreeAdamW", {"every": 8}),
    "free-lazy-delayed": ("TuningFreeAdamW", {"every": 8, "delay": 1}),
}
SHAPES = [(50, 130), (33,), (4097,)]
STEPS = 110


def open_options(name, options):
    """The options of torch: what is the default here and not there is named."""
    if name.startswith("adamw"):
        return {"decay_in_hypergradient": False, **options}
    return options


def start(dtype):
    rng = np.random.default_rng(0)
    return [rng.normal(size=shape).astype(dtype) for shape in SHAPES]


def draw(step, thetas):
    rng = np.random.default_rng(step)
    grads = [((1 + i) * x / 4 + rng.normal(size=x.shape)).astype(x.dtype) for i, x in enumerate(thetas)]
    return [None if step % 7 == i + 2 else g for i, g in enumerate(grads)]


def digest(thetas, rates):
    code = hashlib.sha256()
    for theta in thetas:
        code.update(np.ascontiguousarray(theta))
    code.update(np.array(rates))
    return code.hexdigest()


def run_numpy(name, dtype):
    kind, options = RUNS[name]
    thetas = start(dtype)
    optimizer = getattr(hypergrad, kind)(thetas, device="numpy", **options)
    rates = []
    for step in range(STEPS):
        optimizer.step(gradients=draw(step, thetas))
        rates.append(optimizer.current_lr)
    return digest(thetas, rates)


def run_torch(name, dtype, engine):
    kind, options = RUNS[name]
    params = [torch.nn.Parameter(torch.from_numpy(x)) for x in start(dtype)]
    optimizer = getattr(rules, kind)(params, engine=engine, **open_options(name, options))
    rates = []
    for step in range(STEPS):
        for p, grad in zip(params, draw(step, [p.detach().numpy() for p in params]), strict=True):
            p.grad = None if grad is None else torch.from_numpy(grad)
        optimizer.step()
        rates.append(optimizer.learned_lr)
    return digest([p.detach().numpy() for p in params], rates)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("engine", ["numpy", "opencl"])
@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_the_bits_of_the_numpy_class(name, engine, dtype):
    try:
        found = run_torch(name, dtype, engine)
    except DeviceNotFoundError as error:
        pytest.skip(f"no OpenCL device: {error}")
    assert found == run_numpy(name, dtype)


def replace_parameter(p, optimizer):
    p.data = p.detach().clone()


def replace_gradient(p, optimizer):
    p.grad = p.grad.clone()


def replace_state(p, optimizer):
    optimizer.state[p]["exp_avg"] = optimizer.state[p]["exp_avg"].clone()


def load_own_state(p, optimizer):
    optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("replace", [replace_parameter, replace_gradient, replace_state, load_own_state])
def test_arrays_that_were_replaced_are_found_again(replace, delay, engine):
    ends = []
    for change in (lambda p, optimizer: None, replace):
        params = [torch.nn.Parameter(torch.ones(size, dtype=torch.float64)) for size in (5, 5000)]
        optimizer = open_engine(rules.AutoHypergradientAdamW, params, engine, hyper_lr=0.1, delay=delay)
        for p in params:
            p.grad = torch.zeros_like(p)
        for step in range(20):
            for p in params:
                p.grad.copy_(torch.sin(torch.arange(p.numel()) + step) + p.detach())  # in the same memory
            if step >= 14:
                change(params[step % 2], optimizer)
            optimizer.step()
        arrays = [
            array for p in params for array in (p.detach(), *map(optimizer.state[p].get, ("exp_avg", "exp_avg_sq")))
        ]
        ends.append((torch.cat(arrays), optimizer.learned_lr))
    assert torch.equal(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1] != 1e-3


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tensor_is_flattened_once_while_its_memory_stays(engine, monkeypatch):
    flattened = []

    def count(tensor, name):
        flattened.append(name)
        return flatten(tensor, name)

    params = [torch.nn.Parameter(torch.ones(size)) for size in (5, 50)]
    optimizer = open_engine(rules.AutoHypergradientAdamW, params, engine)
    for p in params:
        p.grad = torch.ones_like(p)
    for _ in range(12):
        optimizer.step()
    monkeypatch.setattr(_array_engine, "flatten", count)
    optimizer.step()
    assert flattened == []
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer.step()
    assert flattened == ["a gradient"] * 2


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (rules.AutoHypergradientAdamW, {}),
        (rules.TuningFreeAdamW, {"every": 8}),
    ],  # which looks, by other kernels, at each of 100 steps
)
def test_old_gradients_are_not_kept(kind, options, engine):
    params = [torch.nn.Parameter(torch.ones(size)) for size in (5, 50_000)]
    optimizer = open_engine(kind, params, engine, **options)
    memories = []
    for _ in range(125):
        for p in params:
            memory = np.ones(p.shape, np.float32)
            p.grad = torch.from_numpy(memory)
            memories.append(weakref.ref(memory))
        del memory
        optimizer.step()
    gc.collect()
    assert sum(ref() is not None for ref in memories) <= len(params)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("delay", [0, 1])
def test_a_gradient_that_is_not_finite_is_seen_before_anything_is_written(delay, engine):
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = open_engine(rules.HypergradientAdamW, [p], engine, delay=delay)
    p.grad = torch.ones(3)
    optimizer.step()
    before = p.detach().clone()
    p.grad = torch.tensor([1.0, math.inf, 1.0])
    with pytest.raises(NonFiniteError, match="parameter 0 is not finite"):
        optimizer.step()
    assert torch.equal(p, before)
    assert optimizer.steps == 1


@pytest.mark.parametrize("engine", ENGINES)
def test_a_delayed_step_without_checks_waits_for_the_loops_once(engine, monkeypatch):
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = open_engine(rules.HypergradientAdamW, [p], engine, delay=1, nonfinite="propagate")
    monkeypatch.setattr(_array_engine.ArrayEngine, "sum", None)
    for _ in range(3):
        p.grad = p.detach().clone()
        optimizer.step()
    assert optimizer.learned_lr > 1e-3


@pytest.mark.parametrize("kind", [rules.SGDHD, rules.HypergradientAdamW])
def test_a_delayed_run_with_the_loops_of_numpy_is_that_of_torch_to_rounding(kind):
    rng = np.random.default_rng(0)
    params = [torch.nn.Parameter(torch.ones(50, dtype=torch.float64)) for _ in range(2)]
    optimizers = [
        kind([p], lr=0.01, hyper_lr=1e-4, delay=1, engine=engine)
        for p, engine in zip(params, ("numpy", "torch"), strict=True)
    ]
    for _ in range(20):
        noise = torch.from_numpy(rng.normal(size=50))
        for p, optimizer in zip(params, optimizers, strict=True):
            p.grad = p.detach() + noise
            optimizer.step()
    torch.testing.assert_close(*params, rtol=1e-12, atol=1e-12)  # sums of 50 products, in another order
    assert optimizers[0].learned_lr == pytest.approx(optimizers[1].learned_lr, rel=1e-12) != 0.01


def test_a_graph_that_holds_old_values_is_refused_after_a_step_by_another_engine():
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = rules.HypergradientAdamW([p], engine="numpy")
    loss = p.square().sum()
    p.grad = torch.ones(3)
    optimizer.step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_what_another_engine_cannot_take_is_refused_when_the_optimizer_is_made():
    p = torch.nn.Parameter(torch.ones(4, 3))
    for params, options, words in (
        ([torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16))], {"stochastic_rounding": False}, "bfloat16"),
        ([torch.nn.Parameter(torch.ones(4, 3).t())], {}, "contiguous"),
        ([p], {"capturable": True, "nonfinite": "skip"}, "capturable"),
        ([p], {"broadcast": True}, "broadcast"),
    ):
        with pytest.raises(ArgumentError, match=words):
            rules.HypergradientAdamW(params, engine="numpy", **options)
    with pytest.raises(ArgumentError, match="engine='cuda'"):
        rules.HypergradientAdamW([p], engine="cuda")


def walk_numpy(optimizer, thetas, first, last):
    for step in range(first, last):
        optimizer.step(gradients=draw(step, thetas))


def walk_torch(optimizer, params, first, last):
    for step in range(first, last):
        for p, grad in zip(params, draw(step, [p.detach().numpy() for p in params]), strict=True):
            p.grad = None if grad is None else torch.from_numpy(grad)
        optimizer.step()


@pytest.mark.parametrize("name", RUNS)
def test_a_state_of_the_numpy_class_is_taken_over_and_given_back_without_a_change_of_the_run(name):
    kind, options = RUNS[name]
    thetas = start("float64")
    whole = getattr(hypergrad, kind)(thetas, device="numpy", **options)
    walk_numpy(whole, thetas, 0, 25)
    params = [torch.nn.Parameter(torch.from_numpy(theta.copy())) for theta in thetas]
    middle = getattr(rules, kind)(params, engine="numpy", **open_options(name, options))
    middle.load_numpy_state_dict(whole.state_dict())
    assert middle.learned_lr == whole.current_lr
    walk_torch(middle, params, 25, 40)
    arrays = [p.detach().numpy().copy() for p in params]
    last = getattr(hypergrad, kind)(arrays, device="numpy", **options)
    last.load_state_dict(middle.numpy_state_dict(last.state_dict()))
    walk_numpy(last, arrays, 40, 55)
    walk_numpy(whole, thetas, 25, 55)
    assert all(np.array_equal(mine, its) for mine, its in zip(arrays, thetas, strict=True))
    assert last.current_lr == whole.current_lr


def test_a_state_of_the_numpy_class_brings_the_proportions_of_its_groups():
    numpy = hypergrad.HypergradientAdamW(
        [{"params": [np.ones(3)]}, {"params": [np.ones(2)], "lr": 0.005}], lr=0.01, device="numpy"
    )
    numpy.step(gradients=[np.ones(3), np.ones(2)])
    params = [torch.nn.Parameter(torch.ones(size, dtype=torch.float64)) for size in (3, 2)]
    optimizer = rules.HypergradientAdamW([{"params": [p]} for p in params], lr=0.01)
    optimizer.load_numpy_state_dict(numpy.state_dict())
    assert [group["lr"] for group in optimizer.param_groups] == [0.01, 0.005]
