"""Which data sets a figure runs, what it says of the others, and how these are fetched."""

import sys
from collections.abc import Iterable

from hypergrad_papers.claims import Extent, list_claims, name_command
from hypergrad_problems import data, registry
from paper_figs.cells import Runner


def choose(runner: Runner, wanted: Iterable[str]) -> tuple[list[str], str]:
    """Those of the wanted sets that are run, and what it takes to run the others.

    A set that the repository holds is always run, another one with --full, where it is there.
    """
    names, full = list(wanted), runner.extent >= Extent.FULL
    here = [name for name in names if data.is_in_repository(name) or (full and data.has(name))]
    others = [name for name in names if name not in here]
    if not others:
        return here, "none"
    command = name_command(max(runner.extent, Extent.FULL), fetch=not all(map(data.has, others)))
    return here, f"{data.describe(others)}: {command}"


def fetch(extent: Extent) -> list[str]:
    """Download what the claims and figures of an extent need and is missing; those that could not be had, by name."""
    wanted = {name for claim in list_claims() if claim.extent <= extent for name in claim.needs}
    if extent >= Extent.FULL:
        wanted |= {"mnist", *registry.REGISTRY}
    refused = []
    for name in sorted(wanted):
        if data.has(name):
            continue
        print(f"fetching {name}", flush=True)
        try:
            data.fetch(name)
        except registry.DataError as error:
            print(error, file=sys.stderr)
            refused.append(name)
    return refused
