"""Re-run the papers: python -m paper_figs --help."""

import argparse
import os
import sys
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import joblib

from hypergrad_validation.claims import Extent, evaluate, list_claims
from paper_figs import report, store, style
from paper_figs.cells import FOLDER, Runner, hash_code
from paper_figs.figures import FIGURES, Figure

OUT = Path("out")
CLAIMS = "claims"
"""Beside the figures' names: the table of claims."""
EXTENTS = {"1": Extent.FULL, "mlp": Extent.NETWORKS}


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """What the command line asks for; an unknown figure is an error that lists the known ones."""
    parser = argparse.ArgumentParser(prog="python -m paper_figs", description="Compute and draw the papers' figures.")
    parser.add_argument("--list", action="store_true", help="name the figures and stop")
    parser.add_argument(
        "--only", action="append", metavar="NAME", choices=[*(f.name for f in FIGURES), CLAIMS],
        help="this figure, or the table of claims; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--full",
        nargs="?",
        const="1",
        choices=EXTENTS,
        help="every data set at hand; mlp: the networks of 100 epochs too",
    )
    parser.add_argument("--data", metavar="FOLDER", help="where data sets are (default: HYPERGRAD_DATA)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes (default: %(default)s)"
    )
    parser.add_argument("--dask", metavar="ADDRESS", help="run the cells on this Dask cluster")
    return parser.parse_args(arguments)


def make(figure: Figure, runner: Runner) -> None:
    """Data file, then pictures; these are drawn anew if the data or what draws them has changed."""
    data = FOLDER / figure.name
    store.save(data, import_module(f"paper_figs.{figure.name}_data").compute(runner))
    arrays, document = store.load(data)
    plot = import_module(f"paper_figs.{figure.name}_plot")
    code = hash_code(str(plot.__file__)) + version("matplotlib")
    draw = joblib.Memory(FOLDER / "pictures", verbose=0).cache(draw_pictures, ignore=["arrays", "facts"])
    pictures = draw(figure.name, code, joblib.hash((arrays, document["facts"])), arrays=arrays, facts=document["facts"])
    for suffix, picture in pictures.items():
        (OUT / f"{figure.name}.{suffix}").write_bytes(picture)


def draw_pictures(
    name: str, code: str, digest: str, arrays: Mapping[str, Any], facts: Mapping[str, Any]
) -> dict[str, bytes]:
    """The pictures of a figure, by suffix; code and digest tell when they are out of date."""
    drawn = import_module(f"paper_figs.{name}_plot").draw(arrays, facts)
    pictures = {}
    for suffix in ("svg", "pdf", "png"):
        file = BytesIO()
        drawn.savefig(file, format=suffix, dpi=200, metadata={"Date": None} if suffix == "svg" else None)
        pictures[suffix] = file.getvalue()
    return pictures


def judge(runner: Runner) -> None:
    """Compute every claim, and keep what became of it."""
    outcomes = [evaluate(claim, runner.run, runner.extent) for claim in list_claims()]
    store.save(FOLDER / CLAIMS, store.Result({}, {"claims": [report.describe(outcome) for outcome in outcomes]}))


def main(arguments: list[str] | None = None) -> int:
    """Make the figures and the report, and print where it is."""
    wanted = parse_arguments(arguments)
    if wanted.list:
        names = [(figure.name, figure.title) for figure in FIGURES]
        print("\n".join(f"{name:20} {title}" for name, title in [*names, (CLAIMS, "Published values, and ours")]))
        return 0
    if wanted.data:
        os.environ["HYPERGRAD_DATA"] = str(Path(wanted.data).resolve())
    style.apply()
    OUT.mkdir(exist_ok=True)
    figures = [figure for figure in FIGURES if not wanted.only or figure.name in wanted.only]
    with_claims = not wanted.only or CLAIMS in wanted.only
    runner = Runner(wanted.jobs, wanted.dask, EXTENTS[wanted.full] if wanted.full else Extent.BUNDLED)
    try:
        for figure in figures:
            print(f"{figure.name}: {figure.title}", flush=True)
            make(figure, runner)
        if with_claims:
            print("claims: published values, and ours", flush=True)
            judge(runner)
    except KeyboardInterrupt:
        print("interrupted: what is done is kept, the same command goes on from there", file=sys.stderr)
        return 130
    page = OUT / "report.html"
    page.write_text(report.render(figures, OUT, FOLDER / CLAIMS if with_claims else None), "utf-8")
    print(f"report: {page.resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
