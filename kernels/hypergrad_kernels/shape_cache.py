"""Launch shapes that were measured on a device, kept in the user's cache folder between runs.

A cache never breaks a step: what cannot be read, is damaged or does not suit the device counts as not remembered.
"""

import hashlib
import json
import secrets
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from platformdirs import user_cache_path

from hypergrad_kernels.device import Device
from hypergrad_kernels.errors import DeviceWarning
from hypergrad_kernels.shapes import DEFAULT, DEFAULT_GPU, Key, Shape

WIDTHS = (1, 2, 4, 8, 16)
ACCESSES = ("PACKED", "VLOAD", "ALIGNED")
GROUP_SIZES = (128, 256, 512)
"""The items of a group that takes a block, see common.cl: 16 for each of at most 7 sums."""
MOST = 4096
"""The most items of a work-group, and the most vectors that an item takes."""


def find_place(device: Device, key: Key, text: str) -> Path:
    """Where the shape of a kernel is kept: another device, driver or kernel text has another place.

    text    of the kernel's file
    """
    kind = "CPU" if device.is_cpu else "GPU"
    facts = (device.name, kind, device.cl_device.platform.version, device.cl_device.driver_version, text)
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()
    return user_cache_path("hypergrad-opencl", appauthor=False) / "shapes" / f"{'-'.join(key)}-{digest[:24]}.json"


def recall_shapes(device: Device, read: Callable[[str], str]) -> dict[Key, Shape]:
    """What was remembered for a device. A damaged entry is removed with a DeviceWarning; a tuning measures it again.

    read    gives the text of a file of kernels
    """
    shapes: dict[Key, Shape] = {}
    for key in DEFAULT:
        try:
            place = find_place(device, key, read(key[0]))
            text = place.read_bytes()
        except (FileNotFoundError, NotADirectoryError, RuntimeError):  # RuntimeError: there is no home folder
            continue  # nothing is remembered
        except OSError as error:
            _warn(f"launch shapes cannot be read ({error}): the safe ones are used")
            return {}
        try:
            shapes[key] = _check_shape(device, key, Shape(**json.loads(text)))
        except (ValueError, TypeError, RecursionError) as error:
            with suppress(OSError):
                place.unlink()
            _warn(f"{place} was damaged ({error}): the safe shape is used, `hypergrad bench --tune` measures it again")
    return shapes


def remember_shapes(device: Device, read: Callable[[str], str], shapes: Mapping[Key, Shape]) -> None:
    """Keep shapes for later runs; an entry is replaced whole or not at all. What cannot be kept is a DeviceWarning."""
    for key, shape in shapes.items():
        try:
            place = find_place(device, key, read(key[0]))
            place.parent.mkdir(parents=True, exist_ok=True)
            temporary = place.with_name(f"{secrets.token_hex(8)}.tmp")
            try:
                temporary.write_text(json.dumps(shape._asdict()), "utf-8")
                temporary.replace(place)
            except OSError:
                with suppress(OSError):
                    temporary.unlink()
                raise
        except (OSError, RuntimeError) as error:  # as above
            _warn(f"launch shapes cannot be kept ({error}): set XDG_CACHE_HOME to a folder that can be written to")
            return


def _warn(message: str) -> None:
    warnings.warn(message, DeviceWarning, stacklevel=3)


def _check_shape(device: Device, key: Key, shape: Shape) -> Shape:
    """Raise ValueError unless a kernel can be compiled for a shape and launched on the device."""
    kinds = [type(part) for part in shape]
    good = (
        kinds == [int, int, int, str, bool]
        and shape.width in WIDTHS
        and shape.access in ACCESSES
        and 0 < shape.local_size <= min(MOST, device.cl_device.max_work_group_size)
        and 0 < shape.steps <= MOST
        and (not shape.groupwise or (DEFAULT_GPU[key].groupwise and shape.local_size in GROUP_SIZES))
    )
    if not good:
        raise ValueError(f"{shape} is no launch shape of {' '.join(key)} on {device.name}")
    return shape
