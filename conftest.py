"""Folders that need an extra are skipped, by name, where it is missing."""

import importlib.util

import pytest

EXTRAS = ("torch", "optax")
"""Their names are those of the folders, too."""


class Without(pytest.Dir):
    """A folder that is not collected."""

    def collect(self):
        """Nothing, with the reason."""
        extra = self.path.name
        pytest.skip(f"{extra}: {extra} is not installed; make test-{extra} installs it and runs these tests")


def pytest_collect_directory(path, parent):
    """Such a folder, instead of one whose modules import what is missing."""
    if path.name in EXTRAS and importlib.util.find_spec(path.name) is None:
        return Without.from_parent(parent, path=path)
    return None
