"""Data files: arrays in NAME.npz, and beside it NAME.json that says where they come from."""

import json
import os
import platform
import shlex
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from paper_figs.opencl import name_device

LIBRARIES = ("numpy", "scipy", "pyopencl", "scikit-learn", "matplotlib", "joblib")


class Result(NamedTuple):
    """What a data script computes."""

    arrays: dict[str, NDArray[Any]]
    facts: dict[str, Any]  # what a caption may quote: devices, verdicts, seeds; plain JSON


@cache
def describe_environment() -> dict[str, Any]:
    """Versions and platform of this process, and the OpenCL device that it would use."""
    versions = {name: _find_version(name) for name in ("hypergrad-opencl", *LIBRARIES)}
    return {
        "python": platform.python_version(), "platform": platform.platform(), **versions, "OpenCL": name_device(),
    }  # fmt: skip


def _find_version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def save(path: Path, result: Result, code: Mapping[str, str]) -> None:
    """Write the arrays, and the facts with their provenance; code is a hash of each module that computed them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path.with_suffix(".npz"), **result.arrays)
    command = shlex.join([Path(sys.executable).name, "-m", "paper_figs", *sys.argv[1:]])
    document = {
        "facts": result.facts,
        "command": command,
        "HYPERGRAD_DATA": os.environ.get("HYPERGRAD_DATA"),
        "code": code,
        "environment": describe_environment(),
    }
    path.with_suffix(".json").write_text(json.dumps(document, indent=1) + "\n")


def load(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and the document that save wrote."""
    with np.load(path.with_suffix(".npz")) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, json.loads(path.with_suffix(".json").read_text())
