"""The most memory that a step holds beside parameters, gradients and state, counted by torch's own allocator."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from hypergrad.torch import SGDHD, AdamHD, AutoHypergradientAdamW, HypergradientAdamW

SIZE = 20_000_000
"""Elements of one parameter: an array more of its size, 80 MB, would break the promise."""


def find_peak(run):
    """The most bytes that were allocated at one time during a call, beyond those allocated before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    changes = [
        (event.start_ns(), event.nbytes())
        for event in profiler.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    peak = held = 0
    for _, size in sorted(changes, key=lambda change: change[0]):
        held += size
        peak = max(peak, held)
    return peak


@pytest.mark.parametrize(
    ("kind", "options", "arrays"),
    [
        (SGDHD, {"momentum": 0.9}, 2),
        (AdamHD, {"weight_decay": 0.1}, 2),
        (HypergradientAdamW, {"maximize": True}, 2),
        (HypergradientAdamW, {"delay": 1, "amsgrad": True}, 3),
        (AutoHypergradientAdamW, {"track_surprise": True, "warmup_steps": 0}, 3),
        (AutoHypergradientAdamW, {"capturable": True, "nonfinite": "skip"}, 2),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "-".join(value) if isinstance(value, dict) else "",
)
def test_a_step_needs_no_more_memory_than_its_state_and_64_mebibytes(kind, options, arrays):
    p = torch.nn.Parameter(torch.ones(SIZE))
    p.grad = torch.ones(SIZE)
    optimizer = kind([p], lr=1e-3, **options)
    first = find_peak(optimizer.step)
    assert arrays * 4 * SIZE <= first <= arrays * 4 * SIZE + 2**26
    assert find_peak(optimizer.step) <= 2**26
    assert find_peak(optimizer.step) <= 2**26
