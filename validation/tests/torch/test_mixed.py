"""16-bit parameters: updates that rounding swallows, stochastic rounding, and training around them."""

import math

import pytest
import torch

from hypergrad.errors import ArgumentError, RoundingWarning
from hypergrad.torch import AutoHypergradientAdamW, HypergradientAdamW, _items


def descend(dtype, **options):
    """Twenty steps of a thousandth of an entry each, at a fixed rate."""
    p = torch.nn.Parameter(torch.ones(4000, dtype=dtype))
    optimizer = HypergradientAdamW([p], lr=1e-3, hyper_lr=0.0, weight_decay=0.0, **options)
    for _ in range(20):
        p.grad = torch.ones_like(p)
        optimizer.step()
    return p.detach().float(), optimizer


def test_rounding_to_the_nearest_swallows_small_updates_of_bfloat16_and_a_warning_says_so():
    with pytest.warns(RoundingWarning, match="stochastic_rounding=True"):
        p, optimizer = descend(torch.bfloat16)
    assert torch.equal(p, torch.ones(4000))
    moments = next(iter(optimizer.state.values()))
    assert moments["exp_avg"].dtype == moments["exp_avg_sq"].dtype == torch.float32


def test_the_swallowed_updates_drive_the_learned_rate_up_for_no_effect():
    p = torch.nn.Parameter(torch.ones(100, dtype=torch.bfloat16))
    with pytest.warns(RoundingWarning):
        optimizer = HypergradientAdamW([p], lr=1e-4, hyper_lr=1e-6, weight_decay=0.0, lr_max=1e-3)
    for _ in range(50):
        p.grad = torch.ones_like(p)
        optimizer.step()
    assert optimizer.learned_lr == 1e-3
    assert optimizer.last_record.reason == "lr_max"
    assert torch.equal(p.float(), torch.ones(100))


def test_stochastic_rounding_keeps_small_updates_of_bfloat16_on_average():
    p, _ = descend(torch.bfloat16, stochastic_rounding=True)
    exact, _ = descend(torch.float32)
    # An entry is off by less than one step of bfloat16 below 1, 2^-8, per update; their mean over 4000 entries and 20
    # updates by 2^-8 sqrt(20) / sqrt(4000) / 2 at one standard deviation. Five of them:
    assert abs(p.mean() - exact.mean()) <= 5 * 2.0**-8 * (20 / 4000) ** 0.5 / 2
    assert p.unique().numel() > 1


def test_stochastic_rounding_is_the_same_on_every_replica_and_after_a_resume():
    first, optimizer = descend(torch.bfloat16, stochastic_rounding=True)
    second, _ = descend(torch.bfloat16, stochastic_rounding=True)
    assert torch.equal(first, second)
    p = torch.nn.Parameter(first.bfloat16())
    resumed = HypergradientAdamW([p], lr=1e-3, hyper_lr=0.0, weight_decay=0.0, stochastic_rounding=True)
    resumed.load_state_dict(optimizer.state_dict())
    q = optimizer.param_groups[0]["params"][0]
    p.grad = torch.ones_like(p)
    resumed.step()
    other, _ = descend(torch.bfloat16, stochastic_rounding=True)
    assert torch.equal(other, q.detach().float())


def test_batches_are_rounded_by_random_bits_of_their_own(monkeypatch):
    monkeypatch.setitem(_items.LIMITS, "cpu", 2000)
    p, _ = descend(torch.bfloat16, stochastic_rounding=True)
    assert not torch.equal(p[:2000], p[2000:])  # two batches of the same numbers


def test_stochastic_rounding_leaves_float32_alone_and_refuses_float16():
    p, _ = descend(torch.float32, stochastic_rounding=True)
    exact, _ = descend(torch.float32)
    assert torch.equal(p, exact)
    with pytest.raises(ArgumentError, match="bfloat16"):
        descend(torch.float16, stochastic_rounding=True)


def make_model():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))


def draw(step, count=32):
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(step))
    return x, x.sum(1, keepdim=True)


