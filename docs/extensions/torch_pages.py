"""Writes the page of hypergrad.torch from its source, so that the site can be built where torch is not installed."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from extensions import pages
from extensions.docstrings import render
from extensions.reference import list_symbols

SOURCE = Path(__file__).resolve().parents[2] / "hypergrad/torch"
BASES = {"_optimizer": "Optimizer", "_averaging": "AveragingOptimizer"}
"""By file, the classes that the others derive from; their methods are theirs."""


class Symbol(NamedTuple):
    """A class, method or property as its source has it."""

    name: str  # full
    kind: str  # "class", "method", "property"; of other packages "function", "attribute", "data"
    signature: str
    doc: str


def list_torch_symbols() -> list[Symbol]:
    """The base classes and the public classes, each with its public methods and properties.

    >>> [symbol.name for symbol in list_torch_symbols() if symbol.kind == "class"][:2]
    ['hypergrad.torch.Optimizer', 'hypergrad.torch.AveragingOptimizer']
    """
    found = []
    for path in (*(SOURCE / f"{stem}.py" for stem in BASES), *sorted(SOURCE.glob("[!_]*.py"))):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == BASES.get(path.stem, node.name):
                found += list(_read_class(node))
    return found


def _read_class(node: ast.ClassDef) -> Iterator[Symbol]:
    name = f"hypergrad.torch.{node.name}"
    methods = [member for member in node.body if isinstance(member, ast.FunctionDef)]
    init = next((method for method in methods if method.name == "__init__"), None)
    hidden = node.name in BASES.values() or init is None
    yield Symbol(name, "class", "" if hidden or init is None else _write_signature(init), ast.get_docstring(node) or "")
    for method in methods:
        decorators = list(map(ast.unparse, method.decorator_list))
        if not method.name.startswith("_") and f"{method.name}.setter" not in decorators:
            kind = "property" if "property" in decorators else "method"
            signature = "" if kind == "property" else _write_signature(method)
            yield Symbol(f"{name}.{method.name}", kind, signature, ast.get_docstring(method) or "")


def _write_signature(function: ast.FunctionDef) -> str:
    arguments = function.args
    arguments.args = arguments.args[1:]
    return write_signature(arguments)


def write_signature(arguments: ast.arguments) -> str:
    """Names and defaults, without types.

    >>> write_signature(ast.parse("lambda lr=DefaultNumber(1e-3), **rest: 0", mode="eval").body.args)
    '(lr=0.001, **rest)'
    """
    for argument in filter(None, (*arguments.args, *arguments.kwonlyargs, arguments.kwarg)):
        argument.annotation = None  # what they name is torch's
    return "(" + re.sub(r"DefaultNumber\((.*?)\)", r"\1", ast.unparse(arguments)) + ")"


def write_page(folder: Path) -> list[str]:
    """Write the page. Returns the names of the symbols without a docstring."""
    return write_symbols(folder, "hypergrad.torch", SOURCE, list_torch_symbols())


def write_symbols(folder: Path, package: str, source: Path, found: list[Symbol]) -> list[str]:
    """Write the page of a package with these symbols. Returns the names of those without a docstring."""
    about = ast.get_docstring(ast.parse((source / "__init__.py").read_text("utf-8"))) or ""
    title = package.rpartition(".")[2]
    lines = [title, "=" * len(title), "", f".. py:module:: {package}", "", *render(about.splitlines())]
    symbols = list_symbols()
    missing = []
    for symbol in found:
        margin = "   " if symbol.kind in ("method", "property", "attribute") else ""
        lines += [f"{margin}.. py:{symbol.kind}:: {symbol.name}{symbol.signature}", ""]
        rendered = render(symbol.doc.splitlines(), lambda word: symbols.find(word, "hypergrad"))
        lines += [f"{margin}   {line}".rstrip() for line in rendered]
        if not symbol.doc:
            missing.append(symbol.name)
    pages.write_page(folder / f"{package}.rst", "\n".join(lines) + "\n")
    return missing


def setup(app: Any) -> dict[str, Any]:
    """Write the page before Sphinx looks for it."""
    warning = "%s has no docstring: say what it is, or begin its name with _"
    return pages.write_first(app, write_page, "reference/generated", warning)
