"""The documents: what they show runs, what they link to is there, and they are spelled correctly."""

import ast
import doctest
import inspect
import os
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

import hypergrad
from extensions import docstrings, optax_pages, pictures, printed, reference, torch_pages
from hypergrad._core.array_schedules import REASONS
from hypergrad_reference import adamw_free_schedule, sums
from hypergrad_reference.adamw_rule import Record as AdamWRecord

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GENERATED = (DOCS / "gallery", DOCS / "examples", DOCS / "reference/generated")
PAGES = sorted(page for page in DOCS.rglob("*.md") if not set(page.parents) & set(GENERATED))
DOCUMENTS = [
    *PAGES, *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *(ROOT / name for name in (
        "validation/FINDINGS.md", "validation/data/README.md", "reference/README.md", "kernels/README.md",
    )),
]  # fmt: skip
SOURCES = sorted(
    path
    for folder in ("hypergrad", "reference", "kernels", "validation", "paper_figs", "docs", "examples")
    for path in (ROOT / folder).rglob("*.py")
    if "generated" not in path.parts and "build" not in path.parts
)
FENCE = re.compile(
    r"^(?P<indent> *)(?P<marks>```+)(?P<language>[\w{}-]*)[^\n]*\n(?P<body>.*?)^ *(?P=marks)\s*$", re.M | re.S
)
LINK = re.compile(r"(?<!\\)\]\((?!\w+:)(?P<file>[^)#\s]*)(?:#(?P<anchor>[^)\s]*))?\)")
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def name_page(path):
    return path.relative_to(ROOT).as_posix()


def list_fences(page):
    for fence in FENCE.finditer(page.read_text("utf-8")):
        yield fence["language"], re.sub(f"^{fence['indent']}", "", fence["body"], flags=re.MULTILINE)


# What a page shows.


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_page_shows_what_happens(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for language, body in list_fences(page):
        if language == "python" and not any(extra in body for extra in EXTRAS):
            run_python(body, names, page.name)
        elif language == "console":
            run_console(body)


def test_page_on_records_explains_every_reason():
    free = inspect.getsource(adamw_free_schedule)
    own = re.findall(r'_stay\([\w, ]+"(.+?)"\)|\breason = .*?"(.+?)"', free)
    reasons = {*REASONS, AdamWRecord._field_defaults["reason"], *("".join(found) for found in own)}
    assert {"guard", "annealing", "no average yet", "between two looks", "limited", "fixed rate"} <= reasons
    page = (DOCS / "howto/read_a_record.md").read_text("utf-8")
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in page] == []


EXTRAS = ("torch", "optax")
"""Packages that need not be installed; a block of code that names one needs it."""
NEEDED = [(extra, page) for extra in EXTRAS for page in PAGES if f"import {extra}" in page.read_text("utf-8")]


@pytest.mark.parametrize(("extra", "page"), NEEDED, ids=lambda part: part if isinstance(part, str) else name_page(part))
def test_page_shows_what_an_extra_does(extra, page, tmp_path, monkeypatch):
    pytest.importorskip(extra)
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for language, body in list_fences(page):
        if language == "python" and not any(other in body for other in EXTRAS if other != extra):
            run_python(body, names, page.name)


def run_python(body, names, place):
    if ">>>" not in body:
        exec(compile(body, place, "exec"), names)
        return
    example = doctest.DocTestParser().get_doctest(body, names, place, place, 0)
    told = []
    doctest.DocTestRunner(optionflags=FLAGS, verbose=False).run(example, out=told.append, clear_globs=False)
    names.update(example.globs)
    assert not told, "".join(told)


def run_console(body):
    ours = f'hypergrad() {{ "{sys.executable}" -m hypergrad "$@"; }}\n'  # whichever is installed
    for entry in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
        command, _, wanted = entry.partition("\n")
        done = subprocess.run(
            ["bash", "-c", ours + command], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        got = done.stdout + done.stderr
        assert doctest.OutputChecker().check_output(wanted, got, FLAGS), f"$ {command}\n{got}"


@pytest.mark.parametrize("page", PAGES, ids=name_page)
def test_block_of_code_has_a_language_that_is_checked(page):
    known = {"python", "console", "sh", "text"}
    assert {language for language, _ in list_fences(page) if not language.startswith("{")} <= known


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_page)
def test_command_that_is_not_run_exists(document):
    makefile = (ROOT / "Makefile").read_text("utf-8")
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"])
    commands = [
        line.split("#")[0].strip() for language, body in list_fences(document) if language == "sh"
        for line in body.splitlines()
    ]  # fmt: skip
    for command in filter(None, commands):
        for target in re.findall(r"^make ([\w-]+)", command):
            assert re.search(rf"^{target}(?: [\w-]+)*:", makefile, re.M), command
        for module in re.findall(r"-m (hypergrad[\w.]*|paper_figs)", command):
            assert import_module(module), command
        for extra in re.findall(r"\[([\w,]+)\]", command):
            assert set(extra.split(",")) <= extras, command
        assert re.match(
            r"make |pip install |cd |git |\. \S+/bin/activate$|(\S*/)?(python|hypergrad|torchrun|mpiexec|sbatch|srun) ",
            command,
        ), command


# The pages of the rules.


PARTS = ["Equation", "Derivative", "Source", "Limits", "Known failures", "Call"]
RULES = sorted(page for page in (DOCS / "rules").glob("*.md") if page.stem != "index")


