"""engine="numpy" and "opencl": what they keep from step to step is neither stale nor more than they need."""

import copy
import gc
import random
import signal
import weakref

import numpy as np
import pytest
import torch
from engines import ENGINES, open_engine

from hypergrad import torch as rules
from hypergrad.errors import ArgumentError


def make_params(*sizes, dtype=torch.float64):
    return [torch.nn.Parameter(torch.ones(size, dtype=dtype)) for size in sizes]


def give_gradients(params, step):
    for number, p in enumerate(params):
        p.grad = torch.sin(torch.arange(p.numel()) + step + number).to(p.dtype) + p.detach()


def read_all(params, optimizer):
    arrays = [value for p in params for value in optimizer.state[p].values() if isinstance(value, torch.Tensor)]
    return torch.cat([x.detach().reshape(-1).double() for x in (*params, *arrays)]), optimizer.learned_lr


def are_equal(one, other):
    return torch.equal(one[0], other[0]) and one[1] == other[1]


# Gradients that come and go, and memory that others take.


def change_memory(params, chance):
    """What a user may do between steps without a change of any number."""
    p = chance.choice(params)
    what = chance.randrange(5)
    if what == 0:
        p.data = p.detach().clone()
    elif what == 1:  # where nothing is aligned
        memory = torch.empty(p.numel() + 1, dtype=p.dtype)
        p.data = memory[1:].copy_(p.detach())
    elif what == 2:
        p.share_memory_()
    elif what == 3 and p.grad is not None:
        p.grad = torch.cat([p.grad, p.grad])[p.numel() :]
    else:
        p.data.resize_(p.numel())


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (rules.SGDHD, {"hyper_lr": 1e-6, "momentum": 0.9, "delay": 1}),
        (rules.HypergradientAdamW, {"hyper_lr": 1e-6, "lr_scope": "tensor", "nonfinite": "propagate", "delay": 1}),
        (rules.AutoHypergradientAdamW, {"hyper_lr": 1e-2, "track_surprise": True}),
        (rules.TuningFreeAdamW, {"every": 8, "delay": 1}),
    ],
)
def test_a_run_with_other_tensors_in_each_step_has_the_bits_of_new_optimizers(kind, options, engine):
    chance = random.Random(0)
    sizes = (5, 0, 5000, 33, 33, 70_000)
    params, others = make_params(*sizes), make_params(*sizes)
    optimizer, fresh = open_engine(kind, params, engine, **options), kind(others, engine="numpy", **options)
    for step in range(40):
        give_gradients(params, step)
        for p, q in zip(params, others, strict=True):
            if chance.random() < 0.4:
                p.grad = None
            q.grad = None if p.grad is None else p.grad.clone()
        change_memory(params, chance)
        if step % 5 == 4:  # two tensors change places
            params[3].data, params[4].data = params[4].data, params[3].data
            others[3].data, others[4].data = others[4].data.clone(), others[3].data.clone()
        if step:
            fresh._settle()
            state = copy.deepcopy(torch.optim.Optimizer.state_dict(fresh))
            fresh = kind(others, engine="numpy", **options)
            fresh.load_state_dict(state)
        optimizer.step()
        fresh.step()
        assert are_equal(read_all(params, optimizer), read_all(others, fresh))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("kind", "options"),
    [(rules.AutoHypergradientAdamW, {}), (rules.TuningFreeAdamW, {"every": 8}), (rules.SGDHD, {"delay": 1})],
)
def test_no_more_than_two_old_gradients_of_a_tensor_are_kept(kind, options, engine):
    # Its buffer has one, and a kernel that it was launched with last may have another.
    chance = random.Random(0)
    params = make_params(*[50] * 10, *[70_000] * 4, dtype=torch.float32)
    optimizer = open_engine(kind, params, engine, **options)
    memories = []
    for step in range(60):
        for p in params[chance.randrange(12) :]:
            memory = np.full(p.shape, np.cos(step), np.float32)
            p.grad = torch.from_numpy(memory) if chance.random() < 0.5 else None
            memories.append(weakref.ref(memory))
        del memory
        optimizer.step()
        for p in params:
            p.grad = None
    gc.collect()
    assert sum(ref() is not None for ref in memories) <= 2 * len(params)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_parameter_that_grows_with_its_state_has_room_for_its_sums(engine):
    ends = []
    for who in ("numpy", engine):
        (p,) = params = make_params(7000)
        optimizer = open_engine(rules.HypergradientAdamW, params, who, hyper_lr=1e-9)
        for step in range(8):
            if step == 3:
                p.data = p.detach().repeat(5)
                for name in ("exp_avg", "exp_avg_sq"):
                    optimizer.state[p][name] = optimizer.state[p][name].repeat(5)
            p.grad = p.detach() / 2
            optimizer.step()
        ends.append(read_all(params, optimizer))
    assert are_equal(*ends)
    assert ends[0][1] != 1e-3


