"""Shows what an example prints where the build does not run it, because torch is not installed: examples/NAME.txt.

docs/test_examples.py runs the example and holds the file to what it prints.
"""

import textwrap
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
END = "\n.. _sphx_glr_download_"
"""What follows the script, and what it printed, on a page of the gallery."""


def show_printed(page: str, text: str, printed: str) -> str:
    r"""The page of an example, with the text that it prints below the script.

    >>> print(show_printed("torch_x", "script\n\n.. _sphx_glr_download_", "loss 0.5\n"))
    script
    <BLANKLINE>
    ``python examples/torch_x.py`` prints:
    <BLANKLINE>
    .. rst-class:: sphx-glr-script-out
    <BLANKLINE>
     .. code-block:: none
    <BLANKLINE>
        loss 0.5
    <BLANKLINE>
    .. _sphx_glr_download_
    """
    script, end, rest = text.partition(END)
    shown = textwrap.indent(printed, "    ")
    return (
        f"{script}\n``python examples/{page}.py`` prints:\n\n.. rst-class:: sphx-glr-script-out\n\n"
        f" .. code-block:: none\n\n{shown}{end}{rest}"
    )


def setup(app: Any) -> dict[str, Any]:
    """Add to each page of an example that was not run."""
    from sphinx.util import logging

    def add(app: Any, document: str, source: list[str]) -> None:
        folder, _, page = document.partition("/")
        if folder != "examples" or page == "index" or "sphx-glr-script-out" in source[0]:
            return
        file = EXAMPLES / f"{page}.txt"
        app.env.note_dependency(file)
        if file.exists():
            source[0] = show_printed(page, source[0], file.read_text("utf-8"))
        else:
            logging.getLogger(__name__).warning("%s is missing: what examples/%s.py prints", file, page)

    app.connect("source-read", add)
    return {"parallel_read_safe": True}
