"""Imports run downhill: which chapter may import which, and no circle between two files of a chapter."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CHAPTERS = {
    "hypergrad_reference": ("reference", ()),
    "hypergrad_kernels": ("kernels", ("hypergrad_reference",)),
    "hypergrad": (".", ("hypergrad_reference", "hypergrad_kernels")),
    "hypergrad_validation": ("validation", ("hypergrad_reference", "hypergrad_kernels", "hypergrad")),
    "hypergrad_command": (
        ".",
        ("hypergrad_reference", "hypergrad_kernels", "hypergrad", "hypergrad_validation"),
    ),
    "hypergrad_problems": ("validation", ("hypergrad_reference", "hypergrad")),
    "hypergrad_papers": ("validation", ("hypergrad_reference", "hypergrad", "hypergrad_problems")),
}
"""The folder that a chapter lies in, and what it may import of ours; paper_figs may import them all."""
DOOR = "hypergrad/__main__.py"
"""`python -m hypergrad` opens the command line, which lies above; nothing imports it."""


def walk(node):
    """The nodes that run: what is imported for a type checker alone is left out."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from walk(child)


def find_imports(path):
    """What a file imports, at its head or inside a function: (module, the names taken from it)."""
    for node in walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module, tuple(alias.name for alias in node.names)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_chapter_imports_only_what_lies_below_it(chapter):
    folder, below = CHAPTERS[chapter]
    allowed = {chapter, *below}
    upwards = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in (ROOT / folder / chapter).rglob("*.py")
        if path != ROOT / DOOR
        for module, _ in find_imports(path)
        if module.partition(".")[0] in {*CHAPTERS, "paper_figs"} - allowed
    }
    assert not upwards


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_files_of_a_chapter_import_each_other_without_a_circle(chapter):
    folder = ROOT / CHAPTERS[chapter][0]
    files = {
        ".".join(path.relative_to(folder).with_suffix("").parts): path
        for path in (folder / chapter).rglob("*.py")
        if path.name != "__init__.py"
    }
    graph = {
        name: {
            imported
            for module, names in find_imports(path)
            for imported in (module, *(f"{module}.{each}" for each in names))
            if imported in files
        }
        for name, path in files.items()
    }
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


@pytest.mark.parametrize("path", sorted((ROOT / "paper_figs").glob("*_????.py")), ids=lambda path: path.stem)
def test_script_of_a_figure_takes_nothing_from_another_figure(path):
    figure = path.stem.rpartition("_")[0]
    scripts = {module.partition(".")[2] for module, _ in find_imports(path) if module.endswith(("_data", "_plot"))}
    assert scripts <= {f"{figure}_data", f"{figure}_plot"}
