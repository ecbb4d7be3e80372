"""Re-run the papers: the command line."""

import argparse
import os
import socket
import sys
import time
import traceback
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NoReturn
from urllib.parse import urlsplit

import matplotlib.pyplot as plt

from hypergrad_papers.claims import Claim, Extent, Outcome, Verdict, evaluate, list_claims
from paper_figs import report, sets, store, style, trial
from paper_figs.cells import FOLDER, Runner, hash_code
from paper_figs.figures import ARENA, FIGURES, Figure

OUT = Path("out")
CLAIMS = "claims"
"""The name of the table of claims, beside those of the figures."""
KERNELS = "kernels against NumPy"
EXTENTS = {"1": Extent.FULL, "mlp": Extent.NETWORKS}


class Parser(argparse.ArgumentParser):
    """Refuses in one line; --help has the rest."""

    def error(self, message: str) -> NoReturn:
        """Exit code 2."""
        self.exit(2, f"{self.prog}: {message}\n")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """What the command line asks for; what cannot be done is refused with the remedy."""
    parser = Parser(prog="python -m paper_figs", description="Compute and draw the papers' figures.")
    parser.add_argument("--list", action="store_true", help="name the figures and stop")
    parser.add_argument(
        "--only", action="append", metavar="NAME", type=choose_name,
        help="this figure, or the table of claims, on a page of its own, out/selection.html; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--full", nargs="?", const="1", type=choose_extent, metavar="1|mlp",
        help="every data set that is there; mlp: the networks of 100 epochs too",
    )  # fmt: skip
    parser.add_argument("--fetch", action="store_true", help="download the data sets that are missing first")
    parser.add_argument(
        "--data", type=find_folder, default=os.environ.get("HYPERGRAD_DATA") or None, metavar="FOLDER",
        help="where data sets are (default: HYPERGRAD_DATA)",
    )  # fmt: skip
    parser.add_argument(
        "--jobs", type=count_jobs, default=os.cpu_count(), metavar="N", help="processes (default: %(default)s)"
    )
    parser.add_argument(
        "--seeds", type=count_jobs, metavar="N", help="of the figures of `make arena` (default: 3, with --full 10)"
    )
    parser.add_argument("--dask", type=find_cluster, metavar="ADDRESS", help="run the cells on this Dask cluster")
    return parser.parse_args(arguments)


def choose_name(name: str) -> str:
    """A figure, or the claims."""
    names = [*(figure.name for figure in (*FIGURES, *ARENA)), CLAIMS]
    if name not in names:
        raise argparse.ArgumentTypeError(f"{name!r} is no figure: choose from {', '.join(names)}")
    return name


def choose_extent(name: str) -> str:
    """A key of EXTENTS."""
    if name not in EXTENTS:
        raise argparse.ArgumentTypeError(f"{name!r} is no extent: give {' or '.join(EXTENTS)}")
    return name


def find_folder(name: str) -> Path:
    """A folder that exists, as an absolute path."""
    folder = os.path.expanduser(name)  # noqa: PTH111  pathlib's raises where there is no home
    if not name or not Path(folder).is_dir():
        raise argparse.ArgumentTypeError(
            f"{name or repr(name)} is no folder: name the one that holds libsvm/, mnist/, baydin2018/"
        )
    return Path(folder).resolve()


def count_jobs(text: str) -> int:
    """At least one process."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: give 1 or more")
    return int(text)


def find_cluster(address: str) -> str:
    """The address, HOST:PORT or tcp://HOST:PORT, at which something listens."""
    if not find_spec("distributed"):
        raise argparse.ArgumentTypeError("dask is not installed: pip install dask distributed")
    try:
        place = urlsplit(address if "://" in address else f"tcp://{address}")
        socket.create_connection((place.hostname, place.port or 0), timeout=10).close()
    except (OSError, ValueError):
        raise argparse.ArgumentTypeError(
            f"nothing answers at {address!r}: give the HOST:PORT of `dask scheduler`"
        ) from None
    return address


def make(figure: Figure, runner: Runner) -> report.Entry:
    """Data file, then pictures."""
    data, plot = (import_module(f"paper_figs.{figure.name}_{part}") for part in ("data", "plot"))
    path = FOLDER / figure.name
    store.save(path, data.compute(runner), hash_modules([data.__name__]))
    arrays, document = store.load(path)
    drawn = plot.draw(arrays, document["facts"])
    for suffix in ("svg", "pdf", "png"):
        metadata = {"Date": None} if suffix == "svg" else None
        drawn.savefig(OUT / f"{figure.name}.{suffix}", dpi=200, metadata=metadata)
    plt.close(drawn)
    return report.Entry(figure, (OUT / f"{figure.name}.svg").read_bytes(), document)


