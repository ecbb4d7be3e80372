"""Run the cells of a figure: in parallel, each at most once for its inputs and the code it depends on."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import joblib
from tqdm import tqdm

import hypergrad
import hypergrad_kernels
import hypergrad_reference
import hypergrad_validation

FOLDER = Path(__file__).parent / "data"
PACKAGES = (hypergrad_reference, hypergrad_kernels, hypergrad, hypergrad_validation)
"""A change in one of these recomputes every cell."""


def hash_code(module_file: str) -> str:
    """The sha256 of the text of the packages and of the module that defines a cell."""
    digest = hashlib.sha256(Path(module_file).read_bytes())
    for package in PACKAGES:
        folder = Path(str(package.__file__)).parent
        for path in sorted(p for p in folder.rglob("*") if p.suffix in {".py", ".cl"}):
            digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


class Runner(NamedTuple):
    """How cells are run."""

    jobs: int = 1
    dask: str | None = None  # the address of a Dask scheduler

    def run(self, cell: Callable[..., Any], inputs: Sequence[Mapping[str, Any]]) -> list[Any]:
        """The results of cell(**inputs[i]), in order.

        A cell that was run before with the same inputs and the same code is read from the cache; each is written to it
        as soon as it is done, so that an interrupted run goes on where it was.
        """
        memory = joblib.Memory(FOLDER / "cells", verbose=0)
        code = hash_code(cell.__globals__["__file__"])
        keep = memory.cache(_call)
        with self._backend():
            results = joblib.Parallel(n_jobs=self.jobs, return_as="generator")(
                joblib.delayed(keep)(cell, code, dict(kwargs)) for kwargs in inputs
            )
            return list(
                tqdm(results, total=len(inputs), desc=cell.__module__.split(".")[-1], disable=None, leave=False)
            )

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
    return cell(**kwargs)
