"""Steps in which the host waits for nothing, and the one wait of the others."""

from copy import deepcopy

import pytest
import torch
from problems import CASES, draw_gradient, start
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.overrides import TorchFunctionMode

from hypergrad.errors import ArgumentError
from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW

NAMES = [name for name in CASES if "surprise" not in name and "delay" not in name]
GROUPS = [[0, 1], [2, 3, 4]]

# The same formulas in float64; roots, powers and sums may be rounded to the other side.
ROUNDING = 1e-11


def make(name, scope, **more):
    kind, _, options = CASES[name]
    params = [torch.nn.Parameter(torch.from_numpy(theta)) for theta in start()]
    groups = [{"params": [params[i] for i in part]} for part in GROUPS]
    groups[1]["lr"] = options["lr"] / 2
    return params, kind(groups, lr_scope=scope, **options, **more)


def walk(params, optimizer, first, last, scheduler=None):
    for step in range(first, last):
        for p, grad in zip(params, draw_gradient(step, [p.detach().numpy() for p in params]), strict=True):
            p.grad = None if grad is None else torch.from_numpy(grad)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()


@pytest.mark.parametrize("scope", ["global", "group", "tensor"])
@pytest.mark.parametrize("name", NAMES)
def test_a_captured_run_is_that_of_the_host_to_rounding(name, scope):
    params, plain = make(name, scope)
    others, captured = make(name, scope, capturable=True, nonfinite="propagate" if scope == "group" else "skip")
    for step in range(1, 30):
        walk(params, plain, step, step + 1)
        walk(others, captured, step, step + 1)
        for p, q in zip(params, others, strict=True):
            torch.testing.assert_close(q, p, rtol=ROUNDING, atol=ROUNDING)
        assert captured.learned_lr == pytest.approx(plain.learned_lr, rel=ROUNDING)
        mine, theirs = plain.last_record, captured.last_record
        for record, other in zip(*((r if scope != "global" else (r,)) for r in (mine, theirs)), strict=True):
            if record is not None:
                assert (other.step, other.reason) == (record.step, record.reason)
                assert other.hypergradient == pytest.approx(record.hypergradient, rel=1e-9, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("kind", [SGDHD, AdamHD, HypergradientAdamW, AutoHypergradientAdamW])
def test_a_captured_step_that_is_not_finite_changes_nothing_and_is_counted(kind):
    p, q = (torch.nn.Parameter(torch.ones(4, dtype=torch.float64)) for _ in range(2))
    optimizer = kind([p], lr=0.01, capturable=True, nonfinite="skip")
    plain = kind([q], lr=0.01)
    for step in range(20):
        p.grad = torch.full_like(p, torch.nan if step == 7 else 1 + step / 10)
        optimizer.step()
        if step != 7:
            q.grad = torch.full_like(q, 1 + step / 10)
            plain.step()
    torch.testing.assert_close(p, q, rtol=ROUNDING, atol=0)
    assert optimizer.learned_lr == pytest.approx(plain.learned_lr, rel=ROUNDING)
    assert optimizer.skipped == 1


@pytest.mark.parametrize("kind", [SGDHD, AdamHD, HypergradientAdamW, AutoHypergradientAdamW])
@pytest.mark.parametrize("scope", ["global", "group", "tensor"])
def test_a_captured_step_reads_no_number(kind, scope):
    """Tensors without numbers raise where the host asks for one."""
    with FakeTensorMode():
        params = [torch.nn.Parameter(torch.ones(5)), torch.nn.Parameter(torch.ones(()))]
        optimizer = kind(params, lr=0.01, lr_scope=scope, capturable=True, nonfinite="skip")
        for group in optimizer.param_groups:
            group["lr"] = torch.tensor(0.01, dtype=torch.float64)
        for _ in range(3):
            for p in params:
                p.grad = torch.ones_like(p)
            optimizer.step()
        with pytest.raises(DataDependentOutputException):
            params[0].sum().item()
        plain = kind(params, lr=0.01)
        with pytest.raises(DataDependentOutputException):
            plain.step()


class Reads(TorchFunctionMode):
    """Counts how often the host asks a tensor for numbers; the step counters lie on the CPU and are not counted."""

    def __init__(self, counters):
        super().__init__()
        self.counters, self.count = counters, 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        names = ("item", "tolist", "__bool__", "__float__", "__int__", "__index__", "cpu", "numpy", "is_nonzero")
        if getattr(func, "__name__", "") in names and not any(args[0] is counter for counter in self.counters):
            self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("nonfinite", ["raise", "skip", "propagate"])
@pytest.mark.parametrize("kind", [SGDHD, AdamHD, HypergradientAdamW, AutoHypergradientAdamW])
def test_a_step_reads_from_the_device_once(kind, nonfinite):
    params = [torch.nn.Parameter(torch.ones(5)), torch.nn.Parameter(torch.ones(3, dtype=torch.float64))]
    optimizer = kind(params, nonfinite=nonfinite)
    counts = []
    for _ in range(14):
        for p in params:
            p.grad = torch.ones_like(p)
        with Reads([state["step"] for state in optimizer.state.values()]) as reads:
            optimizer.step()
        counts.append(reads.count)
    assert counts[2:] == [1] * 12
    assert max(counts) == 1


@pytest.mark.parametrize(("nonfinite", "expected"), [("raise", 2), ("skip", 2), ("propagate", 1)])
def test_a_delayed_step_reads_sums_once_and_before_it_the_norms_of_gradients_that_are_looked_at(nonfinite, expected):
    params = [torch.nn.Parameter(torch.ones(5)), torch.nn.Parameter(torch.ones(3, dtype=torch.float64))]
    optimizer = HypergradientAdamW(params, nonfinite=nonfinite, delay=1)
    for _ in range(5):
        for p in params:
            p.grad = torch.ones_like(p)
        with Reads([state["step"] for state in optimizer.state.values()]) as reads:
            optimizer.step()
    assert reads.count == expected


def test_options_that_look_at_numbers_are_refused_with_capturable():
    p = torch.nn.Parameter(torch.ones(2))
    for options, words in (
        ({}, "nonfinite='skip'"),
        ({"nonfinite": "skip", "track_surprise": True}, "track_surprise"),
        ({"nonfinite": "skip", "process_group": object()}, "DTensors"),
    ):
        with pytest.raises(ArgumentError, match=words):
            AutoHypergradientAdamW([p], capturable=True, **options)


def test_a_captured_state_goes_on_bit_for_bit_after_a_load():
    params, optimizer = make("adamw_auto", "global", capturable=True, nonfinite="skip")
    walk(params, optimizer, 1, 20)
    others, resumed = make("adamw_auto", "global", capturable=True, nonfinite="skip")
    with torch.no_grad():
        for p, q in zip(params, others, strict=True):
            q.copy_(p)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    walk(params, optimizer, 20, 40)
    walk(others, resumed, 20, 40)
    assert all(torch.equal(p, q) for p, q in zip(params, others, strict=True))
    assert optimizer.learned_lr == resumed.learned_lr