def judge(claims: Sequence[Claim], runner: Runner, failed: list[str]) -> list[dict[str, Any]]:
    """Compute every claim, and keep what became of it."""
    rows = []
    for claim in claims:
        outcome = Outcome(claim, [], Verdict.NOT_REPRODUCED, "its computation failed, as was printed")
        with note_failure(f"{claim.paper}, row {claim.row}", failed):
            outcome = evaluate(claim, runner.run, runner.extent)
        rows.append(report.describe(outcome))
    code = hash_modules(sorted({claim.compute.__module__ for claim in claims}))
    store.save(FOLDER / CLAIMS, store.Result({}, {"claims": rows}), code)
    return rows


def hash_modules(names: Iterable[str]) -> dict[str, str]:
    """The code of some modules and of all that they import."""
    return {name: hash_code(str(sys.modules[name].__file__)) for name in names}


@contextmanager
def note_failure(name: str, failed: list[str]) -> Iterator[None]:
    """An error ends a figure or a claim, not what took hours before it: it is printed, and the exit code is 1."""
    try:
        yield
    except BrokenPipeError:  # nobody reads on
        raise
    except Exception:
        traceback.print_exc()
        failed.append(name)


def make_folders() -> None:
    """Where the pages and the results go; in one line, if they cannot be written."""
    for folder in (OUT, FOLDER):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=folder):
                pass
        except OSError as error:
            sys.exit(f"{folder.resolve()} cannot be written: {error.strerror}; run from a folder of your own")


def try_kernels(failed: list[str]) -> tuple[trial.Device, trial.Verdict | None]:
    """Find the device and compare its bits with NumPy's, now, and print both."""
    device, verdict = trial.find_device(), None
    print(device, flush=True)
    if device.name:
        with note_failure(KERNELS, failed):
            verdict = trial.compare_bits()
            print(f"{KERNELS}: {verdict}", flush=True)
        if verdict and verdict.differing:
            failed.append(KERNELS)
    return device, verdict


def main(arguments: list[str] | None = None) -> int:
    """Make the figures and the report, and print where it is."""
    started = time.monotonic()
    wanted = parse_arguments(arguments)
    if wanted.list:
        names = [(figure.name, figure.title) for figure in (*FIGURES, *ARENA)]
        print("\n".join(f"{name:22} {title}" for name, title in [*names, (CLAIMS, "Published values, and ours")]))
        return 0
    if wanted.data:
        os.environ["HYPERGRAD_DATA"] = str(wanted.data)
    style.apply()
    make_folders()
    figures = [figure for figure in (*FIGURES, *ARENA) if figure.name in wanted.only] if wanted.only else [*FIGURES]
    for figure in figures:  # now, so that no edit during the run comes between
        for part in ("data", "plot"):
            import_module(f"paper_figs.{figure.name}_{part}")
    claims = list_claims() if not wanted.only or CLAIMS in wanted.only else []
    runner = Runner(wanted.jobs, wanted.dask, EXTENTS[wanted.full] if wanted.full else Extent.BUNDLED, wanted.seeds)
    entries: list[report.Entry] = []
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    device, verdict = try_kernels(failed)
    if wanted.fetch:
        failed += sets.fetch(runner.extent)
    for figure in figures:
        print(f"{figure.name}: {figure.title}", flush=True)
        with note_failure(figure.name, failed):
            entries.append(make(figure, runner))
    if claims:
        print("claims: published values, and ours", flush=True)
        rows = judge(claims, runner, failed)
    page = OUT / ("selection.html" if wanted.only else "report.html")
    page.write_text(report.render(entries, rows, device, verdict), "utf-8")
    minutes, seconds = divmod(round(time.monotonic() - started), 60)
    print(f"report: {page.resolve()}")
    if rows:
        print(f"claims: {report.write_counts(rows)}")
    print(f"took {minutes} min {seconds} s")
    if failed:
        print(f"failed: {', '.join(failed)}; the errors stand above", file=sys.stderr)
    return 1 if failed else 0
