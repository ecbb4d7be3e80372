"""Files that are written whole or not at all."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hypergrad.errors import ArgumentError

PathName = str | bytes | os.PathLike[str] | os.PathLike[bytes]

NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def find_path(path: PathName, argument: str = "path") -> Path:
    """The path of a name, "~" expanded."""
    try:
        name = os.path.expanduser(os.fsdecode(path))  # noqa: PTH111  pathlib's raises where there is no home
    except TypeError as error:
        raise ArgumentError(f"{argument}={path!r}: give the name of a file") from error
    if not name or "\0" in name or name.endswith(("/", os.sep)):
        raise ArgumentError(f"{argument}={path!r}: give the name of a file")
    if name.startswith(("~/", f"~{os.sep}")):
        raise ArgumentError(f"{argument}={path!r}: there is no home folder: set HOME, or write the folder out")
    return Path(name)


def find_target(path: PathName, argument: str = "path") -> Path:
    """The file that would be written under this name: symbolic links are followed.

    Raises OSError if the folder is missing, or if what has the name cannot be replaced.
    """
    try:
        target = Path(os.path.realpath(find_path(path, argument)))
    except FileNotFoundError as error:  # a relative name, and no folder that it begins in
        raise FileNotFoundError(
            f"{argument}={path!r}: the working folder was deleted: write the folder out, or change to another"
        ) from error
    if target.is_symlink():
        raise OSError(f"{target} is a circle of symbolic links: give another name")
    if not target.parent.exists():
        raise FileNotFoundError(f"the folder {target.parent} does not exist: make it first")
    if not target.parent.is_dir():
        raise NotADirectoryError(f"{target.parent} is not a folder: give another name")
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder: give the name of a file in it")
    if target.exists() and not target.is_file():
        raise OSError(f"{target} is not a plain file: give another name")
    if target.exists() and not os.access(target, os.W_OK):
        raise PermissionError(f"{target} is read-only: give another name, or make it writable")
    return target


def check_target(path: PathName) -> None:
    """Raise OSError now if nothing can be written under this name."""
    handle, temporary = _open_beside(find_target(path))
    os.close(handle)
    temporary.unlink()


@contextmanager
def replace_file(path: PathName) -> Iterator[BinaryIO]:
    """A file to write to. It takes its name when all of it is on the disk; until then what was there stays.

    A file that was there gives its mode to the new one; else the umask decides. Raises OSError if something cannot be
    written.
    """
    target = find_target(path)
    handle, temporary = _open_beside(target)
    try:
        with os.fdopen(handle, "wb") as file:
            if target.exists():
                shutil.copymode(target, temporary)
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _open_beside(target: Path) -> tuple[int, Path]:
    """A new file in the folder of another, no more open to others than that one is."""
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        return os.open(temporary, NEW_FILE, 0o600 if target.exists() else 0o666), temporary
    except OSError as error:
        raise OSError(error.errno, f"the folder {target.parent} cannot be written to ({error.strerror})") from error
