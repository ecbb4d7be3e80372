"""What a release says of itself: whom to cite, what it needs, and how it is built."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
WORKFLOW = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
ARXIV = re.compile(r"arXiv:\d{4}\.\d{5}")


def test_citation_has_what_the_format_requires():
    assert {"cff-version", "message", "title", "authors"} <= CITATION.keys()
    for paper in CITATION["references"]:
        assert {"type", "title", "authors", "year"} <= paper.keys()
        assert all("family-names" in author for author in paper["authors"])


def test_papers_of_the_readme_are_those_of_the_citation():
    text = (ROOT / "README.md").read_text("utf-8")
    cited = {paper["identifiers"][0]["value"] for paper in CITATION["references"] if "identifiers" in paper}
    assert set(ARXIV.findall(text)) <= cited
    assert all(ARXIV.fullmatch(number) for number in cited)


def test_licence_is_one_and_the_same():
    assert CITATION["license"] == PROJECT["license"] == "MIT"
    assert all((ROOT / name).exists() for name in PROJECT["license-files"])


@pytest.mark.parametrize("extra", ["torch", "optax"])
def test_module_of_an_extra_asks_for_the_release_that_the_extra_asks_for(extra):
    text = (ROOT / "hypergrad" / extra / "__init__.py").read_text("utf-8")
    least = re.search(rf'require\("{extra}", \((.*?)\)\)', text)[1].replace(", ", ".")
    assert f"{extra}>={least}" in PROJECT["optional-dependencies"][extra]


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_every_package_of_an_extra_is_pinned(extra):
    pinned = set(re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE))
    names = {re.match(r"[\w.-]+", line)[0] for line in PROJECT["optional-dependencies"][extra]}
    assert {_spell(name) for name in names} <= {_spell(name) for name in pinned}


def _spell(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_release_is_tested_on_every_python_that_the_metadata_names():
    named = [line.rsplit(" ", 1)[1] for line in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", line)]
    assert yaml.safe_load(WORKFLOW)["jobs"]["test"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_version_is_one_and_the_same():
    assert CITATION["version"] == PROJECT["version"]


def test_release_runs_the_script_that_make_runs_on_files_that_exist():
    script = (ROOT / ".ci/try_archive").read_text("utf-8")
    for runner in (WORKFLOW, (ROOT / "Makefile").read_text("utf-8")):
        assert ".ci/try_archive " in runner
    listed = re.search(r"^cp ((?:.|\n)+?) \"\$folder/away/\"$", script, re.M)[1].replace("\\\n", " ").split()
    assert len(listed) > 5
    assert all((ROOT / name).exists() for name in listed)


def test_nothing_is_published_that_was_not_tested():
    jobs = yaml.safe_load(WORKFLOW)["jobs"]
    assert (jobs["publish"]["needs"], jobs["test"]["needs"]) == ("test", "build")
