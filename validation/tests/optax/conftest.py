"""Eight devices, of one processor, for the tests of sharding; and numbers of 64 bits where a test asks for them."""

import os

# Read when the first array is made. What is tested is small: to compile it well would take longer than to run it.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"

import pytest


@pytest.fixture
def x64():
    import jax  # here, since pytest reads this file where jax is missing, too

    jax.config.update("jax_enable_x64", True)  # `_own_precision` ends it


@pytest.fixture(autouse=True)
def _own_precision():
    """A test that turns to 64 bits, as those of optax do, stays there; the next has its own."""
    import jax

    yield
    jax.config.update("jax_enable_x64", False)
