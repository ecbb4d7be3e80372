"""Fixtures that the tests of the figures share."""

import pytest


@pytest.fixture
def folder(tmp_path, monkeypatch, for_figures):
    """Data files and pictures of these tests, apart from the user's, as their cells are."""
    from paper_figs import command

    monkeypatch.setattr(command, "FOLDER", for_figures)
    monkeypatch.setattr(command, "OUT", tmp_path / "out")
    return tmp_path
