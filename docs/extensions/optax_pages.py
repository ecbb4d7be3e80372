"""Writes the page of hypergrad.optax from its source, so that the site can be built where optax is not installed."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from extensions import pages
from extensions.torch_pages import Symbol, write_signature, write_symbols
from hypergrad._core.array_schedules import REASONS

SOURCE = Path(__file__).resolve().parents[2] / "hypergrad/optax"
PACKAGE = "hypergrad.optax"


def list_optax_symbols() -> list[Symbol]:
    """What the package names in its __all__: functions, the state with its fields, and the reasons.

    >>> [symbol.name for symbol in list_optax_symbols()][:3]
    ['hypergrad.optax.HypergradientState', 'hypergrad.optax.HypergradientState.step', \
'hypergrad.optax.HypergradientState.learned']
    """
    found = [symbol for path in sorted(SOURCE.glob("*.py")) for symbol in _read_module(path.read_text("utf-8"))]
    reasons = f"What `reason` counts: {', '.join(f'{code} {reason}' for code, reason in enumerate(REASONS))}."
    return [*found, Symbol(f"{PACKAGE}.REASONS", "data", "", reasons)]


def list_public_names() -> list[str]:
    """The names of __all__."""
    body = ast.parse((SOURCE / "__init__.py").read_text("utf-8")).body
    (public,) = (
        node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    return list(ast.literal_eval(public))


def _read_module(source: str) -> Iterator[Symbol]:
    lines, public = source.splitlines(), list_public_names()
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name in public:
            yield Symbol(
                f"{PACKAGE}.{node.name}", "function", write_signature(node.args), ast.get_docstring(node) or ""
            )
        if isinstance(node, ast.ClassDef) and node.name in public:
            yield Symbol(f"{PACKAGE}.{node.name}", "class", "", ast.get_docstring(node) or "")
            for member in node.body:
                if isinstance(member, ast.AnnAssign):
                    comment = lines[member.lineno - 1].partition("# ")[2]
                    yield Symbol(f"{PACKAGE}.{node.name}.{ast.unparse(member.target)}", "attribute", "", comment)
                elif isinstance(member, ast.FunctionDef):
                    yield Symbol(
                        f"{PACKAGE}.{node.name}.{member.name}", "property", "", ast.get_docstring(member) or ""
                    )


def write_page(folder: Path) -> list[str]:
    """Write the page. Returns the names of the symbols without a docstring."""
    return write_symbols(folder, PACKAGE, SOURCE, list_optax_symbols())


def setup(app: Any) -> dict[str, Any]:
    """Write the page before Sphinx looks for it."""
    warning = "%s has no docstring: say what it is, or begin its name with _"
    return pages.write_first(app, write_page, "reference/generated", warning)
