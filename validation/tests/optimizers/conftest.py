"""Fixtures that the tests of the optimizers share."""

import os

import pytest


@pytest.fixture
def umask():
    previous = os.umask(0o022)
    yield os.umask
    os.umask(previous)
