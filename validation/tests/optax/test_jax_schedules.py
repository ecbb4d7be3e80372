"""Schedules on arrays of JAX against those of the reference, on 5000 drawn inputs."""

import jax
import jax.numpy as jnp
import pytest

from hypergrad._core.array_schedules import REASONS, SCHEDULES
from hypergrad_problems.drawn_schedules import RULES, draw_inputs, find_differences

COUNT = 5_000


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("name", RULES)
def test_a_schedule_on_arrays_of_jax_gives_the_numbers_of_the_reference(name):
    drawn = draw_inputs(name, COUNT)
    learned, sums = (type(given)(*map(jnp.asarray, given)) for given in (drawn.learned, drawn.sums))
    schedule = SCHEDULES[type(drawn.rule)]
    outcome = schedule(jnp, drawn.rule, jnp.asarray(drawn.step), learned, sums, drawn.bounds)
    learned, codes = jax.device_get((outcome.learned, outcome.code))
    reasons = [REASONS[int(code)] for code in codes]
    assert not find_differences(name, drawn, learned, reasons)
    assert len(set(reasons)) >= 2
