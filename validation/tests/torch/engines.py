"""The engines beside that of torch, opened where there is a device for them."""

import pytest

from hypergrad.errors import DeviceNotFoundError

ENGINES = ["numpy", "opencl"]


def open_engine(kind, params, engine, **options):
    """An optimizer of hypergrad.torch whose loops an engine runs; the test is skipped where there is no device."""
    try:
        return kind(params, engine=engine, **options)
    except DeviceNotFoundError as error:
        pytest.skip(f"no OpenCL device: {error}")
