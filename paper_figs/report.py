"""One self-contained page that shows every figure, what it found, and on what it ran."""

from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from paper_figs import store
from paper_figs.cells import FOLDER
from paper_figs.figures import Figure


def render(figures: Sequence[Figure], pictures: Path) -> str:
    """The page; pictures are inlined from NAME.svg in a folder, facts come from the data files."""
    page = Environment(
        loader=PackageLoader("paper_figs", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    ).get_template("report.html.jinja")
    shown = []
    for figure in figures:
        _, document = store.load(FOLDER / figure.name)
        picture = b64encode((pictures / f"{figure.name}.svg").read_bytes()).decode()
        shown.append({"figure": figure, "picture": picture, **document})
    return page.render(shown=shown, environment=store.describe_environment())
