"""Run the cells of a figure: in parallel, each at most once for its inputs and the code it depends on."""

import ast
import hashlib
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
import hypergrad_reference
import hypergrad_validation
import paper_figs
from hypergrad_validation.claims import Extent

FOLDER = Path(__file__).parent / "data"
PACKAGES = {
    package.__name__: Path(str(package.__file__)).parent
    for package in (hypergrad_reference, hypergrad_kernels, hypergrad, hypergrad_validation, paper_figs)
}
LIBRARIES = ("numpy", "scipy", "scikit-learn")
"""What may change a result without a change of ours."""


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
    for path in sorted(found):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def _find_imports(path: Path) -> Iterator[Path]:
    """The files of our packages that a module imports, at its head or inside a function."""
    for package, *parts in (name.split(".") for name in _name_imports(path.read_bytes())):
        if package in PACKAGES:
            place = PACKAGES[package].joinpath(*parts)
            yield from filter(Path.is_file, (PACKAGES[package] / "__init__.py", place.with_suffix(".py")))


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

    def run(self, cell: Callable[..., Any], inputs: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The results of cell(**inputs[i]), in order.

        A cell that was run before with the same inputs and the same code is read from the cache; each is written to it
        as soon as it is done, so that an interrupted run goes on where it was.
        """
        memory = joblib.Memory(FOLDER / "cells", verbose=0)
        code = hash_code(cell.__globals__["__file__"])
        keep = memory.cache(_call)
        calls = [(cell, code, dict(kwargs)) for kwargs in inputs]
        missing = [call for call in calls if not keep.check_call_in_cache(*call)]
        if missing:
            with self._backend():
                done = joblib.Parallel(n_jobs=self.jobs, return_as="generator")(
                    joblib.delayed(keep)(*call) for call in missing
                )
                name = cell.__module__.split(".")[-1]
                for _ in tqdm(done, total=len(missing), desc=name, disable=None, leave=False):
                    pass
        return [keep(*call) for call in calls]

    @contextmanager
    def _backend(self) -> Iterator[None]:
        if self.dask is None:
            with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
                yield
            return
        from distributed import Client

        with Client(self.dask), joblib.parallel_config(backend="dask"):
            yield


def _call(cell: Callable[..., Any], code: str, kwargs: Mapping[str, Any]) -> Any:
    """One BLAS thread wherever the cell runs: the number of threads changes bits of a float32 product."""
    with threadpool_limits(1):
        return cell(**kwargs)
