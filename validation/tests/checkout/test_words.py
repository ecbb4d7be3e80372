"""Plain words: what people read, names included, is without the words that a reader has to parse twice."""

import re
import subprocess
from pathlib import Path

import pytest

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
FILES = subprocess.run(
    ["git", "ls-files", "*.py", "*.cl", "*.md", "*.toml", "*.jinja", "*.cff", "*.yml"],
    cwd=ROOT, capture_output=True, text=True, check=True,
).stdout.split()  # fmt: skip
EXCLUDED = {"CHANGELOG.md", Path(__file__).resolve().relative_to(ROOT).as_posix()}


def find_words(text):
    """The words of a text that have a plainer one, and what to write."""
    plain = text.lower().replace("_", " ")
    return [(found[0], instead) for pattern, instead in INSTEAD.items() for found in re.finditer(pattern, plain)]


@pytest.mark.parametrize("name", sorted(set(FILES) - EXCLUDED))
def test_text_and_names_are_in_plain_words(name):
    path = ROOT / name
    found = find_words(f"{name}\n{path.read_text('utf-8')}") if path.exists() else []
    assert not [(word, instead) for word, instead in found if not any(w in word for w in ALLOWED.get(name, []))]


@pytest.mark.parametrize(
    "text",
    ["start both anew", "hdm_best_mended", "can hardly be told apart", "A row a rule: its equation", "not at hand",
     "28 bytes a float32 element", "one array a tensor"],
)  # fmt: skip
def test_word_that_is_not_plain_is_found(text):
    assert find_words(text)


@pytest.mark.parametrize("text", ["a step that raises", "recommended", "a file a user may edit", "seed=0"])
def test_plain_words_are_left_alone(text):
    assert not find_words(text)
