"""Folders that need torch are skipped, by name, where it is missing."""

import importlib.util

import pytest


class WithoutTorch(pytest.Dir):
    """A folder that is not collected."""

    def collect(self):
        """Nothing, with the reason."""
        pytest.skip(f"{self.path.name}: torch is not installed; make test-torch installs it and runs these tests")


def pytest_collect_directory(path, parent):
    """Such a folder, instead of one whose modules import torch."""
    if path.name == "torch" and importlib.util.find_spec("torch") is None:
        return WithoutTorch.from_parent(parent, path=path)
    return None
