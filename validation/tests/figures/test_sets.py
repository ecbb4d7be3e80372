"""Which data sets the figures run, and how the others are fetched."""

import pytest

pytest.importorskip("joblib")

from hypergrad_papers.claims import Extent, list_claims
from hypergrad_problems import data, registry
from paper_figs import command, sets
from paper_figs.cells import Runner

MNIST = "MNIST with the authors' logs"


@pytest.mark.parametrize(
    ("extent", "there", "wanted", "here", "others"),
    [
        (Extent.BUNDLED, (), ["a1a", "a4a"], ["a1a"], "a4a of LIBSVM: make figures FULL=1 FETCH=1"),
        (Extent.BUNDLED, ("a4a",), ["a1a", "a4a"], ["a1a"], "a4a of LIBSVM: make figures FULL=1"),
        (Extent.FULL, ("a4a",), ["a1a", "a4a"], ["a1a", "a4a"], "none"),
        (Extent.FULL, ("a4a",), ["a4a", "a6a"], ["a4a"], "a6a of LIBSVM: make figures FULL=1 FETCH=1"),
        (Extent.BUNDLED, (), ["mnist"], [], f"{MNIST}: make figures FULL=1 FETCH=1"),
        (Extent.NETWORKS, (), ["mnist"], [], f"{MNIST}: make figures FULL=mlp FETCH=1"),
    ],
)
def test_figure_runs_what_the_repository_holds_and_says_what_it_takes_to_run_the_rest(
    extent, there, wanted, here, others, monkeypatch
):
    monkeypatch.setattr(data, "has", lambda name: name in there)
    assert sets.choose(Runner(extent=extent), wanted) == (here, others)


@pytest.fixture
def fetched(monkeypatch):
    """The names that are fetched, of data that are missing, except for what the repository holds."""
    names = []
    monkeypatch.setattr(data, "has", lambda name: data.is_in_repository(name) or name == "breast_cancer")
    monkeypatch.setattr(data, "fetch", names.append)
    return names


def test_fetch_asks_for_what_the_claims_of_the_extent_need(fetched):
    assert sets.fetch(Extent.BUNDLED) == []
    assert fetched == sorted({name for claim in list_claims() if claim.extent is Extent.BUNDLED for name in claim.needs
                              if not name.startswith("a")})  # fmt: skip
    assert "mnist" in fetched


def test_fetch_at_full_extent_asks_for_every_set_that_is_not_there(fetched):
    sets.fetch(Extent.FULL)
    assert {"mnist", "digits", "a9a", "w8a.t"} <= set(fetched)
    assert not {"a1a", "breast_cancer"} & set(fetched)


def test_command_tells_what_could_not_be_fetched_and_runs_all_the_same(
    fetched, for_figures, monkeypatch, tmp_path, capsys
):
    def refuse(name):
        raise registry.DataError(f"no network for {name}")

    monkeypatch.setattr(data, "fetch", refuse)
    monkeypatch.setattr(command, "FOLDER", for_figures)
    monkeypatch.setattr(command, "OUT", tmp_path / "out")
    assert command.main(["--fetch", "--only", "regret", "--jobs", "1"]) == 1
    told = capsys.readouterr().err
    assert "no network for mnist" in told
    assert "mnist; the errors stand above" in told
    assert (tmp_path / "out" / "selection.html").exists()