@pytest.mark.parametrize("engine", ENGINES)
def test_sums_left_behind_in_another_length_are_refused_and_made_again(engine):
    (p,) = params = make_params(70_000)
    optimizer = open_engine(rules.TuningFreeAdamW, params, engine)
    give_gradients(params, 0)
    optimizer.step()
    length = optimizer.state[p]["left"].numel()
    optimizer.state[p]["left"] = torch.zeros(1, dtype=torch.float64)
    with pytest.raises(ArgumentError, match=f"has 1 numbers, {length} are written to it: del opt.state"):
        optimizer.step()
    del optimizer.state[p]["left"]
    optimizer.step()
    assert optimizer.state[p]["left"].numel() == length > 1


# Steps that raise.


def transpose(p):
    p.grad = p.grad.reshape(2, -1).t().contiguous().t().view_as(p)


def narrow(p):
    gradient, p.grad, p.grad_dtype = p.grad.float(), None, None
    p.grad = gradient


def negate(p):
    p.grad = torch._neg_view(p.grad)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("delay", [0, 1])
@pytest.mark.parametrize("spoil", [transpose, narrow, negate])
def test_a_gradient_that_the_loops_cannot_read_is_refused_with_nothing_changed(spoil, delay, engine):
    ends = []
    for refused in (False, True):
        params = [torch.nn.Parameter(torch.ones(2, 3, dtype=torch.float64)) for _ in range(2)]
        options = {"hyper_lr": 0.1, "track_surprise": True, "delay": delay, "nonfinite": "propagate"}
        optimizer = open_engine(rules.AutoHypergradientAdamW, params, engine, **options)
        for step in range(20):
            for number, p in enumerate(params):
                p.grad = torch.sin(torch.arange(6.0).double() + step + number).view(2, 3) + p.detach()
            if refused and step in (0, 10, 15):  # at step 10 the first mean of gradients is kept
                before, kept = [p.detach().clone() for p in params], params[1].grad
                spoil(params[1])
                with pytest.raises(ArgumentError, match="engine='torch'"):
                    optimizer.step()
                assert all(map(torch.equal, params, before))
                params[1].grad = None
                params[1].grad = kept
            optimizer.step()
        ends.append(read_all(params, optimizer))
    assert are_equal(*ends)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_negative_view_of_the_gradient_of_the_step_before_is_seen(engine):
    p = torch.nn.Parameter(torch.ones(3))
    optimizer = open_engine(rules.HypergradientAdamW, [p], engine)
    p.grad = torch.ones(3)
    optimizer.step()
    negate(p)
    with pytest.raises(ArgumentError, match="engine='torch'"):
        optimizer.step()


@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupt_waits_until_a_step_is_whole(engine, monkeypatch):
    (p,) = params = make_params(5)
    optimizer = open_engine(rules.HypergradientAdamW, params, engine)
    give_gradients(params, 0)
    optimizer.step()
    loops = optimizer._array_engine

    def interrupt(*arguments):
        signal.raise_signal(signal.SIGINT)
        return type(loops).update(loops, *arguments)

    monkeypatch.setattr(loops, "update", interrupt)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
    try:
        with pytest.raises(KeyboardInterrupt):
            optimizer.step()
    finally:
        signal.signal(signal.SIGINT, before)
    assert optimizer.steps == optimizer.state[p]["step"] == 2


@pytest.mark.parametrize("engine", ["torch", *ENGINES])
def test_momentum_that_a_scheduler_takes_to_0_is_none_with_nesterov_too(engine):
    (p,) = params = make_params(5)
    optimizer = open_engine(rules.SGDHD, params, engine, lr=0.25, hyper_lr=0, momentum=0.5, nesterov=True)
    for momentum, way in ((0.5, 1.5), (0.0, 1.0), (0.5, 1.75)):  # v is 1, stays, and becomes 1.5
        before, optimizer.param_groups[0]["momentum"] = p.detach().clone(), momentum
        p.grad = torch.ones_like(p)
        optimizer.step()
        assert torch.equal(p, before - 0.25 * way)
