"""`hypergrad explain FILE --plot OUT`: rate, hypergradient and reasons over the steps, in one picture or one page."""

import html
from base64 import b64encode
from collections import Counter
from io import BytesIO
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from hypergrad._core.files import find_target, replace_file
from hypergrad.errors import ArgumentError
from hypergrad_command.explain import Record, Run, is_missing, list_scopes

SUFFIXES = (".svg", ".png", ".html")
WIDTH = 4.2
"""In inches: on a telephone of 390 pixels, text of 8 points is 9.5 pixels high."""
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000")
"""Okabe and Ito's, which colour-blind readers distinguish; the dash of a line is the second cue."""
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), "-.", ":", (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (6, 2)))
SETTINGS: Any = {
    "figure.constrained_layout.use": True, "font.size": 8, "axes.spines.top": False, "axes.spines.right": False,
    "legend.frameon": False, "svg.fonttype": "path", "svg.hashsalt": "hypergrad",
}  # fmt: skip

PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$title</title>
<style>
:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 1rem auto; padding: 0 1rem }
h1 { font-size: 1.4rem; overflow-wrap: anywhere }
img { width: 100%; max-width: 34rem; background: #fff; border-radius: 4px }
div { overflow-x: auto }
table { border-collapse: collapse }
td, th { padding: .1rem .8rem .1rem 0; text-align: left; white-space: nowrap }
</style>
<h1>$title</h1>
<img alt="Learning rate, hypergradient and reasons over the steps" src="data:image/svg+xml;base64,$image">
<h2>Reasons</h2>
<table>$reasons</table>
<h2>The latest records</h2>
<div><table><tr>$head$rows</table></div>
</html>
""")


def check_suffix(out: str) -> None:
    """Raise ArgumentError if the name is of no format that can be drawn, OSError if nothing can be written there."""
    if Path(out).suffix.lower() not in SUFFIXES:
        raise ArgumentError(f"--plot {out}: the name must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    find_target(out)


def write_plot(run: Run, out: str) -> None:
    """Draw a run into a file, of the format that the end of its name says.

    Raises ImportError if matplotlib is not installed, ArgumentError if the run has no records.
    """
    if not run.records:
        raise ArgumentError("there are no records to draw: take some steps first")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("--plot needs matplotlib: pip install 'hypergrad-opencl[explain]'") from error
    suffix = Path(out).suffix.lower()
    picture = BytesIO()
    with mpl.rc_context(SETTINGS):
        figure = Figure(figsize=(WIDTH, 4.4))
        draw(run, figure)
        kind = "png" if suffix == ".png" else "svg"
        figure.savefig(picture, format=kind, dpi=200, metadata={"Date": None} if kind == "svg" else None)
    content = picture.getvalue()
    with replace_file(out) as file:
        file.write(write_page(run, content).encode() if suffix == ".html" else content)


def draw(run: Run, figure: Any) -> None:
    """Three panels over the steps: the rate, the hypergradient, and the reason of each step."""
    reasons = [name for name, _ in Counter(r["reason"] for records in run.records for r in records).most_common()]
    above, middle, below = figure.subplots(3, 1, sharex=True, height_ratios=(4, 3, 0.6 + 0.35 * len(reasons)))
    for scope, records in enumerate(list_scopes(run)):
        look = {"color": COLORS[scope % len(COLORS)], "linestyle": DASHES[scope % len(DASHES)], "linewidth": 1.3}
        steps = read(records, "step")
        above.plot(steps, read(records, "lr"), label=f"group {scope}", **look)
        middle.plot(steps, read(records, "hypergradient"), **{**look, "linewidth": 0.8})
        for row, reason in enumerate(reasons):
            mine = [record["step"] for record in records if record["reason"] == reason]
            below.plot(mine, [row] * len(mine), "|", color=COLORS[row % len(COLORS)], markersize=7)
    set_scale(above, [record["lr"] for records in run.records for record in records], "log")
    set_scale(middle, [record["hypergradient"] for records in run.records for record in records], "symlog")
    above.set(ylabel="learning rate", title=f"{run.kind}, {run.steps} steps")
    middle.axhline(0, color="#808080", linewidth=0.6)
    middle.set(ylabel="hypergradient")
    middle.set_title("below 0: a larger rate would have helped", fontsize=7, loc="right", pad=3)
    below.set(xlabel="step", yticks=range(len(reasons)), yticklabels=reasons, ylim=(len(reasons) - 0.4, -0.6))
    if len(above.lines) > 1:
        above.legend(ncols=2, fontsize=7)


def read(records: list[Record], name: str) -> Any:
    """A field over the steps; NaN where it was not formed."""
    return np.array([np.nan if record[name] is None else record[name] for record in records], np.float64)


def set_scale(axes: Any, values: list[float | None], scale: str) -> None:
    """A logarithmic scale where the numbers span more than a decade; symmetric about 0 where some are not positive."""
    sizes = sorted({abs(value) for value in values if value and np.isfinite(value)})
    if len(sizes) < 2 or sizes[-1] < 10 * sizes[0]:
        return
    if scale == "log" and all(value is None or value > 0 for value in values):
        axes.set_yscale("log")
    else:
        linear = max(sizes[len(sizes) // 20], sizes[-1] * 1e-6)
        axes.set_yscale("symlog", linthresh=linear)
        powers = np.floor(np.log10([sizes[-1], np.sqrt(sizes[-1] * linear)]))  # more would lie on each other near 0
        axes.set_yticks([0, *(sign * 10.0**power for power in set(powers) for sign in (-1, 1))])


def write_page(run: Run, picture: bytes) -> str:
    """One self-contained page: the picture, how often each reason came, the latest records."""
    counts = Counter(record["reason"] for records in run.records for record in records)
    reasons = "".join(f"<tr><td>{html.escape(name)}<td>{count}" for name, count in counts.most_common())
    latest = [
        ({"group": scope} if len(records) > 1 else {}) | dict(record)
        for records in run.records[-20:] for scope, record in enumerate(records)
    ]  # fmt: skip
    known = [name for name in latest[-1] if any(not is_missing(record.get(name)) for record in latest)]
    first = [name for name in ("step", "group", "reason") if name in known]  # a telephone shows few columns
    names = [*first, *(name for name in known if name not in first)]
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(_show(r.get(name)))}" for name in names) for r in latest)
    title = html.escape(f"{run.kind}, {run.steps} steps")
    head = "".join(f"<th>{html.escape(name)}" for name in names)
    image = b64encode(picture).decode()
    return PAGE.substitute(title=title, image=image, reasons=reasons, head=head, rows=rows)


def _show(value: Any) -> str:
    return "" if is_missing(value) else f"{value:.5g}" if isinstance(value, float) else str(value)
