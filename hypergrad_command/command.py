"""The command line: hypergrad doctor | bench | explain FILE | conform, each with --json."""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from hypergrad._core.files import check_target, replace_file
from hypergrad.errors import ArgumentError, BuildError, DeviceError, DeviceNotFoundError
from hypergrad_command.doctor import examine
from hypergrad_command.explain import follow, is_missing, read_run
from hypergrad_command.explain_plot import check_suffix, write_plot

if TYPE_CHECKING:
    from hypergrad_validation.timing import Row

LONG_RUN = 10_000
LONGEST_RUN = 10**9
REFUSALS = (BuildError, DeviceError, DeviceNotFoundError, ImportError, MemoryError, OSError, ValueError)
"""What a command may raise that needs no traceback."""
SIGINT, SIGPIPE = 128 + 2, 128 + 13
"""The exit codes by which a shell says that a signal ended a command."""
BENCH_BYTES = 96
"""Memory for each element that is measured: what optimizers, kernels, probes and rivals keep of it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 if all is well, 1 if something was found wrong, 2 for a command that cannot be run.

    130 if Ctrl-C ended it, 141 if nobody reads on.
    """
    parser = argparse.ArgumentParser(prog="hypergrad", description="Look after hypergradient optimizers.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, run, about in (
        ("doctor", doctor, "devices, versions, a self-test of every kernel, and what is missing"),
        ("conform", conform, "every kernel case on a device, and a long run whose bits are NumPy's"),
        ("bench", bench, "throughput beside probes of the same memory traffic"),
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
            command.add_argument("--steps", type=int, default=LONG_RUN, help="of the long run; default: %(default)s")
        if name == "bench":
            command.add_argument("--tune", action="store_true", help="measure launch shapes again and remember them")
            command.add_argument("--power", type=int, action="append", help="2^POWER elements; default: 24 and 25")
            command.add_argument("--sizes", action="store_true", help="also GB/s from 2^10 to 2^26 elements")
            command.add_argument("--save", metavar="FILE", help="keep everything as JSON")
        if name == "explain":
            command.add_argument("file", help="what opt.save wrote, or what an optimizer streams: records_to=")
            command.add_argument("--last", type=int, default=20, help="this many records; default: %(default)s")
            command.add_argument("--plot", metavar="OUT", help="draw the run into OUT, an .svg, .png or .html")
            command.add_argument("--follow", action="store_true", help="show a run that is going on, until Ctrl-C")
    try:
        with flushing():
            wanted = parser.parse_args(arguments)
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
    for name, low, high in (("steps", 0, LONGEST_RUN), ("last", 0, sys.maxsize), ("power", 0, _find_largest_power())):
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


def _write_json(document: Any) -> str:
    """As JSON, which knows no NaN and no infinity: they become null.

    >>> print(_write_json({"rate": float("nan"), "steps": [1, 2.5]}))
    {
     "rate": null,
     "steps": [
      1,
      2.5
     ]
    }
    """
    return json.dumps(_replace_nonfinite(document), indent=1, allow_nan=False)


def _replace_nonfinite(document: Any) -> Any:
    if isinstance(document, dict):
        return {name: _replace_nonfinite(value) for name, value in document.items()}
    if isinstance(document, (list, tuple)):
        return [_replace_nonfinite(value) for value in document]
    return None if isinstance(document, float) and not math.isfinite(document) else document


def _print(rows: Sequence[Mapping[str, Any]], as_json: bool, headers: str = "keys") -> None:
    if as_json:
        print(_write_json(rows))
    else:
        print(tabulate(rows, headers=headers, disable_numparse=True))


# doctor


def doctor(wanted: argparse.Namespace) -> int:
    """Tell what runs here, test every kernel on each device in a process of its own, and say what to do next."""
    report = examine()
    print(_write_json(report.as_document()) if wanted.json else report.show())
    return 0 if report.healthy else 1


# conform


def conform(wanted: argparse.Namespace) -> int:
    """Compare a device with the reference, bit for bit."""
    from hypergrad_kernels.device import open_device
    from hypergrad_validation.conformance import conform as run
    from hypergrad_validation.conformance import hash_long_run

    device = open_device(wanted.device)
    outcomes = list(run(device, sys.maxsize))
    rows = []
    for kernel in dict.fromkeys(outcome.kernel for outcome in outcomes):
        mine = [outcome for outcome in outcomes if outcome.kernel == kernel]
        wrong = [outcome for outcome in mine if outcome.differences]
        first = f"{wrong[0].case}: {wrong[0].differences[0]}" if wrong else "equal bits"
        rows.append({"what": f"{kernel}.cl", "cases": len(mine), "differ": len(wrong), "verdict": first})
    for what, delay in ((f"{wanted.steps} steps", 0), (f"{wanted.steps} steps, delay=1", 1)):
        hashes = [hash_long_run(where, wanted.steps, delay=delay) for where in ("numpy", device.context)]
        same = hashes[0] == hashes[1]
        verdict = f"SHA-256 {hashes[1]}" if same else f"NumPy {hashes[0]}, device {hashes[1]}"
        rows.append({"what": what, "cases": 1, "differ": int(not same), "verdict": verdict})
    if not wanted.json:
        print(f"{device.name}, {device.cl_device.platform.version.strip()}")
    _print(rows, wanted.json)
    return 1 if any(row["differ"] for row in rows) else 0


# bench


def bench(wanted: argparse.Namespace) -> int:
    """Print targets and figures; with --tune, first the launch shapes and what became of each candidate."""
    from hypergrad_kernels.device import open_device
    from hypergrad_kernels.tuning import tune
    from hypergrad_validation import bench as measure
    from hypergrad_validation import small_models

    if wanted.save is not None:
        check_target(wanted.save)
    device = open_device(wanted.device)
    document: dict[str, Any] = {"environment": measure.describe(device)}
    if wanted.tune:
        verdicts = tune(device)
        document["shapes"] = [
            {
                "kernel": " ".join(verdict.key), **verdict.shape._asdict(),
                "ms": None if verdict.seconds is None else round(1e3 * verdict.seconds, 3), "trouble": verdict.trouble,
            }
            for verdict in verdicts
        ]  # fmt: skip
    rows = []
    for power in wanted.power or (24, 25):
        rows += measure.measure_large(device, 1 << power) + measure.measure_tuning_free(device, 1 << power)
    rows += measure.measure_many(device) + small_models.measure_small(device)
    rows += measure.measure_iteration(device) + measure.measure_long(device)
    document["targets"] = [
        {
            "what": row.what, "target": row.target, "median": row.figure.median,
            "quartiles": [row.figure.low, row.figure.high], "met": row.met,
        }
        for row in rows
    ]  # fmt: skip
    document["first step, seconds"] = measure.measure_builds(wanted.device)
    if wanted.sizes:
        document["sizes"] = list(measure.measure_sizes(device))
    text = _write_json(document)
    try:
        if wanted.json:
            print(text)
        else:
            _print_bench(document, rows)
    finally:  # what was measured is shown even if it cannot be saved, and saved even if it cannot be shown
        if wanted.save is not None:
            with replace_file(wanted.save) as file:
                file.write(f"{text}\n".encode())
    return 0


def _print_bench(document: dict[str, Any], rows: "list[Row]") -> None:
    print(tabulate(list(document["environment"].items()), tablefmt="plain"))
    if "shapes" in document:
        print("\n" + tabulate(document["shapes"], headers="keys"))
    shown = [
        (row.what, row.target, f"{row.figure.median:.3g} ({row.figure.low:.3g} to {row.figure.high:.3g})",
         "" if row.target == "-" else "yes" if row.met else "NO")
        for row in rows
    ]  # fmt: skip
    print("\n" + tabulate(shown, ("what", "target", "median (quartiles)", "met"), disable_numparse=True))
    cold, warm = document["first step, seconds"].values()
    print(f"\nfirst step of a process: {cold:.2f} s with empty caches, {warm:.2f} s after that")
    if "sizes" in document:
        print("\nGB/s\n" + tabulate(_spread_sizes(document["sizes"]), headers="keys", floatfmt=".3g"))


def _spread_sizes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per size, one column per kernel, probe or step."""
    return [
        {"n": n} | {row["name"]: row["gb_per_s"] for row in rows if row["n"] == n}
        for n in dict.fromkeys(row["n"] for row in rows)
    ]


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