@pytest.mark.parametrize("page", RULES, ids=name_page)
def test_page_of_a_rule_follows_the_template(page):
    text = page.read_text("utf-8")
    assert re.findall(r"^## (.+)$", text, re.M) == PARTS
    assert set(re.findall(r"pictures/([\w-]+)\.svg", text)) == {f"{page.stem}-light", f"{page.stem}-dark"}
    assert page.stem in (*pictures.OPTIMIZERS, *pictures.METHODS)


@pytest.mark.parametrize("name", [name for name in hypergrad.__all__ if isinstance(getattr(hypergrad, name), type)])
def test_optimizer_is_called_on_the_page_of_its_rule(name):
    assert name == "Optimizer" or any(f"opt = {name}(" in page.read_text("utf-8") for page in RULES)


# What a document links to.


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_page)
def test_link_leads_somewhere(document):
    for link in LINK.finditer(document.read_text("utf-8")):
        path = link["file"]
        target = (DOCS / path[1:] if path.startswith("/") else document.parent / path) if path else document
        if set(target.resolve().parents) & set(GENERATED):  # the build looks at these
            continue
        assert target.exists(), link[0]
        if link["anchor"]:
            assert link["anchor"] in list_anchors(target), link[0]


def list_anchors(document):
    text = document.read_text("utf-8")
    for included in re.findall(r"```{include} (\S+)", text):
        text += (document.parent / included).read_text("utf-8")
    titles = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles} | set(
        re.findall(r"^\(([\w-]+)\)=$", text, re.M)
    )


@pytest.mark.parametrize("source", SOURCES, ids=name_page)
def test_docstring_names_what_exists(source):
    files = {path.name for path in SOURCES} | {path.name for path in ROOT.glob("kernels/**/*.cl")}
    for text in list_docstrings(source):
        for name in re.findall(r"\bhypergrad(?:_\w+)?(?:\.\w+)+", text):
            assert exists(name), name
        for name in re.findall(
            r"\b(?:hypergrad_\w+|validation|kernels|reference|paper_figs)/[\w/]*?(\w+\.(?:py|cl))\b", text
        ):
            assert name in files, name


def list_docstrings(source):
    for node in ast.walk(ast.parse(source.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield text


def exists(name):
    module, *rest = name.split(".")
    thing = import_module(module)
    for part in rest:
        module = f"{module}.{part}"
        if module == "hypergrad.torch":  # which is imported only where torch is installed
            return set(rest[1:]) <= {symbol.name.split(".")[2] for symbol in torch_pages.list_torch_symbols()}
        if module == "hypergrad.optax":
            return set(rest[1:2]) <= set(optax_pages.list_public_names())
        if hasattr(thing, part):
            thing = getattr(thing, part)
        elif part.isupper() or part in ("py", "cl"):  # NAME is any name
            return True
        else:
            try:
                thing = import_module(module)
            except ImportError:
                return False
    return True


@pytest.mark.parametrize("module", [docstrings, optax_pages, pictures, printed, reference, torch_pages])
def test_extension_shows_examples_that_are_right(module):
    assert doctest.testmod(module, optionflags=FLAGS).failed == 0


# The reference.


def test_public_symbol_has_a_docstring():
    assert not reference.find_undocumented()


def test_public_symbol_of_torch_has_a_docstring():
    assert not [symbol.name for symbol in torch_pages.list_torch_symbols() if not symbol.doc]


def test_public_symbol_of_optax_has_a_docstring():
    found = {symbol.name: symbol.doc for symbol in optax_pages.list_optax_symbols()}
    assert {f"hypergrad.optax.{name}" for name in optax_pages.list_public_names()} <= found.keys()
    assert [name for name, doc in found.items() if not doc] == []


def test_public_symbol_without_a_docstring_is_found(monkeypatch):
    monkeypatch.setattr(sums.total, "__doc__", None)
    assert reference.find_undocumented() == ["hypergrad_reference.sums.total"]


def test_name_in_a_docstring_becomes_a_link_to_the_nearest_symbol():
    find = reference.list_symbols().find
    assert find("Constants", "hypergrad_reference.hdm.step") == "hypergrad_reference.hdm.Constants"
    assert find("ArgumentError", "hypergrad.AdamW") == "hypergrad.errors.ArgumentError"
    assert find("nothing", "hypergrad.AdamW") is None


@pytest.mark.parametrize("name", reference.list_symbols().documented)
def test_docstring_keeps_its_words_when_it_is_rendered(name):
    text = inspect.getdoc(reference.list_symbols().documented[name]) or ""
    rendered = re.sub(r":py:obj:`([^<]*) <[^>]*>`", r"\1", "\n".join(docstrings.render(text.splitlines())))
    rendered = rendered.replace(".. code-block:: text", "").replace(":class: equation", "")

    def strip(text):
        return re.sub(r"[\s`\\]", "", re.sub(r"^- ", "", text, flags=re.M))

    assert strip(rendered).replace(",", "") == strip(text).replace(",", "")


# Spelling.


def test_documents_and_docstrings_are_spelled_correctly():
    done = subprocess.run(
        [sys.executable, "-m", "codespell_lib", *map(str, [*DOCUMENTS, *SOURCES, *ROOT.glob("kernels/**/*.cl")])],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.stdout, done.stdout
