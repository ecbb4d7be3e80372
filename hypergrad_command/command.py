"""The command line: hypergrad doctor | bench | explain FILE | conform, each with --json."""

import argparse
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tabulate import tabulate

from hypergrad import __version__
from hypergrad.errors import ArgumentError, BuildError, DeviceError, DeviceNotFoundError
from hypergrad_command.bench import PART_NAMES, bench, spell_json
from hypergrad_command.doctor import examine
from hypergrad_command.explain import follow, is_missing, read_run
from hypergrad_command.explain_plot import check_suffix, write_plot

LONG_RUN = 10_000
LONGEST_RUN = 10**9
DAY = 86_400
REFUSALS = (BuildError, DeviceError, DeviceNotFoundError, ImportError, MemoryError, OSError, ValueError)
"""What a command may raise that needs no traceback."""
SIGINT, SIGPIPE = 128 + 2, 128 + 13
"""The exit codes by which a shell says that a signal ended a command."""
BENCH_BYTES = 96
"""Memory for each element that is measured: what optimizers, kernels, probes and rivals keep of it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 if all is well, 1 if something was found wrong, 2 for a command that cannot be run, or none.

    130 if Ctrl-C ended it, 141 if nobody reads on.
    """
    try:
        with flushing():
            parser = _make_parser()
            wanted = parser.parse_args(arguments)
            if wanted.run is None:
                parser.print_help(sys.stderr)
                return 2
            _check_numbers(wanted)
            return int(wanted.run(wanted))
    except BrokenPipeError:  # whoever reads has seen enough
        return SIGPIPE
    except KeyboardInterrupt:
        print("hypergrad: interrupted", file=sys.stderr)
        return SIGINT
    except REFUSALS as error:
        print(f"hypergrad: {error}", file=sys.stderr)
        return 2


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hypergrad", description="Look after hypergradient optimizers.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, run, about in (
        ("doctor", doctor, "devices, versions, a self-test of every kernel, and what is missing"),
        ("conform", conform, "every kernel case on a device, and a long run whose bits are NumPy's"),
        ("bench", bench, "how fast kernels and steps are, beside probes that move the same bytes"),
        ("explain", explain, "why a rate moved, from a file that an optimizer saved"),
    ):
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("--json", action="store_true", help="print JSON")
        command.set_defaults(run=run)
        if name in ("conform", "bench"):
            command.add_argument(
                "--device", default="opencl", help="opencl, or opencl:PART[:INDEX]; default: %(default)s"
            )
        if name == "conform":
            command.add_argument(
                "--steps", type=int, default=LONG_RUN, help="steps of the long run; default: %(default)s"
            )
        if name == "bench":
            command.add_argument("--tune", action="store_true", help="measure launch shapes again and remember them")
            command.add_argument(
                "--power", type=int, action="append", help="2^POWER elements; default: those of each part"
            )
            command.add_argument(
                "--only",
                action="append",
                choices=PART_NAMES,
                help="measure this part alone; give it again for more parts",
            )
            command.add_argument("--sizes", action="store_true", help="measure the part sizes too")
            command.add_argument(
                "--seconds", type=int, default=DAY, help="spend no more; what does not fit is left out and named"
            )
            command.add_argument(
                "--steps", type=int, default=LONG_RUN, help="steps of the long runs; default: %(default)s"
            )
            command.add_argument("--need-gpu", action="store_true", help="stop with an error if the device is a CPU")
            command.add_argument("--save", metavar="FILE", help="write everything to FILE as JSON, after each part")
        if name == "explain":
            command.add_argument("file", help="what opt.save wrote, or what an optimizer streams: records_to=")
            command.add_argument("--last", type=int, default=20, help="show this many records; default: %(default)s")
            command.add_argument("--plot", metavar="OUT", help="draw the run into OUT, an .svg, .png or .html")
            command.add_argument("--follow", action="store_true", help="show a run that is going on, until Ctrl-C")
    return parser


@contextmanager
def flushing() -> Iterator[None]:
    """Write everything out at the end, so that what goes wrong there becomes an error like others."""
    try:
        yield
    finally:
        try:
            print(end="", flush=True)
        except OSError:
            # Python flushes once more as it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise


def _check_numbers(wanted: argparse.Namespace) -> None:
    """Raise ArgumentError for a number that no command can work with."""
    limits = (
        ("steps", 0, LONGEST_RUN), ("last", 0, sys.maxsize), ("power", 0, _find_largest_power()), ("seconds", 1, DAY)
    )  # fmt: skip
    for name, low, high in limits:
        given = getattr(wanted, name, None)
        for value in given if isinstance(given, list) else [] if given is None else [given]:
            if not low <= value <= high:
                raise ArgumentError(f"--{name} {value}: give a whole number from {low} to {high}")


def _find_largest_power() -> int:
    """The largest power of 2 of elements that this machine has the memory to measure."""
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError):  # not every system tells
        memory = 1 << 33
    return int(math.log2(memory / BENCH_BYTES))


def _print(rows: Sequence[Mapping[str, Any]], as_json: bool, headers: str = "keys") -> None:
    if as_json:
        print(spell_json(rows))
    else:
        print(tabulate(rows, headers=headers, disable_numparse=True))


# doctor


def doctor(wanted: argparse.Namespace) -> int:
    """Tell what runs here, test every kernel on each device in a process of its own, and say what to do next."""
    report = examine()
    print(spell_json(report.as_document()) if wanted.json else report.show())
    return 0 if report.healthy else 1


# conform


def conform(wanted: argparse.Namespace) -> int:
    """Compare a device with the reference, bit for bit."""
    from hypergrad_kernels.device import open_device
    from hypergrad_validation.conformance import compare_kernels, compare_long_run

    device = open_device(wanted.device)
    rows = list(compare_kernels(device))
    rows += [compare_long_run(device, wanted.steps, delay) for delay in (0, 1)]
    if not wanted.json:
        print(f"{device.name}, {device.cl_device.platform.version.strip()}")
    _print(rows, wanted.json)
    return 1 if any(row["differ"] for row in rows) else 0


# explain


ANSWERS = {"TuningFreeAdamW": "; the weights to use are opt.averages()"}
"""By the class of an optimizer whose parameters are not the answer, where that is."""


def explain(wanted: argparse.Namespace) -> int:
    """Print, draw or follow the records of a run: what went into the rate, and which clip or limit it met."""
    if wanted.follow:
        if wanted.json or wanted.plot is not None:
            raise ArgumentError("--follow goes without --json and --plot: draw the run when it has ended, or meanwhile")
        follow(wanted.file, wanted.last)
        return 0
    if wanted.plot is not None:
        check_suffix(wanted.plot)
    run = read_run(wanted.file)
    if wanted.plot is not None:
        write_plot(run, wanted.plot)
    records = [record for step in (run.records[-wanted.last :] if wanted.last > 0 else []) for record in step]
    if not wanted.json:
        skipped = "" if run.skipped is None else f", {run.skipped} skipped"
        print(f"{run.kind}, {run.steps} steps{skipped}{ANSWERS.get(run.kind, '')}")
        records = [
            {name: _shorten(value) for name, value in record.items() if not is_missing(value)} for record in records
        ]
    _print(records, wanted.json)
    return 0


def _shorten(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
