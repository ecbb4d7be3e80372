"""Files of the registry: found, downloaded where they must be, unpacked and held against their sha256."""

import bz2
import gzip
import hashlib
import os
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from textwrap import shorten

from hypergrad_problems.registry import DataError

CHECKOUT = Path(__file__).parents[1] / "data"
"""Files in the repository; README.md there says where each is from."""


def text_digest(content: bytes) -> str:
    r"""The sha256 of the lines of a text, blanks and line ends at the end of each line left out.

    Copies of one file that differ in nothing else (Windows line ends, no final line end) have the same digest.

    >>> text_digest(b"-1 3:1 \r\n+1 5:1\r\n") == text_digest(b"-1 3:1\n+1 5:1")
    True
    """
    return digest(b"\n".join(line.rstrip() for line in content.splitlines()))


def digest(content: bytes) -> str:
    """The sha256 of a content as it is."""
    return hashlib.sha256(content).hexdigest()


def list_folders(folder: str | Path | None) -> list[Path]:
    """Where to look, in order: the checkout, the folder given or named by HYPERGRAD_DATA, the cache of downloads."""
    named = folder if folder is not None else os.environ.get("HYPERGRAD_DATA")
    return [
        *([CHECKOUT] if CHECKOUT.is_dir() else []),
        *([Path(os.path.expanduser(named))] if named else []),  # noqa: PTH111  pathlib's raises where there is no home
        *([find_cache()] if find_spec("pooch") else []),
    ]


def find_cache() -> Path:
    """Where downloads are kept."""
    import pooch

    return Path(pooch.os_cache("hypergrad"))


def find_file(file: str, folder: str | Path | None) -> Path | None:
    """The first of the folders that holds a file, plain or compressed; None if there is none."""
    return next(filter(None, (find_in(place, file) for place in list_folders(folder))), None)


def find_in(place: Path, file: str) -> Path | None:
    """A file of a folder, plain or compressed; None if it is not there."""
    return next(filter(Path.is_file, (place / (file + ending) for ending in ("", ".bz2", ".gz"))), None)


def read_file(
    file: str, url: str | None, sha256: str, hash_content: Callable[[bytes], str], folder: str | Path | None
) -> bytes:
    """The content of a file of the registry, decompressed and held against its digest; downloaded if it must be."""
    path = find_file(file, folder) or download(file, url, folder)
    decompress = {".bz2": bz2.decompress, ".gz": gzip.decompress}.get(path.suffix, bytes)
    try:
        content = decompress(path.read_bytes())
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path} cannot be unpacked ({error}); delete it and put the original there") from error
    if hash_content(content) != sha256:
        raise DataError(
            f"{path} is not {file} of the registry: sha256 {hash_content(content)}, expected {sha256}; "
            "delete it and put the original there"
        )
    return content


def download(file: str, url: str | None, folder: str | Path | None) -> Path:
    """Fetch a file into the cache; DataError, with the remedy, if it is out of reach."""
    looked_in = ", ".join(map(str, list_folders(folder))) or "no folder, as HYPERGRAD_DATA is not set"
    missing = f"{file} is not there (looked in {looked_in})"
    remedy = f"put it in a folder as {file} (plain, .bz2 or .gz) and let HYPERGRAD_DATA name that folder"
    if url is None:
        raise DataError(f"{missing} and cannot be downloaded; {remedy}")
    try:
        import pooch
    except ModuleNotFoundError as error:
        raise DataError(
            f"{missing} and pooch, which would download it, is not installed: "
            f"pip install 'hypergrad-opencl[figures]', or {remedy}"
        ) from error
    pooch.get_logger().setLevel("WARNING")  # it advises to give the hash of the file
    try:
        # The digest is of the content, not of the compressed file, so `read_file` checks it and pooch does not.
        fetched = pooch.retrieve(url, known_hash=None, path=(find_cache() / file).parent, fname=Path(url).name)
    except OSError as error:
        reason = shorten(str(error), 100)
        raise DataError(f"{missing} and {url} could not be downloaded ({reason}); {remedy}") from error
    return Path(fetched)
