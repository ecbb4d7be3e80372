"""The OpenCL device of this process, as an input of the cells whose results are its own."""

from typing import Any

import numpy as np

from hypergrad import AdamW


def describe_device() -> dict[str, Any]:
    """Name, driver, versions and launch shapes of the device that device="opencl" means, which is opened.

    Among a cell's inputs it keeps what one device did, or did at other shapes, from being read as what another would
    do. Raises DeviceNotFoundError or BuildError if there is none, now, whatever was run before.
    """
    AdamW([np.zeros(1, np.float32)], device="opencl")  # tells where pyopencl is missing, too
    from hypergrad_kernels.device import open_device
    from hypergrad_kernels.launcher import read_text
    from hypergrad_kernels.shape_cache import recall_shapes
    from hypergrad_validation.bench import describe

    device = open_device()
    shapes = {" ".join(key): shape._asdict() for key, shape in recall_shapes(device, read_text).items()}
    return describe(device) | {"shapes": shapes}


def name_device() -> str:
    """The device that device="opencl" means, with the version of its driver; else why there is none."""
    try:
        from hypergrad_kernels.device import open_device
        from hypergrad_kernels.errors import BuildError, DeviceNotFoundError
    except ImportError as error:
        return f"none: {error}"
    try:
        device = open_device("opencl")
    except (BuildError, DeviceNotFoundError) as error:
        return f"none: {str(error).splitlines()[0]}"
    versions = (device.cl_device.platform.version.strip(), f"driver {device.cl_device.driver_version.strip()}")
    return ", ".join((device.name, *versions))
