"""Plain words: what people read, names included, is without the words that a reader has to parse twice."""

import inspect
import re
from pathlib import Path

import pytest

from extensions import reference

ROOT = Path(__file__).resolve().parents[3]
THINGS = (
    "row|line|entry|array|double|panel|map|column|bar|launch|item|key|file|number|evaluation|curve|cell|figure|case|"
    "process|byte|bytes|spike|spikes|image|one"
)
OWNERS = "row|rule|tensor|step|sigma|problem|data set|bound|stream|task|method|size|kernel"
INSTEAD = {
    r"\banew\b": "again",
    r"\b(not )?at hand\b": "available, missing",
    r"\bmend(s|ed|ing)?\b": "correct, fix, replace",
    r"\bst(an|oo)ds? in for\b": "replace",
    r"\bt(ell|ells|old) apart\b": "distinguish",
    r"\bof no use\b": "unusable",
    r"\bhas no say\b": "is not used",
    rf"\b(a|an|one) ({THINGS}) an? ({OWNERS})\b": "one X per Y",
    rf"\b({THINGS}) an? (float32|float64|step of|tensor:|rule:)": "X per Y",
    r"\bbytes an? (element|parameter)\b": "bytes per element",
    r"\bbut for\b": "except for",
    r"\bin the place of\b": "instead of",
    r"\bfor (good|ever)\b": "forever, permanently",
    r"\blikewise\b": "in the same way, too",
    r"\b(its|the) like\b": "others, similar",
    r"\bforesees?\b": "know in advance",
    r"\bif,? and only if\b": "exactly when",
    r"momentum rule \W*seed": "published",
    r"\bthe seed's\b|\bof the seed\b": "the published rule's",
}
"""A word, as a pattern over text in small letters with blanks for underscores, and what to write."""
ALLOWED = {
    "hypergrad/_minimize/table.py": ["mended"],  # earlier names, which are accepted
    "validation/tests/minimize/test_minimize_defaults.py": ["mended"],
    "hypergrad/_core/versions.py": ["seed"],  # what files of an earlier schema say
    "validation/tests/problems/test_arena.py": ["of the seed"],  # that of a random generator
}
IGNORED = [line.strip("/") for line in (ROOT / ".gitignore").read_text("utf-8").split()]
KINDS = (".py", ".cl", ".md", ".toml", ".jinja", ".cff", ".yml", ".rst", "Makefile", "run", "try_archive")


def is_written_by_hand(name):
    """Whether a file is none of those that a build leaves."""
    return not any(name.startswith(f"{entry}/") or f"/{entry}/" in name for entry in (".git", *IGNORED))


FILES = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.name.endswith(KINDS) and path.is_file()]
FILES = sorted(filter(is_written_by_hand, FILES))
EXCLUDED = {"CHANGELOG.md", Path(__file__).resolve().relative_to(ROOT).as_posix()}


def find_words(text):
    """The words of a text that have a plainer one, and what to write."""
    plain = re.sub(r"\s*\n[\s#/]*", " ", text.lower().replace("_", " "))  # a phrase may go over the end of a line
    return [(found[0], instead) for pattern, instead in INSTEAD.items() for found in re.finditer(pattern, plain)]


@pytest.mark.parametrize("name", sorted(set(FILES) - EXCLUDED))
def test_text_and_names_are_in_plain_words(name):
    path = ROOT / name
    found = find_words(f"{name}\n{path.read_text('utf-8')}") if path.exists() else []
    assert not [(word, instead) for word, instead in found if not any(w in word for w in ALLOWED.get(name, []))]


@pytest.mark.parametrize("name", sorted(reference.list_symbols().documented))
def test_docstring_as_help_shows_it_is_in_plain_words(name):
    assert not find_words(inspect.getdoc(reference.list_symbols().documented[name]) or "")  # some are put together


@pytest.mark.parametrize(
    "text",
    ["start both anew", "hdm_best_mended", "can hardly be told apart", "A row a rule: its equation", "not at hand",
     "28 bytes a float32 element", "one array a tensor",
     "equal if, and only if, they share a form", "told\n# apart", "lost for good", "in the place of\n    another"],
)  # fmt: skip
def test_word_that_is_not_plain_is_found(text):
    assert find_words(text)


@pytest.mark.parametrize("text", ["a step that raises", "recommended", "a file a user may edit", "seed=0"])
def test_plain_words_are_left_alone(text):
    assert not find_words(text)
