"""Run the cells of a figure: in parallel, each at most once for its inputs and the code it depends on."""

import ast
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import joblib
from threadpoolctl import threadpool_limits
from tqdm import tqdm

import hypergrad
import hypergrad_kernels
import hypergrad_papers
import hypergrad_problems
import hypergrad_reference
import hypergrad_validation
import paper_figs
from hypergrad_papers.claims import Extent

FOLDER = Path(__file__).parent / "data"
PACKAGES = {
    package.__name__: Path(str(package.__file__)).parent
    for package in (
        hypergrad_reference,
        hypergrad_kernels,
        hypergrad,
        hypergrad_validation,
        hypergrad_problems,
        hypergrad_papers,
        paper_figs,
    )
}
LIBRARIES = ("numpy", "scipy", "scikit-learn")
"""What may change a result without a change of ours."""
SOURCES = {
    path: path.read_bytes() for folder in PACKAGES.values() for kind in ("*.py", "*.cl") for path in folder.rglob(kind)
}
"""Our code as this process has it: whoever edits a file meanwhile does not change what runs here."""


@cache
def hash_code(module_file: str) -> str:
    """The sha256 of a module's text, of every module of ours that it imports, directly or not, and of the libraries.

    With one module of the kernels' package come all its OpenCL files.
    """
    found: set[Path] = set()
    todo = {Path(module_file)}
    while todo:
        path = todo.pop()
        found.add(path)
        todo |= set(_find_imports(path)) - found
    kernels = PACKAGES["hypergrad_kernels"]
    if any(path.parent == kernels for path in found):
        found |= set(kernels.glob("*.cl"))
    digest = hashlib.sha256(" ".join(map(version, LIBRARIES)).encode())
    for text in sorted(path.name.encode() + _read(path) for path in found):  # wherever the checkout is
        digest.update(text)
    return digest.hexdigest()


def _read(path: Path) -> bytes:
    return SOURCES[path] if path in SOURCES else path.read_bytes()


def _find_imports(path: Path) -> Iterator[Path]:
    """The files of our packages that a module imports, at its head or inside a function."""
    for package, *parts in (name.split(".") for name in _name_imports(_read(path))):
        if package in PACKAGES:
            place = PACKAGES[package].joinpath(*parts)
            packages = (PACKAGES[package], place.parent, place)
            yield from filter(Path.is_file, (*(p / "__init__.py" for p in packages), place.with_suffix(".py")))


@cache
def _name_imports(text: bytes) -> list[str]:
    """What a module's text imports: modules, and names that may be modules."""
    names: list[str] = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


class Runner(NamedTuple):
    """How cells are run."""

    jobs: int = 1
    dask: str | None = None  # the address of a Dask scheduler
    extent: Extent = Extent.BUNDLED  # how much is run
    seeds: int | None = None  # of the figures of `make arena`; None: as many as the extent says

    def run(self, cell: Callable[..., Any], inputs: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The results of cell(**inputs[i]), in order.

        A cell that was run before with the same inputs and the same code is read from the cache; each is written to it
        as soon as it is done, so that an interrupted run goes on where it was.
        """
        keep = joblib.Memory(FOLDER / "cells", verbose=0).cache(_call)
        code = hash_code(cell.__globals__["__file__"])
        calls = [(cell, code, dict(kwargs)) for kwargs in inputs]
        missing = [index for index, call in enumerate(calls) if not keep.check_call_in_cache(*call)]
        results: dict[int, Any] = {}
        if missing:
            with self._backend():
                done = joblib.Parallel(n_jobs=self.jobs, return_as="generator")(
                    joblib.delayed(keep)(*calls[index]) for index in missing
                )
                name = cell.__module__.split(".")[-1]
                progress = tqdm(done, total=len(missing), desc=name, disable=None, leave=False)
                results = dict(zip(missing, progress, strict=True))
        return [results[index] if index in results else keep(*call) for index, call in enumerate(calls)]

    def here(self) -> "Runner":
        """A runner in this process, one cell after the other: for what is timed, or needs the device that is open."""
        return self._replace(jobs=1, dask=None)

    @contextmanager
    def _backend(self) -> Iterator[None]:
        if self.dask is None:
            with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
                yield
            return
        from distributed import Client

        with Client(self.dask) as client, joblib.parallel_config(backend="dask"):
            if folder := os.environ.get("HYPERGRAD_DATA"):
                client.run(_find_data_in, str(Path(folder).resolve()))
            yield


def _find_data_in(folder: str) -> None:
    os.environ["HYPERGRAD_DATA"] = folder


# The cache is emptied when the text of this function changes: what it does stands in the next one.
def _call(cell: Callable[..., Any], code: str, kwargs: Mapping[str, Any]) -> Any:
    return compute(cell, code, kwargs)


def compute(cell: Callable[..., Any], code: str, kwargs: Mapping[str, Any]) -> Any:
    """One BLAS thread wherever the cell runs: the number of threads changes bits of a float32 product.

    Raises RuntimeError if this process, a worker that has lived longer than a file or has another checkout, does not
    have the code that was asked for: its result would be kept under the wrong name.
    """
    if hash_code(cell.__globals__["__file__"]) != code:
        raise RuntimeError(
            f"{cell.__module__}.{cell.__name__} is other code in this process than where it was asked for: "
            f"a file was edited during the run, or a worker has another checkout; start both again"
        )
    with threadpool_limits(1):
        return cell(**kwargs)
