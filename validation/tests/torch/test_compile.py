"""`compile()`: a few graphs in the first steps, for any number of tensors; no step goes on without one in silence."""

import pytest
import torch
from torch._dynamo.utils import counters

from hypergrad.errors import ArgumentError
from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW, TuningFreeAdamW, _items, _loops

FORMS = {
    "sgd": (SGDHD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "adam": (AdamHD, {"weight_decay": 0.1, "hyper_lr": 1e-5}),
    "adamw, delayed": (HypergradientAdamW, {"delay": 1}),
    "auto": (AutoHypergradientAdamW, {"warmup_steps": 2}),
    "auto, which learns beta1": (
        AutoHypergradientAdamW,
        {"warmup_steps": 2, "adapt_momentum": True, "momentum_rule": "derivative"},
    ),
    "tuning free": (TuningFreeAdamW, {}),
    "a rate per tensor": (AdamHD, {"hyper_lr": 1e-5, "lr_scope": "tensor"}),
    "a rate per tensor, capturable": (
        AdamHD,
        {"hyper_lr": 1e-5, "lr_scope": "tensor", "capturable": True, "nonfinite": "skip"},
    ),
}
STEPS = 6


def make_params(count):
    torch.manual_seed(0)
    sizes = [(i % 7 + 1, i % 5 + 2) if i % 3 else (i + 3,) for i in range(count)]
    return [torch.nn.Parameter(torch.randn(size)) for size in sizes]


def walk(optimizer, params, steps=STEPS):
    for number in range(steps):
        noise = torch.Generator().manual_seed(number)
        for p in params:
            p.grad = p.detach() * 0.1 + torch.randn(p.shape, generator=noise) * 0.01
        optimizer.step()


def make_pair(count, form, **options):
    kind, given = FORMS[form]
    params, twins = make_params(count), make_params(count)
    optimizer, plain = kind(params, **given), kind(twins, **given)
    torch.compiler.reset()
    counters.clear()
    graphs = []
    optimizer.compile(backend=lambda graph, _: graphs.append(graph) or graph.forward, **options)
    return optimizer, params, plain, twins, graphs


@pytest.mark.parametrize("count", [3, 60])
@pytest.mark.parametrize("form", FORMS)
def test_any_number_of_tensors_is_compiled_in_a_few_graphs_in_the_first_steps(form, count):
    optimizer, params, plain, twins, graphs = make_pair(count, form)
    walk(optimizer, params, 4)
    walk(plain, twins, 4)
    made = len(graphs)
    walk(optimizer, params)
    walk(plain, twins)
    assert made == len(graphs) <= 12
    assert not counters["graph_break"]
    assert optimizer.learned_lr == pytest.approx(plain.learned_lr, rel=1e-5)
    for mine, its in zip(params, twins, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)  # float32 in another order of operations


def test_a_large_model_has_one_graph_for_each_loop(monkeypatch):
    monkeypatch.setitem(_items.LIMITS, "cpu", 8)  # elements; all would be more batches than torch has graphs for
    optimizer, params, *_, graphs = make_pair(60, "adam")
    walk(optimizer, params)
    assert len(graphs) == 3  # the sums without a step before and with one, and the update


def test_static_shapes_have_a_graph_each_past_the_limit_of_torch():
    optimizer, params, *_, graphs = make_pair(20, "a rate per tensor", dynamic=False)
    walk(optimizer, params)
    sizes = len({p.numel() for p in params})
    assert sizes > 8
    assert len(graphs) == 3 * sizes  # the sums without a step before and with one, and the update


def test_decay_that_a_scheduler_writes_is_no_reason_to_compile_again():
    optimizer, params, *_, graphs = make_pair(5, "adam")
    walk(optimizer, params, 3)
    made = len(graphs)
    for step in range(12):
        optimizer.param_groups[0]["weight_decay"] = 0.1 + 0.01 * step
        optimizer.param_groups[0]["lr"] *= 0.9
        walk(optimizer, params, 1)
    assert len(graphs) == made


def test_steps_past_the_last_graph_are_taken_without_one_after_a_warning(monkeypatch):
    monkeypatch.setattr(_loops, "GRAPHS", 3)
    optimizer, params, plain, twins, graphs = make_pair(6, "sgd", dynamic=False)

    def walk_with_more_each_time(optimizer, params):
        for count in range(1, 7):
            walk(optimizer, params[:count], 1)

    with pytest.warns(UserWarning, match=r"compile\(\): this is graph 3 of \w+, and the last.*set_to_none=False"):
        walk_with_more_each_time(optimizer, params)
    walk_with_more_each_time(plain, twins)
    assert len(graphs) <= 6
    for mine, its in zip(params, twins, strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-5, atol=1e-6)  # float32 in another order of operations


def test_gradients_that_are_set_to_zero_make_one_kind_of_step(monkeypatch):
    monkeypatch.setattr(_loops, "GRAPHS", 3)
    optimizer, params, *_, graphs = make_pair(6, "sgd", dynamic=False)
    walk(optimizer, params, 2)
    made = len(graphs)
    for count in range(1, 7):
        optimizer.zero_grad(set_to_none=False)
        sum((p**2).sum() for p in params[:count]).backward()
        optimizer.step()
    assert len(graphs) == made


def test_compile_is_refused_where_torch_does_not_run_the_loops():
    optimizer = SGDHD(make_params(2), engine="numpy")
    with pytest.raises(ArgumentError, match=r"compile\(\) with engine='numpy'.*give 'torch'"):
        optimizer.compile()
    SGDHD(make_params(2), engine="torch").compile()
