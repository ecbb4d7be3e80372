"""Packages that an extra of this one brings: each module that needs one looks for it before anything else."""

from importlib.metadata import PackageNotFoundError, version


def require(extra: str, least: tuple[int, ...]) -> None:
    """Raise ImportError, with the remedy, unless a package is installed, in its release `least` or a later one.

    extra    the name of the package, of the extra that brings it, and of the module of `hypergrad` that needs it
    """
    remedy = f"pip install 'hypergrad-opencl[{extra}]' installs it"
    try:
        found = version(extra)
    except PackageNotFoundError as error:
        raise ImportError(f"hypergrad.{extra} needs {extra}, which is not installed: {remedy}", name=extra) from error
    if tuple(int(part) for part in found.split(".")[: len(least)]) < least:
        wanted = ".".join(map(str, least))
        raise ImportError(f"hypergrad.{extra} needs {extra} {wanted} or later, not {found}: {remedy}")
