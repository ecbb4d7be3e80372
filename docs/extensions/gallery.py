"""Writes the gallery: every figure that `make figures` draws, with what it claims and the command that draws it."""

import shutil
from pathlib import Path
from typing import Any

from extensions.pages import write_first, write_page

PICTURES = Path(__file__).resolve().parents[2] / "out"


def write_gallery(folder: Path) -> list[str]:
    """Write the page and copy the pictures beside it. Returns the names of the figures that have no picture."""
    from paper_figs.figures import FIGURES

    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        "# Gallery",
        "",
        "Every figure of the report. Each states its claim below the picture, and the command that computes and draws",
        "it. `make figures` draws all of them, with a verdict on every published claim.",
        "",
    ]
    missing = []
    for name, title, alt, caption in FIGURES:
        picture = PICTURES / f"{name}.svg"
        if not picture.exists():
            missing.append(name)
            continue
        shutil.copy(picture, folder / picture.name)
        lines += [
            f"({name.replace('_', '-')})=", f"## {title}", "",
            f"```{{image}} {picture.name}", f":alt: {alt}", ":class: figure", "```", "",
            caption, "", "```sh", f".venv/bin/python -m paper_figs --only {name}", "```", "",
        ]  # fmt: skip
    page = folder / "figures.md"
    text = "\n".join(lines)
    write_page(page, text)
    return missing


def setup(app: Any) -> dict[str, Any]:
    """Write the page before Sphinx looks for it."""
    return write_first(app, write_gallery, "gallery", "out/%s.svg is missing: make figures draws it")
