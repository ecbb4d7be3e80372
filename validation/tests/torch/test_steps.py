"""What a step does with rates, groups and gradients of every kind."""

import importlib
import os
import pkgutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from hypergrad import torch as rules
from hypergrad.errors import ArgumentError, NonFiniteError, SparseGradientError
from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW

KINDS = [SGDHD, AdamHD, HypergradientAdamW, AutoHypergradientAdamW]


def make_param(size=5, value=1.0):
    return torch.nn.Parameter(torch.full((size,), value, dtype=torch.float64))


def take_steps(optimizer, params, count=3, value=1.0):
    for _ in range(count):
        for p in params:
            p.grad = torch.full_like(p, value)
        optimizer.step()


@pytest.mark.parametrize("kind", KINDS)
def test_a_rate_of_0_moves_nothing_and_the_learned_rate_stays(kind):
    p = make_param()
    optimizer = kind([p], lr=0.01)
    take_steps(optimizer, [p], 2)
    optimizer.param_groups[0]["lr"] = 0.0
    learned, before = optimizer.learned_lr, p.detach().clone()
    take_steps(optimizer, [p], 1)
    learned = optimizer.learned_lr  # moved by what the step before told
    before = p.detach().clone()
    take_steps(optimizer, [p], 3)
    assert torch.equal(p, before)
    assert optimizer.learned_lr == learned
    assert optimizer.param_groups[0]["effective_lr"] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_zero_gradients_move_no_rate(kind):
    p = make_param()
    optimizer = kind([p], lr=0.01, weight_decay=0.0)
    take_steps(optimizer, [p], 20, value=0.0)
    assert torch.equal(p, torch.ones_like(p))
    assert optimizer.learned_lr == 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_without_gradients_a_step_changes_nothing(kind):
    p = make_param()
    optimizer = kind([p])
    optimizer.step()
    assert not optimizer.state
    assert optimizer.last_record is None


