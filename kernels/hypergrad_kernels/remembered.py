"""Launch shapes that were measured on a device, kept in the user's cache folder between runs."""

import hashlib
import json
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

from platformdirs import user_cache_path

from hypergrad_kernels.device import Device
from hypergrad_kernels.errors import DeviceWarning
from hypergrad_kernels.shapes import DEFAULT, Key, Shape

WIDTHS = (1, 2, 4, 8, 16)
ACCESSES = ("PACKED", "VLOAD", "ALIGNED")


def find_place(device: Device, file: str, text: str) -> Path:
    """Where the shapes of a file of kernels are kept: another device, driver or kernel text has another place."""
    facts = (device.name, device.cl_device.platform.version, device.cl_device.driver_version, text)
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()
    return user_cache_path("hypergrad-opencl", appauthor=False) / "shapes" / f"{file}-{digest[:24]}.json"


def recall_shapes(device: Device, read: Callable[[str], str]) -> dict[Key, Shape]:
    """What was remembered for a device. A damaged entry is removed with a DeviceWarning, and measured anew by a tuning.

    read    gives the text of a file of kernels
    """
    shapes: dict[Key, Shape] = {}
    for file in sorted({file for file, _, _ in DEFAULT}):
        place = find_place(device, file, read(file))
        try:
            rows = json.loads(place.read_text("utf-8"))
            shapes |= {(file, *name.split()): _check_shape(Shape(**row)) for name, row in rows.items()}
        except OSError:
            continue  # nothing is remembered
        except (ValueError, TypeError, AttributeError) as error:
            place.unlink(missing_ok=True)
            warnings.warn(
                f"{place} was damaged ({error}) and is removed; the safe launch shape serves, `hypergrad bench --tune` "
                "measures anew",
                DeviceWarning,
                stacklevel=2,
            )
    return shapes


def remember_shapes(device: Device, read: Callable[[str], str], shapes: Mapping[Key, Shape]) -> None:
    """Keep shapes beside those that are remembered already; a file is replaced whole or not at all."""
    known = recall_shapes(device, read) | dict(shapes)
    for file in sorted({file for file, _, _ in shapes}):
        rows = {f"{kernel} {dtype}": shape._asdict() for (of, kernel, dtype), shape in known.items() if of == file}
        place = find_place(device, file, read(file))
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = place.with_suffix(".tmp")
        temporary.write_text(json.dumps(rows, indent=1), "utf-8")
        temporary.replace(place)


def _check_shape(shape: Shape) -> Shape:
    if shape.width not in WIDTHS or shape.access not in ACCESSES or not 0 < shape.local_size <= 4096 >= shape.steps > 0:
        raise ValueError(f"{shape} is no launch shape")
    return shape
