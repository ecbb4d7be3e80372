"""`hypergrad bench`: what was measured, as tables and as JSON."""

import argparse
import json
import math
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from hypergrad._core.files import check_target, replace_file
from hypergrad.errors import DeviceNotFoundError

if TYPE_CHECKING:
    from hypergrad_validation.timing import Row

PART_NAMES = (
    "large", "tuning-free", "many", "small", "iteration", "long", "builds", "sizes", "bits", "copies", "steps",
)  # fmt: skip
"""Keys of hypergrad_validation.parts.PARTS, which is not imported before it is needed."""
FIRST_STEP = "first step, seconds"


def bench(wanted: argparse.Namespace) -> int:
    """Print targets and figures; with --tune, first the launch shapes and what became of each candidate.

    1 if a device was found to compute other bits, else 0.
    """
    from hypergrad_kernels.device import open_device
    from hypergrad_kernels.tuning import tune
    from hypergrad_validation.bench import describe
    from hypergrad_validation.budget import Budget
    from hypergrad_validation.parts import PARTS, Wish, measure

    if wanted.save is not None:
        check_target(wanted.save)
    device, budget = open_device(wanted.device), Budget(wanted.seconds)
    if wanted.need_gpu and device.is_cpu:
        raise DeviceNotFoundError(
            f"no GPU was found: {device.name} is a CPU. `hypergrad doctor` lists what was found; to measure one of "
            "them, name it by --device"
        )
    document: dict[str, Any] = {"environment": describe(device)}
    if wanted.tune:
        document["shapes"] = [
            {
                "kernel": " ".join(verdict.key), **verdict.shape._asdict(),
                "ms": None if verdict.seconds is None else round(1e3 * verdict.seconds, 3), "trouble": verdict.trouble,
            }
            for verdict in tune(device)
        ]  # fmt: skip
    names = wanted.only or [name for name, part in PARTS.items() if part.usual]
    names = [*names, "sizes"] if wanted.sizes else names
    rows: list[Row] = []
    document |= {"targets": [], "not measured": budget.left_out}
    for name, found in measure(Wish(device, wanted.device, budget, wanted.power, wanted.steps), names):
        rows += found.targets
        document["targets"] += map(_describe_row, found.targets)
        document |= found.tables
        if sys.stderr.isatty():
            print(f"measured: {name}, {PARTS[name].about}", file=sys.stderr)
        with suppress(OSError):  # what was measured stays, whatever the next part comes to; the last time tells
            _save(document, wanted.save)
    try:
        if wanted.json:
            print(spell_json(document))
        else:
            print_bench(document, rows)
    finally:  # saved though it cannot be shown
        _save(document, wanted.save)
    return int(any(row["differ"] for row in document.get("bits", ())))


def _describe_row(row: "Row") -> dict[str, Any]:
    return {
        "what": row.what, "target": row.target, "median": row.figure.median,
        "quartiles": [row.figure.low, row.figure.high], "met": row.met,
    }  # fmt: skip


def _save(document: Mapping[str, Any], path: str | None) -> None:
    if path is not None:
        with replace_file(path) as file:
            file.write(f"{spell_json(document)}\n".encode())


def spell_json(document: Any) -> str:
    """As JSON, which knows no NaN and no infinity: they become null.

    >>> print(spell_json({"rate": float("nan"), "steps": [1, 2.5]}))
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


def print_bench(document: Mapping[str, Any], rows: "list[Row]") -> None:
    """The tables of a document; what was not measured comes last."""
    print(tabulate(list(document["environment"].items()), tablefmt="plain"))
    if "shapes" in document:
        print("\n" + tabulate(document["shapes"], headers="keys"))
    shown = [
        (row.what, row.target, f"{row.figure.median:.3g} ({row.figure.low:.3g} to {row.figure.high:.3g})",
         "" if row.target == "-" else "yes" if row.met else "NO")
        for row in rows
    ]  # fmt: skip
    if shown:
        print("\n" + tabulate(shown, ("what", "target", "median (quartiles)", "met"), disable_numparse=True))
    if FIRST_STEP in document:
        cold, warm = document[FIRST_STEP].values()
        print(f"\nfirst step of a process: {cold:.2f} s with empty caches, {warm:.2f} s after that")
    if "sizes" in document:
        print("\nGB/s\n" + tabulate(_spread_sizes(document["sizes"]), headers="keys", floatfmt=".3g"))
    for name, title in TITLES.items():
        if name in document:
            medians = [{k: v for k, v in row.items() if not k.endswith("quartiles")} for row in document[name]]
            print(f"\n{title}\n" + tabulate(medians, headers="keys", floatfmt=".3g"))
    for what in document["not measured"]:
        print(f"NOT MEASURED: {what}")


TITLES = {
    "bits": "bits, beside NumPy's", "copies": "kernels beside a copy of the same bytes on the device, medians",
    "steps": "whole steps with all arrays on the device, medians",
}  # fmt: skip


def _spread_sizes(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per size, one column per kernel, probe or step."""
    return [
        {"n": n} | {row["name"]: row["gb_per_s"] for row in rows if row["n"] == n}
        for n in dict.fromkeys(row["n"] for row in rows)
    ]
