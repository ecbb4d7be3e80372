"""Eight devices, of one processor, for the tests of sharding; and numbers of 64 bits where a test asks for them."""

import os

# Read when the first array is made. What is tested is small: to compile it well would take longer than to run it.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8 --xla_backend_optimization_level=0"

import pytest


@pytest.fixture
def x64():
    import jax  # here, since pytest reads this file where jax is missing, too

    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def _own_precision():
    """Tests of optax that are run here turn to 64 bits and stay there; the next test has its own."""
    import jax

    yield
    jax.config.update("jax_enable_x64", False)