def test_a_grad_scaler_on_the_cpu_skips_steps_that_overflow_and_training_goes_on():
    model = make_model()
    optimizer = AutoHypergradientAdamW(model.parameters(), lr=0.01, normalization="cosine")
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    losses = []
    for step in range(80):
        x, y = draw(step)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = (model(x) - y).float().square().mean()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    assert optimizer.param_groups[0]["steps"] < 80  # some overflowed
    assert losses[-1] < losses[0] / 4


def test_accumulated_gradients_give_the_step_of_the_whole_batch():
    whole, parts = make_model().double(), make_model().double()
    of_whole, of_parts = (HypergradientAdamW(m.parameters(), lr=0.01, hyper_lr=1e-4) for m in (whole, parts))
    for step in range(20):
        x, y = (t.double() for t in draw(step))
        of_whole.zero_grad()
        (whole(x) - y).square().mean().backward()
        of_whole.step()
        of_parts.zero_grad()
        for px, py in zip(x.chunk(4), y.chunk(4), strict=True):
            ((parts(px) - py).square().mean() / 4).backward()
        of_parts.step()
    assert of_parts.learned_lr == pytest.approx(of_whole.learned_lr, rel=1e-10)  # sums in another order
    assert of_whole.learned_lr != 0.01


def test_a_cosine_with_warm_up_from_0_as_trainers_set_it_trains_and_scales_the_learned_rate():
    model = make_model()
    optimizer = AutoHypergradientAdamW(model.parameters(), lr=1e-4, normalization="cosine")

    def share(step, warmup=10, total=120):  # get_cosine_schedule_with_warmup of transformers
        if step < warmup:
            return step / max(1, warmup)
        return max(0.0, 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup))))

    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    losses = []
    for step in range(120):
        x, y = draw(step)
        optimizer.zero_grad()
        loss = (model(x) - y).square().mean()
        loss.backward()
        optimizer.step()
        assert optimizer.param_groups[0]["effective_lr"] == pytest.approx(optimizer.learned_lr * share(step))
        scheduler.step()
        losses.append(loss.item())
    assert optimizer.learned_lr > 2e-4
    assert losses[-1] < losses[0] / 10


def test_a_closure_as_lightning_passes_it_trains():
    """Lightning calls optimizer.step(closure), where the closure computes the loss and the gradients."""
    model = make_model()
    optimizer = AutoHypergradientAdamW(model.parameters(), lr=0.01, normalization="cosine")
    losses = []
    for step in range(60):
        x, y = draw(step)

        def closure(x=x, y=y):
            loss = (model(x) - y).square().mean()
            optimizer.zero_grad()
            loss.backward()
            return loss

        losses.append(optimizer.step(closure).item())
    assert losses[-1] < losses[0] / 10


@pytest.mark.parametrize("options", [{}, {"capturable": True, "nonfinite": "skip"}], ids=["host", "capturable"])
def test_compiled_loops_give_the_step_are_compiled_once_and_a_compiled_step_calls_them(options):
    torch.compiler.reset()  # the graphs of other tests count against torch's limit for a function
    options = {"lr": 0.01, "normalization": "cosine", **options}
    model, twin = make_model(), make_model()
    optimizer, plain = (AutoHypergradientAdamW(m.parameters(), **options) for m in (model, twin))
    nodes = []

    def count(graph, _):
        nodes.append(len(graph.graph.nodes))
        return graph.forward

    optimizer.compile(backend=count, dynamic=False)
    step = torch.compile(optimizer.step, backend=count)
    graphs = []
    for number in range(20):
        x, y = draw(number)
        for net, one in ((model, step), (twin, plain.step)):
            for p in net.parameters():
                p.grad = None
            (net(x) - y).square().mean().backward()
            one()
        graphs.append(len(nodes))
    assert sum(nodes) > 50
    assert graphs[-1] == graphs[12]  # after the ten steps of warm-up, which form fewer sums
    assert optimizer.learned_lr == pytest.approx(plain.learned_lr, rel=1e-4) != 0.01
    for p, q in zip(model.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)  # float32 in another order of operations
