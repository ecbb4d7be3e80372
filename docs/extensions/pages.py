"""Pages of the site that are written when it is built."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def write_page(page: Path, text: str) -> None:
    """Write a page unless it says this already: Sphinx reads again what is newer."""
    if not page.exists() or page.read_text("utf-8") != text:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, "utf-8")


def write_first(app: Any, write: Callable[[Path], Iterable[str]], folder: str, warning: str) -> dict[str, Any]:
    """Let Sphinx write into a folder before it looks for pages, and warn of each name that `write` gives."""
    from sphinx.util import logging

    def begin(app: Any) -> None:
        for name in write(Path(app.srcdir) / folder):
            logging.getLogger(__name__).warning(warning, name)

    app.connect("builder-inited", begin)
    return {"parallel_read_safe": True}
