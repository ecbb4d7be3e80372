"""Schedules on tensors against those of the reference, on 100 000 drawn inputs."""

import pytest
import torch

from hypergrad._core.array_schedules import REASONS, SCHEDULES
from hypergrad_problems.drawn_schedules import RULES, draw_inputs, find_differences

COUNT = 100_000


@pytest.mark.parametrize("name", RULES)
def test_a_schedule_on_tensors_gives_the_numbers_of_the_reference(name):
    drawn = draw_inputs(name, COUNT)
    learned, sums = (type(given)(*map(torch.from_numpy, given)) for given in (drawn.learned, drawn.sums))
    outcome = SCHEDULES[type(drawn.rule)](torch, drawn.rule, torch.from_numpy(drawn.step), learned, sums, drawn.bounds)
    reasons = [REASONS[int(code)] for code in outcome.code]
    assert not find_differences(name, drawn, outcome.learned, reasons)
    assert len(set(reasons)) >= 2
