"""Writes the pages of the reference, one per module, and refuses a public symbol that has no docstring or no page."""

import inspect
import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from extensions.pages import write_page

FACE = "hypergrad"
PACKAGES = {
    "hypergrad_reference": "The rules, on plain NumPy arrays",
    "hypergrad_kernels": "The OpenCL kernels and their host code",
}
"""Every module of these has a page; of `hypergrad` only what its __all__ names, and `hypergrad.errors`."""

OPTIONS = {
    "module": ("members", "undoc-members"),  # fields of a NamedTuple say enough by their name and type
    "class": ("members", "show-inheritance"),
    "exception": ("show-inheritance",),
    "function": (),
}
"""The options of autodoc, by the kind of a symbol."""


class Symbols(NamedTuple):
    """What is public, by full name."""

    pages: dict[str, list[str]]  # page: the symbols that autodoc is given there
    documented: dict[str, Any]
    classes: dict[str, type]

    def find(self, word: str, place: str) -> str | None:
        """The full name of what a docstring at `place` calls `word`."""
        parts = place.split(".")
        candidates = [".".join([*parts[:length], word]) for length in range(len(parts), 0, -1)]
        candidates += [word, f"{FACE}.errors.{word}", *(f"{package}.{word}" for package in PACKAGES)]
        return next((name for name in candidates if name in self.documented and name != place), None)


@cache
def list_symbols() -> Symbols:
    """Everything that is public."""
    face = import_module(FACE)
    errors, methods = import_module(f"{FACE}.errors"), import_module(f"{FACE}.methods")
    pages: dict[str, list[str]] = {}
    documented: dict[str, Any] = {}
    for name in face.__all__:
        thing = getattr(face, name)
        if not isinstance(thing, ModuleType | str):
            pages[f"{FACE}.{name}"] = [f"{FACE}.{name}"]
            _collect(f"{FACE}.{name}", thing, documented)
    for module, names in ((errors, errors.__all__), (methods, methods.NAMES)):
        pages[module.__name__] = [f"{module.__name__}.{name}" for name in names]
        documented[module.__name__] = module
        for name in names:
            _collect(f"{module.__name__}.{name}", getattr(module, name), documented)
    for package in PACKAGES:
        for info in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
            module = import_module(info.name)
            pages[info.name] = [info.name]
            documented[info.name] = module
            for name, thing in vars(module).items():
                if not name.startswith("_") and getattr(thing, "__module__", None) == info.name and callable(thing):
                    _collect(f"{info.name}.{name}", thing, documented)
    classes = {name: thing for name, thing in documented.items() if inspect.isclass(thing)}
    return Symbols(pages, documented, classes)


def _collect(full_name: str, thing: Any, documented: dict[str, Any]) -> None:
    documented[full_name] = thing
    if inspect.isclass(thing):
        for name, member in vars(thing).items():
            if not name.startswith("_") and (inspect.isroutine(member) or isinstance(member, property | classmethod)):
                documented[f"{full_name}.{name}"] = member


def find_undocumented() -> list[str]:
    """Public modules, classes, functions, methods and properties without a docstring.

    >>> find_undocumented()
    []
    """
    return [name for name, thing in list_symbols().documented.items() if not (inspect.getdoc(thing) or "").strip()]


def write_pages(folder: Path) -> None:
    """Write what autodoc reads; a page that has not changed is left alone, so that it need not be read again."""
    symbols, options = list_symbols(), ["   :members:", "   :undoc-members:"]
    for page, names in symbols.pages.items():
        title = page.removeprefix(f"{FACE}.") if page.startswith(f"{FACE}.") else page
        lines = [title, "=" * len(title), ""]
        for name in names if page == names[0] else [page, *names]:
            thing = symbols.documented[name]
            kind = _classify(thing)
            options = OPTIONS[kind] if kind == "exception" or page == names[0] else ()
            lines += [f".. auto{kind}:: {name}", *(f"   :{option}:" for option in options), ""]
        write_page(folder / f"{page}.rst", "\n".join(lines))


def _classify(thing: Any) -> str:
    if inspect.ismodule(thing):
        return "module"
    if inspect.isclass(thing):
        return "exception" if issubclass(thing, BaseException) else "class"
    return "function"


def setup(app: Any) -> dict[str, Any]:
    """Write the pages before Sphinx looks for them, and compare what they hold with what is public at the end."""
    from sphinx.util import logging

    log = logging.getLogger(__name__)

    def begin(app: Any) -> None:
        write_pages(Path(app.srcdir) / "reference" / "generated")
        for name in find_undocumented():
            log.warning("%s has no docstring: say what it is, with its arguments, or begin its name with _", name)

    def compare(app: Any, env: Any) -> None:
        shown = set(env.get_domain("py").objects)
        for name in sorted(set(list_symbols().documented) - shown):
            log.warning("%s is public and on no page of the reference", name)

    app.connect("builder-inited", begin)
    app.connect("env-check-consistency", compare)
    return {"parallel_read_safe": True}