def test_effective_lr_is_the_learned_rate_times_what_the_scheduler_says():
    p, q = make_param(), make_param()
    optimizer = HypergradientAdamW([{"params": [p]}, {"params": [q], "lr": 0.05}], lr=0.01, hyper_lr=1e-3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    for step in range(4):
        take_steps(optimizer, [p, q], 1)
        share = 1 / (1 + step)
        assert optimizer.effective_lrs() == pytest.approx(
            [optimizer.learned_lr * share, optimizer.learned_lr * 5 * share]
        )
        assert [group["effective_lr"] for group in optimizer.param_groups] == optimizer.effective_lrs()
        scheduler.step()
    assert optimizer.learned_lr > 0.01


def test_a_base_rate_of_0_gives_way_to_the_first_rate_that_is_not():
    p = make_param()
    optimizer = SGDHD([p], lr=0.0, hyper_lr=0.0)
    take_steps(optimizer, [p], 2)
    assert torch.equal(p, torch.ones_like(p))
    optimizer.param_groups[0]["lr"] = 0.5
    take_steps(optimizer, [p], 1)
    assert optimizer.learned_lr == optimizer.param_groups[0]["base_lr"] == 0.5
    assert torch.equal(p, torch.full_like(p, 0.5))


def test_set_rate_sets_the_learned_rate_of_all_or_of_one_group():
    p, q = make_param(), make_param()
    optimizer = HypergradientAdamW([{"params": [p]}, {"params": [q]}], lr=0.01, lr_scope="group")
    optimizer.set_rate(0.5, group=1)
    assert optimizer.learned_lr == [0.01, 0.5]
    optimizer.set_rate(0.25)
    assert optimizer.learned_lr == [0.25, 0.25]
    with pytest.raises(ArgumentError, match=r"value=2.0"):
        optimizer.set_rate(2.0)
    with pytest.raises(ArgumentError, match=r"set_rate\(0.5\)"):
        HypergradientAdamW([p]).set_rate(0.5, group=0)
    with pytest.raises(ArgumentError, match=r"group=7"):
        optimizer.set_rate(0.5, group=7)


def test_a_tensor_is_taken_as_lr_and_a_scheduler_may_fill_it():
    p, q = make_param(), make_param()
    optimizer = HypergradientAdamW([p], lr=torch.tensor(0.01, dtype=torch.float64))
    plain = HypergradientAdamW([q], lr=0.01)
    for one, param in ((optimizer, p), (plain, q)):
        scheduler = torch.optim.lr_scheduler.ExponentialLR(one, 0.9)
        for _ in range(5):
            take_steps(one, [param], 1)
            scheduler.step()
    torch.testing.assert_close(p, q, rtol=1e-6, atol=0)  # the scheduler works on a float32 tensor
    assert plain.learned_lr == pytest.approx(optimizer.learned_lr)
    with pytest.raises(ArgumentError, match="2 elements"):
        HypergradientAdamW([p], lr=torch.tensor([0.1, 0.2]))


@pytest.mark.parametrize("kind", KINDS)
def test_a_complex_parameter_is_a_pair_of_reals(kind):
    rng = np.random.default_rng(0)
    numbers = torch.from_numpy(rng.normal(size=(3, 2)))
    z, x = torch.nn.Parameter(torch.view_as_complex(numbers.clone())), torch.nn.Parameter(numbers.clone())
    of_z, of_x = kind([z], lr=0.01), kind([x], lr=0.01)
    for _ in range(20):
        grad = torch.from_numpy(rng.normal(size=(3, 2))) + x.detach()
        z.grad, x.grad = torch.view_as_complex(grad.clone()), grad
        of_z.step()
        of_x.step()
    assert torch.equal(torch.view_as_real(z.detach()), x)
    assert of_z.learned_lr == of_x.learned_lr != 0.01
    assert all(value.is_complex() for name, value in of_z.state[z].items() if name.startswith("exp_avg"))


@pytest.mark.parametrize("kind", KINDS)
def test_maximize_climbs_and_learns_as_descent_does(kind):
    p, q = make_param(), make_param()
    down, up = kind([p], lr=0.01, weight_decay=0.0), kind([q], lr=0.01, weight_decay=0.0, maximize=True)
    for _ in range(20):
        p.grad, q.grad = p.detach().clone(), -p.detach().clone()
        down.step()
        up.step()
    assert torch.equal(p, q)
    assert down.learned_lr == up.learned_lr


@pytest.mark.parametrize("kind", KINDS)
def test_a_group_may_climb_while_another_descends(kind):
    p, q = make_param(), make_param()
    optimizer = kind([{"params": [p]}, {"params": [q], "maximize": True}], lr=0.01, weight_decay=0.0)
    for _ in range(20):
        p.grad, q.grad = p.detach().clone(), -q.detach()
        optimizer.step()
    assert torch.equal(p, q)
    assert optimizer.learned_lr != 0.01


@pytest.mark.parametrize(("kind", "name"), [(HypergradientAdamW, "amsgrad"), (SGDHD, "nesterov"), (AdamHD, "hyper_lr")])
def test_an_option_of_the_class_is_refused_in_a_group(kind, name):
    with pytest.raises(ArgumentError, match=f"{name}=1 in a group: give it to {kind.__name__}"):
        kind([{"params": [make_param()], name: 1}])


def test_only_the_rate_that_is_learned_from_must_lie_within_its_bounds():
    p, q = make_param(), make_param()
    optimizer = HypergradientAdamW([{"params": [p], "lr": 1e-3}, {"params": [q]}], lr=1e-28, weight_decay=0.0)
    take_steps(optimizer, [p, q], 2)
    assert torch.equal(q, torch.ones_like(q))
    for scope in ("group", "tensor"):
        with pytest.raises(ArgumentError, match="lr=1e-28"):
            HypergradientAdamW([{"params": [make_param()], "lr": 1e-3}, {"params": [q]}], lr=1e-28, lr_scope=scope)


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_leaves_the_gradients_as_they_are(kind):
    p = make_param()
    optimizer = kind([p], lr=0.01, weight_decay=0.1, maximize=True)
    for _ in range(3):
        p.grad = torch.full_like(p, 3.0)
        optimizer.step()
        assert torch.equal(p.grad, torch.full_like(p, 3.0))


def test_a_sparse_gradient_is_refused():
    table = torch.nn.Embedding(4, 3, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(SparseGradientError, match="sparse=False"):
        HypergradientAdamW(table.parameters()).step()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [np.nan, np.inf, 1e200])
def test_a_gradient_that_is_not_finite_is_refused_before_anything_is_written(kind, number):
    p, q = make_param(), make_param()
    optimizer = kind([("first", p), ("second", q)], lr=0.01)
    take_steps(optimizer, [p, q], 2)
    before = [p.detach().clone(), str(optimizer.state_dict())]
    p.grad, q.grad = torch.ones_like(p), torch.full_like(q, number)
    with pytest.raises(NonFiniteError, match="second"):
        optimizer.step()
    assert torch.equal(p, before[0])
    assert str(optimizer.state_dict()) == before[1]


@pytest.mark.parametrize("kind", KINDS)
def test_a_skipped_step_counts_as_skipped_and_the_last_step_counts_for_the_next_hypergradient(kind):
    p, q = make_param(), make_param()
    optimizer, plain = kind([p], lr=0.01, nonfinite="skip"), kind([q], lr=0.01)
    take_steps(optimizer, [p], 3)
    p.grad = torch.full_like(p, torch.nan)
    optimizer.step()
    assert "not finite" in optimizer.last_record.reason
    take_steps(optimizer, [p], 12)
    take_steps(plain, [q], 15)
    assert (optimizer.steps, optimizer.skipped) == (15, 1)
    assert torch.equal(p, q)
    assert optimizer.learned_lr == plain.learned_lr


def test_a_gradient_that_is_not_finite_passes_on_under_propagate():
    p = make_param()
    optimizer = HypergradientAdamW([p], nonfinite="propagate")
    take_steps(optimizer, [p], 2)
    take_steps(optimizer, [p], 1, value=torch.nan)
    assert p.isnan().all()
    assert optimizer.last_record.reason == "non-finite sum"
    assert optimizer.learned_lr == pytest.approx(1e-3, rel=0.1)


@pytest.mark.parametrize("nonfinite", ["raise", "skip"])
def test_a_delayed_step_whose_sum_overflows_stays_taken_and_the_rate_stays_as_it_is(nonfinite):
    p = make_param(2, 0.0)
    optimizer = SGDHD([p], lr=1e-200, hyper_lr=0.0, momentum=0.9, delay=1, nonfinite=nonfinite)
    raised = False
    while optimizer.last_record is None or "non-finite" not in optimizer.last_record.reason:
        p.grad = torch.full_like(p, 6e153)  # its square does not overflow, that with a velocity of many does
        before = p.detach().clone()
        try:
            optimizer.step()
        except NonFiniteError as error:
            raised = "the step is taken" in str(error)
    assert raised == (nonfinite == "raise")
    assert not torch.equal(p, before)
    assert optimizer.learned_lr == 1e-200


def test_options_out_of_range_are_refused_when_made_and_when_written():
    p = make_param()
    for options, words in (
        ({"lr": 2.0}, "lr=2.0"),
        ({"betas": (0.9, 1.0)}, r"betas\[1\]"),
        ({"eps": 0.0}, "eps"),
        ({"lr_scope": "layer"}, "lr_scope"),
        ({"nonfinite": "ignore"}, "nonfinite"),
        ({"lr_min": 0.5, "lr_max": 0.25}, "lr_min"),
        ({"hyper_lr": -1.0}, "hyper_lr"),
    ):
        with pytest.raises(ArgumentError, match=words):
            HypergradientAdamW([p], **options)
    optimizer = HypergradientAdamW([p])
    optimizer.param_groups[0]["eps"] = -1.0
    with pytest.raises(ArgumentError, match="eps"):
        take_steps(optimizer, [p], 1)
    with pytest.raises(ArgumentError, match="weight_decay"):
        optimizer.add_param_group({"params": [make_param()], "weight_decay": -1.0})


def test_a_closure_is_called_once_with_gradients_enabled():
    p, calls = make_param(), []
    optimizer = HypergradientAdamW([p])

    def closure():
        optimizer.zero_grad()
        loss = p.square().sum()
        loss.backward()
        calls.append(torch.is_grad_enabled())
        return loss

    assert optimizer.step(closure).item() == 5.0
    assert calls == [True]


def test_large_tensors_are_cut_and_small_ones_gathered_without_a_change_of_result(monkeypatch):
    from hypergrad.torch import _items

    params = [torch.nn.Parameter(torch.linspace(0, 1, n, dtype=torch.float64)) for n in (5, 1000, 17, 0)]
    strided = torch.nn.Parameter(torch.linspace(0, 1, 60, dtype=torch.float64).view(6, 10).t())

    def run():
        copies = [torch.nn.Parameter(p.detach().clone(memory_format=torch.preserve_format)) for p in (*params, strided)]
        optimizer = AutoHypergradientAdamW(copies, lr=0.01)
        for _ in range(20):
            for p in copies:
                p.grad = p.detach().clone()
            optimizer.step()
        return [*copies, torch.tensor(optimizer.learned_lr)]

    whole = run()
    monkeypatch.setitem(_items.LIMITS, "cpu", 16)
    for mine, other in zip(run(), whole, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "options", [{}, {"amsgrad": True, "weight_decay": 0.3, "maximize": True}], ids=["plain", "all"]
)
def test_tensors_that_torch_s_fused_kernel_cannot_take_step_as_those_that_it_takes(options):
    rng = np.random.default_rng(0)
    whole = torch.nn.Parameter(torch.from_numpy(rng.normal(size=(6, 10))))
    turned = torch.nn.Parameter(whole.detach().clone().t().contiguous().t())  # the same numbers in another order
    of_whole, of_turned = (HypergradientAdamW([p], lr=0.01, hyper_lr=1e-4, **options) for p in (whole, turned))
    for _ in range(20):
        whole.grad = torch.from_numpy(rng.normal(size=(6, 10)))
        turned.grad = whole.grad.clone()
        of_whole.step()
        of_turned.step()
    assert not turned.is_contiguous()
    torch.testing.assert_close(turned, whole, rtol=1e-12, atol=1e-12)  # the same formulas, in another order of rounding
    assert of_turned.learned_lr == pytest.approx(of_whole.learned_lr, rel=1e-12) != 0.01


def test_what_looks_public_is_public():
    for info in pkgutil.iter_modules(rules.__path__):
        module = importlib.import_module(f"hypergrad.torch.{info.name}")
        own = {name for name, thing in vars(module).items() if getattr(thing, "__module__", "") == module.__name__}
        assert info.name.startswith("_") != bool(own & set(rules.__all__))


def test_without_torch_the_import_fails_with_the_remedy():
    program = "import sys; sys.modules['torch'] = None; import importlib.metadata as m; v = m.version\n" + (
        "def version(name):\n    if name == 'torch':\n        raise m.PackageNotFoundError(name)\n    return v(name)\n"
        "m.version = version\nimport hypergrad\nimport hypergrad.torch"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # the code that is tested here
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, env=environment)
    assert ran.returncode == 1
    assert ran.stderr.strip().splitlines()[-1] == (
        "ImportError: hypergrad.torch needs torch, which is not installed: pip install 'hypergrad-opencl[torch]' "
        "installs it"
    )


@pytest.mark.parametrize(("kind", "alias"), [(HypergradientAdamW, "beta_hyper"), (SGDHD, "hypergrad_lr")])
def test_the_source_s_own_name_is_an_alias_of_hyper_lr_and_both_at_once_are_refused(kind, alias):
    p, q = make_param(), make_param()
    named, aliased = kind([p], lr=0.01, hyper_lr=1e-3), kind([q], lr=0.01, **{alias: 1e-3})
    take_steps(named, [p])
    take_steps(aliased, [q])
    assert named.learned_lr == aliased.learned_lr != 0.01
    with pytest.raises(ArgumentError, match="the same option"):
        kind([p], hyper_lr=1e-3, **{alias: 1e-3})
