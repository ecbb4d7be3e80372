"""Options that have two names, and defaults that tell whether the caller gave the option."""

from typing import TYPE_CHECKING, Any

from hypergrad._core.checks import check_flag, show
from hypergrad._core.options import OPTIONS
from hypergrad.errors import ArgumentError

if TYPE_CHECKING:
    from hypergrad._core.backend import Device, DeviceChoice


class DefaultNumber(float):
    """A number that the caller did not give."""


class DefaultWord(str):
    """A word that the caller did not give."""

    __slots__ = ()


AUTO = DefaultWord("auto")
"""The default of `device`."""


def choose_name(name: str, value: Any, alias: str, given: Any) -> Any:
    """The value of an option that was given by its name, by its alias, or not at all.

    given    the value under the alias; None: not given

    Raises ArgumentError if it was given by both, or is out of range, with the name that the caller used.

    >>> choose_name("hyper_lr", DefaultNumber(1e-7), "beta_hyper", 0.5)
    0.5
    """
    if given is None:
        return OPTIONS[name].check(name, value)
    if not isinstance(value, DefaultNumber):
        raise ArgumentError(f"{name}={show(value)} and {alias}={show(given)} are the same option: give {name} alone")
    return OPTIONS[name].check(alias, given)


def choose_device(use_gpu: Any, device: "DeviceChoice") -> "Device":
    """What `device` and its alias `use_gpu` ask for: True is "auto", False is "numpy", None is not given, in both.

    Raises ArgumentError if they are in conflict. True agrees with every device but "numpy".

    >>> choose_device(False, AUTO), choose_device(None, AUTO), choose_device(True, "opencl")
    ('numpy', 'auto', 'opencl')
    """
    device = AUTO if device is None else device
    if use_gpu is None:
        return str(device) if isinstance(device, str) else device
    wanted = check_flag("use_gpu", use_gpu)
    if isinstance(device, DefaultWord):
        return "auto" if wanted else "numpy"
    if wanted == (isinstance(device, str) and device == "numpy"):
        raise ArgumentError(f"use_gpu={wanted} and device={show(device)} are in conflict: give device alone")
    return device
